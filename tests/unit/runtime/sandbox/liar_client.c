/* SPDX-License-Identifier: Apache-2.0 */
/* The other side: a client of the supervisor. */
#include "tests/unit/runtime/sandbox/liar.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/pb.h"
#include "agent-proto/ttrpc_frame.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "netns/netns.h"
#include "runtime/cli/task.h"
#include "runtime/sandbox/control.h"
#include "runtime/sandbox/event_batch.h"
#include "runtime/sandbox/process.h"
#include "runtime/sandbox/supervisor.h"

#define LOG_LIMIT (64 << 10)
/* KiB, of a supervisor: the longest reply, taken apart, and a copy of it. */
#define MEMORY_LIMIT (192 << 10)
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_IS_OURS false
#else
#define MEMORY_IS_OURS true
#endif

char client_text[512];
static char root[] = "/tmp/nacre-liar.XXXXXX";
static struct config *config;
static bool has_namespace;
static int log_file;

static const char bundle_json[] =
	"{\"ociVersion\": \"1.0.2\", \"root\": {\"path\": \"rootfs\"},"
	"\"process\": {\"args\": [\"true\"], \"cwd\": \"/\"},"
	"\"linux\": {%s\"namespaces\": [{\"type\": \"network\"%s}]}}";
static const char config_json[] =
	"{\"machine\": \"uml\", \"internetworking_model\": \"%s\","
	"\"dial_timeout\": 1, \"create_container_timeout\": 1}";
static const char process_json[] = "{\"args\": [\"true\"], \"cwd\": \"/\"%s}";

static char *in_root(const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", root, name);
	return p;
}

static void put(const char *name, const char *text)
{
	assert_int_equal(0, file_replace(AT_FDCWD, in_root(name), text,
					 strlen(text), 0600));
}

/* lin: more of linux, and network: of that namespace, in JSON. */
static void put_bundle(const char *lin, const char *network)
{
	char text[1024];

	snprintf(text, sizeof(text), bundle_json, lin, network);
	put("bundle/config.json", text);
}

static void configure(const char *network, const char *model)
{
	char text[1024];
	struct err err;

	put_bundle("", network);
	snprintf(text, sizeof(text), config_json, model);
	put("configuration.json", text);
	config_free(config);
	config = config_load(in_root("configuration.json"), &err);
	assert_non_null(config);
}

int liar_set_up(void **state)
{
	/* Mounts of the tests are nobody else's. */
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 0;
	assert_non_null(mkdtemp(root));
	assert_int_equal(0, mkdir(in_root("bundle"), 0755));
	assert_int_equal(0, mkdir(in_root("bundle/rootfs"), 0755));
	configure("", "none");
	log_file = open(in_root("log"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC,
			0600);
	assert_true(log_file >= 0);
	return 0;
}

/* That of a pod, below root. */
static bool make_namespace(void)
{
	static const char script[] =
		"{ ip link add liar0 type veth peer name eth0 netns %s && "
		"nsenter --net=%s sh -ec 'ip link set eth0 up; "
		"ip addr add 10.1.2.3/24 dev eth0; "
		"ip route add default via 10.1.2.1; ip neigh add 10.1.2.1 "
		"lladdr 02:00:00:00:00:01 dev eth0'; } >/dev/null 2>&1";
	const char *path = in_root("pod");
	char command[1024];
	struct netns_network *net = calloc(1, sizeof(*net));
	struct err err;
	bool able;

	assert_non_null(net);
	if (unshare(CLONE_NEWNET) < 0 || netns_create(path, &err) < 0) {
		free(net);
		return false;
	}
	has_namespace = true;
	snprintf(command, sizeof(command), script, path, path);
	able = system(command) == 0 &&
	       netns_attach(path, NETNS_TCFILTER, net, &err) == 0 &&
	       netns_detach(path, &err) == 0;
	netns_network_release(net);
	free(net);
	return able;
}

bool liar_network(bool on)
{
	char more[300];

	if (!config)
		skip();
	if (on && !has_namespace && !make_namespace())
		return false;
	snprintf(more, sizeof(more), ", \"path\": \"%s\"", in_root("pod"));
	configure(on ? more : "", on ? "tcfilter" : "none");
	return true;
}

int liar_tear_down(void **state)
{
	struct err err;

	if (has_namespace)
		assert_int_equal(0, netns_remove(in_root("pod"), &err));
	if (config)
		assert_int_equal(0, remove_tree(AT_FDCWD, root));
	config_free(config);
	return 0;
}

int liar_start(enum lie lie, const char *method)
{
	struct supervisor_args args = {.root = root,
				       .id = LIAR_ID,
				       .config = config,
				       .log_fd = log_file};
	struct err err;
	int fd;

	if (!config)
		skip();
	liar_plan(lie, method);
	assert_int_equal(0, ftruncate(log_file, 0));
	assert_int_equal(0, state_claim(root, LIAR_ID, &err));
	assert_int_equal(0, supervisor_start(&args, &err));
	fd = task_connect(root, LIAR_ID, &err);
	assert_true(fd >= 0);
	return fd;
}

void liar_finish(int fd)
{
	struct rusage usage;
	struct stat st;
	struct err err;
	int status;

	close(fd);
	assert_int_equal(0, task_shutdown(root, LIAR_ID, &err));
	assert_true(wait4(-1, &status, 0, &usage) > 0);
	assert_int_equal(0, status);
	if (MEMORY_IS_OURS)
		assert_in_range(usage.ru_maxrss, 1, MEMORY_LIMIT);
	assert_int_equal(0, fstat(log_file, &st));
	assert_true(st.st_size < LOG_LIMIT);
	assert_int_equal(0, state_remove(root, SECOND_ID));
	assert_int_equal(0, state_remove(root, LIAR_ID));
}

/* The code of the answer; -1: none. It may not take for ever. */
static int call(int fd, const char *method, const ProtobufCMessage *request)
{
	uint64_t from = monotonic_ns();
	enum ttrpc_code code;
	struct err err;
	int ret = task_call_within(fd, method, request, HANG_MS, &code, &err);

	/* Nor may the supervisor's end of it be what ends it. */
	assert_int_not_equal(-ETIMEDOUT, ret);
	assert_true(monotonic_ns() - from < HANG_MS * 1000000ull);
	snprintf(client_text, sizeof(client_text), "%s", ret ? err.text : "");
	if (ret)
		print_message("%s: %s\n", method, err.text);
	for (const char *p = err.text; ret == -EREMOTEIO && *p; p++)
		assert_true((unsigned char)*p >= ' ' &&
			    (unsigned char)*p != 0x9b);
	return !ret || ret == -EREMOTEIO ? (int)code : -1;
}

static const ProtobufCMessage *create_request(const char *id)
{
	static Task__CreateTaskRequest r = TASK__CREATE_TASK_REQUEST__INIT;

	r.id = pb_str(id);
	r.bundle = in_root("bundle");
	r.stdin = r.stdout = r.stderr = pb_str("/dev/zero");
	return &r.base;
}

int client_create(int fd)
{
	return call(fd, "Create", create_request(LIAR_ID));
}

int client_create_second(int fd)
{
	struct err err;

	assert_int_equal(0, state_claim(root, SECOND_ID, &err));
	return call(fd, "Create", create_request(SECOND_ID));
}

void client_ask_to_create(int fd)
{
	client_send(fd, "Create", create_request(LIAR_ID));
}

int client_start(int fd, const char *exec_id)
{
	Task__StartRequest r = TASK__START_REQUEST__INIT;

	r.id = pb_str(LIAR_ID);
	r.exec_id = pb_str(exec_id);
	return call(fd, "Start", &r.base);
}

void client_linux(const char *more)
{
	if (config)
		put_bundle(more, "");
}

int client_exec(int fd, const char *exec_id)
{
	return client_exec_with(fd, exec_id, "");
}

int client_exec_with(int fd, const char *exec_id, const char *more)
{
	Task__ExecProcessRequest r = TASK__EXEC_PROCESS_REQUEST__INIT;
	Ttrpc__Any spec = TTRPC__ANY__INIT;
	char text[256];

	snprintf(text, sizeof(text), process_json, more);
	spec.value.data = (uint8_t *)text;
	spec.value.len = strlen(text);
	r.id = pb_str(LIAR_ID);
	r.exec_id = pb_str(exec_id);
	r.spec = &spec;
	r.stdin = pb_str("/dev/null");
	return call(fd, "Exec", &r.base);
}

static int kill_all(int fd, const char *id)
{
	Task__KillRequest r = TASK__KILL_REQUEST__INIT;

	r.id = pb_str(id);
	r.signal = SIGKILL;
	r.all = true;
	return call(fd, "Kill", &r.base);
}

int client_kill(int fd)
{
	return kill_all(fd, LIAR_ID);
}

int client_kill_second(int fd)
{
	return kill_all(fd, SECOND_ID);
}

int client_delete(int fd)
{
	Task__DeleteRequest r = TASK__DELETE_REQUEST__INIT;

	r.id = pb_str(LIAR_ID);
	return call(fd, "Delete", &r.base);
}

/* All requests here begin with the same. */
static const struct ask {
	const char *agent;
	const char *method;
	const ProtobufCMessageDescriptor *type;
} asks[] = {
	{"StatsContainer", "Stats", &task__stats_request__descriptor},
	{"PauseContainer", "Pause", &task__pause_request__descriptor},
	{"ResumeContainer", "Resume", &task__resume_request__descriptor},
	{"UpdateContainer", "Update", &task__update_task_request__descriptor},
	{"TtyWinResize", "ResizePty", &task__resize_pty_request__descriptor},
	{"ExecProcess", "Start", &task__start_request__descriptor},
	{"RemoveContainer", "Delete", &task__delete_request__descriptor},
	{NULL, "State", &task__state_request__descriptor},
};

/* NULL: of State. */
static const ProtobufCMessage *request_for(const char *agent,
					   const struct ask **which)
{
	static char resources[] = "{\"pids\": {\"limit\": 10}}";
	static union {
		ProtobufCMessage base;
		Task__StateRequest any; /* id, and more */
		Task__StartRequest start;
		Task__UpdateTaskRequest update;
		Task__ResizePtyRequest resize;
	} r;
	static Ttrpc__Any value = TTRPC__ANY__INIT;
	const struct ask *ask = asks;

	while (ask->agent && (!agent || strcmp(ask->agent, agent) != 0))
		ask++;
	assert_true(!agent == !ask->agent);
	protobuf_c_message_init(ask->type, &r);
	r.any.id = pb_str(ask->type == &task__delete_request__descriptor
				  ? SECOND_ID
				  : LIAR_ID);
	if (ask->type == &task__start_request__descriptor)
		r.start.exec_id = pb_str("e");
	value.value.data = (uint8_t *)resources;
	value.value.len = strlen(resources);
	if (ask->type == &task__update_task_request__descriptor)
		r.update.resources = &value;
	*which = ask;
	return &r.base;
}

int client_update(int fd, const char *resources)
{
	Task__UpdateTaskRequest r = TASK__UPDATE_TASK_REQUEST__INIT;
	Ttrpc__Any value = TTRPC__ANY__INIT;

	value.value.data = (uint8_t *)pb_str(resources);
	value.value.len = strlen(resources);
	r.id = pb_str(LIAR_ID);
	r.resources = &value;
	return call(fd, "Update", &r.base);
}

int client_do(int fd, const char *method)
{
	const struct ask *ask;
	const ProtobufCMessage *request = request_for(method, &ask);

	return call(fd, ask->method, request);
}

void client_ask_for(int fd, const char *method)
{
	const struct ask *ask;
	const ProtobufCMessage *request = request_for(method, &ask);

	client_send(fd, ask->method, request);
}

/* Caller frees. */
static Task__StateResponse *state_of_init(void)
{
	Task__StateRequest r = TASK__STATE_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct err err;
	int fd = client_new();

	r.id = pb_str(LIAR_ID);
	assert_int_equal(0,
			 ttrpc_call_wait(fd, TASK_SERVICE, "State", &r.base,
					 &task__state_response__descriptor,
					 &reply, HANG_MS, NULL, 0, NULL, &err));
	close(fd);
	return (Task__StateResponse *)reply;
}

const char *client_reason(void)
{
	static char text[512];
	Task__StateResponse *state = state_of_init();

	snprintf(text, sizeof(text), "%s", state->reason);
	task__state_response__free_unpacked(state, NULL);
	return text;
}

int64_t client_exited_at(void)
{
	Task__StateResponse *state = state_of_init();
	int64_t at = state->exited_at ? state->exited_at->seconds : 0;

	task__state_response__free_unpacked(state, NULL);
	return at;
}

int client_state(void)
{
	int fd = client_new();
	int code = client_do(fd, NULL);

	close(fd);
	return code;
}

static void send_request(int fd, const char *service, const char *method,
			 const ProtobufCMessage *request)
{
	AUTO_FREE uint8_t *frame = NULL;
	size_t len;

	frame = ttrpc_request_frame(1, service, method, request, 0, &len);
	assert_non_null(frame);
	assert_int_equal(0, write_full(fd, frame, len));
}

void client_send(int fd, const char *method, const ProtobufCMessage *request)
{
	send_request(fd, TASK_SERVICE, method, request);
}

void client_ask_to_watch(int fd)
{
	Task__NextEventRequest r = TASK__NEXT_EVENT_REQUEST__INIT;

	r.id = pb_str(LIAR_ID);
	send_request(fd, EVENTS_SERVICE, "Next", &r.base);
}

int client_answer(int fd)
{
	static uint8_t frame[TTRPC_HEADER_LEN + 4096];
	struct ttrpc_header header;
	ProtobufCMessage *none;
	enum ttrpc_code code;
	char text[256];

	assert_true(client_answered(fd, HANG_MS));
	assert_int_equal(0, read_full(fd, frame, TTRPC_HEADER_LEN));
	assert_int_equal(0, ttrpc_header_get(frame, &header));
	assert_true(header.length <= 4096);
	assert_int_equal(
		0, read_full(fd, frame + TTRPC_HEADER_LEN, header.length));
	assert_int_equal(0, ttrpc_response_get(frame + TTRPC_HEADER_LEN,
					       header.length, NULL, &code, text,
					       sizeof(text), &none));
	return (int)code;
}

void client_ask_to_wait(int fd)
{
	Task__WaitRequest r = TASK__WAIT_REQUEST__INIT;

	r.id = pb_str(LIAR_ID);
	client_send(fd, "Wait", &r.base);
}

uint64_t client_events(int fd, uint64_t seen)
{
	Task__NextEventRequest r = TASK__NEXT_EVENT_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct err err;
	uint64_t ooms;

	r.id = pb_str(LIAR_ID);
	r.ooms = seen;
	assert_int_equal(0,
			 ttrpc_call_wait(fd, EVENTS_SERVICE, "Next", &r.base,
					 &task__next_event_response__descriptor,
					 &reply, HANG_MS, NULL, 0, NULL, &err));
	ooms = ((const Task__NextEventResponse *)reply)->ooms;
	protobuf_c_message_free_unpacked(reply, NULL);
	return ooms;
}

int client_new(void)
{
	struct err err;
	int fd = task_connect(root, LIAR_ID, &err);

	assert_true(fd >= 0);
	return fd;
}

bool client_answered(int fd, int ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, ms) == 1;
}

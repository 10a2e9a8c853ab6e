/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/agent/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define TIMEOUT_MS 20000
#define OUTPUT_PORT 1027
#define STREAM_PORT 1028 /* here; the agent's is 1027 */
#define HYBRID "hybrid:"
#define VSOCK_TRIES 6000 /* 10 ms apart */

unsigned passed, failed, skipped;
char call_text[512];
static int connection = -1;
static const char *path;

bool check(bool ok, const char *fmt, ...)
{
	va_list ap;

	printf("%s - ", ok ? "ok" : "not ok");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("%s%s\n", !ok && call_text[0] ? "  # last refusal: " : "",
	       ok ? "" : call_text);
	fflush(stdout);
	*(ok ? &passed : &failed) += 1;
	return ok;
}

void skip(const char *fmt, ...)
{
	va_list ap;

	printf("ok - # SKIP ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	(void)fflush(stdout);
	skipped++;
}

static int open_vsock(unsigned port)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = port,
	};

	/* The driver may be a module that the agent has yet to load. */
	for (int i = 0; i < VSOCK_TRIES; i++) {
		int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd >= 0 &&
		    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
		nanosleep(&pause, NULL);
	}
	perror("vsock");
	exit(1);
}

/* from: of our own socket, as the agent sees it; 0: none. */
static int open_unix(const char *file, const char *suffix, uint32_t from)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX}, own = addr;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s%s", file,
		       suffix);
	(void)snprintf(own.sun_path, sizeof(own.sun_path), "%s_%u", file, from);
	if (fd < 0 ||
	    (from && bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0) ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		perror(file);
		exit(1);
	}
	if (from)
		(void)unlink(own.sun_path);
	return fd;
}

/* A line with a number behind `begin`, and nothing beyond it; 0: another one.
 */
static uint32_t read_number(int fd, const char *begin)
{
	char line[32] = "";
	size_t len = 0, skip = strlen(begin);

	while (len < sizeof(line) - 1 && !strchr(line, '\n') &&
	       read(fd, line + len, 1) == 1)
		len++;
	return strncmp(line, begin, skip) != 0
		       ? 0
		       : (uint32_t)strtoul(line + skip, NULL, 10);
}

/* The agent listens already: its host side refuses only what nobody takes. */
static int open_hybrid(const char *file, unsigned port, uint32_t *from)
{
	int fd = open_unix(file, "", 0);

	dprintf(fd, "CONNECT %u\n", port);
	*from = read_number(fd, "OK ");
	if (!*from) {
		(void)fprintf(stderr, "%s: port %u: refused\n", file, port);
		exit(1);
	}
	return fd;
}

/* Who passes on our calls first tells us the port that they come from. */
static int open_stream_vsock(uint32_t *port)
{
	int fd = open_vsock(STREAM_PORT);

	*port = read_number(fd, "");
	if (!*port) {
		(void)fprintf(stderr, "streams: refused\n");
		exit(1);
	}
	return fd;
}

int client_open_stream(uint32_t *port)
{
	static uint32_t next = 7000;

	if (strcmp(path, "vsock") == 0)
		return open_stream_vsock(port);
	if (strncmp(path, HYBRID, strlen(HYBRID)) == 0)
		return open_hybrid(path + strlen(HYBRID), 1027, port);
	*port = ++next;
	return open_unix(path, ".stdio", *port);
}

int client_open_beside(const char *suffix)
{
	unsigned port = !*suffix ? 1024 : !strcmp(suffix, ".log") ? 1025 : 1026;

	if (strcmp(path, "vsock") == 0)
		return open_vsock(port);
	if (strncmp(path, HYBRID, strlen(HYBRID)) == 0)
		return open_hybrid(path + strlen(HYBRID), port, &(uint32_t){0});
	return open_unix(path, suffix, 0);
}

int client_open(void)
{
	return client_open_beside("");
}

void client_connect(const char *address)
{
	path = address;
	/* A guest's console may need what is not loaded yet, or be slow. */
	if (strcmp(path, "vsock") == 0)
		(void)dup2(open_vsock(OUTPUT_PORT), STDOUT_FILENO);
	connection = client_open();
}

enum ttrpc_code call_on(int fd, const char *method, const ProtobufCMessage *req,
			const ProtobufCMessageDescriptor *type,
			ProtobufCMessage **reply)
{
	ProtobufCMessage *unused = NULL;
	enum ttrpc_code code = TTRPC_OK;
	struct err err = {0};
	int ret = ttrpc_call_wait(fd, "grpc.AgentService", method, req, type,
				  reply ? reply : &unused, TIMEOUT_MS, NULL, 0,
				  &code, &err);

	(void)snprintf(call_text, sizeof(call_text), "%s", err.text);
	if (ret < 0 && (code == TTRPC_OK || code == TTRPC_UNAVAILABLE)) {
		printf("not ok - %s: %s\n", method, err.text);
		exit(1);
	}
	if (ret < 0)
		return code;
	if (unused)
		protobuf_c_message_free_unpacked(unused, NULL);
	return TTRPC_OK;
}

enum ttrpc_code call(const char *method, const ProtobufCMessage *req,
		     const ProtobufCMessageDescriptor *type,
		     ProtobufCMessage **reply)
{
	return call_on(connection, method, req, type, reply);
}

unsigned long metric(const char *name)
{
	static const Agent__Empty empty = AGENT__EMPTY__INIT;
	Agent__Metrics *reply = NULL;
	unsigned long value = 0;
	char line[64];
	const char *at;

	if (call("GetMetrics", &empty.base, &agent__metrics__descriptor,
		 (ProtobufCMessage **)&reply) != TTRPC_OK)
		return 0;
	(void)snprintf(line, sizeof(line), "\n%s ", name);
	at = strstr(reply->metrics, line);
	if (at)
		value = strtoul(at + strlen(line), NULL, 10);
	agent__metrics__free_unpacked(reply, NULL);
	return value;
}

static char *own(const char *text)
{
	return strdup(text); /* of a test: never freed */
}

void spec_namespace(struct test_spec *s, const char *type)
{
	size_t n = s->lin.n_namespaces++;

	oci__linux_namespace__init(&s->namespaces[n]);
	s->namespaces[n].type = own(type);
	s->namespace_list[n] = &s->namespaces[n];
}

void spec_mount(struct test_spec *s, const char *type, const char *source,
		const char *target, const char *options)
{
	size_t n = s->spec.n_mounts++;
	Oci__Mount *m = &s->mounts[n];
	char *save = NULL, *copy = own(options);

	oci__mount__init(m);
	m->type = own(type);
	m->source = own(source);
	m->destination = own(target);
	m->options = s->options[n];
	for (char *o = strtok_r(copy, ",", &save); o;
	     o = strtok_r(NULL, ",", &save))
		m->options[m->n_options++] = o;
	s->mount_list[n] = m;
}

static void spec_link(struct test_spec *s, const char *rootfs)
{
	oci__spec__init(&s->spec);
	oci__process__init(&s->process);
	oci__user__init(&s->user);
	oci__box__init(&s->console);
	oci__root__init(&s->root);
	oci__linux__init(&s->lin);
	oci__linux_capabilities__init(&s->caps);
	oci__linux_resources__init(&s->resources);
	s->spec.process = &s->process;
	s->spec.root = &s->root;
	s->spec.linux_config = &s->lin;
	s->spec.mounts = s->mount_list;
	s->lin.namespaces = s->namespace_list;
	s->process.user = &s->user;
	s->process.args = s->args;
	s->process.env = s->env;
	s->process.cwd = own("/");
	s->root.path = own(rootfs);
}

void spec_init(struct test_spec *s, const char *rootfs, const char *first, ...)
{
	static const char *const types[] = {"mount", "ipc", "uts", "pid",
					    "cgroup"};
	va_list ap;

	memset(s, 0, sizeof(*s));
	spec_link(s, rootfs);
	va_start(ap, first);
	for (const char *a = first; a; a = va_arg(ap, const char *))
		s->args[s->process.n_args++] = own(a);
	va_end(ap);
	s->env[s->process.n_env++] = own("PATH=/bin");
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		spec_namespace(s, types[i]);
	spec_mount(s, "proc", "proc", "/proc", "");
	spec_mount(s, "tmpfs", "tmpfs", "/dev", "nosuid,mode=755,size=65536k");
	spec_mount(s, "devpts", "devpts", "/dev/pts",
		   "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620");
	spec_mount(s, "tmpfs", "shm", "/dev/shm", "nosuid,noexec,nodev");
}

enum ttrpc_code create_with(const char *id, struct test_spec *s,
			    Agent__Storage **storages, size_t n_storages,
			    Agent__Device **devices, size_t n_devices)
{
	Agent__CreateContainerRequest req =
		AGENT__CREATE_CONTAINER_REQUEST__INIT;

	req.container_id = own(id);
	req.oci = &s->spec;
	req.storages = storages;
	req.n_storages = n_storages;
	req.devices = devices;
	req.n_devices = n_devices;
	return call("CreateContainer", &req.base, &agent__empty__descriptor,
		    NULL);
}

enum ttrpc_code create(const char *id, struct test_spec *s)
{
	return create_with(id, s, NULL, 0, NULL, 0);
}

enum ttrpc_code start(const char *id)
{
	Agent__StartContainerRequest req = AGENT__START_CONTAINER_REQUEST__INIT;

	req.container_id = own(id);
	return call("StartContainer", &req.base, &agent__empty__descriptor,
		    NULL);
}

enum ttrpc_code remove_container(const char *id)
{
	Agent__RemoveContainerRequest req =
		AGENT__REMOVE_CONTAINER_REQUEST__INIT;

	req.container_id = own(id);
	req.timeout = 10;
	return call("RemoveContainer", &req.base, &agent__empty__descriptor,
		    NULL);
}

enum ttrpc_code kill_process(const char *id, const char *exec, uint32_t sig)
{
	Agent__SignalProcessRequest req = AGENT__SIGNAL_PROCESS_REQUEST__INIT;

	req.container_id = own(id);
	req.exec_id = own(exec);
	req.signal = sig;
	return call("SignalProcess", &req.base, &agent__empty__descriptor,
		    NULL);
}

enum ttrpc_code exec_process(const char *id, const char *exec,
			     struct test_spec *s)
{
	Agent__ExecProcessRequest req = AGENT__EXEC_PROCESS_REQUEST__INIT;

	req.container_id = own(id);
	req.exec_id = own(exec);
	req.process = &s->process;
	return call("ExecProcess", &req.base, &agent__empty__descriptor, NULL);
}

enum ttrpc_code wait_process(const char *id, const char *exec, int *status)
{
	Agent__WaitProcessRequest req = AGENT__WAIT_PROCESS_REQUEST__INIT;
	Agent__WaitProcessResponse *reply = NULL;
	enum ttrpc_code code;

	req.container_id = own(id);
	req.exec_id = own(exec);
	code = call("WaitProcess", &req.base,
		    &agent__wait_process_response__descriptor,
		    (ProtobufCMessage **)&reply);
	*status = -1;
	if (code == TTRPC_OK) {
		*status = reply->exited_at_ns > 0 ? reply->status : -2;
		agent__wait_process_response__free_unpacked(reply, NULL);
	}
	return code;
}

const char *read_all(const char *id, const char *exec, bool err)
{
	static char text[65536];
	size_t len = 0;

	for (;;) {
		Agent__ReadStreamRequest req = AGENT__READ_STREAM_REQUEST__INIT;
		Agent__ReadStreamResponse *reply = NULL;
		size_t n;

		req.container_id = own(id);
		req.exec_id = own(exec);
		req.len = 4096;
		if (call(err ? "ReadStderr" : "ReadStdout", &req.base,
			 &agent__read_stream_response__descriptor,
			 (ProtobufCMessage **)&reply) != TTRPC_OK)
			break;
		n = MIN(reply->data.len, sizeof(text) - 1 - len);
		if (n)
			memcpy(text + len, reply->data.data, n);
		len += n;
		agent__read_stream_response__free_unpacked(reply, NULL);
		if (n == 0)
			break;
	}
	text[len] = '\0';
	return text;
}

enum ttrpc_code write_stdin(const char *id, const char *exec, const char *data,
			    uint32_t *len)
{
	Agent__WriteStreamRequest req = AGENT__WRITE_STREAM_REQUEST__INIT;
	Agent__WriteStreamResponse *reply = NULL;
	enum ttrpc_code code;

	req.container_id = own(id);
	req.exec_id = own(exec);
	req.data.data = (uint8_t *)own(data);
	req.data.len = strlen(data);
	code = call("WriteStdin", &req.base,
		    &agent__write_stream_response__descriptor,
		    (ProtobufCMessage **)&reply);
	if (code == TTRPC_OK) {
		*len = reply->len;
		agent__write_stream_response__free_unpacked(reply, NULL);
	}
	return code;
}

enum ttrpc_code close_stdin(const char *id, const char *exec)
{
	Agent__CloseStdinRequest req = AGENT__CLOSE_STDIN_REQUEST__INIT;

	req.container_id = own(id);
	req.exec_id = own(exec);
	return call("CloseStdin", &req.base, &agent__empty__descriptor, NULL);
}

const char *run(const char *id, struct test_spec *s, int *status)
{
	const char *out;

	*status = -1;
	if (create(id, s) != TTRPC_OK)
		return "";
	if (start(id) != TTRPC_OK) {
		char text[sizeof(call_text)];

		memcpy(text, call_text, sizeof(text));
		(void)remove_container(id);
		memcpy(call_text, text, sizeof(text));
		return "";
	}
	out = read_all(id, "", false);
	(void)wait_process(id, "", status);
	if (remove_container(id) != TTRPC_OK)
		*status = -3;
	return out;
}

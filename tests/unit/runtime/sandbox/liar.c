/* SPDX-License-Identifier: Apache-2.0 */
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
#include "base/file.h"
#include "runtime/cli/task.h"
#include "runtime/sandbox/control.h"
#include "runtime/sandbox/event_batch.h"
#include "runtime/sandbox/process.h"
#include "runtime/sandbox/supervisor.h"

/* The liar. ---------------------------------------------------------------- */

static struct {
	enum lie lie;
	const char *method;
} plan;

static struct {
	int fd; /* the connection */
	struct evsource listener;
	int control;
	struct ttrpc_request *waits[8]; /* [0]: of init */
	struct ttrpc_request *reads[8];
	struct ttrpc_request *oom;
	unsigned nwaits, nreads, nooms;
} liar;

#define STREAMING (plan.lie >= IGNORES_STREAMS && plan.lie <= ENDS_STREAMS)
#define REPLAYING (plan.method && !strcmp(plan.method, "ReplayEvents"))
#define TELLING                                                           \
	((plan.lie >= TELLS_OF_FILES && plan.lie <= MISTELLS_OF_FILES) || \
	 REPLAYING)

static void send_raw(uint32_t length, uint32_t stream, size_t real)
{
	uint8_t frame[256] = {
		(uint8_t)(length >> 24), (uint8_t)(length >> 16),
		(uint8_t)(length >> 8),	 (uint8_t)length,
		(uint8_t)(stream >> 24), (uint8_t)(stream >> 16),
		(uint8_t)(stream >> 8),	 (uint8_t)stream,
		TTRPC_RESPONSE,		 0,
	};

	memset(frame + TTRPC_HEADER_LEN, 0xff,
	       sizeof(frame) - TTRPC_HEADER_LEN);
	(void)!send(liar.fd, frame, TTRPC_HEADER_LEN + real, MSG_NOSIGNAL);
}

static void flood(enum control_type type)
{
	static const char panic[] = "Kernel panic\n";
	char text[2048];

	memset(text, 'x', sizeof(text));
	memcpy(text, panic, sizeof(panic) - 1);
	text[sizeof(text) - 1] = '\n';
	for (int i = 0; i < 5000; i++)
		if (control_send(liar.control, type, text, sizeof(text)) ==
		    -EAGAIN)
			usleep(100);
}

/* In as many messages. */
static void tell_of_files(int messages, size_t cut)
{
	const struct fs_event event = {
		.kind = FILE_EVENT_CREATE,
		.dir = 1,
		.name = "name",
		.to_name = "",
	};
	struct event_batch batch = {.len = 0};

	if (!event_batch_add(&batch, &event))
		_exit(1);
	for (int i = 0; i < messages; i++)
		if (control_send(liar.control, CONTROL_FILE_EVENTS, batch.text,
				 batch.len - cut))
			_exit(1);
}

void liar_plan(enum lie lie, const char *method)
{
	plan.lie = lie;
	plan.method = method;
}

/* Two bytes each, and for who reads it some hundred. */
static void send_many(struct ttrpc_request *req)
{
	static Agent__NetworkStats none = AGENT__NETWORK_STATS__INIT;
	static Agent__NetworkStats *many[500000];
	Agent__StatsContainerResponse reply =
		AGENT__STATS_CONTAINER_RESPONSE__INIT;

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = &none;
	reply.network_stats = many;
	reply.n_network_stats = ARRAY_SIZE(many);
	ttrpc_reply(req, &reply.base);
}

/* Those that are nobody's, its own, and the end. */
static void run_out(struct ttrpc_request *req)
{
	static char longest[60000];
	static const char *const ids[] = {
		longest, "", "other", "../" LIAR_ID, LIAR_ID "/", LIAR_ID,
	};
	Agent__OOMEvent oom = AGENT__OOMEVENT__INIT;

	memset(longest, 'x', sizeof(longest) - 1);
	if (liar.nooms == ARRAY_SIZE(ids)) {
		shutdown(liar.fd, SHUT_RDWR);
		return;
	}
	oom.container_id = pb_str(ids[liar.nooms++]);
	ttrpc_reply(req, &oom.base);
}

/* True: it is answered, or never will be. */
static bool tell_lie(struct ttrpc_request *req)
{
	static const char last_words[] =
		"nacre-agent: ended by signal 11 (SEGV): switching off\n";
	static const uint32_t odd[] = {99, 0};
	static uint8_t data[300 << 10];
	Agent__ReadStreamResponse read = AGENT__READ_STREAM_RESPONSE__INIT;
	Agent__WaitProcessResponse wait = AGENT__WAIT_PROCESS_RESPONSE__INIT;
	Agent__OOMEvent oom = AGENT__OOMEVENT__INIT;

	switch (plan.lie) {
	case IS_SILENT:
		return true;
	case IS_SLOW:
		usleep(300000);
		return false;
	case SAYS_WHY:
		(void)!control_send(liar.control, CONTROL_CONSOLE, last_words,
				    sizeof(last_words) - 1);
		shutdown(liar.fd, SHUT_RDWR);
		return true;
	case CLOSES:
		shutdown(liar.fd, SHUT_RDWR);
		return true;
	case DIES:
		_exit(1);
	case REFUSES:
		ttrpc_fail(req, TTRPC_INTERNAL, "no");
		return true;
	case CANCELS:
		ttrpc_fail(req, TTRPC_CANCELLED,
			   "a\xc2\x9b"
			   "1m\nb");
		return true;
	case CLAIMS_A_HUGE_FRAME:
		send_raw(UINT32_MAX, 1, 0);
		return false;
	case SENDS_GARBAGE:
		for (uint32_t stream = 1; stream < 100; stream += 2)
			send_raw(100, stream, 100);
		return false;
	case ANSWERS_UNASKED:
		for (int i = 0; i < 10000; i++)
			send_raw(0, 1, 0);
		return false;
	case SENDS_LONG_DATA:
		read.data.data = data;
		read.data.len = sizeof(data);
		ttrpc_reply(req, &read.base);
		return true;
	case SENDS_MANY:
		send_many(req);
		return true;
	case ENDS_IN_THE_FUTURE:
		wait.status = INT32_MAX;
		wait.exited_at_ns = INT64_MAX;
		ttrpc_reply(req, &wait.base);
		return true;
	case RUNS_OUT_OF_MEMORY:
		oom.container_id = pb_str(LIAR_ID);
		ttrpc_reply(req, &oom.base);
		return true;
	case OTHERS_RUN_OUT_TOO:
		run_out(req);
		return true;
	case BREAKS_CONTROL:
		(void)!send(liar.control, odd, sizeof(odd), MSG_NOSIGNAL);
		return false;
	case SENDS_EMPTY_CONTROL:
		(void)!send(liar.control, odd, 0, MSG_NOSIGNAL);
		return false;
	case TELLS_OF_FILES:
		tell_of_files(1, 0);
		return false;
	case TELLS_OF_FILES_TWICE:
		tell_of_files(2, 0);
		return false;
	case MISTELLS_OF_FILES:
		tell_of_files(1, 1);
		return false;
	case FLOODS_LOG:
		flood(CONTROL_LOG);
		return false;
	case FLOODS_CONSOLE:
		flood(CONTROL_CONSOLE);
		return false;
	default:
		return false;
	}
}

static bool lies(struct ttrpc_request *req, const char *method)
{
	return plan.method && !strcmp(plan.method, method) && tell_lie(req);
}

static void on_signal(struct ttrpc_request *req,
		      const ProtobufCMessage *message, void *arg)
{
	Agent__WaitProcessResponse reply = AGENT__WAIT_PROCESS_RESPONSE__INIT;
	const Agent__SignalProcessRequest *m = (const void *)message;

	if (lies(req, "SignalProcess"))
		return;
	ttrpc_reply(req, NULL);
	if (strcmp(m->container_id, LIAR_ID) != 0)
		return;
	reply.status = 128 + (int)m->signal;
	/* Of init alone: what it leaves behind is another lie. */
	if (liar.nwaits)
		ttrpc_reply(liar.waits[0], &reply.base);
	if (liar.nwaits)
		memmove(liar.waits, liar.waits + 1,
			sizeof(liar.waits) - sizeof(liar.waits[0]));
	liar.nwaits -= liar.nwaits ? 1 : 0;
	while (liar.nreads)
		ttrpc_reply(liar.reads[--liar.nreads], NULL);
}

static void on_wait(struct ttrpc_request *req, const ProtobufCMessage *message,
		    void *arg)
{
	if (!lies(req, "WaitProcess") && liar.nwaits < 8)
		liar.waits[liar.nwaits++] = req;
}

static void on_read(struct ttrpc_request *req, const ProtobufCMessage *message,
		    void *arg)
{
	if (!lies(req, "ReadStdout") && liar.nreads < 8)
		liar.reads[liar.nreads++] = req;
}

static void on_read_error(struct ttrpc_request *req,
			  const ProtobufCMessage *message, void *arg)
{
	if (!lies(req, "ReadStderr") && liar.nreads < 8)
		liar.reads[liar.nreads++] = req;
}

static void on_create(struct ttrpc_request *req,
		      const ProtobufCMessage *message, void *arg)
{
	if (REPLAYING)
		tell_of_files(1, 0);
	if (!lies(req, "CreateContainer"))
		ttrpc_reply(req, NULL);
}

static void on_details(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *arg)
{
	Agent__GuestDetailsResponse reply = AGENT__GUEST_DETAILS_RESPONSE__INIT;
	Agent__AgentDetails details = AGENT__AGENT_DETAILS__INIT;
	char *features[] = {
		pb_str(TELLING ? "file_events" : "stdio_ports"),
	};
	char *extensions[] = {
		pb_str("cgroup_unified"),
		pb_str("spec_extensions"),
	};

	if (lies(req, "GetGuestDetails"))
		return;
	details.n_extra_features = STREAMING || TELLING ? 1 : 0;
	details.extra_features = features;
	if (plan.lie == ANNOUNCES_ALL) {
		details.n_extra_features = ARRAY_SIZE(extensions);
		details.extra_features = extensions;
	}
	reply.agent_details = &details;
	ttrpc_reply(req, &reply.base);
}

static void on_oom(struct ttrpc_request *req, const ProtobufCMessage *message,
		   void *arg)
{
	if (!lies(req, "GetOOMEvent"))
		liar.oom = req;
}

#define AGREES(name)                                                \
	static void on_##name(struct ttrpc_request *req,            \
			      const ProtobufCMessage *m, void *arg) \
	{                                                           \
		if (!lies(req, #name))                              \
			ttrpc_reply(req, NULL);                     \
	}
AGREES(ReseedRandomDev)
AGREES(SetGuestDateTime)
AGREES(CreateSandbox)
AGREES(StartContainer)
AGREES(ExecProcess)
AGREES(WriteStdin)
AGREES(CloseStdin)
AGREES(RemoveContainer)
AGREES(DestroySandbox)
AGREES(ReplayEvents)
AGREES(StatsContainer)
AGREES(PauseContainer)
AGREES(ResumeContainer)
AGREES(UpdateContainer)
AGREES(TtyWinResize)
AGREES(UpdateInterface)
AGREES(UpdateRoutes)
AGREES(AddARPNeighbors)

#define ROW(name, type, handler)                                          \
	{                                                                 \
		"grpc.AgentService", #name, &agent__##type##__descriptor, \
			handler                                           \
	}

static const struct ttrpc_method liar_methods[] = {
	ROW(ReseedRandomDev, empty, on_ReseedRandomDev),
	ROW(SetGuestDateTime, empty, on_SetGuestDateTime),
	ROW(CreateSandbox, empty, on_CreateSandbox),
	ROW(CreateContainer, empty, on_create),
	ROW(StartContainer, empty, on_StartContainer),
	ROW(ExecProcess, empty, on_ExecProcess),
	ROW(SignalProcess, signal_process_request, on_signal),
	ROW(WaitProcess, empty, on_wait),
	ROW(ReadStdout, empty, on_read),
	ROW(ReadStderr, empty, on_read_error),
	ROW(GetOOMEvent, empty, on_oom),
	ROW(GetGuestDetails, empty, on_details),
	ROW(WriteStdin, empty, on_WriteStdin),
	ROW(CloseStdin, empty, on_CloseStdin),
	ROW(RemoveContainer, empty, on_RemoveContainer),
	ROW(DestroySandbox, empty, on_DestroySandbox),
	ROW(ReplayEvents, empty, on_ReplayEvents),
	ROW(StatsContainer, empty, on_StatsContainer),
	ROW(PauseContainer, empty, on_PauseContainer),
	ROW(ResumeContainer, empty, on_ResumeContainer),
	ROW(UpdateContainer, empty, on_UpdateContainer),
	ROW(TtyWinResize, empty, on_TtyWinResize),
	ROW(UpdateInterface, empty, on_UpdateInterface),
	ROW(UpdateRoutes, empty, on_UpdateRoutes),
	ROW(AddARPNeighbors, empty, on_AddARPNeighbors),
	{NULL, NULL, NULL, NULL},
};

/* "CONNECT 1024\n", answered as planned. */
static void take_call(int listener)
{
	struct pollfd pfd = {.fd = listener, .events = POLLIN};
	char ask[13];

	if (plan.lie == TAKES_NO_CALL)
		pause();
	for (;;) {
		poll(&pfd, 1, -1);
		liar.fd = accept(listener, NULL, NULL);
		if (liar.fd < 0 || read_full(liar.fd, ask, sizeof(ask)) < 0)
			_exit(1);
		if (plan.lie != SAYS_NO)
			break;
		(void)!write_full(liar.fd, "NO\n", 3);
		close(liar.fd);
	}
	if (plan.lie == SAYS_NO_WORD)
		pause();
	(void)!write_full(liar.fd, "OK 1\n", 5);
}

/* Calls for streams, of which it keeps every connection. */
static void take_stream(struct evsource *src, uint32_t revents)
{
	const char *answer = plan.lie == REFUSES_STREAMS    ? "NO\n"
			     : plan.lie == MISNAMES_STREAMS ? "OK 0\n"
			     : plan.lie == FLOODS_STREAMS   ? "OK 7\nflood"
							    : "OK 7\n";
	char ask[13];
	int fd = accept(src->fd, NULL, NULL);

	if (fd < 0 || read_full(fd, ask, sizeof(ask)) < 0)
		_exit(1);
	if (plan.lie != IGNORES_STREAMS)
		(void)!write_full(fd, answer, strlen(answer));
	if (plan.lie == ENDS_STREAMS)
		close(fd);
}

static void NORETURN liar_main(int listener, int control)
{
	struct ttrpc_server_config config = {
		.methods = liar_methods,
		.connections_max = 1,
	};
	struct ttrpc_server *server;
	struct evloop *loop;
	struct err err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	liar.control = control;
	(void)!control_send(control, CONTROL_READY, "", 0);
	take_call(listener);
	loop = evloop_new();
	if (STREAMING && evsource_add(loop, &liar.listener, listener, EPOLLIN,
				      take_stream) < 0)
		_exit(1);
	server = ttrpc_server_new(loop, -1, &config, &err);
	if (ttrpc_server_adopt(server, dup(liar.fd)) == 0)
		evloop_run(loop);
	_exit(1);
}

/* In place of the one in runtime/sandbox/process.c. */
int sandbox_process_start(struct sandbox_process *process,
			  const struct sandbox_params *params, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "control socket");
	process->pid = fork();
	if (process->pid == 0)
		liar_main(params->vsock_fd, pair[1]);
	close(pair[1]);
	process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	process->control = pair[0];
	return 0;
}

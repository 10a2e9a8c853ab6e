/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are no good, for each method; and calls in each other's way. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "integration/agent/calls.h"
#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define AGENT "grpc.AgentService"
#define REQUEST(method, type)                                \
	{                                                    \
		method, &agent__##type##_request__descriptor \
	}

static const struct request {
	const char *method;
	const ProtobufCMessageDescriptor *type;
} requests[] = {
	/* Of a container. */
	REQUEST("StartContainer", start_container),
	REQUEST("RemoveContainer", remove_container),
	REQUEST("PauseContainer", container),
	REQUEST("ResumeContainer", container),
	REQUEST("StatsContainer", container),
	REQUEST("UpdateContainer", update_container),
	REQUEST("ExecProcess", exec_process),
	/* Of a process. */
	REQUEST("SignalProcess", signal_process),
	REQUEST("WaitProcess", wait_process),
	REQUEST("WriteStdin", write_stream),
	REQUEST("ReadStdout", read_stream),
	REQUEST("ReadStderr", read_stream),
	REQUEST("CloseStdin", close_stdin),
	REQUEST("TtyWinResize", tty_win_resize),
	/* Of the guest. */
	REQUEST("CreateContainer", create_container),
	REQUEST("CreateSandbox", create_sandbox),
	{"DestroySandbox", &agent__empty__descriptor},
	REQUEST("UpdateInterface", update_interface),
	REQUEST("UpdateRoutes", update_routes),
	{"ListInterfaces", &agent__empty__descriptor},
	{"ListRoutes", &agent__empty__descriptor},
	REQUEST("AddARPNeighbors", add_arpneighbors),
	REQUEST("GetGuestDetails", guest_details),
	REQUEST("SetGuestDateTime", set_guest_date_time),
	REQUEST("ReseedRandomDev", reseed_random_dev),
	{"GetOOMEvent", &agent__empty__descriptor},
	REQUEST("CopyFile", copy_file),
	REQUEST("UpdateEphemeralMounts", update_ephemeral_mounts),
	REQUEST("OnlineCPUMem", online_cpu_mem),
	REQUEST("MemHotplugByProbe", mem_hotplug_by_probe),
	REQUEST("AddSwap", add_swap),
	REQUEST("AddSwapPath", add_swap_path),
	REQUEST("GetVolumeStats", volume_stats),
	REQUEST("ResizeVolume", resize_volume),
	{"RemoveStaleVirtiofsShareMounts", &agent__empty__descriptor},
	REQUEST("ReplayEvents", replay_events),
	{"GetMetrics", &agent__empty__descriptor},
	REQUEST("SetPolicy", set_policy),
	REQUEST("GetDiagnosticData", get_diagnostic_data),
	REQUEST("GetIPTables", get_ip_tables),
	REQUEST("SetIPTables", set_ip_tables),
	REQUEST("MemAgentMemcgSet", mem_agent_memcg_set),
	REQUEST("MemAgentCompactSet", mem_agent_compact_set),
};
#define OF_CONTAINER 14
#define FIRST_OF_PROCESS 7

static ProtobufCMessage *make(const struct request *r)
{
	ProtobufCMessage *m = calloc(1, r->type->sizeof_message);

	if (!m)
		abort();
	protobuf_c_message_init(r->type, m);
	return m;
}

static void set(ProtobufCMessage *m, const char *name, const char *value)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(m->descriptor,
								name);

	if (!f)
		abort();
	*(const char **)(void *)((char *)m + f->offset) = value;
}

static enum ttrpc_code ask(const struct request *r, const char *container,
			   const char *exec)
{
	ProtobufCMessage *m = make(r);
	enum ttrpc_code code;

	set(m, "container_id", container);
	if (exec)
		set(m, "exec_id", exec);
	code = call(r->method, m, &agent__empty__descriptor, NULL);
	free(m); /* its texts are constants */
	return code;
}

static void test_ids(const char *rootfs)
{
	struct test_spec s;

	for (unsigned i = 0; i < OF_CONTAINER; i++)
		check(ask(&requests[i], "../x", NULL) ==
				      TTRPC_INVALID_ARGUMENT &&
			      ask(&requests[i], "", NULL) ==
				      TTRPC_INVALID_ARGUMENT &&
			      ask(&requests[i], "nobody", NULL) ==
				      TTRPC_NOT_FOUND,
		      "%s: of no container", requests[i].method);
	spec_init(&s, rootfs, "sleep", "1000", END);
	check(create("k1", &s) == TTRPC_OK && start("k1") == TTRPC_OK, "start");
	for (unsigned i = FIRST_OF_PROCESS; i < OF_CONTAINER; i++)
		check(ask(&requests[i], "k1", "a/b") ==
				      TTRPC_INVALID_ARGUMENT &&
			      ask(&requests[i], "k1", "nobody") ==
				      TTRPC_NOT_FOUND,
		      "%s: of no process", requests[i].method);
	check(exec_process("k1", "", &s) == TTRPC_INVALID_ARGUMENT &&
		      exec_process("k1", "k1", &s) == TTRPC_INVALID_ARGUMENT &&
		      exec_process("k1", "../e", &s) == TTRPC_INVALID_ARGUMENT,
	      "ExecProcess: ids that cannot be");
	s.process.n_args = 0;
	check(exec_process("k1", "e", &s) == TTRPC_INVALID_ARGUMENT,
	      "ExecProcess: nothing to execute");
	check(kill_process("k1", "", 65) == TTRPC_INVALID_ARGUMENT &&
		      kill_process("k1", "", UINT32_MAX) ==
			      TTRPC_INVALID_ARGUMENT,
	      "SignalProcess: no such signal");
	check(ask(&requests[5], "k1", NULL) == TTRPC_INVALID_ARGUMENT,
	      "UpdateContainer: by nothing");
	check(ask(&requests[3], "k1", NULL) == TTRPC_FAILED_PRECONDITION,
	      "ResumeContainer: of one that is not paused");
	check(remove_container("k1") == TTRPC_OK, "remove");
}

/* A field that says it is longer than the message. */
static void test_garbage(void)
{
	uint8_t bytes[] = {100, 'x'};
	ProtobufCMessageUnknownField field = {
		.tag = 1,
		.wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
		.len = sizeof(bytes),
		.data = bytes,
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		ProtobufCMessage *m = make(&requests[i]);

		m->n_unknown_fields = 1;
		m->unknown_fields = &field;
		check(call(requests[i].method, m, &agent__empty__descriptor,
			   NULL) == TTRPC_INVALID_ARGUMENT,
		      "%s: no message", requests[i].method);
		free(m);
	}
}

static void test_empty(void)
{
	static const char *const refused[] = {
		"CreateContainer",   "UpdateInterface", "ReseedRandomDev",
		"CopyFile",	     "GetVolumeStats",	"ResizeVolume",
		"GetDiagnosticData", "SetPolicy",
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(refused); k++) {
			ProtobufCMessage *m;

			if (strcmp(requests[i].method, refused[k]) != 0)
				continue;
			m = make(&requests[i]);
			check(call(refused[k], m, &agent__empty__descriptor,
				   NULL) != TTRPC_OK,
			      "%s: nothing said", refused[k]);
			free(m);
		}
	}
}

static void test_health(void)
{
	Agent__CheckRequest req = AGENT__CHECK_REQUEST__INIT;
	struct waiting check_call, version, other;

	call_begin(&check_call, "grpc.Health", "Check", &req.base);
	call_begin(&version, "grpc.Health", "Version", &req.base);
	call_begin(&other, "grpc.Healthy", "Check", &req.base);
	check(call_finish(&check_call) == TTRPC_OK &&
		      call_finish(&version) == TTRPC_OK,
	      "Check and Version");
	check(call_finish(&other) == TTRPC_UNIMPLEMENTED,
	      "a service that is not there");
}

static void fill_exec(Agent__ExecProcessRequest *req, struct test_spec *s,
		      const char *container, const char *exec)
{
	agent__exec_process_request__init(req);
	req->container_id = strdup(container);
	req->exec_id = strdup(exec);
	req->process = &s->process;
}

/* All that a container's end cuts off is answered. */
static void test_removal(const char *rootfs)
{
	Agent__RemoveContainerRequest remove =
		AGENT__REMOVE_CONTAINER_REQUEST__INIT;
	Agent__WaitProcessRequest wait = AGENT__WAIT_PROCESS_REQUEST__INIT;
	Agent__ReadStreamRequest read = AGENT__READ_STREAM_REQUEST__INIT;
	Agent__ExecProcessRequest exec;
	struct waiting waits, reads, removes, execs, again;
	struct test_spec s;

	spec_init(&s, rootfs, "sleep", "1000", END);
	check(create("k1", &s) == TTRPC_OK && start("k1") == TTRPC_OK, "start");
	remove.container_id = wait.container_id = read.container_id =
		strdup("k1");
	read.len = 100;
	fill_exec(&exec, &s, "k1", "e");
	call_begin(&waits, AGENT, "WaitProcess", &wait.base);
	call_begin(&reads, AGENT, "ReadStdout", &read.base);
	call_begin(&removes, AGENT, "RemoveContainer", &remove.base);
	call_begin(&execs, AGENT, "ExecProcess", &exec.base);
	call_begin(&again, AGENT, "RemoveContainer", &remove.base);
	check(call_finish(&removes) == TTRPC_OK, "remove, with calls waiting");
	/* Unless it was quick. */
	check(call_finish(&execs) == TTRPC_NOT_FOUND ||
		      (execs.code == TTRPC_FAILED_PRECONDITION &&
		       strstr(call_text, "being removed")),
	      "exec into a container that is being removed");
	check(call_finish(&again) == TTRPC_OK || again.code == TTRPC_NOT_FOUND,
	      "remove once more meanwhile");
	check(call_finish(&waits) == TTRPC_OK, "who waits for it hears of it");
	(void)call_finish(&reads);
	check(remove_container("k1") == TTRPC_NOT_FOUND, "it is gone");
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static pid_t first_of(const char *procs)
{
	FILE *f = fopen(procs, "r");
	int pid = 0;

	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		(void)fclose(f);
	return pid;
}

/* One that is killed and does not end: who traces it has not been told yet. */
static void test_removal_limit(const char *rootfs)
{
	Agent__RemoveContainerRequest req =
		AGENT__REMOVE_CONTAINER_REQUEST__INIT;
	struct test_spec s;
	enum ttrpc_code code;
	int64_t from;
	pid_t pid;

	spec_init(&s, rootfs, "sleep", "1000", END);
	s.lin.cgroups_path = strdup("/nacre-test/k");
	check(create("k1", &s) == TTRPC_OK && start("k1") == TTRPC_OK, "start");
	pid = first_of("/sys/fs/cgroup/nacre-test/k/cgroup.procs");
	if (!check(pid > 0 && ptrace(PTRACE_SEIZE, pid, 0, 0) == 0, "trace it"))
		return;
	req.container_id = strdup("k1");
	req.timeout = 1;
	from = now_ns();
	code = call("RemoveContainer", &req.base, &agent__empty__descriptor,
		    NULL);
	check(code == TTRPC_DEADLINE_EXCEEDED &&
		      strstr(call_text, "processes of the container do not") &&
		      now_ns() - from >= 1000000000,
	      "RemoveContainer: a process that does not end in time");
	check(waitpid(pid, NULL, __WALL) == pid, "it ends");
	code = remove_container("k1");
	check((code == TTRPC_OK || code == TTRPC_NOT_FOUND) &&
		      access("/sys/fs/cgroup/nacre-test/k", F_OK) < 0,
	      "RemoveContainer: once more, and it is gone");
	(void)rmdir("/sys/fs/cgroup/nacre-test");
}

/* Processes that come faster than anybody can look. */
static void test_kill(const char *rootfs)
{
	struct test_spec s;
	int status;

	spec_init(&s, rootfs, "sh", "-c",
		  "i=0; while [ $i -lt 8 ]; do (while :; do (:); done) & "
		  "i=$((i + 1)); done; echo up; wait",
		  END);
	s.lin.cgroups_path = strdup("/nacre-test/k");
	check(create("k1", &s) == TTRPC_OK && start("k1") == TTRPC_OK &&
		      kill_process("k1", "", SIGKILL) == TTRPC_OK &&
		      wait_process("k1", "", &status) == TTRPC_OK &&
		      status == 137,
	      "kill of all that forks all the time");
	check(remove_container("k1") == TTRPC_OK &&
		      access("/sys/fs/cgroup/nacre-test/k", F_OK) < 0,
	      "nothing of it is left");
	(void)rmdir("/sys/fs/cgroup/nacre-test");
}

static void test_exit_time(const char *rootfs)
{
	Agent__WaitProcessRequest req = AGENT__WAIT_PROCESS_REQUEST__INIT;
	Agent__WaitProcessResponse *reply = NULL;
	struct test_spec s;
	int64_t from, to;

	spec_init(&s, rootfs, "cat", END);
	req.container_id = strdup("k1");
	check(create("k1", &s) == TTRPC_OK && start("k1") == TTRPC_OK, "start");
	from = now_ns();
	check(close_stdin("k1", "") == TTRPC_OK &&
		      *read_all("k1", "", false) == '\0',
	      "end");
	check(call("WaitProcess", &req.base,
		   &agent__wait_process_response__descriptor,
		   (ProtobufCMessage **)&reply) == TTRPC_OK,
	      "wait");
	to = now_ns();
	check(reply && reply->exited_at_ns >= from && reply->exited_at_ns <= to,
	      "the time of the end");
	check(remove_container("k1") == TTRPC_OK, "remove");
}

/* Orphans are PID 1's. */
static void test_zombies(void)
{
	if (!getenv("AGENT_IS_INIT")) {
		skip("zombies: PID 1 is not the agent");
		return;
	}
	check(system("for i in 1 2 3; do sh -c 'sh -c \"sh -c : & sleep 0.1 "
		     "&\" "
		     "&'; done; i=0; while grep -qs '^State:.Z' "
		     "/proc/[0-9]*/status; do i=$((i + 1)); [ $i -lt 100 ] || "
		     "exit 1; sleep 0.1; done") == 0,
	      "no zombie is left of orphans of orphans");
}

void test_calls_suite(const char *rootfs)
{
	calls_open();
	test_ids(rootfs);
	test_garbage();
	test_empty();
	test_health();
	test_removal(rootfs);
	test_removal_limit(rootfs);
	test_kill(rootfs);
	test_exit_time(rootfs);
	test_zombies();
	calls_close();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Requests whose time is over: they are answered so, and what they waited for
 * goes to the next one. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent-proto/ttrpc_frame.h"
#include "base/file.h"
#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define TIMEOUT_MS 100

static int fd;
static uint32_t stream = 1;

static enum ttrpc_code read_code(void)
{
	static uint8_t payload[64 << 10];
	uint8_t head[TTRPC_HEADER_LEN];
	struct ttrpc_header header;
	ProtobufCMessage *reply;
	enum ttrpc_code code;

	if (read_full(fd, head, sizeof(head)) < 0 ||
	    ttrpc_header_get(head, &header) < 0 || header.stream != stream ||
	    header.length > sizeof(payload) ||
	    read_full(fd, payload, header.length) < 0 ||
	    ttrpc_response_get(payload, header.length, NULL, &code, call_text,
			       sizeof(call_text), &reply) < 0)
		return TTRPC_UNKNOWN;
	return code;
}

/* By a connection that stays, and a client that waits for its answer longer
 * than it says. */
static enum ttrpc_code call_in_time(const char *method,
				    const ProtobufCMessage *req)
{
	uint8_t *frame;
	size_t len;
	int ret;

	stream += 2;
	frame = ttrpc_request_frame(stream, "grpc.AgentService", method, req,
				    TIMEOUT_MS, &len);
	if (!frame)
		abort();
	ret = write_full(fd, frame, len);
	free(frame);
	return ret < 0 ? TTRPC_UNKNOWN : read_code();
}

static enum ttrpc_code read_in_time(const char *method)
{
	Agent__ReadStreamRequest req = AGENT__READ_STREAM_REQUEST__INIT;

	req.container_id = strdup("d1");
	req.len = 4096;
	return call_in_time(method, &req.base);
}

static enum ttrpc_code write_in_time(void)
{
	static uint8_t data[64 << 10];
	Agent__WriteStreamRequest req = AGENT__WRITE_STREAM_REQUEST__INIT;

	req.container_id = strdup("d1");
	req.data.data = data;
	req.data.len = sizeof(data);
	return call_in_time("WriteStdin", &req.base);
}

static void test_output(const char *rootfs)
{
	struct test_spec s;
	uint32_t len;

	spec_init(&s, rootfs, "sh", "-c", "read x; echo $x; echo $x >&2", END);
	check(create("d1", &s) == TTRPC_OK && start("d1") == TTRPC_OK, "start");
	check(read_in_time("ReadStdout") == TTRPC_DEADLINE_EXCEEDED &&
		      read_in_time("ReadStdout") == TTRPC_DEADLINE_EXCEEDED,
	      "nothing is written in time");
	check(read_in_time("ReadStderr") == TTRPC_DEADLINE_EXCEEDED,
	      "nor to the other stream");
	check(write_stdin("d1", "", "later\n", &len) == TTRPC_OK &&
		      strcmp(read_all("d1", "", false), "later\n") == 0 &&
		      strcmp(read_all("d1", "", true), "later\n") == 0,
	      "what is written later is the next reader's");
	check(remove_container("d1") == TTRPC_OK, "remove");
}

static void test_others(const char *rootfs)
{
	Agent__WaitProcessRequest wait = AGENT__WAIT_PROCESS_REQUEST__INIT;
	Agent__Empty empty = AGENT__EMPTY__INIT;
	struct test_spec s;
	int status;

	spec_init(&s, rootfs, "sleep", "1000", END);
	check(create("d1", &s) == TTRPC_OK && start("d1") == TTRPC_OK, "start");
	wait.container_id = strdup("d1");
	check(call_in_time("WaitProcess", &wait.base) ==
		      TTRPC_DEADLINE_EXCEEDED,
	      "it does not end in time");
	while (write_in_time() == TTRPC_OK)
		;
	check(write_in_time() == TTRPC_DEADLINE_EXCEEDED,
	      "nor reads in time, and there is no other writer: %s", call_text);
	check(kill_process("d1", "", SIGKILL) == TTRPC_OK &&
		      wait_process("d1", "", &status) == TTRPC_OK &&
		      status == 137,
	      "the next one is told of its end");
	/* Those of earlier containers, of which nobody asked. */
	while (call_in_time("GetOOMEvent", &empty.base) == TTRPC_OK)
		;
	check(call_in_time("GetOOMEvent", &empty.base) ==
			      TTRPC_DEADLINE_EXCEEDED &&
		      call_in_time("GetOOMEvent", &empty.base) ==
			      TTRPC_DEADLINE_EXCEEDED,
	      "and no memory ran out in time");
	check(call_in_time("StatsContainer", &wait.base) == TTRPC_OK,
	      "what is answered at once is in time");
	check(remove_container("d1") == TTRPC_OK, "remove");
}

/* Two have asked in vain, of which none gets it. */
static void test_out_of_memory(const char *rootfs)
{
	static Oci__LinuxMemory memory;
	Agent__Empty empty = AGENT__EMPTY__INIT;
	Agent__OOMEvent *oom = NULL;
	struct test_spec s;

	oci__linux_memory__init(&memory);
	memory.limit = 16 << 20;
	spec_init(&s, rootfs, "dd", "if=/dev/zero", "of=/dev/shm/x", "bs=64k",
		  "count=1000", END);
	s.lin.resources = &s.resources;
	s.resources.memory = &memory;
	check(create("d1", &s) == TTRPC_OK, "create");
	check(call_in_time("GetOOMEvent", &empty.base) ==
			      TTRPC_DEADLINE_EXCEEDED &&
		      call_in_time("GetOOMEvent", &empty.base) ==
			      TTRPC_DEADLINE_EXCEEDED,
	      "nothing lacks memory yet");
	check(start("d1") == TTRPC_OK &&
		      call("GetOOMEvent", &empty.base,
			   &agent__oomevent__descriptor,
			   (ProtobufCMessage **)&oom) == TTRPC_OK &&
		      strcmp(oom->container_id, "d1") == 0,
	      "the next one is told of it");
	check(remove_container("d1") == TTRPC_OK, "remove");
}

void test_deadlines_suite(const char *rootfs)
{
	const struct timeval patience = {.tv_sec = 20};

	fd = client_open();
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
			 sizeof(patience));
	test_output(rootfs);
	test_others(rootfs);
	/* Only there the group has controllers. */
	if (getenv("AGENT_IS_INIT"))
		test_out_of_memory(rootfs);
	close(fd);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Standard streams as connections of their own, instead of by calls. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define WAIT_S 20

struct streams {
	int fds[3];
	uint32_t ports[3];
};

static void call_streams(struct streams *s, unsigned n)
{
	const struct timeval limit = {.tv_sec = WAIT_S};

	*s = (struct streams){.fds = {-1, -1, -1}};
	for (unsigned i = 0; i < n; i++) {
		s->fds[i] = client_open_stream(&s->ports[i]);
		(void)setsockopt(s->fds[i], SOL_SOCKET, SO_RCVTIMEO, &limit,
				 sizeof(limit));
	}
}

static void hang_up(struct streams *s)
{
	for (unsigned i = 0; i < 3; i++) {
		if (s->fds[i] >= 0)
			close(s->fds[i]);
		s->fds[i] = -1;
	}
}

/* What comes up to its end, of which it returns the length; -1: there is
 * none, as far as anybody waits for it. text has room for size, with a 0. */
static ssize_t read_stream(int fd, char *text, size_t size)
{
	char more[4096];
	size_t len = 0, kept = 0;
	ssize_t n;

	while ((n = read(fd, more, sizeof(more))) > 0) {
		size_t room = size - 1 - kept;
		size_t part = MIN((size_t)n, room);

		memcpy(text + kept, more, part);
		kept += part;
		len += (size_t)n;
	}
	text[kept] = '\0';
	return n < 0 ? -1 : (ssize_t)len;
}

static enum ttrpc_code create_by(const char *id, struct test_spec *spec,
				 const struct streams *s)
{
	Agent__CreateContainerRequest req =
		AGENT__CREATE_CONTAINER_REQUEST__INIT;

	req.container_id = strdup(id);
	req.oci = &spec->spec;
	req.stdin_port = s->ports[0];
	req.stdout_port = s->ports[1];
	req.stderr_port = s->ports[2];
	return call("CreateContainer", &req.base, &agent__empty__descriptor,
		    NULL);
}

static enum ttrpc_code exec_by(const char *exec, struct test_spec *spec,
			       const struct streams *s)
{
	Agent__ExecProcessRequest req = AGENT__EXEC_PROCESS_REQUEST__INIT;

	req.container_id = strdup("s1");
	req.exec_id = strdup(exec);
	req.process = &spec->process;
	req.stdin_port = s->ports[0];
	req.stdout_port = s->ports[1];
	req.stderr_port = s->ports[2];
	return call("ExecProcess", &req.base, &agent__empty__descriptor, NULL);
}

/* Who is a stream's other side is its only one. */
static void check_only_side(const char *id)
{
	Agent__ReadStreamRequest req = AGENT__READ_STREAM_REQUEST__INIT;
	uint32_t len;

	req.container_id = strdup(id);
	req.len = 100;
	check(call("ReadStdout", &req.base,
		   &agent__read_stream_response__descriptor,
		   NULL) == TTRPC_FAILED_PRECONDITION &&
		      call("ReadStderr", &req.base,
			   &agent__read_stream_response__descriptor,
			   NULL) == TTRPC_FAILED_PRECONDITION &&
		      write_stdin(id, "", "x", &len) ==
			      TTRPC_FAILED_PRECONDITION,
	      "streams by ports are none of the calls'");
}

static void test_container(const char *rootfs)
{
	static const char line[] = "by a port\n";
	struct test_spec spec;
	struct streams s;
	char out[64], err[64];
	int status;

	spec_init(&spec, rootfs, "sh", "-c", "cat; echo aside >&2; exit 6",
		  END);
	call_streams(&s, 3);
	check(create_by("s2", &spec, &s) == TTRPC_OK && start("s2") == TTRPC_OK,
	      "CreateContainer with ports for its streams");
	check_only_side("s2");
	(void)!write(s.fds[0], line, sizeof(line) - 1);
	close(s.fds[0]);
	s.fds[0] = -1;
	check(read_stream(s.fds[1], out, sizeof(out)) >= 0 &&
		      strcmp(out, line) == 0,
	      "its input and its output");
	check(read_stream(s.fds[2], err, sizeof(err)) >= 0 &&
		      strcmp(err, "aside\n") == 0,
	      "its standard error");
	check(wait_process("s2", "", &status) == TTRPC_OK && status == 6,
	      "its end");
	check(remove_container("s2") == TTRPC_OK, "remove");
	hang_up(&s);
}

/* More than all buffers between its ends hold. */
static void test_exec_streams(const char *rootfs)
{
	struct test_spec spec;
	struct streams s;
	char out[64], err[64];
	int status;

	spec_init(&spec, rootfs, "sh", "-c",
		  "read x; echo $x; head -c 4000000 /dev/zero; echo end >&2; "
		  "exit 7",
		  END);
	call_streams(&s, 3);
	check(exec_by("e1", &spec, &s) == TTRPC_OK,
	      "ExecProcess with ports for its streams");
	(void)!write(s.fds[0], "4 MB\n", 5);
	check(read_stream(s.fds[1], out, sizeof(out)) == 4000005 &&
		      strncmp(out, "4 MB\n", 5) == 0,
	      "its input, and much output");
	check(read_stream(s.fds[2], err, sizeof(err)) >= 0 &&
		      strcmp(err, "end\n") == 0,
	      "its standard error");
	check(wait_process("s1", "e1", &status) == TTRPC_OK && status == 7,
	      "its end");
	hang_up(&s);
}

static void test_terminal_streams(const char *rootfs)
{
	struct test_spec spec;
	struct streams s;
	char out[64];
	int status;

	spec_init(&spec, rootfs, "sh", "-c", "read x; tty", END);
	spec.process.terminal = true;
	call_streams(&s, 3);
	check(exec_by("e2", &spec, &s) == TTRPC_INVALID_ARGUMENT,
	      "ExecProcess: a terminal has no standard error");
	hang_up(&s);
	call_streams(&s, 2);
	check(exec_by("e2", &spec, &s) == TTRPC_OK,
	      "ExecProcess with ports for a terminal");
	(void)!write(s.fds[0], "x\n", 2);
	check(read_stream(s.fds[1], out, sizeof(out)) >= 0 &&
		      strstr(out, "/dev/pts/0"),
	      "its terminal");
	check(wait_process("s1", "e2", &status) == TTRPC_OK && status == 0,
	      "its end");
	hang_up(&s);
}

static void test_ports_of_nobody(const char *rootfs)
{
	struct streams s = {.ports = {0, 77, 0}};
	struct test_spec spec;

	spec_init(&spec, rootfs, "true", END);
	check(create_by("s2", &spec, &s) == TTRPC_NOT_FOUND &&
		      strstr(call_text, "stdout_port: nobody called from 77"),
	      "CreateContainer: a port from which nobody called");
	check(exec_by("e3", &spec, &s) == TTRPC_NOT_FOUND,
	      "ExecProcess: a port from which nobody called");
}

void test_stdio_suite(const char *rootfs)
{
	struct test_spec spec;

	test_container(rootfs);
	spec_init(&spec, rootfs, "sleep", "1000", END);
	check(create("s1", &spec) == TTRPC_OK && start("s1") == TTRPC_OK,
	      "start");
	test_exec_streams(rootfs);
	test_terminal_streams(rootfs);
	test_ports_of_nobody(rootfs);
	check(remove_container("s1") == TTRPC_OK, "remove");
}

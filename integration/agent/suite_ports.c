/* SPDX-License-Identifier: Apache-2.0 */
/* What listens beside the server: the log, the console; and what is asked
 * of the guest's logs by the server. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define LIMIT_MS 20000
#define AGAIN_US 50000

/* What comes until `part` does, or nothing more for twenty seconds. */
static const char *read_until(int fd, const char *part)
{
	static char text[64 << 10];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;

	text[0] = '\0';
	while (!strstr(text, part) && len < sizeof(text) - 1 &&
	       poll(&p, 1, LIMIT_MS) > 0) {
		ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
		text[len] = '\0';
	}
	return text;
}

/* Refused as long as the agent has not seen that others went. */
static bool reads_log(void)
{
	bool reads = false;

	for (int us = 0; us < LIMIT_MS * 1000 && !reads; us += AGAIN_US) {
		int fd = client_open_beside(".log");

		reads = strstr(read_until(fd, " ready,"), " ready,") != NULL;
		close(fd);
		if (!reads)
			usleep(AGAIN_US);
	}
	return reads;
}

static void test_log(void)
{
	int first = client_open_beside(".log"), more[8];
	const char *text = read_until(first, " ready,");

	check(strncmp(text, "{\"msg\":\"", 8) == 0 && strstr(text, " ready,") &&
		      strstr(text, "\"level\":\"info\""),
	      "the log from its beginning, as JSON");
	for (int i = 0; i < 8; i++)
		more[i] = client_open_beside(".log");
	check(strstr(read_until(more[0], " ready,"), " ready,") &&
		      !*read_until(more[7], "x"),
	      "a second reader, and no more than a few");
	for (int i = 0; i < 8; i++)
		close(more[i]);
	close(first);
	check(reads_log(), "a reader after those that went");
}

static void test_diagnostics(void)
{
	Agent__GetDiagnosticDataRequest req =
		AGENT__GET_DIAGNOSTIC_DATA_REQUEST__INIT;
	Agent__GetDiagnosticDataResponse *reply = NULL;

	req.log_type = strdup("agent");
	check(call("GetDiagnosticData", &req.base,
		   &agent__get_diagnostic_data_response__descriptor,
		   (ProtobufCMessage **)&reply) == TTRPC_OK &&
		      strstr(reply->data, " ready,"),
	      "GetDiagnosticData: the agent's log");
	req.log_type = strdup("kernel");
	if (getenv("AGENT_IS_INIT"))
		check(call("GetDiagnosticData", &req.base,
			   &agent__get_diagnostic_data_response__descriptor,
			   (ProtobufCMessage **)&reply) == TTRPC_OK &&
			      strstr(reply->data, "Linux version"),
		      "GetDiagnosticData: the kernel's log");
	req.log_type = strdup("frob");
	check(call("GetDiagnosticData", &req.base,
		   &agent__get_diagnostic_data_response__descriptor,
		   NULL) == TTRPC_INVALID_ARGUMENT,
	      "GetDiagnosticData: of something else");
	req.log_type = strdup("termination_log");
	check(call("GetDiagnosticData", &req.base,
		   &agent__get_diagnostic_data_response__descriptor,
		   NULL) == TTRPC_INVALID_ARGUMENT,
	      "GetDiagnosticData: last words of nobody");
	req.container_id = strdup("x");
	check(call("GetDiagnosticData", &req.base,
		   &agent__get_diagnostic_data_response__descriptor,
		   NULL) == TTRPC_NOT_FOUND,
	      "GetDiagnosticData: of a container that is not there");
}

#define WORDS "/dev/termination-log"

/* A container that writes, and has log mounted where it says that it is. */
static void speaker(struct test_spec *s, const char *rootfs, const char *log,
		    const char *script)
{
	static Oci__Pair where, *pairs[] = {&where};

	spec_init(s, rootfs, "sh", "-c", script, END);
	spec_mount(s, "bind", log, WORDS, "bind");
	oci__pair__init(&where);
	where.key = strdup("io.kubernetes.container.terminationMessagePath");
	where.value = strdup(WORDS);
	s->spec.annotations = pairs;
	s->spec.n_annotations = 1;
}

/* Those of the container w1, static storage; NULL: refused. */
static const char *last_words(void)
{
	Agent__GetDiagnosticDataRequest req =
		AGENT__GET_DIAGNOSTIC_DATA_REQUEST__INIT;
	static Agent__GetDiagnosticDataResponse *reply;

	if (reply)
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	reply = NULL;
	req.log_type = strdup("termination_log");
	req.container_id = strdup("w1");
	return call("GetDiagnosticData", &req.base,
		    &agent__get_diagnostic_data_response__descriptor,
		    (ProtobufCMessage **)&reply) == TTRPC_OK
		       ? reply->data
		       : NULL;
}

static bool says(const char *want)
{
	const char *words = last_words();

	return words && strcmp(words, want) == 0;
}

static void test_last_words(const char *rootfs)
{
	struct test_spec s;
	char log[256];
	int fd, status;

	(void)snprintf(log, sizeof(log), "%s-log", rootfs);
	fd = open(log, O_CREAT | O_TRUNC | O_WRONLY, 0666);
	if (fd < 0)
		abort();
	close(fd);
	speaker(&s, rootfs, log, "echo out of luck > " WORDS);
	check(create("w1", &s) == TTRPC_OK && says(""), "no last words yet");
	check(start("w1") == TTRPC_OK &&
		      wait_process("w1", "", &status) == TTRPC_OK &&
		      says("out of luck\n"),
	      "last words");
	check(truncate(log, 1 << 20) == 0 && last_words() &&
		      strlen(last_words()) == 4096,
	      "of many, the last ones");
	check(unlink(log) == 0 && says(""), "none without the file");
	check(symlink("/etc/passwd", log) == 0 && !last_words(),
	      "none that are another's: %s", call_text);
	check(unlink(log) == 0 && mkfifo(log, 0600) == 0 && !last_words() &&
		      strstr(call_text, "not a regular file"),
	      "none of what is no file");
	check(unlink(log) == 0 && remove_container("w1") == TTRPC_OK &&
		      !last_words(),
	      "none once it is removed");
	spec_init(&s, rootfs, "true", END);
	check(create("w1", &s) == TTRPC_OK && says("") &&
		      remove_container("w1") == TTRPC_OK,
	      "none where nobody said that there are");
}

/* What the console says of a guest without a shell, once it is free. */
static bool has_no_shell(void)
{
	const char *text = "in use";

	for (int us = 0; us < LIMIT_MS * 1000 && strstr(text, "in use");
	     us += AGAIN_US) {
		int fd = client_open_beside(".console");

		text = read_until(fd, "\n");
		close(fd);
		if (strstr(text, "in use"))
			usleep(AGAIN_US);
	}
	return strstr(text, "has no shell") != NULL;
}

static void test_console(void)
{
	int fd, second;

	if (!getenv("AGENT_IS_INIT")) {
		skip("debug console: not the machine's");
		return;
	}
	fd = client_open_beside(".console");
	(void)!write(fd, "echo $((6*7))x; tty\n", 20);
	check(strstr(read_until(fd, "/dev/pts/"), "42x") != NULL,
	      "a shell on the debug console");
	second = client_open_beside(".console");
	check(strstr(read_until(second, "use"), "in use") != NULL,
	      "one at a time");
	close(second);
	(void)!write(fd, "exit\n", 5);
	(void)read_until(fd, "no such text");
	check(read(fd, (char[1]){0}, 1) == 0, "it ends with its shell");
	close(fd);
	fd = client_open_beside(".console");
	(void)!write(fd, "echo $((6*8))y\n", 15);
	check(strstr(read_until(fd, "48y"), "48y") != NULL, "and comes again");
	close(fd);
	(void)rename("/bin/sh", "/bin/away");
	check(has_no_shell(), "a guest without a shell");
	(void)rename("/bin/away", "/bin/sh");
}

void test_ports_suite(const char *rootfs)
{
	test_log();
	test_diagnostics();
	test_last_words(rootfs);
	test_console();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What listens beside the server: the log, the console; and what is asked
 * of the guest's logs by the server. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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
	req.log_type = strdup("agent");
	req.container_id = strdup("x");
	check(call("GetDiagnosticData", &req.base,
		   &agent__get_diagnostic_data_response__descriptor,
		   NULL) == TTRPC_UNIMPLEMENTED,
	      "GetDiagnosticData: of a container");
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

void test_ports_suite(void)
{
	test_log();
	test_diagnostics();
	test_console();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics SOCKET: asks a sandbox's agent, by the way of vsock.sock, for what
 * it knows of itself and of its guest, and prints it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/ttrpc.h"

#define TIMEOUT_MS 60000

static int fail(const char *what, const char *why)
{
	(void)fprintf(stderr, "metrics: %s: %s\n", what, why);
	return 1;
}

/* "CONNECT <port>", which is answered by "OK <port>". */
static bool greet(int fd)
{
	static const char ask[] = "CONNECT 1024\n";
	char answer[32] = "";
	size_t n = 0;

	if (write(fd, ask, strlen(ask)) != (ssize_t)strlen(ask))
		return false;
	/* Not a byte more: what follows is ttrpc's. */
	while (n < sizeof(answer) - 1 && read(fd, answer + n, 1) == 1) {
		if (answer[n++] == '\n')
			break;
	}
	return strncmp(answer, "OK ", 3) == 0;
}

int main(int argc, char **argv)
{
	Agent__Empty req = AGENT__EMPTY__INIT;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	ProtobufCMessage *reply = NULL;
	enum ttrpc_code code;
	struct err err = {0};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 2)
		return fail("usage", "metrics SOCKET");
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", argv[1]);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail(argv[1], "no connection");
	if (!greet(fd))
		return fail(argv[1], "the agent does not answer");
	if (ttrpc_call_wait(fd, "grpc.AgentService", "GetMetrics", &req.base,
			    &agent__metrics__descriptor, &reply, TIMEOUT_MS,
			    NULL, 0, &code, &err) < 0)
		return fail("GetMetrics", err.text);
	(void)fputs(((Agent__Metrics *)(void *)reply)->metrics, stdout);
	protobuf_c_message_free_unpacked(reply, NULL);
	close(fd);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ended SOCKET ID: waits for the end of a container's first process by
 * task.sock, and prints its status and its time in nanoseconds of the epoch.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent-proto/task.pb-c.h"
#include "agent-proto/ttrpc.h"

#define TASK_SERVICE "containerd.task.v2.Task"
#define TIMEOUT_MS 120000

static int fail(const char *what, const char *why)
{
	(void)fprintf(stderr, "ended: %s: %s\n", what, why);
	return 1;
}

int main(int argc, char **argv)
{
	Task__WaitRequest req = TASK__WAIT_REQUEST__INIT;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const Task__WaitResponse *r;
	ProtobufCMessage *reply = NULL;
	enum ttrpc_code code;
	struct err err = {0};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 3)
		return fail("usage", "ended SOCKET ID");
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", argv[1]);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail(argv[1], "no connection");
	req.id = argv[2];
	if (ttrpc_call_wait(fd, TASK_SERVICE, "Wait", &req.base,
			    &task__wait_response__descriptor, &reply,
			    TIMEOUT_MS, NULL, 0, &code, &err) < 0)
		return fail("Wait", err.text);
	r = (const void *)reply;
	if (!r->exited_at)
		return fail("Wait", "no time");
	printf("%u %" PRId64 "\n", r->exit_status,
	       r->exited_at->seconds * 1000000000 + r->exited_at->nanos);
	protobuf_c_message_free_unpacked(reply, NULL);
	return 0;
}

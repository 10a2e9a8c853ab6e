/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/ttrpc.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void echo(struct ttrpc_request *req, const ProtobufCMessage *message,
		 void *arg)
{
	ttrpc_reply(req, NULL);
}

/* Answered when nobody waits for it any more, or at the end. */
static struct ttrpc_request *held[8];

static void hold(struct ttrpc_request *req, const ProtobufCMessage *message,
		 void *arg)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(held) && held[i])
		i++;
	if (i < ARRAY_SIZE(held))
		held[i] = req;
	else
		ttrpc_reply(req, NULL);
}

static void release(bool all)
{
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		if (!held[i] || (!all && !ttrpc_request_dropped(held[i])))
			continue;
		ttrpc_reply(held[i], NULL);
		held[i] = NULL;
	}
}

static void on_dropped(void *arg)
{
	release(false);
}

static const struct ttrpc_method methods[] = {
	{"t", "Create", &agent__create_container_request__descriptor, echo},
	{"t", "Exec", &agent__exec_process_request__descriptor, echo},
	{"t", "Hold", &agent__empty__descriptor, hold},
	{NULL, NULL, NULL, NULL},
};

static void done(struct ttrpc_call *call, enum ttrpc_code code,
		 const char *text, const ProtobufCMessage *reply)
{
	free(call);
}

static void drain(struct evloop *loop)
{
	for (int i = 0; i < 8; i++)
		(void)evloop_once(loop, 0);
}

static void run_server(struct evloop *loop, const uint8_t *data, size_t size)
{
	struct ttrpc_server_config config = {
		.methods = methods,
		.connections_max = 1,
		.dropped = on_dropped,
	};
	struct ttrpc_server *server;
	struct err err;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		abort();
	server = ttrpc_server_new(loop, -1, &config, &err);
	if (ttrpc_server_adopt(server, pair[0]) < 0)
		abort();
	(void)!write(pair[1], data, size);
	drain(loop);
	close(pair[1]);
	drain(loop);
	ttrpc_server_free(server);
	release(true);
}

/* An agent that lies: what it sends is the input, whatever we asked. */
static void run_client(struct evloop *loop, const uint8_t *data, size_t size)
{
	/* What the supervisor reads of its agent's. */
	static const ProtobufCMessageDescriptor *const replies[] = {
		&agent__read_stream_response__descriptor,
		&agent__write_stream_response__descriptor,
		&agent__wait_process_response__descriptor,
		&agent__stats_container_response__descriptor,
		&agent__oomevent__descriptor,
		&agent__guest_details_response__descriptor,
		NULL,
	};
	Agent__ReadStreamRequest request = AGENT__READ_STREAM_REQUEST__INIT;
	struct ttrpc_client *client;
	struct err err;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		abort();
	client = ttrpc_client_new(loop, pair[0], NULL, NULL, &err);
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		struct ttrpc_call *call = calloc(1, sizeof(*call));

		call->done = done;
		ttrpc_call_start(client, call, "t", "Read", &request.base,
				 replies[i], 0, NULL, 0);
	}
	(void)!write(pair[1], data, size);
	drain(loop);
	close(pair[1]);
	drain(loop);
	ttrpc_client_free(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct evloop *loop;

	if (!loop) {
		loop = evloop_new();
		log_open(-1, LOG_TEXT, LOG_ERROR, "fuzz");
	}
	if (!size || size > 65536)
		return 0;
	if (data[0] & 1)
		run_server(loop, data + 1, size - 1);
	else
		run_client(loop, data + 1, size - 1);
	return 0;
}

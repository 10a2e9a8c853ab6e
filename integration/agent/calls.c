/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/agent/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/evloop.h"
#include "integration/agent/client.h"

#define WAIT_MS 20000

static struct evloop *loop;
static struct ttrpc_client *client;

void calls_open(void)
{
	struct err err = {0};

	loop = evloop_new();
	client = loop ? ttrpc_client_new(loop, client_open(), NULL, NULL, &err)
		      : NULL;
	if (!client)
		abort();
}

void calls_close(void)
{
	ttrpc_client_free(client);
	evloop_free(loop);
}

static void answered(struct ttrpc_call *call, enum ttrpc_code code,
		     const char *text, const ProtobufCMessage *reply)
{
	struct waiting *w = container_of(call, struct waiting, call);

	w->done = true;
	w->code = code;
	(void)snprintf(w->text, sizeof(w->text), "%s", text ? text : "");
}

void call_begin(struct waiting *w, const char *service, const char *method,
		const ProtobufCMessage *req)
{
	memset(w, 0, sizeof(*w));
	w->call.done = answered;
	ttrpc_call_start(client, &w->call, service, method, req, NULL, WAIT_MS,
			 NULL, 0);
}

enum ttrpc_code call_finish(struct waiting *w)
{
	while (!w->done) {
		if (evloop_once(loop, -1) < 0)
			abort();
	}
	(void)snprintf(call_text, sizeof(call_text), "%s", w->text);
	return w->code;
}

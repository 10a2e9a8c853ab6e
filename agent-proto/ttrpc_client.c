/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent-proto/ttrpc.h"
#include "agent-proto/ttrpc_conn.h"
#include "base/clock.h"

/* Of a reply that is taken apart: protobuf-c turns two bytes of a hostile one
 * into a structure. No answer that we ask for is near it. */
#define REPLY_MAX (1u << 20)

struct ttrpc_client {
	struct ttrpc_conn conn;
	struct evtimer timer;
	struct ttrpc_call *calls;
	uint32_t last_stream;
	uint64_t unanswered; /* requests that were sent, less the replies */
	bool lost;	     /* the connection ended */
	bool busy;	     /* in a callback */
	bool doomed;	     /* freed meanwhile */
	void (*on_lost)(void *arg);
	void *arg;
};

static void destroy(struct ttrpc_client *client)
{
	ttrpc_conn_release(&client->conn);
	evtimer_release(&client->timer);
	free(client);
}

/* The timer runs to the nearest deadline; at once when calls must fail. */
static void arm(struct ttrpc_client *client)
{
	uint64_t nearest = UINT64_MAX;
	uint64_t now = monotonic_ns();

	for (struct ttrpc_call *c = client->calls; c; c = c->next)
		nearest = MIN(nearest, c->deadline_ns);
	if (client->lost && client->calls)
		nearest = 0;
	if (nearest == UINT64_MAX)
		evtimer_stop(&client->timer);
	else if (nearest <= now)
		evtimer_start(&client->timer, 0);
	else
		evtimer_start(&client->timer,
			      (nearest - now + 999999) / 1000000);
}

static void unlink_call(struct ttrpc_client *client, struct ttrpc_call *call)
{
	struct ttrpc_call **p = &client->calls;

	while (*p != call)
		p = &(*p)->next;
	*p = call->next;
	call->next = NULL;
	call->client = NULL;
}

static void finish(struct ttrpc_client *client, struct ttrpc_call *call,
		   enum ttrpc_code code, const char *text,
		   const ProtobufCMessage *reply)
{
	unlink_call(client, call);
	call->done(call, code, text, reply);
}

/* The first call that is due: past its deadline, or any when lost. */
static struct ttrpc_call *due(struct ttrpc_client *client, uint64_t now)
{
	for (struct ttrpc_call *c = client->calls; c; c = c->next)
		if (client->lost || c->deadline_ns <= now)
			return c;
	return NULL;
}

static void sweep(struct ttrpc_client *client)
{
	uint64_t now = monotonic_ns();
	struct ttrpc_call *call;

	client->busy = true;
	while (!client->doomed && (call = due(client, now)))
		finish(client, call,
		       client->lost ? TTRPC_UNAVAILABLE
				    : TTRPC_DEADLINE_EXCEEDED,
		       client->lost ? "connection to the agent lost"
				    : "no answer in time",
		       NULL);
	client->busy = false;
}

static void on_timer(struct evtimer *timer)
{
	struct ttrpc_client *client =
		container_of(timer, struct ttrpc_client, timer);

	sweep(client);
	if (client->doomed)
		destroy(client);
	else
		arm(client);
}

static void on_closed(struct ttrpc_conn *conn, int reason)
{
	struct ttrpc_client *client =
		container_of(conn, struct ttrpc_client, conn);

	client->lost = true;
	sweep(client);
	if (!client->doomed && client->on_lost) {
		client->busy = true;
		client->on_lost(client->arg);
		client->busy = false;
	}
	if (client->doomed)
		destroy(client);
}

static struct ttrpc_call *lookup(struct ttrpc_client *client, uint32_t stream)
{
	for (struct ttrpc_call *c = client->calls; c; c = c->next)
		if (c->stream == stream)
			return c;
	return NULL;
}

static int on_frame(struct ttrpc_conn *conn, const struct ttrpc_header *header,
		    const uint8_t *payload)
{
	struct ttrpc_client *client =
		container_of(conn, struct ttrpc_client, conn);
	struct ttrpc_call *call = lookup(client, header->stream);
	char text[ERR_TEXT_MAX];
	ProtobufCMessage *reply;
	enum ttrpc_code code;
	int ret;

	/* One reply a request: a peer that sends more would keep us busy. */
	if (header->type != TTRPC_RESPONSE || header->stream % 2 == 0 ||
	    header->stream > client->last_stream || !client->unanswered)
		return -EPROTO;
	client->unanswered--;
	if (!call) /* its deadline passed */
		return 0;
	if (header->length > REPLY_MAX)
		return -EMSGSIZE;
	ret = ttrpc_response_get(payload, header->length, call->reply_type,
				 &code, text, sizeof(text), &reply);
	if (ret < 0)
		return ret;
	/* That is what our own end of a call looks like. */
	if (code == TTRPC_CANCELLED)
		code = TTRPC_UNKNOWN;
	client->busy = true;
	finish(client, call, code, text, reply);
	client->busy = false;
	if (reply)
		protobuf_c_message_free_unpacked(reply, NULL);
	/* A client freed in done() ends as a connection that closed. */
	return client->doomed ? -ECONNABORTED : 0;
}

static const struct ttrpc_conn_ops client_conn_ops = {
	.frame = on_frame,
	.closed = on_closed,
};

struct ttrpc_client *ttrpc_client_new(struct evloop *loop, int fd,
				      void (*lost)(void *arg), void *arg,
				      struct err *err)
{
	struct ttrpc_client *client = calloc(1, sizeof(*client));
	int ret;

	if (!client) {
		close(fd);
		err_set(err, ENOMEM, "ttrpc client: out of memory");
		return NULL;
	}
	client->on_lost = lost;
	client->arg = arg;
	ret = ttrpc_conn_init(&client->conn, loop, fd, &client_conn_ops, false);
	if (!ret)
		ret = evtimer_init(loop, &client->timer, on_timer);
	if (ret < 0) {
		err_ret(err, ret, "ttrpc client");
		destroy(client);
		return NULL;
	}
	return client;
}

bool ttrpc_client_lost(const struct ttrpc_client *client)
{
	return client->lost;
}

void ttrpc_client_free(struct ttrpc_client *client)
{
	if (!client || client->doomed)
		return;
	client->doomed = true;
	while (client->calls)
		finish(client, client->calls, TTRPC_CANCELLED, "cancelled",
		       NULL);
	if (!client->busy)
		destroy(client);
}

void ttrpc_call_cancel(struct ttrpc_call *call)
{
	if (call->client)
		unlink_call(call->client, call);
}

void ttrpc_call_start(struct ttrpc_client *client, struct ttrpc_call *call,
		      const char *service, const char *method,
		      const ProtobufCMessage *request,
		      const ProtobufCMessageDescriptor *reply_type,
		      uint64_t timeout_ms, const int *fds, unsigned nfds)
{
	uint8_t *frame;
	size_t len = 0;

	BUG_ON(call->client);
	call->client = client;
	call->reply_type = reply_type;
	call->deadline_ns =
		timeout_ms ? monotonic_ns() + timeout_ms * 1000000 : UINT64_MAX;
	client->last_stream += client->last_stream ? 2 : 1;
	call->stream = client->last_stream;
	call->next = client->calls;
	client->calls = call;
	if (!client->lost) {
		client->unanswered++;
		frame = ttrpc_request_frame(call->stream, service, method,
					    request, timeout_ms, &len);
		ttrpc_conn_send(&client->conn, frame, len, fds, nfds);
	}
	arm(client);
}

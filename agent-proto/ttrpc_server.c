/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/pb.h"
#include "agent-proto/ttrpc.h"
#include "agent-proto/ttrpc.pb-c.h"
#include "agent-proto/ttrpc_conn.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

struct server_conn {
	struct ttrpc_conn conn;
	struct ttrpc_server *server;
	struct server_conn *next;
	struct ttrpc_request *requests;
	unsigned inflight;
};

struct ttrpc_request {
	struct ttrpc_request *next;
	struct server_conn *peer; /* NULL: dropped */
	uint64_t deadline_ns;	  /* UINT64_MAX: none */
	uint32_t stream;
	int fds[TTRPC_FDS_MAX];
};

struct ttrpc_server {
	struct ttrpc_server_config config;
	struct evloop *loop;
	struct evsource listener;
	int listen_fd;
	struct server_conn *conns;
	unsigned nconns;
	struct evtimer timer; /* to the nearest deadline, or before it */
	uint64_t armed_ns;    /* UINT64_MAX: it does not run */
	struct log_limit limit;
};

static void unlink_request(struct ttrpc_request *req)
{
	struct ttrpc_request **p = &req->peer->requests;

	while (*p != req)
		p = &(*p)->next;
	*p = req->next;
	req->peer->inflight--;
	req->peer = NULL;
}

static void request_free(struct ttrpc_request *req)
{
	if (req->peer)
		unlink_request(req);
	for (unsigned i = 0; i < TTRPC_FDS_MAX; i++)
		if (req->fds[i] >= 0)
			close(req->fds[i]);
	free(req);
}

static void send_answer(struct ttrpc_request *req, int code, const char *text,
			const ProtobufCMessage *reply)
{
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	Ttrpc__Status status = TTRPC__STATUS__INIT;
	AUTO_FREE uint8_t *payload = NULL;
	uint8_t *frame;
	size_t size, len = 0;

	if (reply) {
		size = protobuf_c_message_get_packed_size(reply);
		payload = malloc(size + 1);
		if (payload && size <= TTRPC_PAYLOAD_MAX) {
			protobuf_c_message_pack(reply, payload);
			response.payload.data = payload;
			response.payload.len = size;
		} else {
			code = TTRPC_RESOURCE_EXHAUSTED;
			text = "reply too large";
		}
	}
	status.code = code;
	status.message = pb_str(text);
	response.status = &status;
	frame = ttrpc_frame_new(req->stream, TTRPC_RESPONSE, &response.base,
				&len);
	ttrpc_conn_send(&req->peer->conn, frame, len, NULL, 0);
}

static void answer(struct ttrpc_request *req, int code, const char *text,
		   const ProtobufCMessage *reply)
{
	if (req->peer)
		send_answer(req, code, text, reply);
	request_free(req);
}

void ttrpc_reply(struct ttrpc_request *req, const ProtobufCMessage *reply)
{
	answer(req, TTRPC_OK, "", reply);
}

void ttrpc_fail(struct ttrpc_request *req, enum ttrpc_code code,
		const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer(req, (int)code, text, NULL);
}

int ttrpc_request_take_fd(struct ttrpc_request *req, unsigned i)
{
	return i < TTRPC_FDS_MAX ? steal_fd(&req->fds[i]) : -1;
}

bool ttrpc_request_dropped(const struct ttrpc_request *req)
{
	return !req->peer;
}

enum ttrpc_code ttrpc_code_of_errno(int code)
{
	switch (code < 0 ? -code : code) {
	case 0:
		return TTRPC_OK;
	case EINVAL:
	case ENAMETOOLONG:
		return TTRPC_INVALID_ARGUMENT;
	case ENOENT:
	case ESRCH:
		return TTRPC_NOT_FOUND;
	case EEXIST:
		return TTRPC_ALREADY_EXISTS;
	case EPERM:
	case EACCES:
		return TTRPC_PERMISSION_DENIED;
	case EBUSY:
		return TTRPC_FAILED_PRECONDITION;
	case ENOSYS:
	case EOPNOTSUPP:
		return TTRPC_UNIMPLEMENTED;
	case ETIMEDOUT:
		return TTRPC_DEADLINE_EXCEEDED;
	default:
		return TTRPC_INTERNAL;
	}
}

static const struct ttrpc_method *find(const struct ttrpc_server *server,
				       const Ttrpc__Request *envelope)
{
	const struct ttrpc_method *m = server->config.methods;

	for (; m->service; m++)
		if (!strcmp(m->service, envelope->service) &&
		    !strcmp(m->name, envelope->method))
			return m;
	return NULL;
}

static struct ttrpc_request *request_new(struct server_conn *peer,
					 uint32_t stream)
{
	struct ttrpc_request *req = calloc(1, sizeof(*req));

	if (!req)
		return NULL;
	for (unsigned i = 0; i < TTRPC_FDS_MAX; i++) {
		bool have = i < peer->conn.nfds;

		req->fds[i] = have ? steal_fd(&peer->conn.fds[i]) : -1;
	}
	req->stream = stream;
	req->deadline_ns = UINT64_MAX;
	req->peer = peer;
	req->next = peer->requests;
	peer->requests = req;
	peer->inflight++;
	return req;
}

static void dispatch(struct ttrpc_server *server, struct ttrpc_request *req,
		     const Ttrpc__Request *envelope)
{
	const struct ttrpc_method *method = find(server, envelope);
	const char *refusal = NULL;
	ProtobufCMessage *message;

	if (!method) {
		ttrpc_fail(req, TTRPC_UNIMPLEMENTED, "method /%s/%s",
			   envelope->service, envelope->method);
		return;
	}
	message = ttrpc_unpack(method->request, envelope->payload.data,
			       envelope->payload.len);
	if (!message) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT,
			   "%s: the payload is not a %s", method->name,
			   method->request->name);
		return;
	}
	if (server->config.refuse)
		refusal = server->config.refuse(server->config.arg, method,
						message);
	if (refusal)
		ttrpc_fail(req, TTRPC_PERMISSION_DENIED, "%s: %s", method->name,
			   refusal);
	else
		method->handle(req, message, server->config.arg);
	protobuf_c_message_free_unpacked(message, NULL);
}

/* Deadlines. ------------------------------------------------------------- */

/* What is answered meanwhile leaves the timer alone: most requests are, long
 * before it runs out. */
static void arm(struct ttrpc_server *server, uint64_t deadline_ns, uint64_t now)
{
	if (deadline_ns >= server->armed_ns)
		return;
	server->armed_ns = deadline_ns;
	evtimer_start(&server->timer,
		      deadline_ns > now ? (deadline_ns - now + 999999) / 1000000
					: 0);
}

/* Those past their deadline are answered so. The nearest of the others. */
static uint64_t drop_late(struct server_conn *peer, uint64_t now, bool *any)
{
	struct ttrpc_request *next;
	uint64_t nearest = UINT64_MAX;

	for (struct ttrpc_request *req = peer->requests; req; req = next) {
		next = req->next;
		if (req->deadline_ns > now) {
			nearest = MIN(nearest, req->deadline_ns);
			continue;
		}
		send_answer(req, TTRPC_DEADLINE_EXCEEDED, "no answer in time",
			    NULL);
		unlink_request(req);
		*any = true;
	}
	return nearest;
}

static void on_timer(struct evtimer *timer)
{
	struct ttrpc_server *server =
		container_of(timer, struct ttrpc_server, timer);
	uint64_t nearest = UINT64_MAX, now = monotonic_ns();
	bool any = false;

	for (struct server_conn *c = server->conns; c; c = c->next)
		nearest = MIN(nearest, drop_late(c, now, &any));
	server->armed_ns = UINT64_MAX;
	arm(server, nearest, now);
	if (any && server->config.dropped)
		server->config.dropped(server->config.arg);
}

/* Once its handler has returned: is it unanswered, its time runs. */
static void set_deadline(struct server_conn *peer, uint32_t stream,
			 int64_t timeout_ns)
{
	struct ttrpc_request *req = peer->requests;
	uint64_t now;

	while (req && req->stream != stream)
		req = req->next;
	if (!req || !timeout_ns)
		return;
	now = monotonic_ns();
	req->deadline_ns = now + (uint64_t)timeout_ns;
	arm(peer->server, req->deadline_ns, now);
}

static int on_frame(struct ttrpc_conn *conn, const struct ttrpc_header *header,
		    const uint8_t *payload)
{
	struct server_conn *peer = container_of(conn, struct server_conn, conn);
	struct ttrpc_request *req;
	Ttrpc__Request *envelope;

	/* Clients use odd ids; flag 1 says that nothing follows, as in any
	 * unary call. Streams (flag 2, type 3) are not spoken here. */
	if (header->type != TTRPC_REQUEST || header->stream % 2 == 0 ||
	    (header->flags & ~TTRPC_REMOTE_CLOSED))
		return -EPROTO;
	for (req = peer->requests; req; req = req->next)
		if (req->stream == header->stream)
			return -EPROTO;
	if (peer->inflight >= TTRPC_INFLIGHT_MAX)
		return -EPROTO;
	envelope = ttrpc__request__unpack(NULL, header->length, payload);
	if (!envelope)
		return -EPROTO;
	req = request_new(peer, header->stream);
	/* Less than none is left: its caller has given up already. */
	if (req && envelope->timeout_nano < 0)
		ttrpc_fail(req, TTRPC_DEADLINE_EXCEEDED, "no time is left");
	else if (req)
		dispatch(peer->server, req, envelope);
	if (req)
		set_deadline(peer, header->stream, envelope->timeout_nano);
	ttrpc__request__free_unpacked(envelope, NULL);
	return req ? 0 : -ENOMEM;
}

static void conn_free(struct server_conn *peer)
{
	struct ttrpc_server *server = peer->server;
	struct server_conn **p = &server->conns;

	while (*p != peer)
		p = &(*p)->next;
	*p = peer->next;
	server->nconns--;
	while (peer->requests) {
		struct ttrpc_request *req = peer->requests;

		peer->requests = req->next;
		req->peer = NULL;
	}
	ttrpc_conn_release(&peer->conn);
	if (server->config.dropped)
		server->config.dropped(server->config.arg);
	free(peer);
}

static void on_closed(struct ttrpc_conn *conn, int reason)
{
	struct server_conn *peer = container_of(conn, struct server_conn, conn);

	if (reason && log_allowed(&peer->server->limit, 5))
		log_warn("ttrpc: connection ended: %s", strerror(-reason));
	conn_free(peer);
}

static const struct ttrpc_conn_ops server_conn_ops = {
	.frame = on_frame,
	.closed = on_closed,
};

int ttrpc_server_adopt(struct ttrpc_server *server, int fd)
{
	struct server_conn *peer;
	int ret;

	if (server->nconns >= server->config.connections_max) {
		close(fd);
		return -EMFILE;
	}
	peer = calloc(1, sizeof(*peer));
	if (!peer) {
		close(fd);
		return -ENOMEM;
	}
	ret = ttrpc_conn_init(&peer->conn, server->loop, fd, &server_conn_ops,
			      server->config.accept_fds);
	if (ret < 0) {
		ttrpc_conn_release(&peer->conn);
		free(peer);
		return ret;
	}
	peer->server = server;
	peer->next = server->conns;
	server->conns = peer;
	server->nconns++;
	return 0;
}

static void on_connection(struct evsource *src, uint32_t revents)
{
	struct ttrpc_server *server =
		container_of(src, struct ttrpc_server, listener);
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0 && ttrpc_server_adopt(server, fd) < 0 &&
	    log_allowed(&server->limit, 5))
		log_warn("ttrpc: connection refused, %u are open",
			 server->nconns);
}

struct ttrpc_server *ttrpc_server_new(struct evloop *loop, int listen_fd,
				      const struct ttrpc_server_config *config,
				      struct err *err)
{
	struct ttrpc_server *server = calloc(1, sizeof(*server));
	int ret;

	if (!server) {
		if (listen_fd >= 0)
			close(listen_fd);
		err_set(err, ENOMEM, "ttrpc server: out of memory");
		return NULL;
	}
	server->config = *config;
	server->loop = loop;
	server->listen_fd = listen_fd;
	server->armed_ns = UINT64_MAX;
	ret = evtimer_init(loop, &server->timer, on_timer);
	if (ret < 0) {
		err_ret(err, ret, "ttrpc server: timer");
		ttrpc_server_free(server);
		return NULL;
	}
	if (listen_fd < 0)
		return server;
	ret = evsource_add(loop, &server->listener, listen_fd, EPOLLIN,
			   on_connection);
	if (ret < 0) {
		err_ret(err, ret, "ttrpc server: epoll");
		ttrpc_server_free(server);
		return NULL;
	}
	return server;
}

unsigned ttrpc_server_connections(const struct ttrpc_server *server)
{
	return server->nconns;
}

void ttrpc_server_free(struct ttrpc_server *server)
{
	if (!server)
		return;
	server->config.dropped = NULL;
	evsource_del(&server->listener);
	evtimer_release(&server->timer);
	while (server->conns)
		conn_free(server->conns);
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	free(server);
}

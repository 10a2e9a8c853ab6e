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
#include "base/log.h"

struct server_conn {
	struct ttrpc_conn conn;
	struct ttrpc_server *server;
	struct server_conn *next;
	struct ttrpc_request *requests;
	unsigned inflight;
	uint64_t id;
};

struct ttrpc_request {
	struct ttrpc_request *next;
	struct server_conn *peer; /* NULL: the connection is gone */
	uint64_t connection;
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
	uint64_t last_id;
	struct log_limit limit;
};

static void request_free(struct ttrpc_request *req)
{
	if (req->peer) {
		struct ttrpc_request **p = &req->peer->requests;

		while (*p != req)
			p = &(*p)->next;
		*p = req->next;
		req->peer->inflight--;
	}
	for (unsigned i = 0; i < TTRPC_FDS_MAX; i++)
		if (req->fds[i] >= 0)
			close(req->fds[i]);
	free(req);
}

static void answer(struct ttrpc_request *req, int code, const char *text,
		   const ProtobufCMessage *reply)
{
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	Ttrpc__Status status = TTRPC__STATUS__INIT;
	AUTO_FREE uint8_t *payload = NULL;
	uint8_t *frame;
	size_t size, len = 0;

	if (!req->peer) {
		request_free(req);
		return;
	}
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

uint64_t ttrpc_request_connection(const struct ttrpc_request *req)
{
	return req->connection;
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
	req->connection = peer->id;
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
	if (req)
		dispatch(peer->server, req, envelope);
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
	if (server->config.disconnected)
		server->config.disconnected(server->config.arg, peer->id);
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
	peer->id = ++server->last_id;
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
	server->config.disconnected = NULL;
	evsource_del(&server->listener);
	while (server->conns)
		conn_free(server->conns);
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	free(server);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-proto/ttrpc_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdpass.h"

#define READ_CHUNK 65536u
/* Bytes read at one wake-up, so that one peer does not starve the loop. */
#define READ_BUDGET (1u << 20)

struct ttrpc_out {
	struct ttrpc_out *next;
	uint8_t *frame;
	size_t len;
	size_t sent;
	int fds[TTRPC_FDS_MAX];
	unsigned nfds;
};

static void out_free(struct ttrpc_out *out)
{
	fds_close(out->fds, out->nfds);
	free(out->frame);
	free(out);
}

static void update_events(struct ttrpc_conn *conn)
{
	uint32_t events = 0;

	if (conn->out_bytes <= TTRPC_BACKLOG_MAX)
		events |= EPOLLIN;
	if (conn->out)
		events |= EPOLLOUT;
	if (events != conn->src.events && conn->src.loop)
		conn->broken = evsource_modify(&conn->src, events);
}

/* Sends what the socket takes. 0 also when it takes nothing. */
static int flush(struct ttrpc_conn *conn)
{
	while (conn->out) {
		struct ttrpc_out *out = conn->out;
		ssize_t n = fd_send(conn->fd, out->frame + out->sent,
				    out->len - out->sent, out->fds, out->nfds,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		fds_close(out->fds, out->nfds);
		out->nfds = 0;
		out->sent += (size_t)n;
		conn->out_bytes -= (size_t)n;
		if (out->sent < out->len)
			continue;
		conn->out = out->next;
		if (!conn->out)
			conn->out_tail = &conn->out;
		out_free(out);
	}
	return 0;
}

/* Room for what comes next: grows with what is there already. */
static int grow(struct ttrpc_conn *conn)
{
	size_t want = conn->payload_len + READ_CHUNK;
	uint8_t *bigger;

	if (want < conn->payload_cap * 2)
		want = conn->payload_cap * 2;
	if (want > conn->header.length)
		want = conn->header.length;
	if (want <= conn->payload_cap)
		return 0;
	bigger = realloc(conn->payload, want);
	if (!bigger)
		return -ENOMEM;
	conn->payload = bigger;
	conn->payload_cap = want;
	return 0;
}

static int take_fds(struct ttrpc_conn *conn, int *fds, unsigned n)
{
	if (n && (!conn->accept_fds || conn->nfds + n > TTRPC_FDS_MAX)) {
		fds_close(fds, n);
		return -EPROTO;
	}
	memcpy(conn->fds + conn->nfds, fds, n * sizeof(*fds));
	conn->nfds += n;
	return 0;
}

/* Bytes read, 0 at the end, -EAGAIN, -errno. */
static ssize_t receive(struct ttrpc_conn *conn, void *buf, size_t len)
{
	int fds[TTRPC_FDS_MAX];
	unsigned nfds = TTRPC_FDS_MAX;
	ssize_t n = fd_recv(conn->fd, buf, len, fds, &nfds, MSG_DONTWAIT);
	int ret;

	if (n < 0)
		return n;
	ret = take_fds(conn, fds, nfds);
	return ret < 0 ? ret : n;
}

static int deliver(struct ttrpc_conn *conn)
{
	int ret = conn->ops->frame(conn, &conn->header, conn->payload);

	fds_close(conn->fds, conn->nfds);
	conn->nfds = 0;
	conn->head_len = 0;
	conn->payload_len = 0;
	if (conn->payload_cap > READ_CHUNK) {
		free(steal_ptr(&conn->payload));
		conn->payload_cap = 0;
	}
	return ret;
}

/* One step of the frame under way. Bytes read, 0 at the end, -errno. */
static ssize_t step(struct ttrpc_conn *conn)
{
	ssize_t n;
	int ret;

	if (conn->head_len < TTRPC_HEADER_LEN) {
		n = receive(conn, conn->head + conn->head_len,
			    TTRPC_HEADER_LEN - conn->head_len);
		if (n <= 0)
			return n;
		conn->head_len += (size_t)n;
		if (conn->head_len < TTRPC_HEADER_LEN)
			return n;
		ret = ttrpc_header_get(conn->head, &conn->header);
		if (ret < 0)
			return ret;
	} else {
		ret = grow(conn);
		if (ret < 0)
			return ret;
		n = receive(
			conn, conn->payload + conn->payload_len,
			MIN(conn->payload_cap, (size_t)conn->header.length) -
				conn->payload_len);
		if (n <= 0)
			return n;
		conn->payload_len += (size_t)n;
	}
	if (conn->payload_len == conn->header.length) {
		ret = deliver(conn);
		if (ret < 0)
			return ret;
	}
	return n;
}

static int read_frames(struct ttrpc_conn *conn)
{
	size_t budget = READ_BUDGET;

	while (budget && conn->out_bytes <= TTRPC_BACKLOG_MAX) {
		ssize_t n = step(conn);

		if (n == -EAGAIN)
			return 0;
		if (n == 0)
			return -ECONNRESET;
		if (n < 0)
			return (int)n;
		budget -= MIN((size_t)n, budget);
	}
	return 0;
}

static void ready(struct evsource *src, uint32_t revents)
{
	struct ttrpc_conn *conn = container_of(src, struct ttrpc_conn, src);
	int ret = conn->broken;

	if (!ret && (revents & EPOLLOUT))
		ret = flush(conn);
	if (!ret && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		ret = read_frames(conn);
	if (!ret)
		update_events(conn);
	if (!ret)
		ret = conn->broken;
	if (ret) {
		evsource_del(&conn->src);
		conn->ops->closed(conn, ret == -ECONNRESET ? 0 : ret);
	}
}

int ttrpc_conn_init(struct ttrpc_conn *conn, struct evloop *loop, int fd,
		    const struct ttrpc_conn_ops *ops, bool accept_fds)
{
	memset(conn, 0, sizeof(*conn));
	conn->ops = ops;
	conn->fd = fd;
	conn->out_tail = &conn->out;
	conn->accept_fds = accept_fds;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return evsource_add(loop, &conn->src, fd, EPOLLIN, ready);
}

void ttrpc_conn_release(struct ttrpc_conn *conn)
{
	evsource_del(&conn->src);
	while (conn->out) {
		struct ttrpc_out *out = conn->out;

		conn->out = out->next;
		out_free(out);
	}
	conn->out_tail = &conn->out;
	fds_close(conn->fds, conn->nfds);
	conn->nfds = 0;
	free(steal_ptr(&conn->payload));
	if (conn->fd >= 0)
		close(steal_fd(&conn->fd));
}

static struct ttrpc_out *out_new(uint8_t *frame, size_t len, const int *fds,
				 unsigned nfds)
{
	struct ttrpc_out *out = calloc(1, sizeof(*out));

	if (!out) {
		free(frame);
		return NULL;
	}
	out->frame = frame;
	out->len = len;
	for (; out->nfds < nfds; out->nfds++) {
		int fd = fcntl(fds[out->nfds], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			out_free(out);
			return NULL;
		}
		out->fds[out->nfds] = fd;
	}
	return out;
}

void ttrpc_conn_send(struct ttrpc_conn *conn, uint8_t *frame, size_t len,
		     const int *fds, unsigned nfds)
{
	struct ttrpc_out *out = NULL;

	BUG_ON(nfds > TTRPC_FDS_MAX);
	if (frame)
		out = out_new(frame, len, fds, nfds);
	if (!out || conn->broken) {
		if (out)
			out_free(out);
		conn->broken = conn->broken ? conn->broken : -ENOMEM;
	} else {
		*conn->out_tail = out;
		conn->out_tail = &out->next;
		conn->out_bytes += len;
		conn->broken = flush(conn);
		if (!conn->broken)
			update_events(conn);
	}
	/* Makes the loop call ready(), which closes the connection. */
	if (conn->broken)
		shutdown(conn->fd, SHUT_RDWR);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vsock_stream.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/log.h"
#include "vmm/virtio/iov.h"
#include "vmm/virtio/vsock_host.h"
#include "vmm/virtio/vsock_pending.h"

/* The socket's side. ------------------------------------------------------ */

/* Both directions ended on the host's side: the guest confirms by a reset. */
static void conn_linger(struct vsock_conn *conn)
{
	vsock_conn_close_socket(conn);
	conn->shut = VSOCK_SHUT_BOTH;
	vsock_conn_set_state(conn, VSOCK_LINGER);
	vsock_conn_owe(conn, VSOCK_OWES_SHUTDOWN);
}

static void conn_host_eof(struct vsock_conn *conn)
{
	conn->eof = true;
	conn->readable = false;
	conn->shut |= VSOCK_SHUT_SEND;
	if (conn->shut == VSOCK_SHUT_BOTH)
		conn_linger(conn);
	else
		vsock_conn_owe(conn, VSOCK_OWES_SHUTDOWN);
}

/* The host reads no more; it may have written something that is unread. */
static void conn_host_deaf(struct vsock_conn *conn)
{
	if (conn->shut & VSOCK_SHUT_RCV)
		return;
	conn->shut |= VSOCK_SHUT_RCV;
	vsock_conn_forwarded(conn, vsock_pending_len(conn));
	vsock_conn_close_sink(conn);
	vsock_pending_drop(conn);
	if (conn->eof)
		conn_linger(conn);
	else
		vsock_conn_owe(conn, VSOCK_OWES_SHUTDOWN);
}

static void conn_host_gone(struct vsock_conn *conn)
{
	conn->hup = true;
	conn_host_deaf(conn);
	if (conn->state != VSOCK_OPEN)
		return;
	if (conn->eof) {
		conn_linger(conn);
		return;
	}
	conn->readable = true;
	vsock_conn_poll(conn);
	vsock_conn_enqueue(conn);
}

/* Passes on what the guest ended, once its data has gone before. */
static void conn_apply_shutdown(struct vsock_conn *conn)
{
	if ((conn->peer_shut & VSOCK_SHUT_RCV) && !conn->eof) {
		shutdown(conn->fd, SHUT_RD);
		conn->eof = true;
		conn->readable = false;
	}
	if (vsock_pending_len(conn) || !(conn->peer_shut & VSOCK_SHUT_SEND))
		return;
	vsock_conn_close_sink(conn);
	if (conn->peer_shut == VSOCK_SHUT_BOTH)
		vsock_conn_kill(conn);
	else
		shutdown(conn->fd, SHUT_WR);
}

/* May free an orphan. */
static void conn_flush(struct vsock_conn *conn)
{
	ssize_t n;

	if (!vsock_pending_len(conn))
		return;
	n = vsock_pending_write(conn);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n < 0 && conn->state == VSOCK_OPEN) {
		conn_host_deaf(conn);
	} else if (n < 0) {
		vsock_conn_free(conn);
		return;
	} else if (conn->state == VSOCK_OPEN) {
		vsock_conn_forwarded(conn, (size_t)n);
	}
	if (vsock_pending_len(conn))
		return;
	if (conn->state == VSOCK_ORPHAN) {
		vsock_conn_free(conn);
	} else if (conn->state == VSOCK_OPEN) {
		conn_apply_shutdown(conn);
		vsock_conn_poll(conn);
	}
}

static void conn_open_ready(struct vsock_conn *conn, uint32_t revents)
{
	if (revents & EPOLLOUT)
		conn_flush(conn);
	if (conn->state != VSOCK_OPEN)
		return;
	if (revents & (EPOLLHUP | EPOLLERR)) {
		conn_host_gone(conn);
	} else if ((revents & EPOLLIN) && !conn->eof) {
		/* vsock_pump stops to poll for it if it cannot be read. */
		conn->readable = true;
		if (vsock_conn_wants(conn))
			vsock_conn_enqueue(conn);
		else
			vsock_conn_poll(conn);
	}
}

static void conn_ready(struct evsource *src, uint32_t revents)
{
	struct vsock_conn *conn = container_of(src, struct vsock_conn, src);
	struct vsock *vsock = conn->vsock;

	switch (conn->state) {
	case VSOCK_HANDSHAKE:
		vsock_host_handshake(conn, revents);
		break;
	case VSOCK_REQUESTED:
		vsock_conn_kill(conn);
		break;
	case VSOCK_OPEN:
		conn_open_ready(conn, revents);
		break;
	case VSOCK_ORPHAN:
		/* A sink does not know that the caller is gone. */
		if (conn->sink >= 0 && (revents & (EPOLLHUP | EPOLLERR)))
			vsock_conn_free(conn);
		else
			conn_flush(conn);
		break;
	case VSOCK_LINGER:
	case VSOCK_DEAD:
		BUG("event of a closed socket");
	}
	vsock_pump(vsock);
}

static void sink_ready(struct evsource *src, uint32_t revents)
{
	struct vsock_conn *conn =
		container_of(src, struct vsock_conn, sink_src);
	struct vsock *vsock = conn->vsock;

	conn_flush(conn);
	vsock_pump(vsock);
}

static uint32_t conn_events(const struct vsock_conn *conn)
{
	bool wait = conn->sink < 0 && vsock_pending_len(conn);
	uint32_t out = wait ? (uint32_t)EPOLLOUT : 0;

	switch (conn->state) {
	case VSOCK_HANDSHAKE:
		return EPOLLIN;
	case VSOCK_OPEN:
		return (conn->readable || conn->eof ? 0 : (uint32_t)EPOLLIN) |
		       out;
	case VSOCK_ORPHAN:
		return out;
	default:
		return 0; /* EPOLLHUP comes unasked */
	}
}

static int poll_sink(struct vsock_conn *conn)
{
	bool wait = conn->sink >= 0 && vsock_pending_len(conn);

	if (wait == (conn->sink_src.loop != NULL))
		return 0;
	if (wait)
		return evsource_add(conn->vsock->dev.loop, &conn->sink_src,
				    conn->sink, EPOLLOUT, sink_ready);
	evsource_del(&conn->sink_src);
	return 0;
}

void vsock_conn_poll(struct vsock_conn *conn)
{
	uint32_t events = conn_events(conn);
	int r = poll_sink(conn);

	if (conn->fd < 0 || conn->hup) {
		evsource_del(&conn->src);
		conn->polled = false;
		return;
	}
	if (!r && !conn->polled)
		r = evsource_add(conn->vsock->dev.loop, &conn->src, conn->fd,
				 events, conn_ready);
	else if (!r && conn->src.events != events)
		r = evsource_modify(&conn->src, events);
	conn->polled = conn->polled || !r;
	/* Without events the socket is as good as closed. */
	if (r)
		vsock_conn_kill(conn);
}

/* The guest's side. -------------------------------------------------------- */

void vsock_conn_data(struct vsock_conn *conn, struct vsock_run *run)
{
	uint32_t len = run->len;
	ssize_t sent = 0;

	if (conn->peer_shut & VSOCK_SHUT_SEND) {
		vsock_conn_kill(conn);
		return;
	}
	conn->rx_cnt += len;
	if (!vsock_pending_len(conn) && !(conn->shut & VSOCK_SHUT_RCV))
		sent = vsock_conn_write(conn, run->iov, run->niov);
	if (sent < 0 && sent != -EAGAIN && sent != -EINTR)
		conn_host_deaf(conn);
	if (conn->shut & VSOCK_SHUT_RCV) {
		vsock_conn_forwarded(conn, len);
		return;
	}
	sent = MAX(sent, 0);
	vsock_conn_forwarded(conn, (size_t)sent);
	if ((size_t)sent == len)
		return;
	if (vsock_pending_add(conn, run, (size_t)sent))
		vsock_conn_kill(conn);
	else
		vsock_conn_poll(conn);
}

static void conn_input_open(struct vsock_conn *conn,
			    const struct vsock_packet *p)
{
	switch (p->op) {
	case VSOCK_OP_RW: /* without data: vsock_conn_data has the others */
		break;
	case VSOCK_OP_SHUTDOWN:
		conn->peer_shut |= p->flags & VSOCK_SHUT_BOTH;
		conn_apply_shutdown(conn);
		vsock_conn_poll(conn);
		break;
	case VSOCK_OP_CREDIT_UPDATE:
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		vsock_conn_owe(conn, VSOCK_OWES_CREDIT);
		break;
	default:
		vsock_conn_kill(conn);
	}
}

static void conn_input_reset(struct vsock_conn *conn)
{
	/* The guest had ended in order; the host still gets all of it. */
	if (conn->state == VSOCK_OPEN && vsock_pending_len(conn) &&
	    (conn->peer_shut & VSOCK_SHUT_SEND)) {
		vsock_conn_forget_name(conn);
		vsock_conn_dequeue(conn);
		vsock_conn_set_state(conn, VSOCK_ORPHAN);
		vsock_conn_poll(conn);
		return;
	}
	vsock_conn_free(conn);
}

static bool take_credit(struct vsock_conn *conn, const struct vsock_packet *p)
{
	if (!vsock_conn_take_credit(conn, p))
		return true;
	if (log_allowed(&conn->vsock->complaints, 10))
		log_warn("vsock: port %u: guest took more than it got",
			 conn->guest_port);
	vsock_conn_kill(conn);
	return false;
}

bool vsock_conn_takes_data(struct vsock_conn *conn,
			   const struct vsock_packet *p)
{
	return conn->state == VSOCK_OPEN && p->op == VSOCK_OP_RW && p->len &&
	       take_credit(conn, p);
}

void vsock_conn_input(struct vsock_conn *conn, const struct vsock_packet *p)
{
	if (p->op == VSOCK_OP_RST) {
		conn_input_reset(conn);
		return;
	}
	if (conn->state == VSOCK_DEAD || !take_credit(conn, p))
		return;
	if (conn->state == VSOCK_OPEN) {
		conn_input_open(conn, p);
	} else if (conn->state == VSOCK_LINGER) {
		/* What was under way when the host closed is lost, as with
		 * any socket that was closed. */
		if (p->op == VSOCK_OP_SHUTDOWN)
			conn->peer_shut |= p->flags & VSOCK_SHUT_BOTH;
		if (conn->peer_shut == VSOCK_SHUT_BOTH ||
		    p->op == VSOCK_OP_REQUEST)
			vsock_conn_kill(conn);
	} else if (p->op == VSOCK_OP_RESPONSE && !vsock_host_accepted(conn)) {
		vsock_conn_set_state(conn, VSOCK_OPEN);
		vsock_conn_poll(conn);
	} else {
		vsock_conn_kill(conn);
	}
}

/* Bytes read into iov, 0: none. */
static int conn_read(struct vsock_conn *conn, struct iovec *iov, unsigned n)
{
	uint32_t credit = vsock_conn_credit(conn);
	size_t room = 0;
	ssize_t r;

	if (!credit) {
		if (!conn->asked)
			conn->owed |= VSOCK_OWES_CREDIT_REQUEST;
		conn->asked = true;
		return 0;
	}
	n = iov_window(iov, n, 0, credit, iov);
	for (unsigned i = 0; i < n; i++)
		room += iov[i].iov_len;
	r = readv(conn->fd, iov, (int)n);
	if (r > 0) {
		conn->tx_cnt += (uint32_t)r;
		conn->readable = conn->hup || (size_t)r == room;
		return (int)r;
	}
	if (r == 0 || (errno == EAGAIN && conn->hup))
		conn_host_eof(conn);
	else if (errno == EAGAIN)
		conn->readable = false;
	else if (errno != EINTR)
		vsock_conn_kill(conn);
	return 0;
}

/* The order of the rules is the order on the wire. */
static int conn_next(struct vsock_conn *conn, struct vsock_packet *p,
		     struct iovec *iov, unsigned n)
{
	static const struct {
		unsigned owed;
		enum vsock_op op;
	} rules[] = {
		{VSOCK_OWES_REQUEST, VSOCK_OP_REQUEST},
		{VSOCK_OWES_RESPONSE, VSOCK_OP_RESPONSE},
		{VSOCK_OWES_SHUTDOWN, VSOCK_OP_SHUTDOWN},
		{VSOCK_OWES_CREDIT, VSOCK_OP_CREDIT_UPDATE},
		{VSOCK_OWES_CREDIT_REQUEST, VSOCK_OP_CREDIT_REQUEST},
	};
	const unsigned first = VSOCK_OWES_REQUEST | VSOCK_OWES_RESPONSE;
	int len = 0;

	if (conn->state == VSOCK_OPEN && conn->readable &&
	    !(conn->owed & first))
		len = conn_read(conn, iov, n);
	if (len) {
		p->op = VSOCK_OP_RW;
		return len;
	}
	if (conn->state == VSOCK_DEAD) {
		p->op = VSOCK_OP_RST;
		return 0;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		if (!(conn->owed & rules[i].owed))
			continue;
		conn->owed &= ~rules[i].owed;
		p->op = (uint16_t)rules[i].op;
		return 0;
	}
	return -EAGAIN;
}

int vsock_conn_output(struct vsock_conn *conn, struct vsock_packet *p,
		      struct iovec *iov, unsigned n, bool *gone)
{
	int len;

	*p = (struct vsock_packet){
		.src_cid = VSOCK_HOST_CID,
		.dst_cid = conn->vsock->cid,
		.src_port = conn->host_port,
		.dst_port = conn->guest_port,
		.type = VSOCK_TYPE_STREAM,
		.buf_alloc = (uint32_t)conn->buf.size,
		.fwd_cnt = conn->fwd_cnt,
	};
	len = conn_next(conn, p, iov, n);
	if (len < 0)
		return len;
	p->len = (uint32_t)len;
	if (p->op == VSOCK_OP_SHUTDOWN)
		p->flags = conn->shut;
	/* Every packet tells the credit. */
	conn->fwd_told = p->fwd_cnt;
	conn->owed &= ~(unsigned)VSOCK_OWES_CREDIT;
	*gone = conn->state == VSOCK_DEAD;
	if (*gone)
		vsock_conn_free(conn);
	return len;
}

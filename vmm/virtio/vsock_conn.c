/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vsock_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/virtio/vsock.h"
#include "vmm/virtio/vsock_pending.h"

/* Making and ending. ----------------------------------------------------- */

static struct vsock_bucket *conn_bucket(struct vsock *vsock, uint32_t host_port,
					uint32_t guest_port)
{
	uint32_t hash = (host_port ^ guest_port * 0x9e3779b1u) * 0x85ebca6bu;

	return &vsock->table[(hash >> 16) % VSOCK_BUCKETS];
}

static bool conn_room(struct vsock *vsock)
{
	struct vsock_conn *oldest;

	if (vsock->nconns < VSOCK_CONNS_MAX)
		return true;
	/* The guest was told of its end and did not confirm it. */
	oldest = TAILQ_FIRST(&vsock->lingering);
	if (!oldest)
		return false;
	vsock_conn_free(oldest);
	return true;
}

struct vsock_conn *vsock_conn_new(struct vsock *vsock, int fd,
				  enum vsock_state state)
{
	struct vsock_conn *conn;

	conn = conn_room(vsock) ? calloc(1, sizeof(*conn)) : NULL;
	if (!conn) {
		close(fd);
		return NULL;
	}
	conn->vsock = vsock;
	conn->src.fd = conn->sink_src.fd = -1;
	conn->fd = fd;
	conn->sink = -1;
	conn->buf.size = VSOCK_BUF_SIZE;
	STAILQ_INIT(&conn->held);
	conn->state = state;
	TAILQ_INSERT_TAIL(&vsock->conns, conn, listed);
	if (state == VSOCK_HANDSHAKE)
		TAILQ_INSERT_TAIL(&vsock->handshakes, conn, timed);
	vsock->nconns++;
	return conn;
}

void vsock_conn_name(struct vsock_conn *conn, uint32_t host_port,
		     uint32_t guest_port)
{
	conn->host_port = host_port;
	conn->guest_port = guest_port;
	LIST_INSERT_HEAD(conn_bucket(conn->vsock, host_port, guest_port), conn,
			 hashed);
	conn->in_table = true;
}

struct vsock_conn *vsock_conn_find(struct vsock *vsock, uint32_t host_port,
				   uint32_t guest_port)
{
	struct vsock_conn *conn;

	LIST_FOREACH(conn, conn_bucket(vsock, host_port, guest_port), hashed)
	{
		if (conn->host_port == host_port &&
		    conn->guest_port == guest_port)
			return conn;
	}
	return NULL;
}

void vsock_conn_enqueue(struct vsock_conn *conn)
{
	if (conn->queued)
		return;
	TAILQ_INSERT_TAIL(&conn->vsock->ready, conn, waiting);
	conn->queued = true;
}

void vsock_conn_dequeue(struct vsock_conn *conn)
{
	if (!conn->queued)
		return;
	TAILQ_REMOVE(&conn->vsock->ready, conn, waiting);
	conn->queued = false;
}

void vsock_conn_set_state(struct vsock_conn *conn, enum vsock_state state)
{
	if (conn->state == VSOCK_HANDSHAKE)
		TAILQ_REMOVE(&conn->vsock->handshakes, conn, timed);
	else if (conn->state == VSOCK_LINGER)
		TAILQ_REMOVE(&conn->vsock->lingering, conn, timed);
	conn->state = state;
	if (state == VSOCK_LINGER)
		TAILQ_INSERT_TAIL(&conn->vsock->lingering, conn, timed);
}

bool vsock_conn_large(const struct vsock_conn *conn)
{
	return conn->buf.size > VSOCK_BUF_SIZE;
}

/*
 * Credit is never taken back: the guest may have used it. So this is for
 * those that carry much, as long as there are few of them.
 */
static void enlarge(struct vsock_conn *conn)
{
	struct vsock *vsock = conn->vsock;
	bool pending = vsock_pending_len(conn) > 0;

	if (conn->rx_cnt < VSOCK_BUF_SIZE || vsock_conn_large(conn) ||
	    vsock->nlarge == VSOCK_LARGE_MAX ||
	    vsock_buf_grow(&conn->buf, VSOCK_LARGE_SIZE))
		return;
	vsock->nbufs -= pending;
	vsock->nlarge++;
	if (conn->sink >= 0 &&
	    fcntl(conn->sink, F_GETPIPE_SZ) < VSOCK_PIPE_SIZE)
		(void)!fcntl(conn->sink, F_SETPIPE_SZ, VSOCK_PIPE_SIZE);
}

ssize_t vsock_conn_write(const struct vsock_conn *conn, struct iovec *iov,
			 unsigned n)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t len;

	if (conn->sink >= 0)
		len = writev(conn->sink, iov, (int)n);
	else
		len = sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	return len < 0 ? -errno : len;
}

void vsock_conn_close_sink(struct vsock_conn *conn)
{
	evsource_del(&conn->sink_src);
	if (conn->sink >= 0)
		close(conn->sink);
	conn->sink = -1;
}

void vsock_conn_close_socket(struct vsock_conn *conn)
{
	evsource_del(&conn->src);
	conn->polled = false;
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	conn->readable = false;
	vsock_conn_close_sink(conn);
	vsock_pending_drop(conn);
}

void vsock_conn_forget_name(struct vsock_conn *conn)
{
	if (conn->in_table)
		LIST_REMOVE(conn, hashed);
	conn->in_table = false;
}

void vsock_conn_free(struct vsock_conn *conn)
{
	vsock_conn_close_socket(conn);
	vsock_conn_set_state(conn, VSOCK_DEAD);
	vsock_conn_dequeue(conn);
	vsock_conn_forget_name(conn);
	TAILQ_REMOVE(&conn->vsock->conns, conn, listed);
	conn->vsock->nconns--;
	conn->vsock->nlarge -= vsock_conn_large(conn);
	free(conn);
}

void vsock_conn_kill(struct vsock_conn *conn)
{
	vsock_conn_close_socket(conn);
	vsock_conn_set_state(conn, VSOCK_DEAD);
	conn->owed = 0;
	vsock_conn_enqueue(conn);
}

void vsock_conn_owe(struct vsock_conn *conn, unsigned owed)
{
	conn->owed |= owed;
	vsock_conn_enqueue(conn);
}

/* Credit. ---------------------------------------------------------------- */

uint32_t vsock_conn_credit(const struct vsock_conn *conn)
{
	uint32_t in_flight = conn->tx_cnt - conn->peer_fwd;

	/* buf_alloc may shrink below what is on its way. */
	return in_flight < conn->peer_alloc ? conn->peer_alloc - in_flight : 0;
}

bool vsock_conn_wants(const struct vsock_conn *conn)
{
	return conn->state == VSOCK_DEAD || conn->owed ||
	       (conn->state == VSOCK_OPEN && conn->readable &&
		(vsock_conn_credit(conn) || !conn->asked));
}

int vsock_conn_take_credit(struct vsock_conn *conn,
			   const struct vsock_packet *p)
{
	uint32_t taken = p->fwd_cnt - conn->peer_fwd;

	conn->peer_alloc = p->buf_alloc;
	/* Linux fills in fwd_cnt before it orders its packets: an older value
	 * may follow a newer one. */
	if (taken < UINT32_MAX / 2) {
		if (taken > conn->tx_cnt - conn->peer_fwd)
			return -EPROTO;
		conn->peer_fwd = p->fwd_cnt;
	}
	if (vsock_conn_credit(conn)) {
		conn->asked = false;
		if (vsock_conn_wants(conn))
			vsock_conn_enqueue(conn);
	}
	return 0;
}

void vsock_conn_forwarded(struct vsock_conn *conn, size_t n)
{
	/* Linux sends no more at a time than it would take itself. */
	uint32_t window = MIN((uint32_t)conn->buf.size, conn->peer_alloc);

	conn->fwd_cnt += (uint32_t)n;
	if (conn->fwd_cnt == conn->fwd_told ||
	    conn->rx_cnt - conn->fwd_told <= window / 2)
		return;
	enlarge(conn);
	vsock_conn_owe(conn, VSOCK_OWES_CREDIT);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vsock_pending.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/virtio/iov.h"
#include "vmm/virtio/vsock_tx.h"

_Static_assert(VSOCK_LARGE_SIZE / VSOCK_HOLD_MIN <= VSOCK_QUEUE_SIZE / 2,
	       "what a connection may hold");

/* Held packets. ------------------------------------------------------------ */

/* Descriptors that may be held. A driver with few of them needs them all. */
static unsigned hold_max(const struct vsock *vsock)
{
	return vsock->dev.queues[VSOCK_TX].size / 16u * 8u;
}

/* The first chain of run that is not written as a whole, with what is left of
 * it noted there. */
static unsigned first_unwritten(struct vsock_run *run, size_t skip)
{
	unsigned i = 0;

	while (skip >= run->chains[i].len)
		skip -= run->chains[i++].len;
	run->chains[i].len -= (uint32_t)skip;
	return i;
}

static bool worth_holding(const struct vsock_conn *conn,
			  const struct vsock_run *run, unsigned first,
			  size_t len)
{
	const struct vsock *vsock = conn->vsock;
	size_t n = conn->nheld + run->nchains - first;
	unsigned entries = vsock->held;

	for (unsigned i = first; i < run->nchains; i++)
		entries += run->chains[i].entries;
	return entries <= hold_max(vsock) &&
	       conn->held_len + len >= n * VSOCK_HOLD_MIN;
}

/* The chains from `first` on, of which len bytes are left. 0 or -ENOMEM. */
static int hold(struct vsock_conn *conn, struct vsock_run *run, size_t skip,
		unsigned first)
{
	size_t len = run->len - skip;
	struct vsock_hold *h;

	h = malloc(sizeof(*h) + run->niov * sizeof(h->iov[0]));
	if (!h)
		return -ENOMEM;
	h->chain = h->seg = 0;
	h->nchains = run->nchains - first;
	for (unsigned i = 0; i < h->nchains; i++) {
		h->chains[i] = run->chains[first + i];
		conn->vsock->held += h->chains[i].entries;
	}
	h->nsegs = iov_window(run->iov, run->niov, skip, len, h->iov);
	STAILQ_INSERT_TAIL(&conn->held, h, next);
	conn->held_len += len;
	conn->nheld += h->nchains;
	run->nchains = first;
	return 0;
}

static void push_first(struct vsock_conn *conn, struct vsock_hold *h)
{
	const struct vsock_chain *chain = &h->chains[h->chain++];

	conn->vsock->held -= chain->entries;
	conn->nheld--;
	vsock_tx_push(conn->vsock, chain->head);
	if (h->chain < h->nchains)
		return;
	STAILQ_REMOVE_HEAD(&conn->held, next);
	free(h);
}

/* n bytes of the first ones are written, which are no more than they have. */
static void skip_segments(struct vsock_hold *h, size_t n)
{
	for (; n; h->seg++) {
		struct iovec *iov = &h->iov[h->seg];

		if (n < iov->iov_len) {
			iov->iov_base = (uint8_t *)iov->iov_base + n;
			iov->iov_len -= n;
			return;
		}
		n -= iov->iov_len;
	}
}

static void consume_held(struct vsock_conn *conn, size_t n)
{
	while (n) {
		struct vsock_hold *h = STAILQ_FIRST(&conn->held);
		struct vsock_chain *chain = &h->chains[h->chain];
		uint32_t part = (uint32_t)MIN((size_t)chain->len, n);

		skip_segments(h, part);
		chain->len -= part;
		conn->held_len -= part;
		n -= part;
		if (!chain->len)
			push_first(conn, h);
	}
}

/* As many segments of what is held as fit in iov[0..max). */
static unsigned held_iov(const struct vsock_conn *conn, struct iovec *iov,
			 unsigned max)
{
	const struct vsock_hold *h;
	unsigned n = 0;

	STAILQ_FOREACH(h, &conn->held, next)
	{
		unsigned part = MIN(h->nsegs - h->seg, max - n);

		memcpy(iov + n, h->iov + h->seg, part * sizeof(*iov));
		n += part;
	}
	return n;
}

/* Copied ones. ------------------------------------------------------------- */

/* 0 or -ENOMEM: nothing was copied. */
static int copy_held(struct vsock_conn *conn)
{
	const struct vsock_hold *h;

	while ((h = STAILQ_FIRST(&conn->held))) {
		size_t len = 0;

		for (unsigned i = h->chain; i < h->nchains; i++)
			len += h->chains[i].len;
		if (vsock_buf_append(&conn->buf, h->iov + h->seg,
				     h->nsegs - h->seg, 0))
			return -ENOMEM;
		consume_held(conn, len);
	}
	return 0;
}

static int copy(struct vsock_conn *conn, const struct vsock_run *run,
		size_t skip)
{
	int ret = copy_held(conn);

	return ret ? ret
		   : vsock_buf_append(&conn->buf, run->iov, run->niov, skip);
}

/* -------------------------------------------------------------------------- */

int vsock_pending_add(struct vsock_conn *conn, struct vsock_run *run,
		      size_t skip)
{
	struct vsock *vsock = conn->vsock;
	bool fresh = !vsock_pending_len(conn) && !vsock_conn_large(conn);
	size_t len = run->len - skip;
	unsigned first = first_unwritten(run, skip);
	int ret = 0;

	if ((fresh && vsock->nbufs == VSOCK_BUFS_MAX) ||
	    len > conn->buf.size - vsock_pending_len(conn))
		return -ENOBUFS;
	if (!worth_holding(conn, run, first, len) ||
	    hold(conn, run, skip, first))
		ret = copy(conn, run, skip);
	vsock->nbufs += !ret && fresh;
	return ret;
}

ssize_t vsock_pending_write(struct vsock_conn *conn)
{
	struct vsock *vsock = conn->vsock;
	struct iovec *iov = vsock->iov;
	unsigned n = vsock_buf_iov(&conn->buf, iov);
	size_t copied;
	ssize_t ret;

	n += held_iov(conn, iov + n, VIRTQ_SEGS_MAX - n);
	ret = vsock_conn_write(conn, iov, n);
	if (ret < 0)
		return ret;
	copied = MIN((size_t)ret, conn->buf.len);
	vsock_buf_consume(&conn->buf, copied);
	consume_held(conn, (size_t)ret - copied);
	vsock_tx_tell_soon(vsock);
	if (!vsock_pending_len(conn) && !vsock_conn_large(conn))
		vsock->nbufs--;
	return ret;
}

void vsock_pending_drop(struct vsock_conn *conn)
{
	struct vsock *vsock = conn->vsock;

	if (vsock_pending_len(conn) && !vsock_conn_large(conn))
		vsock->nbufs--;
	vsock_buf_release(&conn->buf);
	consume_held(conn, conn->held_len);
	if (vsock->running)
		vsock_tx_tell_soon(vsock);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VSOCK_PENDING_H
#define VMM_VIRTIO_VSOCK_PENDING_H

/*
 * What the guest sent on a connection and the host did not take yet: bytes
 * that were copied, and then packets that are held.
 *
 *	conn->buf | conn->held, oldest first
 *
 * It is written in this order. A held packet stays in guest memory: its chain
 * is popped, and pushed when all of it was written, which saves the copy and
 * the memory. The guest may change it meanwhile, which only it suffers from;
 * its length and place are those that were checked when it was popped.
 *
 * Packets are copied where a chain costs more than a copy, or where the queue
 * would run short of descriptors for other connections. For the order's sake
 * those of the connection that are held are copied before.
 *
 * What is held is pushed at the latest when its connection ends, as all do
 * before the queue stops.
 */

#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "vmm/virtio/vsock_conn.h"

/*
 * Bytes that held packets have on average, at least: so the credit of one
 * connection, spent on such ones, is half of our queue.
 */
#define VSOCK_HOLD_MIN (16u * 1024)

/* Part of a run. */
struct vsock_hold {
	STAILQ_ENTRY(vsock_hold) next;
	/* Those that are not written. */
	unsigned chain;
	unsigned nchains;
	unsigned seg;
	unsigned nsegs;
	struct vsock_chain chains[VSOCK_RUN_MAX];
	struct iovec iov[];
};

/* Bytes. */
static inline size_t vsock_pending_len(const struct vsock_conn *conn)
{
	return conn->buf.len + conn->held_len;
}

/*
 * Adds what run has behind its first `skip` bytes, which are less than all.
 * Chains that are held are taken out of it. -ENOBUFS: more than the guest's
 * credit, or more connections with pending data than we care to have; -ENOMEM.
 * Nothing is taken out of it then.
 */
int vsock_pending_add(struct vsock_conn *conn, struct vsock_run *run,
		      size_t skip) MUST_CHECK;
/* Writes to the host what is there, up to what one call takes: bytes that it
 * took, or -errno. */
ssize_t vsock_pending_write(struct vsock_conn *conn) MUST_CHECK;
void vsock_pending_drop(struct vsock_conn *conn);

#endif

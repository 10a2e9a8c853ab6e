/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VSOCK_STREAM_H
#define VMM_VIRTIO_VSOCK_STREAM_H

/* Moves the bytes of a connection between its socket and packets. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "vmm/virtio/vsock_conn.h"

/* Polls the socket for what the state wants of it. */
void vsock_conn_poll(struct vsock_conn *conn);

/* Whether this packet is data for the host: notes the credit it tells, and
 * its payload goes to vsock_conn_data, alone or with what follows it. All
 * other packets are for vsock_conn_input. */
bool vsock_conn_takes_data(struct vsock_conn *conn,
			   const struct vsock_packet *p) MUST_CHECK;
/* Of an open connection. Chains that stay are taken out of run, which is not
 * empty; the others are for the caller to push. */
void vsock_conn_data(struct vsock_conn *conn, struct vsock_run *run);
/* May free conn. */
void vsock_conn_input(struct vsock_conn *conn, const struct vsock_packet *p);
/*
 * Fills the next packet for the guest, its payload read from the socket into
 * iov. Bytes of payload, or -EAGAIN: nothing to say. *gone is set when conn
 * was freed.
 */
int vsock_conn_output(struct vsock_conn *conn, struct vsock_packet *p,
		      struct iovec *iov, unsigned n, bool *gone) MUST_CHECK;

#endif

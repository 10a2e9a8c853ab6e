/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VSOCK_BUF_H
#define VMM_VIRTIO_VSOCK_BUF_H

/*
 * What the guest sent on one connection and the host did not take yet. Its
 * size is the credit that the guest is given, so that a guest which keeps to
 * its credit never overruns it. The memory exists only while there is
 * something in it.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"

/*
 * Four of the largest packets a Linux guest sends: with one, it would wait
 * for a credit update after each packet.
 */
#define VSOCK_BUF_SIZE (256u * 1024)

struct vsock_buf {
	size_t size; /* set by the owner at first, and by vsock_buf_grow */
	uint8_t *data;
	size_t head;
	size_t len;
};

/* Appends what iov holds after its first `skip` bytes. -ENOBUFS: does not
 * fit, -ENOMEM; nothing is appended then. */
int vsock_buf_append(struct vsock_buf *buf, const struct iovec *iov, unsigned n,
		     size_t skip) MUST_CHECK;
/* Makes room for `size` bytes, which is more than before. 0 or -ENOMEM. */
int vsock_buf_grow(struct vsock_buf *buf, size_t size) MUST_CHECK;
/* All that is in it, as segments; returns their number. */
unsigned vsock_buf_iov(const struct vsock_buf *buf, struct iovec iov[2]);
/* The host took n bytes of it. Frees the memory when empty. */
void vsock_buf_consume(struct vsock_buf *buf, size_t n);
void vsock_buf_release(struct vsock_buf *buf);

#endif

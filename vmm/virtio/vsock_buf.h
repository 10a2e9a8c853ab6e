/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VSOCK_BUF_H
#define VMM_VIRTIO_VSOCK_BUF_H

/*
 * What the guest sent on one connection and the host's socket did not take
 * yet. Its size is the credit that the guest is given, so that a guest which
 * keeps to its credit never overruns it. The memory exists only while there
 * is something in it.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"

/*
 * Four of the largest packets a Linux guest sends: with one, it would wait
 * for a credit update after each packet.
 */
#define VSOCK_BUF_SIZE (256u * 1024)

struct vsock_buf {
	uint8_t *data;
	size_t head;
	size_t len;
};

/* Appends what iov holds after its first `skip` bytes. -ENOBUFS: does not
 * fit, -ENOMEM; nothing is appended then. */
int vsock_buf_append(struct vsock_buf *buf, const struct iovec *iov, unsigned n,
		     size_t skip) MUST_CHECK;
/* Bytes that the socket took, or -errno. Frees the memory when empty. */
ssize_t vsock_buf_send(struct vsock_buf *buf, int fd) MUST_CHECK;
void vsock_buf_release(struct vsock_buf *buf);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_IOV_H
#define VMM_VIRTIO_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/*
 * The part of src[0..n) behind its first `skip` bytes, at most len bytes of
 * it, as segments in dst, which has room for n and may be src when skip is 0.
 * Returns their number.
 */
unsigned iov_window(const struct iovec *src, unsigned n, size_t skip,
		    size_t len, struct iovec *dst);

#endif

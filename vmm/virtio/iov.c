/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/iov.h"

#include <stdint.h>

#include "base/compiler.h"

unsigned iov_window(const struct iovec *src, unsigned n, size_t skip,
		    size_t len, struct iovec *dst)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n && len; i++) {
		size_t cut = MIN(skip, src[i].iov_len);
		size_t part = MIN(len, src[i].iov_len - cut);

		skip -= cut;
		if (!part)
			continue;
		dst[count].iov_base = (uint8_t *)src[i].iov_base + cut;
		dst[count++].iov_len = part;
		len -= part;
	}
	return count;
}

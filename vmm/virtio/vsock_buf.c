/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vsock_buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static void buf_put(struct vsock_buf *buf, const uint8_t *src, size_t len)
{
	size_t tail = (buf->head + buf->len) % buf->size;
	size_t first = MIN(len, buf->size - tail);

	memcpy(buf->data + tail, src, first);
	memcpy(buf->data, src + first, len - first);
	buf->len += len;
}

int vsock_buf_append(struct vsock_buf *buf, const struct iovec *iov, unsigned n,
		     size_t skip)
{
	size_t total = 0;

	for (unsigned i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (total <= skip)
		return 0;
	if (total - skip > buf->size - buf->len)
		return -ENOBUFS;
	if (!buf->data) {
		buf->data = malloc(buf->size);
		if (!buf->data)
			return -ENOMEM;
		buf->head = 0;
	}
	for (unsigned i = 0; i < n; i++) {
		size_t cut = MIN(skip, iov[i].iov_len);

		buf_put(buf, (const uint8_t *)iov[i].iov_base + cut,
			iov[i].iov_len - cut);
		skip -= cut;
	}
	return 0;
}

int vsock_buf_grow(struct vsock_buf *buf, size_t size)
{
	struct vsock_buf grown = {.size = size};
	struct iovec iov[2];

	BUG_ON(size < buf->size);
	if (vsock_buf_append(&grown, iov, vsock_buf_iov(buf, iov), 0))
		return -ENOMEM;
	free(buf->data);
	*buf = grown;
	return 0;
}

unsigned vsock_buf_iov(const struct vsock_buf *buf, struct iovec iov[2])
{
	size_t first = MIN(buf->len, buf->size - buf->head);

	if (!buf->len)
		return 0;
	iov[0] = (struct iovec){buf->data + buf->head, first};
	iov[1] = (struct iovec){buf->data, buf->len - first};
	return buf->len > first ? 2 : 1;
}

void vsock_buf_consume(struct vsock_buf *buf, size_t n)
{
	BUG_ON(n > buf->len);
	buf->head = (buf->head + n) % buf->size;
	buf->len -= n;
	if (!buf->len)
		vsock_buf_release(buf);
}

void vsock_buf_release(struct vsock_buf *buf)
{
	free(buf->data);
	*buf = (struct vsock_buf){.size = buf->size};
}

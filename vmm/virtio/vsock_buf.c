/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vsock_buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void buf_put(struct vsock_buf *buf, const uint8_t *src, size_t len)
{
	size_t tail = (buf->head + buf->len) % VSOCK_BUF_SIZE;
	size_t first = MIN(len, VSOCK_BUF_SIZE - tail);

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
	if (total - skip > VSOCK_BUF_SIZE - buf->len)
		return -ENOBUFS;
	if (!buf->data) {
		buf->data = malloc(VSOCK_BUF_SIZE);
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

ssize_t vsock_buf_send(struct vsock_buf *buf, int fd)
{
	size_t first = MIN(buf->len, VSOCK_BUF_SIZE - buf->head);
	struct iovec iov[2] = {
		{buf->data + buf->head, first},
		{buf->data, buf->len - first},
	};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (!buf->len)
		return 0;
	n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	buf->head = (buf->head + (size_t)n) % VSOCK_BUF_SIZE;
	buf->len -= (size_t)n;
	if (!buf->len)
		vsock_buf_release(buf);
	return n;
}

void vsock_buf_release(struct vsock_buf *buf)
{
	free(buf->data);
	*buf = (struct vsock_buf){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vhost_user_msg.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fdpass.h"

#define HEADER sizeof(struct vu_header)

_Static_assert(HEADER == 12, "on the wire");
_Static_assert(sizeof(struct vu_vring_addr) == 40, "on the wire");
_Static_assert(sizeof(struct vu_memory) == 8 + 32 * VU_REGIONS_MAX,
	       "on the wire");
_Static_assert(sizeof(struct vu_inflight) == 24, "on the wire");
_Static_assert(sizeof(struct vu_config) == 12 + VU_CONFIG_MAX, "on the wire");

void vu_msg_init(struct vu_msg *msg)
{
	memset(msg, 0, sizeof(*msg));
}

void vu_msg_release(struct vu_msg *msg)
{
	fds_close(msg->fds, msg->nfds);
	vu_msg_init(msg);
}

int vu_msg_take_fd(struct vu_msg *msg, unsigned i)
{
	BUG_ON(i >= msg->nfds);
	return steal_fd(&msg->fds[i]);
}

static int check_header(const struct vu_header *header)
{
	if ((header->flags & VU_VERSION_MASK) != VU_VERSION ||
	    (header->flags & VU_FLAG_REPLY) || header->size > VU_PAYLOAD_MAX)
		return -EPROTO;
	return 0;
}

/* Where the next bytes go, and how many are missing there. */
static size_t missing(struct vu_msg *msg, uint8_t **to)
{
	if (msg->got < HEADER) {
		*to = (uint8_t *)&msg->header + msg->got;
		return HEADER - msg->got;
	}
	*to = msg->payload.bytes + (msg->got - HEADER);
	return HEADER + msg->header.size - msg->got;
}

int vu_msg_receive(int sock, struct vu_msg *msg)
{
	uint8_t *to;
	size_t want;

	while ((want = missing(msg, &to)) > 0) {
		unsigned nfds = VU_FDS_MAX - msg->nfds;
		ssize_t n = fd_recv(sock, to, want, msg->fds + msg->nfds, &nfds,
				    MSG_DONTWAIT);

		if (n == -EAGAIN)
			return 0;
		if (n == -EMSGSIZE)
			return -EPROTO; /* too many descriptors */
		if (n < 0)
			return (int)n;
		msg->nfds += nfds;
		if (n == 0)
			return -ECONNRESET;
		msg->got += (size_t)n;
		if (msg->got == HEADER && check_header(&msg->header) < 0)
			return -EPROTO;
	}
	return 1;
}

int vu_msg_send(int sock, const struct vu_header *header, const void *payload,
		int fd)
{
	uint8_t buf[HEADER + VU_PAYLOAD_MAX];
	size_t len = HEADER + header->size;
	ssize_t n;

	BUG_ON(header->size > VU_PAYLOAD_MAX);
	memcpy(buf, header, HEADER);
	if (header->size > 0)
		memcpy(buf + HEADER, payload, header->size);
	n = fd_send(sock, buf, len, &fd, fd >= 0 ? 1 : 0, MSG_DONTWAIT);
	if (n < 0)
		return (int)n;
	/* A message cut in two cannot be taken back. */
	return (size_t)n == len ? 0 : -EPIPE;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/net_rx.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

/* Offset of num_buffers in the header (5.1.6). */
#define NUM_BUFFERS 10u
#define ETHERNET_LEN 14u

void net_rx_start(struct net_rx *rx, bool mergeable, size_t frame_max)
{
	memset(rx, 0, sizeof(*rx));
	rx->mergeable = mergeable;
	/* Without merging, a buffer is what the driver thinks it needs. */
	rx->want = mergeable ? NET_HEADER_LEN + frame_max : 1;
}

static void rx_compact(struct net_rx *rx)
{
	memmove(rx->buffers, rx->buffers + rx->first,
		rx->nbuffers * sizeof(rx->buffers[0]));
	memmove(rx->segs, rx->segs + rx->first_seg,
		rx->nsegs * sizeof(rx->segs[0]));
	rx->first = 0;
	rx->first_seg = 0;
}

static bool rx_fits(const struct net_rx *rx, unsigned nsegs)
{
	return rx->first + rx->nbuffers < NET_QUEUE_SIZE &&
	       rx->first_seg + rx->nsegs + nsegs <= NET_RX_SEGS;
}

static void rx_add(struct net_rx *rx, const struct virtq_chain *chain)
{
	memcpy(rx->segs + rx->first_seg + rx->nsegs, chain->iov + chain->nread,
	       chain->nwrite * sizeof(rx->segs[0]));
	rx->buffers[rx->first + rx->nbuffers] = (struct net_rx_buffer){
		.head = chain->head,
		.nsegs = chain->nwrite,
		.len = chain->write_len,
	};
	rx->nbuffers++;
	rx->nsegs += chain->nwrite;
	rx->have += chain->write_len;
}

int net_rx_fill(struct net_rx *rx, struct virtq *q)
{
	while (rx->have < rx->want) {
		int r = virtq_pop(q, &rx->chain);

		if (r == 0 && virtq_enable_kick(q)) {
			virtq_disable_kick(q);
			continue;
		}
		/* The driver has no more: a short ring must not stall it. */
		if (r == 0)
			return rx->nbuffers == q->size;
		if (r < 0)
			return r;
		if (rx->chain.write_len < NET_HEADER_LEN ||
		    rx->chain.nwrite > NET_RX_SEGS)
			return -EPROTO;
		if (!rx_fits(rx, rx->chain.nwrite))
			rx_compact(rx);
		if (!rx_fits(rx, rx->chain.nwrite)) {
			virtq_unpop(q);
			return 1;
		}
		rx_add(rx, &rx->chain);
	}
	return 1;
}

/* Segments of a guest may split even the field. */
static void rx_put_count(struct net_rx *rx, uint16_t count)
{
	const uint8_t bytes[] = {(uint8_t)count, (uint8_t)(count >> 8)};
	const struct iovec *seg = rx->segs + rx->first_seg;
	size_t at = NUM_BUFFERS;

	for (unsigned i = 0; i < ARRAY_SIZE(bytes); i++, at++) {
		while (at >= seg->iov_len)
			at -= (seg++)->iov_len;
		((uint8_t *)seg->iov_base)[at] = bytes[i];
	}
}

static void rx_complete(struct net_rx *rx, struct virtq *q, size_t len)
{
	uint16_t count = 0;

	for (size_t left = len; left; count++) {
		size_t part = rx->buffers[rx->first + count].len;

		left -= MIN(part, left);
	}
	/* Without merging it is 1, too (5.1.6.4.1). */
	rx_put_count(rx, count);
	for (; count; count--) {
		const struct net_rx_buffer *b = &rx->buffers[rx->first];
		size_t part = MIN(len, b->len);

		virtq_push(q, b->head, (uint32_t)part);
		len -= part;
		rx->have -= b->len;
		rx->first_seg += b->nsegs;
		rx->nsegs -= b->nsegs;
		rx->first++;
		rx->nbuffers--;
	}
}

int net_rx_receive(struct net_rx *rx, struct virtq *q, int fd)
{
	struct iovec *end = rx->segs + rx->first_seg + rx->nsegs;
	ssize_t n;

	BUG_ON(!rx->nbuffers);
	/* One byte more, which tells a frame that was cut from one that fits
	 * exactly. A compacted array always has room for it. */
	end->iov_base = &rx->excess;
	end->iov_len = 1;
	n = readv(fd, rx->segs + rx->first_seg, (int)rx->nsegs + 1);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -EPIPE; /* a socket whose peer left */
	if ((size_t)n < NET_HEADER_LEN + ETHERNET_LEN || (size_t)n > rx->have)
		return 0;
	rx_complete(rx, q, (size_t)n);
	return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_NET_RX_H
#define VMM_VIRTIO_NET_RX_H

/*
 * The receive side of the network device: buffers taken from the queue ahead
 * of the frames, since the length of a frame is known only once it was read.
 * With mergeable buffers a frame is read over several chains and those it did
 * not need stay here for the next one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "vmm/virtio/queue.h"

#define NET_HEADER_LEN 12u
#define NET_QUEUE_SIZE 256u
/* The longest frame: 64 KiB to segment, behind its headers. */
#define NET_FRAME_MAX (65535u + 14u + 4u)
#define NET_RX_SEGS (VIRTQ_SEGS_MAX - 1)

struct net_rx_buffer {
	uint16_t head;
	unsigned nsegs;
	size_t len;
};

struct net_rx {
	bool mergeable;
	size_t want; /* bytes that the next frame may need */
	size_t have;
	unsigned first; /* of buffers[] */
	unsigned nbuffers;
	struct net_rx_buffer buffers[NET_QUEUE_SIZE];
	unsigned first_seg; /* of segs[] */
	unsigned nsegs;
	struct iovec segs[VIRTQ_SEGS_MAX];
	uint8_t excess; /* takes what a frame has too much */
	struct virtq_chain chain;
};

void net_rx_start(struct net_rx *rx, bool mergeable, size_t frame_max);
/* 1: a frame can be read, 0: the queue has too little, or -EPROTO. */
int net_rx_fill(struct net_rx *rx, struct virtq *q) MUST_CHECK;
/*
 * Reads one frame and completes the buffers it took. 1: done, 0: a frame was
 * dropped because it was no frame or longer than the buffers; or -errno.
 */
int net_rx_receive(struct net_rx *rx, struct virtq *q, int fd) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_QUEUE_H
#define VMM_VIRTIO_QUEUE_H

/*
 * Split virtqueues, device side (virtio 1.2, 2.7). The one place that reads
 * rings, whatever the transport.
 *
 *	descriptor table   16 bytes each, 16-aligned   driver writes
 *	avail ring         6 + 2 * size, 2-aligned     driver writes
 *	used ring          6 + 8 * size, 4-aligned     device writes
 *
 * Rules, each enforced here and nowhere else: the size is a power of two and
 * the rings lie each in one RAM region, frozen by virtq_start; avail.idx runs
 * at most `size` ahead; a chain has at most `size` descriptors, readable ones
 * first; every guest field is read once; a span that is not memory (RAM, or for
 * buffers the window of files beside it) is refused.
 * A broken rule is -EPROTO: the caller faults its device.
 *
 * A queue has no lock: a device that uses one from several threads guards it
 * with a mutex of its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "vmm/core/guestmem.h"
#include "vmm/virtio/inflight.h"

#define VIRTQ_SIZE_MAX 1024u
/* Segments of one request; longer chains are refused with -EPROTO. */
#define VIRTQ_SEGS_MAX 1024u

struct virtq {
	/* Registers, written by the transport before virtq_start. */
	uint16_t size;
	bool enabled;
	uint64_t desc_gpa;
	uint64_t avail_gpa;
	uint64_t used_gpa;
	/* A queue that goes on where another device stopped (vhost-user): base
	 * is the next avail index, the used index is read from the ring. */
	bool resume;
	uint16_t base;
	/* Where requests are noted that the device has, and what is kept of
	 * it here; both NULL: nowhere. */
	struct inflight_map *map;
	struct virtq_inflight *track;

	/* Set by virtq_start. */
	bool started;
	bool indirect;
	bool event_idx;
	const struct guestmem *mem;
	void *desc;
	void *avail;
	void *used;
	uint16_t next_avail;
	uint16_t next_used;
	uint16_t signalled_used;
	uint16_t inflight; /* popped, not yet pushed: at most size */
	bool signalled_valid;
};

/*
 * One popped request: nread readable segments, then nwrite writable ones, in
 * iov[]. Lengths are the sums. The segments stay valid until the device is
 * reset.
 */
struct virtq_chain {
	uint16_t head;
	uint16_t entries; /* of the descriptor table that it takes */
	unsigned nread;
	unsigned nwrite;
	size_t read_len;
	size_t write_len;
	struct iovec iov[VIRTQ_SEGS_MAX];
};

/* Checks and freezes the registers. features: VIRTIO_F_* as negotiated.
 * -EINVAL: registers that break a rule. */
int virtq_start(struct virtq *q, const struct guestmem *mem,
		uint64_t features) MUST_CHECK;
/* The avail index of the first request that was not completed; of a queue
 * that has nothing in flight. */
uint16_t virtq_position(const struct virtq *q);
/* Back to reset values: all zero. */
void virtq_stop(struct virtq *q);

/* 1: a chain; 0: empty; -EPROTO: the driver broke a rule. */
int virtq_pop(struct virtq *q, struct virtq_chain *chain) MUST_CHECK;
/* Gives back the chain last popped, not processed (no buffer yet). */
void virtq_unpop(struct virtq *q);
/* Completes a chain; len is the number of bytes written to it, at most its
 * write_len. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t len);
/* Whether the driver wants an interrupt for what was pushed since the last
 * true. Call once after a batch of pushes. */
bool virtq_wants_signal(struct virtq *q);
/*
 * Notification of the device by the driver. Before sleeping: enable, then
 * look again (returns true when there is already something to pop).
 */
bool virtq_enable_kick(struct virtq *q);
void virtq_disable_kick(struct virtq *q);
/* Whether there is something to pop, for those who look again and again. */
bool virtq_pending(const struct virtq *q);

/* Helpers over a chain's segments: bytes copied (may be short). */
size_t virtq_chain_read(const struct virtq_chain *chain, size_t offset,
			void *dst, size_t len);
size_t virtq_chain_write(const struct virtq_chain *chain, size_t offset,
			 const void *src, size_t len);

#endif

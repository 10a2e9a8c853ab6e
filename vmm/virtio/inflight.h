/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_INFLIGHT_H
#define VMM_VIRTIO_INFLIGHT_H

/*
 * Which requests of a split ring the device has, in memory that outlives it
 * (vhost-user, "Inflight I/O tracking"). Requests complete in any order, so
 * that the ring's two indices do not say which are missing when the device was
 * killed: whoever takes the ring over begins with those.
 *
 * The memory is shared with a peer that is not trusted: each field is read
 * once and checked, and nothing but heads comes out of it, which virtq_pop
 * checks like those of the ring. What the peer changes changes its own ring.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct inflight_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* of its batch, which is of one */
	uint64_t counter;
};

struct inflight_map {
	uint64_t features;
	uint16_t version; /* 0: fresh */
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_desc desc[];
};

struct virtq_inflight {
	struct inflight_map *map; /* borrowed */
	uint16_t size;
	uint64_t counter;
	/* Heads that the device before had, in the order it got them. */
	uint16_t *again;
	unsigned nagain;
	unsigned next;
	uint16_t last; /* taken */
	bool last_again;
};

/* Bytes of the map of a ring of that size. */
size_t inflight_len(uint16_t size);

/*
 * A ring of `size` starts: its used index, and the avail index to go on at
 * unless the map knows better; in *next_avail what it is. -EINVAL: no such
 * map; -ENOMEM.
 */
int inflight_start(struct virtq_inflight *t, struct inflight_map *map,
		   uint16_t size, uint16_t used_idx,
		   uint16_t *next_avail) MUST_CHECK;
void inflight_release(struct virtq_inflight *t);

/* Requests that are to be done again: how many, and the first one. */
static inline unsigned inflight_waiting(const struct virtq_inflight *t)
{
	return t->nagain - t->next;
}
static inline uint16_t inflight_first(const struct virtq_inflight *t)
{
	return t->again[t->next];
}

/* The device has the request; again: it was that of inflight_first. */
void inflight_take(struct virtq_inflight *t, uint16_t head, bool again);
/* It gives the last one back. True: that is one to be done again. */
bool inflight_give_back(struct virtq_inflight *t);
/* Before the used index moves beyond the request, and after. */
void inflight_completes(struct virtq_inflight *t, uint16_t head);
void inflight_completed(struct virtq_inflight *t, uint16_t head,
			uint16_t used_idx);

#endif

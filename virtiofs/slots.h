/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_SLOTS_H
#define VIRTIOFS_SLOTS_H

/*
 * Objects that the guest names by number: inodes and open files. A number is
 * generation << 32 | index + 1, so that a stale or made-up one finds nothing;
 * the first object is number 1. Finding takes no lock: slots are never freed
 * before fs_slots_release, only reused with another generation.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct fs_slot {
	atomic_uint refs; /* 0: free, or not published yet */
	uint32_t index;
	uint32_t gen;
	uint32_t next_free; /* index + 1; 0: end */
};

struct fs_slots {
	size_t object_size; /* the object starts with its struct fs_slot */
	uint32_t max;
	/* The last reference went: ends the object, then fs_slots_free. */
	void (*end)(struct fs_slots *slots, struct fs_slot *slot);
	_Atomic(void *) *chunks;
	pthread_mutex_t lock; /* guards the fields below */
	uint32_t count;	      /* indices handed out so far */
	uint32_t free_head;
};

int fs_slots_init(struct fs_slots *slots, size_t object_size, uint32_t max,
		  void (*end)(struct fs_slots *, struct fs_slot *)) MUST_CHECK;
/* The objects must be gone. */
void fs_slots_release(struct fs_slots *slots);

/* NULL: full or out of memory. Invisible until fs_slot_publish; the fields
 * after struct fs_slot are what the last user left, or zero. */
struct fs_slot *fs_slots_alloc(struct fs_slots *slots);
void fs_slots_free(struct fs_slots *slots, struct fs_slot *slot);
/* One reference, the caller's. */
void fs_slot_publish(struct fs_slot *slot);
uint64_t fs_slot_id(const struct fs_slot *slot);

/* A new reference, or NULL. */
struct fs_slot *fs_slots_get(struct fs_slots *slots, uint64_t id);
/* The same by index, whatever the generation; for walks. */
struct fs_slot *fs_slots_at(struct fs_slots *slots, uint32_t index);
uint32_t fs_slots_count(struct fs_slots *slots);
/* False: the object is about to go. */
bool fs_slot_ref(struct fs_slot *slot) MUST_CHECK;
void fs_slots_put(struct fs_slots *slots, struct fs_slot *slot);

#endif

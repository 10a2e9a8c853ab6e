/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/slots.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

#define CHUNK 256u

int fs_slots_init(struct fs_slots *slots, size_t object_size, uint32_t max,
		  void (*end)(struct fs_slots *, struct fs_slot *))
{
	slots->end = end;
	slots->object_size = object_size;
	slots->max = max;
	slots->count = 0;
	slots->free_head = 0;
	slots->chunks =
		calloc((max + CHUNK - 1) / CHUNK, sizeof(slots->chunks[0]));
	if (!slots->chunks)
		return -ENOMEM;
	pthread_mutex_init(&slots->lock, NULL);
	return 0;
}

void fs_slots_release(struct fs_slots *slots)
{
	if (!slots->chunks)
		return;
	for (uint32_t i = 0; i < (slots->max + CHUNK - 1) / CHUNK; i++)
		free(atomic_load(&slots->chunks[i]));
	free(slots->chunks);
	slots->chunks = NULL;
	pthread_mutex_destroy(&slots->lock);
}

static struct fs_slot *slot_find(struct fs_slots *slots, uint32_t index)
{
	char *chunk;

	if (index >= slots->max)
		return NULL;
	/* Acquire: the chunk was zeroed before it was stored. */
	chunk = atomic_load_explicit(&slots->chunks[index / CHUNK],
				     memory_order_acquire);
	if (!chunk)
		return NULL;
	return (void *)(chunk + index % CHUNK * slots->object_size);
}

static struct fs_slot *slot_extend(struct fs_slots *slots)
{
	struct fs_slot *slot;
	void *chunk;

	if (slots->count == slots->max)
		return NULL;
	if (slots->count % CHUNK == 0) {
		chunk = calloc(CHUNK, slots->object_size);
		if (!chunk)
			return NULL;
		atomic_store_explicit(&slots->chunks[slots->count / CHUNK],
				      chunk, memory_order_release);
	}
	slot = slot_find(slots, slots->count);
	slot->index = slots->count++;
	return slot;
}

struct fs_slot *fs_slots_alloc(struct fs_slots *slots)
{
	struct fs_slot *slot;

	pthread_mutex_lock(&slots->lock);
	if (slots->free_head) {
		slot = slot_find(slots, slots->free_head - 1);
		slots->free_head = slot->next_free;
		slot->gen++;
	} else {
		slot = slot_extend(slots);
	}
	pthread_mutex_unlock(&slots->lock);
	return slot;
}

void fs_slots_free(struct fs_slots *slots, struct fs_slot *slot)
{
	BUG_ON(atomic_load(&slot->refs) != 0);
	/* A slot whose generations are used up is not used again. */
	if (slot->gen == UINT32_MAX)
		return;
	pthread_mutex_lock(&slots->lock);
	slot->next_free = slots->free_head;
	slots->free_head = slot->index + 1;
	pthread_mutex_unlock(&slots->lock);
}

void fs_slot_publish(struct fs_slot *slot)
{
	/* Release: whoever gets a reference sees the object complete. */
	atomic_store_explicit(&slot->refs, 1, memory_order_release);
}

uint64_t fs_slot_id(const struct fs_slot *slot)
{
	return (uint64_t)slot->gen << 32 | (slot->index + 1u);
}

bool fs_slot_ref(struct fs_slot *slot)
{
	unsigned refs = atomic_load_explicit(&slot->refs, memory_order_relaxed);

	do {
		if (refs == 0)
			return false;
		BUG_ON(refs == UINT32_MAX);
	} while (!atomic_compare_exchange_weak_explicit(
		&slot->refs, &refs, refs + 1, memory_order_acquire,
		memory_order_relaxed));
	return true;
}

void fs_slots_put(struct fs_slots *slots, struct fs_slot *slot)
{
	if (atomic_fetch_sub_explicit(&slot->refs, 1, memory_order_acq_rel) ==
	    1)
		slots->end(slots, slot);
}

struct fs_slot *fs_slots_at(struct fs_slots *slots, uint32_t index)
{
	struct fs_slot *slot = slot_find(slots, index);

	return slot && fs_slot_ref(slot) ? slot : NULL;
}

struct fs_slot *fs_slots_get(struct fs_slots *slots, uint64_t id)
{
	uint32_t low = (uint32_t)id;
	struct fs_slot *slot;

	if (low == 0)
		return NULL;
	slot = fs_slots_at(slots, low - 1);
	/* The generation stands still while a reference is held. */
	if (slot && slot->gen != (uint32_t)(id >> 32)) {
		fs_slots_put(slots, slot);
		return NULL;
	}
	return slot;
}

uint32_t fs_slots_count(struct fs_slots *slots)
{
	uint32_t count;

	pthread_mutex_lock(&slots->lock);
	count = slots->count;
	pthread_mutex_unlock(&slots->lock);
	return count;
}

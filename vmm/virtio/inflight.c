/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/inflight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1u

_Static_assert(sizeof(struct inflight_desc) == 16, "as others have it");
_Static_assert(sizeof(struct inflight_map) == 16, "as others have it");

/*
 * The one that reads is another process, after this one was killed: the order
 * of the program is the order in memory then, if the compiler keeps it.
 */
#define PUT(field, v) __atomic_store_n(&(field), v, __ATOMIC_RELEASE)
#define GET(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)

size_t inflight_len(uint16_t size)
{
	return sizeof(struct inflight_map) +
	       size * sizeof(struct inflight_desc);
}

static void begin(struct inflight_map *map, uint16_t size, uint16_t used_idx)
{
	memset(map, 0, inflight_len(size));
	map->desc_num = size;
	map->used_idx = used_idx;
	PUT(map->version, (uint16_t)VERSION);
}

/* Killed between the move of the used index and the note of it. */
static int finish_batch(struct inflight_map *map, uint16_t size,
			uint16_t used_idx)
{
	uint16_t n = (uint16_t)(used_idx - GET(map->used_idx));
	uint16_t head = GET(map->last_batch_head);

	if (n > size)
		return -EINVAL;
	for (; n > 0; n--) {
		if (head >= size)
			return -EINVAL;
		PUT(map->desc[head].inflight, (uint8_t)0);
		head = GET(map->desc[head].next);
	}
	PUT(map->used_idx, used_idx);
	return 0;
}

struct entry {
	uint64_t counter;
	uint16_t head;
};

static int by_counter(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;

	return x->counter < y->counter ? -1 : x->counter > y->counter;
}

static int collect(struct virtq_inflight *t)
{
	struct entry *found = calloc(t->size, sizeof(*found));
	unsigned n = 0;

	t->again = calloc(t->size, sizeof(t->again[0]));
	if (!found || !t->again) {
		free(found);
		inflight_release(t);
		return -ENOMEM;
	}
	for (uint16_t i = 0; i < t->size; i++) {
		if (GET(t->map->desc[i].inflight) == 1)
			found[n++] =
				(struct entry){GET(t->map->desc[i].counter), i};
	}
	qsort(found, n, sizeof(found[0]), by_counter);
	for (unsigned i = 0; i < n; i++)
		t->again[i] = found[i].head;
	t->nagain = n;
	/* Wraps for one who says so himself; the order is his, too. */
	t->counter = n > 0 ? found[n - 1].counter + 1 : 0;
	free(found);
	return 0;
}

int inflight_start(struct virtq_inflight *t, struct inflight_map *map,
		   uint16_t size, uint16_t used_idx, uint16_t *next_avail)
{
	uint16_t version = GET(map->version);
	int ret;

	inflight_release(t);
	t->map = map;
	t->size = size;
	if (version == 0) {
		begin(map, size, used_idx);
		return 0;
	}
	if (version != VERSION || GET(map->desc_num) != size)
		return -EINVAL;
	ret = finish_batch(map, size, used_idx);
	if (!ret)
		ret = collect(t);
	if (!ret)
		*next_avail = (uint16_t)(used_idx + t->nagain);
	return ret;
}

void inflight_release(struct virtq_inflight *t)
{
	free(t->again);
	memset(t, 0, sizeof(*t));
}

void inflight_take(struct virtq_inflight *t, uint16_t head, bool again)
{
	t->last = head;
	t->last_again = again;
	if (again) {
		t->next++;
		return;
	}
	PUT(t->map->desc[head].counter, t->counter++);
	PUT(t->map->desc[head].inflight, (uint8_t)1);
}

bool inflight_give_back(struct virtq_inflight *t)
{
	if (t->last_again)
		t->next--;
	else
		PUT(t->map->desc[t->last].inflight, (uint8_t)0);
	return t->last_again;
}

void inflight_completes(struct virtq_inflight *t, uint16_t head)
{
	PUT(t->map->desc[head].next, GET(t->map->last_batch_head));
	PUT(t->map->last_batch_head, head);
}

void inflight_completed(struct virtq_inflight *t, uint16_t head,
			uint16_t used_idx)
{
	PUT(t->map->desc[head].inflight, (uint8_t)0);
	PUT(t->map->used_idx, used_idx);
}

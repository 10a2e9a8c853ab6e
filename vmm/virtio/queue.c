/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/queue.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "vmm/virtio/device.h"

/* The wire (virtio 1.2, 2.7.5 to 2.7.8). */

enum {
	DESC_F_NEXT = 1,
	DESC_F_WRITE = 2,
	DESC_F_INDIRECT = 4,
};

enum {
	AVAIL_F_NO_INTERRUPT = 1,
	USED_F_NO_NOTIFY = 1,
};

struct ring_desc {
	le64 addr;
	le32 len;
	le16 flags;
	le16 next;
};

struct ring_avail {
	le16 flags;
	le16 idx;
	le16 ring[]; /* size entries, then used_event */
};

struct ring_used_elem {
	le32 id;
	le32 len;
};

struct ring_used {
	le16 flags;
	le16 idx;
	struct ring_used_elem ring[]; /* size entries, then avail_event */
};

static uint16_t load16(const le16 *p)
{
	return le16toh(__atomic_load_n(&p->raw, __ATOMIC_RELAXED));
}

static void store16(le16 *p, uint16_t v)
{
	__atomic_store_n(&p->raw, htole16(v), __ATOMIC_RELAXED);
}

/*
 * TSan knows no fences and gcc says so. No data is published by this one: it
 * orders a store before a load, where the worst of a reordering is a lost
 * notification.
 */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
static void full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif

static uint16_t ring_mask(const struct virtq *q)
{
	return (uint16_t)(q->size - 1);
}

static le16 *avail_event(const struct virtq *q)
{
	struct ring_used *used = q->used;

	return (le16 *)(void *)&used->ring[q->size];
}

/*
 * Acquire: the driver stores the ring entry before idx (virtio 1.2,
 * 2.7.13.3), so an entry that idx makes visible is complete.
 */
static uint16_t avail_idx(const struct virtq *q)
{
	const struct ring_avail *avail = q->avail;

	return le16toh(__atomic_load_n(&avail->idx.raw, __ATOMIC_ACQUIRE));
}

static int ring_map(const struct guestmem *mem, uint64_t gpa, uint64_t align,
		    size_t len, void **out)
{
	struct iovec iov;

	if (gpa % align)
		return -EINVAL;
	if (guestmem_iov(mem, gpa, len, &iov) < 0)
		return -EINVAL;
	/* Regions are mapped by whole pages, but may begin anywhere. */
	if ((uintptr_t)iov.iov_base % align)
		return -EINVAL;
	*out = iov.iov_base;
	return 0;
}

int virtq_start(struct virtq *q, const struct guestmem *mem, uint64_t features)
{
	size_t n = q->size;
	void *desc;
	void *avail;
	void *used;

	if (q->started || n == 0 || n > VIRTQ_SIZE_MAX || (n & (n - 1)) != 0)
		return -EINVAL;
	if (ring_map(mem, q->desc_gpa, 16, n * sizeof(struct ring_desc),
		     &desc) < 0)
		return -EINVAL;
	if (ring_map(mem, q->avail_gpa, 2,
		     sizeof(struct ring_avail) + (n + 1) * sizeof(le16),
		     &avail) < 0)
		return -EINVAL;
	if (ring_map(mem, q->used_gpa, 4,
		     sizeof(struct ring_used) +
			     n * sizeof(struct ring_used_elem) + sizeof(le16),
		     &used) < 0)
		return -EINVAL;

	q->mem = mem;
	q->desc = desc;
	q->avail = avail;
	q->used = used;
	q->indirect = (features & VIRTIO_RING_F_INDIRECT_DESC) != 0;
	q->event_idx = (features & VIRTIO_RING_F_EVENT_IDX) != 0;
	q->next_avail = q->resume ? q->base : 0;
	q->next_used = q->resume ? load16(&((struct ring_used *)used)->idx) : 0;
	if (q->track && inflight_start(q->track, q->map, q->size, q->next_used,
				       &q->next_avail) < 0)
		return -EINVAL;
	q->signalled_used = q->next_used;
	q->signalled_valid = false;
	q->inflight = 0;
	q->started = true;
	return 0;
}

uint16_t virtq_position(const struct virtq *q)
{
	unsigned waiting = q->track ? inflight_waiting(q->track) : 0;

	return (uint16_t)(q->next_avail - q->inflight - waiting);
}

void virtq_stop(struct virtq *q)
{
	memset(q, 0, sizeof(*q));
}

/*
 * One descriptor into a local, read once: the barrier keeps the compiler from
 * going back to guest memory. No alignment is assumed, since the address of
 * an indirect table needs none.
 */
static void desc_load(const void *table, unsigned i, struct ring_desc *out)
{
	memcpy(out, (const uint8_t *)table + i * sizeof(*out), sizeof(*out));
	__asm__ volatile("" : "+m"(*out) : : "memory");
}

static int chain_add(const struct virtq *q, struct virtq_chain *chain,
		     const struct ring_desc *desc)
{
	bool write = (le16_get(desc->flags) & DESC_F_WRITE) != 0;
	uint32_t len = le32_get(desc->len);
	unsigned n = chain->nread + chain->nwrite;

	if (n >= q->size || n >= VIRTQ_SEGS_MAX)
		return -EPROTO;
	if (!write && chain->nwrite > 0)
		return -EPROTO;
	if (guestmem_buffer_iov(q->mem, le64_get(desc->addr), len,
				&chain->iov[n]) < 0)
		return -EPROTO;
	if (write) {
		chain->nwrite++;
		chain->write_len += len;
	} else {
		chain->nread++;
		chain->read_len += len;
	}
	/* 2.7.4.2: at most 2^32 bytes; used.len has 32 bits. */
	if (chain->read_len + chain->write_len > UINT32_MAX)
		return -EPROTO;
	return 0;
}

/* Entries link by next, as in the descriptor table (2.7.5.3). */
static int chain_indirect(const struct virtq *q, struct virtq_chain *chain,
			  const struct ring_desc *entry)
{
	uint32_t len = le32_get(entry->len);
	uint32_t entries = len / sizeof(struct ring_desc);
	struct ring_desc desc;
	struct iovec table;
	unsigned i = 0;
	int rc;

	if (!q->indirect || len % sizeof(struct ring_desc) || entries == 0)
		return -EPROTO;
	if (le16_get(entry->flags) & DESC_F_NEXT)
		return -EPROTO;
	if (guestmem_iov(q->mem, le64_get(entry->addr), len, &table) < 0)
		return -EPROTO;
	/* Ends: chain_add takes at most q->size segments. */
	for (;;) {
		desc_load(table.iov_base, i, &desc);
		if (le16_get(desc.flags) & DESC_F_INDIRECT)
			return -EPROTO;
		rc = chain_add(q, chain, &desc);
		if (rc < 0)
			return rc;
		if (!(le16_get(desc.flags) & DESC_F_NEXT))
			return 0;
		i = le16_get(desc.next);
		if (i >= entries)
			return -EPROTO;
	}
}

static int chain_walk(const struct virtq *q, struct virtq_chain *chain)
{
	struct ring_desc desc;
	unsigned i = chain->head;
	int rc;

	/* Ends: chain_add takes at most q->size segments. */
	for (chain->entries = 1;; chain->entries++) {
		if (i >= q->size)
			return -EPROTO;
		desc_load(q->desc, i, &desc);
		if (le16_get(desc.flags) & DESC_F_INDIRECT)
			return chain_indirect(q, chain, &desc);
		rc = chain_add(q, chain, &desc);
		if (rc < 0)
			return rc;
		if (!(le16_get(desc.flags) & DESC_F_NEXT))
			return 0;
		i = le16_get(desc.next);
	}
}

/* 1: there is one, in *head; 0: none; -EPROTO. */
static int head_next(const struct virtq *q, bool *again, uint16_t *head)
{
	const struct ring_avail *avail = q->avail;
	uint16_t pending;

	*again = q->track && inflight_waiting(q->track) > 0;
	if (*again) {
		*head = inflight_first(q->track);
	} else {
		pending = (uint16_t)(avail_idx(q) - q->next_avail);
		if (pending == 0)
			return 0;
		if (pending > q->size)
			return -EPROTO;
		*head = load16(&avail->ring[q->next_avail & ring_mask(q)]);
	}
	/* A chain has a descriptor at least, so a driver that does not hand
	 * out one twice has at most `size` requests with the device. */
	return q->inflight >= q->size ? -EPROTO : 1;
}

int virtq_pop(struct virtq *q, struct virtq_chain *chain)
{
	bool again;
	int rc;

	if (!q->started)
		return 0;
	rc = head_next(q, &again, &chain->head);
	if (rc <= 0)
		return rc;
	chain->nread = 0;
	chain->nwrite = 0;
	chain->read_len = 0;
	chain->write_len = 0;
	rc = chain_walk(q, chain);
	if (rc < 0)
		return rc;
	if (q->track)
		inflight_take(q->track, chain->head, again);
	if (!again)
		q->next_avail++;
	q->inflight++;
	return 1;
}

void virtq_unpop(struct virtq *q)
{
	BUG_ON(!q->started || q->inflight == 0);
	if (!q->track || !inflight_give_back(q->track))
		q->next_avail--;
	q->inflight--;
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t len)
{
	struct ring_used *used = q->used;
	struct ring_used_elem *elem;

	BUG_ON(!q->started || q->inflight == 0);
	elem = &used->ring[q->next_used & ring_mask(q)];
	__atomic_store_n(&elem->id.raw, htole32(head), __ATOMIC_RELAXED);
	__atomic_store_n(&elem->len.raw, htole32(len), __ATOMIC_RELAXED);
	if (q->track)
		inflight_completes(q->track, head);
	q->next_used++;
	q->inflight--;
	/* Release: what idx makes visible is complete (2.7.8.2). */
	__atomic_store_n(&used->idx.raw, htole16(q->next_used),
			 __ATOMIC_RELEASE);
	if (q->track)
		inflight_completed(q->track, head, q->next_used);
}

bool virtq_wants_signal(struct virtq *q)
{
	const struct ring_avail *avail = q->avail;
	uint16_t old = q->signalled_used;
	uint16_t new = q->next_used;
	bool first = !q->signalled_valid;
	uint16_t event;

	if (!q->started || new == old)
		return false;
	q->signalled_used = new;
	q->signalled_valid = true;
	/* used.idx must be out before the driver's wish is read, or both
	 * sides can sleep (2.7.7.1). */
	full_barrier();
	if (!q->event_idx)
		return !(load16(&avail->flags) & AVAIL_F_NO_INTERRUPT);
	event = load16(&avail->ring[q->size]);
	return first || (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

bool virtq_pending(const struct virtq *q)
{
	return q->started && (avail_idx(q) != q->next_avail ||
			      (q->track && inflight_waiting(q->track) > 0));
}

bool virtq_enable_kick(struct virtq *q)
{
	struct ring_used *used = q->used;

	if (!q->started)
		return false;
	if (q->event_idx)
		store16(avail_event(q), q->next_avail);
	else
		store16(&used->flags, 0);
	/* Our wish must be out before avail.idx is read again (2.7.10.1). */
	full_barrier();
	return virtq_pending(q);
}

void virtq_disable_kick(struct virtq *q)
{
	struct ring_used *used = q->used;

	if (!q->started)
		return;
	/* An event that lies behind comes no more, before the index wraps. */
	if (q->event_idx)
		store16(avail_event(q), (uint16_t)(q->next_avail - 1));
	else
		store16(&used->flags, USED_F_NO_NOTIFY);
}

/* Copies between `buf` and the segments iov[0..n), from offset on. */
static size_t copy(const struct iovec *iov, unsigned n, size_t offset,
		   uint8_t *in, const uint8_t *out, size_t len)
{
	size_t done = 0;
	unsigned i;

	for (i = 0; i < n && done < len; i++) {
		uint8_t *seg = iov[i].iov_base;
		size_t part;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		part = MIN(iov[i].iov_len - offset, len - done);
		if (in)
			memcpy(in + done, seg + offset, part);
		else
			memcpy(seg + offset, out + done, part);
		done += part;
		offset = 0;
	}
	return done;
}

size_t virtq_chain_read(const struct virtq_chain *chain, size_t offset,
			void *dst, size_t len)
{
	return copy(chain->iov, chain->nread, offset, dst, NULL, len);
}

size_t virtq_chain_write(const struct virtq_chain *chain, size_t offset,
			 const void *src, size_t len)
{
	return copy(chain->iov + chain->nread, chain->nwrite, offset, NULL, src,
		    len);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_VMM_VIRTIO_DRIVER_H
#define TESTS_UNIT_VMM_VIRTIO_DRIVER_H

/*
 * The driver's side of split virtqueues, for tests of devices: it writes
 * rings into plain memory, byte by byte from the spec and not from queue.c,
 * and plays a transport that counts interrupts.
 *
 *	struct test_driver *d = test_driver_new(1 << 20);
 *	test_driver_plug(d, virtio_rng_new(), loop);
 *	test_driver_start(d, features, 64);
 *	buf = test_alloc(d, 100, 1);
 *	test_add(d, 0, &(struct test_seg){buf, 100, true}, 1);
 *	test_kick(d, 0);
 *	assert_true(test_used(d, 0, &head, &len));
 *
 * One driver at a time per test program that uses threads; several plugged
 * ones are told apart by their device.
 */

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/err.h"
#include "vmm/core/guestmem.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/queue.h"

#define TEST_GPA 0x100000ull
#define TEST_DRIVERS_MAX 4

enum {
	TEST_F_NEXT = 1,
	TEST_F_WRITE = 2,
	TEST_F_INDIRECT = 4,
};

struct test_seg {
	uint64_t gpa;
	uint32_t len;
	bool write; /* the device writes it */
};

struct test_ring {
	uint16_t size;
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
	uint16_t avail_idx;
	uint16_t used_idx; /* next one to look at */
	uint16_t next_desc;
};

struct test_driver {
	struct guestmem mem;
	uint8_t *ram;
	size_t size;
	size_t brk; /* first free byte of ram */
	struct virtio_device *dev;
	struct test_ring rings[VIRTIO_QUEUES_MAX];
	/* Atomic: devices signal from any thread. */
	unsigned signals[VIRTIO_QUEUES_MAX];
	unsigned config_signals;
};

static struct test_driver *test_drivers[TEST_DRIVERS_MAX];

static inline struct test_driver *test_driver_of(struct virtio_device *dev)
{
	unsigned i;

	for (i = 0; i < TEST_DRIVERS_MAX; i++) {
		if (test_drivers[i] && test_drivers[i]->dev == dev)
			return test_drivers[i];
	}
	BUG("device of no driver");
}

/* Wakes test_wait_used. */
static pthread_mutex_t test_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t test_signalled = PTHREAD_COND_INITIALIZER;

static inline void test_signal_queue(struct virtio_device *dev, unsigned q)
{
	struct test_driver *d = test_driver_of(dev);

	pthread_mutex_lock(&test_lock);
	__atomic_fetch_add(&d->signals[q], 1, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&test_signalled);
	pthread_mutex_unlock(&test_lock);
}

static inline void test_signal_config(struct virtio_device *dev)
{
	struct test_driver *d = test_driver_of(dev);

	pthread_mutex_lock(&test_lock);
	__atomic_fetch_add(&d->config_signals, 1, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&test_signalled);
	pthread_mutex_unlock(&test_lock);
}

static const struct virtio_transport_ops test_transport_ops = {
	.signal_queue = test_signal_queue,
	.signal_config = test_signal_config,
};

static inline unsigned test_signals(struct test_driver *d, unsigned q)
{
	return __atomic_load_n(&d->signals[q], __ATOMIC_SEQ_CST);
}

/* Guest RAM of `size` bytes at TEST_GPA, on page boundaries. */
static inline struct test_driver *test_driver_new(size_t size)
{
	struct test_driver *d = calloc(1, sizeof(*d));
	unsigned i;

	BUG_ON(!d);
	d->size = size;
	d->ram = aligned_alloc(4096, size);
	BUG_ON(!d->ram);
	memset(d->ram, 0, size);
	guestmem_init(&d->mem);
	if (guestmem_add_borrowed(&d->mem, TEST_GPA, d->ram, size) < 0)
		BUG("guestmem_add_borrowed");
	for (i = 0; i < TEST_DRIVERS_MAX; i++) {
		if (!test_drivers[i]) {
			test_drivers[i] = d;
			return d;
		}
	}
	BUG("too many drivers");
}

/* Frees the device that is plugged, too. */
static inline void test_driver_free(struct test_driver *d)
{
	unsigned i;

	if (d->dev)
		virtio_device_free(d->dev);
	for (i = 0; i < TEST_DRIVERS_MAX; i++) {
		if (test_drivers[i] == d)
			test_drivers[i] = NULL;
	}
	guestmem_release(&d->mem);
	free(d->ram);
	free(d);
}

/* loop may be NULL for a device that needs none. */
static inline void test_driver_plug(struct test_driver *d,
				    struct virtio_device *dev,
				    struct evloop *loop)
{
	BUG_ON(!dev);
	d->dev = dev;
	dev->loop = loop;
	dev->mem = &d->mem;
	dev->transport = &test_transport_ops;
}

static inline void *test_ptr(struct test_driver *d, uint64_t gpa)
{
	BUG_ON(gpa < TEST_GPA || gpa - TEST_GPA >= d->size);
	return d->ram + (gpa - TEST_GPA);
}

/* Guest memory that is never given back, zeroed. */
static inline uint64_t test_alloc(struct test_driver *d, size_t len,
				  size_t align)
{
	size_t at = (d->brk + align - 1) / align * align;

	BUG_ON(at > d->size || len > d->size - at);
	d->brk = at + len;
	memset(d->ram + at, 0, len);
	return TEST_GPA + at;
}

static inline uint64_t test_alloc_data(struct test_driver *d, const void *data,
				       size_t len)
{
	uint64_t gpa = test_alloc(d, len, 16);

	memcpy(test_ptr(d, gpa), data, len);
	return gpa;
}

static inline void test_put16(struct test_driver *d, uint64_t gpa, uint16_t v)
{
	__atomic_store_n((uint16_t *)test_ptr(d, gpa), htole16(v),
			 __ATOMIC_RELEASE);
}

static inline uint16_t test_get16(struct test_driver *d, uint64_t gpa)
{
	return le16toh(__atomic_load_n((uint16_t *)test_ptr(d, gpa),
				       __ATOMIC_ACQUIRE));
}

static inline uint32_t test_get32(struct test_driver *d, uint64_t gpa)
{
	return le32toh(__atomic_load_n((uint32_t *)test_ptr(d, gpa),
				       __ATOMIC_RELAXED));
}

/* One descriptor of any table (the ring's or an indirect one). */
static inline void test_put_desc(struct test_driver *d, uint64_t table,
				 unsigned i, uint64_t addr, uint32_t len,
				 uint16_t flags, uint16_t next)
{
	uint8_t *p = test_ptr(d, table + 16ull * i);
	uint64_t addr_le = htole64(addr);
	uint32_t len_le = htole32(len);
	uint16_t flags_le = htole16(flags);
	uint16_t next_le = htole16(next);

	memcpy(p, &addr_le, 8);
	memcpy(p + 8, &len_le, 4);
	memcpy(p + 12, &flags_le, 2);
	memcpy(p + 14, &next_le, 2);
}

/* Rings for queue q in fresh memory; sets the registers when dev is there. */
static inline void test_ring_make(struct test_driver *d, unsigned q,
				  uint16_t size)
{
	struct test_ring *r = &d->rings[q];

	memset(r, 0, sizeof(*r));
	r->size = size;
	r->desc = test_alloc(d, 16u * size, 16);
	r->avail = test_alloc(d, 6u + 2u * size, 2);
	r->used = test_alloc(d, 6u + 8u * size, 4);
	if (!d->dev)
		return;
	pthread_mutex_lock(&d->dev->lock);
	if (virtio_device_queue_open(d->dev, q)) {
		d->dev->queues[q].size = size;
		d->dev->queues[q].desc_gpa = r->desc;
		d->dev->queues[q].avail_gpa = r->avail;
		d->dev->queues[q].used_gpa = r->used;
		d->dev->queues[q].enabled = true;
	}
	pthread_mutex_unlock(&d->dev->lock);
}

/* Of a device that was reset or stopped; as test_negotiate. */
static inline bool test_accept(struct test_driver *d, uint64_t features)
{
	uint8_t status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER;

	virtio_device_set_status(d->dev, VIRTIO_ACKNOWLEDGE);
	virtio_device_set_status(d->dev, status);
	features |= VIRTIO_F_VERSION_1;
	virtio_device_set_features(d->dev, 0, (uint32_t)features);
	virtio_device_set_features(d->dev, 1, (uint32_t)(features >> 32));
	virtio_device_set_status(d->dev, status | VIRTIO_FEATURES_OK);
	return (virtio_device_status(d->dev) & VIRTIO_FEATURES_OK) != 0;
}

/* Status and features up to FEATURES_OK; false: the device refused them. */
static inline bool test_negotiate(struct test_driver *d, uint64_t features)
{
	virtio_device_set_status(d->dev, 0);
	return test_accept(d, features);
}

static inline uint8_t test_driver_ok(struct test_driver *d)
{
	virtio_device_set_status(d->dev, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER |
						 VIRTIO_FEATURES_OK |
						 VIRTIO_DRIVER_OK);
	return virtio_device_status(d->dev);
}

/* Of a device that was reset or stopped; as test_driver_start. */
static inline void test_driver_resume(struct test_driver *d, uint64_t features,
				      uint16_t size)
{
	unsigned q;

	if (!test_accept(d, features))
		BUG("features refused");
	for (q = 0; q < d->dev->nqueues; q++)
		test_ring_make(d, q, (uint16_t)MIN(size, d->dev->queue_max[q]));
	if (test_driver_ok(d) & VIRTIO_NEEDS_RESET)
		BUG("device does not start");
}

/* All queues of `size` (or their smaller maximum), up to DRIVER_OK. */
static inline void test_driver_start(struct test_driver *d, uint64_t features,
				     uint16_t size)
{
	virtio_device_set_status(d->dev, 0);
	test_driver_resume(d, features, size);
}

/* Makes a head visible to the device, whatever it points to. */
static inline void test_publish(struct test_driver *d, unsigned q,
				uint16_t head)
{
	struct test_ring *r = &d->rings[q];
	uint16_t slot = r->avail_idx % r->size;

	test_put16(d, r->avail + 4 + 2ull * slot, head);
	r->avail_idx++;
	test_put16(d, r->avail + 2, r->avail_idx);
}

/*
 * Writes a chain of n segments into the table and returns its head, without
 * publishing it. Descriptors are used in turn: the caller keeps at most
 * `size` of them alive.
 */
static inline uint16_t test_chain(struct test_driver *d, unsigned q,
				  const struct test_seg *segs, unsigned n)
{
	struct test_ring *r = &d->rings[q];
	uint16_t head = r->next_desc;
	unsigned i;

	for (i = 0; i < n; i++) {
		uint16_t at = r->next_desc;
		uint16_t flags = segs[i].write ? TEST_F_WRITE : 0;

		r->next_desc = (uint16_t)((at + 1) % r->size);
		if (i + 1 < n)
			flags |= TEST_F_NEXT;
		test_put_desc(d, r->desc, at, segs[i].gpa, segs[i].len, flags,
			      r->next_desc);
	}
	return head;
}

static inline uint16_t test_add(struct test_driver *d, unsigned q,
				const struct test_seg *segs, unsigned n)
{
	uint16_t head = test_chain(d, q, segs, n);

	test_publish(d, q, head);
	return head;
}

/* The same through an indirect table. */
static inline uint16_t test_add_indirect(struct test_driver *d, unsigned q,
					 const struct test_seg *segs,
					 unsigned n)
{
	struct test_ring *r = &d->rings[q];
	uint64_t table = test_alloc(d, 16u * n, 16);
	uint16_t head = r->next_desc;
	unsigned i;

	for (i = 0; i < n; i++) {
		uint16_t flags = segs[i].write ? TEST_F_WRITE : 0;

		if (i + 1 < n)
			flags |= TEST_F_NEXT;
		test_put_desc(d, table, i, segs[i].gpa, segs[i].len, flags,
			      (uint16_t)(i + 1));
	}
	r->next_desc = (uint16_t)((head + 1) % r->size);
	test_put_desc(d, r->desc, head, table, 16u * n, TEST_F_INDIRECT, 0);
	test_publish(d, q, head);
	return head;
}

/* On the loop's thread, as the transport's ioeventfd would. */
static inline void test_kick(struct test_driver *d, unsigned q)
{
	virtio_device_kick(d->dev, q);
}

/* The next used element; false: there is none. */
static inline bool test_used(struct test_driver *d, unsigned q, uint32_t *head,
			     uint32_t *len)
{
	struct test_ring *r = &d->rings[q];
	uint64_t elem = r->used + 4 + 8ull * (r->used_idx % r->size);

	if (test_get16(d, r->used + 2) == r->used_idx)
		return false;
	if (head)
		*head = test_get32(d, elem);
	if (len)
		*len = test_get32(d, elem + 4);
	r->used_idx++;
	return true;
}

/* Waits for an interrupt of a device that has threads; no EVENT_IDX. */
static inline void test_wait_used(struct test_driver *d, unsigned q,
				  uint32_t *head, uint32_t *len)
{
	pthread_mutex_lock(&test_lock);
	while (!test_used(d, q, head, len))
		pthread_cond_wait(&test_signalled, &test_lock);
	pthread_mutex_unlock(&test_lock);
}

/* EVENT_IDX: the device is to signal when used.idx passes `idx`. */
static inline void test_set_used_event(struct test_driver *d, unsigned q,
				       uint16_t idx)
{
	struct test_ring *r = &d->rings[q];

	test_put16(d, r->avail + 4 + 2ull * r->size, idx);
}

#endif

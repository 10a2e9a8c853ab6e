/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/driver.h"

/* Invariant 5: the device must not mind a driver that keeps writing. ----- */

struct writer {
	struct test_driver *d;
	bool stop;
};

static void *scribble(void *arg)
{
	struct writer *w = arg;
	uint64_t table = w->d->rings[0].desc;
	uint32_t x = 1;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		x = x * 1664525 + 1013904223;
		/* len and flags of one descriptor, whatever they were */
		__atomic_store_n(
			(uint32_t *)test_ptr(w->d, table + 8 + (x >> 29) * 16),
			x, __ATOMIC_RELAXED);
		__atomic_store_n(
			(uint16_t *)test_ptr(w->d, table + 12 + (x >> 29) * 16),
			(uint16_t)(x >> 7), __ATOMIC_RELAXED);
	}
	return NULL;
}

static void checked_values_are_used(void **state)
{
	static struct virtq_chain chain;
	struct test_driver *d = test_driver_new(1 << 20);
	struct writer w = {.d = d};
	const uint8_t *end = d->ram + d->size;
	struct virtq q = {.size = 8};
	pthread_t thread;
	unsigned n;
	unsigned i;
	unsigned k;

	test_ring_make(d, 0, 8);
	q.desc_gpa = d->rings[0].desc;
	q.avail_gpa = d->rings[0].avail;
	q.used_gpa = d->rings[0].used;
	assert_int_equal(virtq_start(&q, &d->mem, VIRTIO_RING_F_INDIRECT_DESC),
			 0);
	for (i = 0; i < 8; i++)
		test_put_desc(d, d->rings[0].desc, i, test_alloc(d, 64, 16), 64,
			      TEST_F_NEXT, (uint16_t)((i + 1) % 8));
	assert_int_equal(pthread_create(&thread, NULL, scribble, &w), 0);
	for (n = 0; n < 20000; n++) {
		if (n == 0 || q.next_avail == d->rings[0].avail_idx)
			test_publish(d, 0, (uint16_t)(n % 8));
		if (virtq_pop(&q, &chain) != 1)
			continue;
		for (k = 0; k < chain.nread + chain.nwrite; k++) {
			const uint8_t *p = chain.iov[k].iov_base;

			assert_true(p >= d->ram && p < end);
			assert_true(chain.iov[k].iov_len <= (size_t)(end - p));
		}
		virtq_push(&q, chain.head, 0);
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	virtq_stop(&q);
	test_driver_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checked_values_are_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

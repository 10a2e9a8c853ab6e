/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/driver.h"

#define BOTH (VIRTIO_RING_F_INDIRECT_DESC | VIRTIO_RING_F_EVENT_IDX)

static struct virtq_chain chain;

struct fixture {
	struct test_driver *d;
	struct virtq q;
};

static struct fixture make(uint16_t size, uint64_t features)
{
	struct fixture f = {.d = test_driver_new(1 << 20)};
	struct test_ring *r = &f.d->rings[0];

	test_ring_make(f.d, 0, size);
	f.q.size = size;
	f.q.desc_gpa = r->desc;
	f.q.avail_gpa = r->avail;
	f.q.used_gpa = r->used;
	assert_int_equal(virtq_start(&f.q, &f.d->mem, features), 0);
	return f;
}

static void drop(struct fixture *f)
{
	virtq_stop(&f->q);
	test_driver_free(f->d);
}

static uint64_t buffer(struct fixture *f, size_t len)
{
	return test_alloc(f->d, len, 16);
}

/* Invariant 1 ----------------------------------------------------------- */

static void start_checks_the_registers(void **state)
{
	struct fixture f = make(8, 0);
	const struct virtq good = {
		.size = 8,
		.desc_gpa = f.q.desc_gpa,
		.avail_gpa = f.q.avail_gpa,
		.used_gpa = f.q.used_gpa,
	};
	const uint64_t end = TEST_GPA + f.d->size;
	struct virtq q;
	static const uint16_t sizes[] = {0, 3, 6, 7, 2048, 4096, 32768, 65535};
	size_t i;

#define BAD(change)                                                          \
	do {                                                                 \
		q = good;                                                    \
		change;                                                      \
		assert_int_equal(virtq_start(&q, &f.d->mem, BOTH), -EINVAL); \
		assert_false(q.started);                                     \
	} while (0)
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		BAD(q.size = sizes[i]);
	BAD(q.desc_gpa += 8);
	BAD(q.avail_gpa += 1);
	BAD(q.used_gpa += 2);
	BAD(q.desc_gpa = 0);
	BAD(q.avail_gpa = 0);
	BAD(q.used_gpa = 0);
	BAD(q.desc_gpa = UINT64_MAX - 15);
	BAD(q.avail_gpa = UINT64_MAX - 1);
	BAD(q.used_gpa = UINT64_MAX - 3);
	/* One entry beyond the region, counting the event fields. */
	BAD(q.desc_gpa = end - 16 * 8 + 16);
	BAD(q.avail_gpa = end - (6 + 2 * 8) + 2);
	BAD(q.used_gpa = end - (6 + 8 * 8) + 2);
#undef BAD
	q = good;
	q.desc_gpa = end - 16 * 8;
	assert_int_equal(virtq_start(&q, &f.d->mem, BOTH), 0);
	/* Not twice. */
	assert_int_equal(virtq_start(&q, &f.d->mem, BOTH), -EINVAL);
	drop(&f);
}

static void live_registers_are_not_used(void **state)
{
	struct fixture f = make(8, 0);
	uint64_t buf = buffer(&f, 16);
	struct test_seg seg = {buf, 16, true};

	/* A transport that let these through would change nothing. */
	f.q.desc_gpa = 1;
	f.q.avail_gpa = 1;
	f.q.used_gpa = 1;
	test_add(f.d, 0, &seg, 1);
	assert_int_equal(virtq_pop(&f.q, &chain), 1);
	virtq_push(&f.q, chain.head, 16);
	assert_true(test_used(f.d, 0, NULL, NULL));
	drop(&f);
}

/* Popping and pushing --------------------------------------------------- */

static void pops_what_was_published(void **state)
{
	struct fixture f = make(8, 0);
	uint64_t a = test_alloc_data(f.d, "head", 4);
	uint64_t b = test_alloc_data(f.d, "er", 2);
	uint64_t c = buffer(&f, 3);
	uint64_t e = buffer(&f, 5);
	struct test_seg segs[] = {
		{a, 4, false}, {b, 2, false}, {c, 3, true}, {e, 5, true}};
	char text[8] = "";
	uint32_t head;
	uint32_t len;
	unsigned i;

	assert_int_equal(virtq_pop(&f.q, &chain), 0);
	/* More rounds than the ring is long: indices wrap. */
	for (i = 0; i < 20; i++) {
		uint16_t want = test_add(f.d, 0, segs, 4);

		assert_int_equal(virtq_pop(&f.q, &chain), 1);
		assert_int_equal(chain.head, want);
		assert_int_equal(chain.entries, 4);
		assert_int_equal(chain.nread, 2);
		assert_int_equal(chain.nwrite, 2);
		assert_int_equal(chain.read_len, 6);
		assert_int_equal(chain.write_len, 8);
		assert_int_equal(virtq_chain_read(&chain, 0, text, 8), 6);
		assert_memory_equal(text, "header", 6);
		assert_int_equal(virtq_chain_read(&chain, 3, text, 2), 2);
		assert_memory_equal(text, "de", 2);
		assert_int_equal(virtq_chain_read(&chain, 6, text, 2), 0);
		assert_int_equal(virtq_chain_write(&chain, 2, "ABCDEFGH", 8),
				 6);
		assert_memory_equal((char *)test_ptr(f.d, c) + 2, "A", 1);
		assert_memory_equal(test_ptr(f.d, e), "BCDEF", 5);
		assert_int_equal(virtq_pop(&f.q, &chain), 0);
		virtq_push(&f.q, want, 8);
		assert_true(test_used(f.d, 0, &head, &len));
		assert_int_equal(head, want);
		assert_int_equal(len, 8);
		assert_false(test_used(f.d, 0, NULL, NULL));
	}
	drop(&f);
}

static void indices_wrap_at_16_bits(void **state)
{
	struct fixture f = make(4, 0);
	struct test_seg seg = {buffer(&f, 1), 1, true};
	unsigned i;

	for (i = 0; i < 70000; i++) {
		test_add(f.d, 0, &seg, 1);
		assert_int_equal(virtq_pop(&f.q, &chain), 1);
		virtq_push(&f.q, chain.head, 1);
		assert_true(test_used(f.d, 0, NULL, NULL));
	}
	drop(&f);
}

static void unpop_gives_the_same_again(void **state)
{
	struct fixture f = make(8, 0);
	struct test_seg seg = {buffer(&f, 1), 1, true};
	uint16_t head;

	test_add(f.d, 0, &seg, 1);
	assert_int_equal(virtq_pop(&f.q, &chain), 1);
	head = chain.head;
	virtq_unpop(&f.q);
	assert_int_equal(virtq_pop(&f.q, &chain), 1);
	assert_int_equal(chain.head, head);
	assert_int_equal(virtq_pop(&f.q, &chain), 0);
	drop(&f);
}

static void resumes_at_the_base(void **state)
{
	struct fixture f = make(8, 0);
	struct test_seg seg = {buffer(&f, 1), 1, true};
	struct virtq next = f.q;
	unsigned i;

	for (i = 0; i < 11; i++) {
		test_add(f.d, 0, &seg, 1);
		assert_int_equal(virtq_pop(&f.q, &chain), 1);
		virtq_push(&f.q, chain.head, 1);
		assert_true(test_used(f.d, 0, NULL, NULL));
	}
	next.started = false;
	next.resume = true;
	next.base = f.q.next_avail;
	assert_int_equal(virtq_start(&next, &f.d->mem, 0), 0);
	assert_int_equal(virtq_pop(&next, &chain), 0);
	test_add(f.d, 0, &seg, 1);
	assert_int_equal(virtq_pop(&next, &chain), 1);
	virtq_push(&next, chain.head, 1);
	assert_true(test_used(f.d, 0, NULL, NULL));
	drop(&f);
}

/* Invariants 3 and 8 ---------------------------------------------------- */

static void avail_runs_at_most_size_ahead(void **state)
{
	struct fixture f = make(8, 0);
	struct test_seg seg = {buffer(&f, 1), 1, true};
	unsigned i;

	test_chain(f.d, 0, &seg, 1);
	test_put16(f.d, f.d->rings[0].avail + 2, 9);
	assert_int_equal(virtq_pop(&f.q, &chain), -EPROTO);
	test_put16(f.d, f.d->rings[0].avail + 2, UINT16_MAX);
	assert_int_equal(virtq_pop(&f.q, &chain), -EPROTO);
	test_put16(f.d, f.d->rings[0].avail + 2, 8);
	for (i = 0; i < 8; i++)
		assert_int_equal(virtq_pop(&f.q, &chain), 1);
	drop(&f);
}

static void at_most_size_requests_in_flight(void **state)
{
	struct fixture f = make(4, 0);
	struct test_seg seg = {buffer(&f, 1), 1, true};
	unsigned i;

	for (i = 0; i < 4; i++) {
		test_add(f.d, 0, &seg, 1);
		assert_int_equal(virtq_pop(&f.q, &chain), 1);
	}
	test_add(f.d, 0, &seg, 1); /* a descriptor that was not given back */
	assert_int_equal(virtq_pop(&f.q, &chain), -EPROTO);
	virtq_push(&f.q, 0, 0);
	assert_int_equal(virtq_pop(&f.q, &chain), 1);
	drop(&f);
}

/* Invariants 4, 6, 7 ---------------------------------------------------- */

/* One request of descriptors as given; head 0. */
static int pop_raw(struct fixture *f, unsigned n,
		   void (*write)(struct fixture *f, uint64_t table))
{
	unsigned i;

	for (i = 0; i < n; i++)
		test_put_desc(f->d, f->d->rings[0].desc, i, 0, 0, 0, 0);
	write(f, f->d->rings[0].desc);
	test_publish(f->d, 0, 0);
	return virtq_pop(&f->q, &chain);
}

static void loop_in_table(struct fixture *f, uint64_t table)
{
	uint64_t buf = buffer(f, 1);

	test_put_desc(f->d, table, 0, buf, 1, TEST_F_NEXT, 1);
	test_put_desc(f->d, table, 1, buf, 1, TEST_F_NEXT, 0);
}

static void next_out_of_range(struct fixture *f, uint64_t table)
{
	test_put_desc(f->d, table, 0, buffer(f, 1), 1, TEST_F_NEXT, 8);
}

static void readable_after_writable(struct fixture *f, uint64_t table)
{
	test_put_desc(f->d, table, 0, buffer(f, 1), 1,
		      TEST_F_NEXT | TEST_F_WRITE, 1);
	test_put_desc(f->d, table, 1, buffer(f, 1), 1, 0, 0);
}

static void empty_segment(struct fixture *f, uint64_t table)
{
	test_put_desc(f->d, table, 0, buffer(f, 1), 0, 0, 0);
}

static void beyond_ram(struct fixture *f, uint64_t table)
{
	test_put_desc(f->d, table, 0, TEST_GPA + f->d->size - 1, 2, 0, 0);
}

static void wrapping_address(struct fixture *f, uint64_t table)
{
	test_put_desc(f->d, table, 0, UINT64_MAX - 1, 16, TEST_F_WRITE, 0);
}

static void device_register(struct fixture *f, uint64_t table)
{
	test_put_desc(f->d, table, 0, 0xfee00000, 4, TEST_F_WRITE, 0);
}

static void put_indirect(struct fixture *f, uint64_t table, uint64_t gpa,
			 uint32_t len, uint16_t flags)
{
	test_put_desc(f->d, table, 0, gpa, len, TEST_F_INDIRECT | flags, 1);
}

static uint64_t good_table(struct fixture *f)
{
	uint64_t t = buffer(f, 64);
	unsigned i;

	for (i = 0; i < 4; i++)
		test_put_desc(f->d, t, i, buffer(f, 8), 8,
			      TEST_F_WRITE | (i < 3 ? TEST_F_NEXT : 0),
			      (uint16_t)(i + 1));
	return t;
}

static void plain_indirect(struct fixture *f, uint64_t table)
{
	put_indirect(f, table, good_table(f), 64, 0);
}

static void unaligned_indirect(struct fixture *f, uint64_t table)
{
	uint64_t from = good_table(f);
	uint64_t to = buffer(f, 65) + 1;

	memcpy(test_ptr(f->d, to), test_ptr(f->d, from), 64);
	put_indirect(f, table, to, 64, 0);
}

static void indirect_and_next(struct fixture *f, uint64_t table)
{
	put_indirect(f, table, good_table(f), 64, TEST_F_NEXT);
	test_put_desc(f->d, table, 1, buffer(f, 1), 1, TEST_F_WRITE, 0);
}

static void indirect_odd_length(struct fixture *f, uint64_t table)
{
	put_indirect(f, table, good_table(f), 63, 0);
}

static void indirect_empty(struct fixture *f, uint64_t table)
{
	put_indirect(f, table, good_table(f), 0, 0);
}

static void indirect_beyond_ram(struct fixture *f, uint64_t table)
{
	put_indirect(f, table, TEST_GPA + f->d->size - 16, 32, 0);
}

static void indirect_nested(struct fixture *f, uint64_t table)
{
	uint64_t t = good_table(f);

	test_put_desc(f->d, t, 3, good_table(f), 64, TEST_F_INDIRECT, 0);
	put_indirect(f, table, t, 64, 0);
}

static void indirect_next_out_of_range(struct fixture *f, uint64_t table)
{
	uint64_t t = good_table(f);

	test_put_desc(f->d, t, 3, buffer(f, 8), 8, TEST_F_WRITE | TEST_F_NEXT,
		      4);
	put_indirect(f, table, t, 64, 0);
}

static void indirect_loop(struct fixture *f, uint64_t table)
{
	uint64_t t = good_table(f);

	test_put_desc(f->d, t, 3, buffer(f, 8), 8, TEST_F_WRITE | TEST_F_NEXT,
		      0);
	put_indirect(f, table, t, 64, 0);
}

static void indirect_too_long(struct fixture *f, uint64_t table)
{
	uint64_t t = buffer(f, 16 * 9);
	unsigned i;

	for (i = 0; i < 9; i++)
		test_put_desc(f->d, t, i, buffer(f, 1), 1,
			      i < 8 ? TEST_F_NEXT : 0, (uint16_t)(i + 1));
	put_indirect(f, table, t, 16 * 9, 0);
}

static void refuses_broken_chains(void **state)
{
	static void (*const broken[])(struct fixture *, uint64_t) = {
		loop_in_table,	   next_out_of_range,
		empty_segment,	   readable_after_writable,
		beyond_ram,	   wrapping_address,
		device_register,   indirect_and_next,
		indirect_empty,	   indirect_odd_length,
		indirect_nested,   indirect_beyond_ram,
		indirect_loop,	   indirect_next_out_of_range,
		indirect_too_long,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(broken); i++) {
		struct fixture f = make(8, BOTH);

		assert_int_equal(pop_raw(&f, 8, broken[i]), -EPROTO);
		drop(&f);
	}
}

static void head_out_of_range(void **state)
{
	struct fixture f = make(8, 0);

	test_publish(f.d, 0, 8);
	assert_int_equal(virtq_pop(&f.q, &chain), -EPROTO);
	drop(&f);
	f = make(8, 0);
	test_publish(f.d, 0, UINT16_MAX);
	assert_int_equal(virtq_pop(&f.q, &chain), -EPROTO);
	drop(&f);
}

static void indirect_when_negotiated(void **state)
{
	struct fixture f = make(8, VIRTIO_RING_F_INDIRECT_DESC);

	assert_int_equal(pop_raw(&f, 8, plain_indirect), 1);
	assert_int_equal(chain.entries, 1);
	assert_int_equal(chain.nwrite, 4);
	assert_int_equal(chain.write_len, 32);
	assert_int_equal(pop_raw(&f, 8, unaligned_indirect), 1);
	assert_int_equal(chain.write_len, 32);
	drop(&f);
	f = make(8, VIRTIO_RING_F_EVENT_IDX);
	assert_int_equal(pop_raw(&f, 8, plain_indirect), -EPROTO);
	drop(&f);
}

static void four_gigabytes_are_too_much(void **state)
{
	struct guestmem mem;
	struct fixture f = make(8, 0);
	struct err err;
	struct test_seg segs[2] = {{0x100000000, UINT32_MAX, true},
				   {0x100000000, 1, true}};

	mem = f.d->mem;
	/* Not touched, so it costs nothing. */
	assert_int_equal(guestmem_add_new(&mem, 0x100000000, 0x100000000, &err),
			 0);
	f.q.mem = &mem;
	test_add(f.d, 0, segs, 1);
	assert_int_equal(virtq_pop(&f.q, &chain), 1);
	test_add(f.d, 0, segs, 2);
	assert_int_equal(virtq_pop(&f.q, &chain), -EPROTO);
	drop(&f);
	guestmem_release(&mem);
}

/* Notifications --------------------------------------------------------- */

static void finish_one(struct fixture *f)
{
	struct test_seg seg = {buffer(f, 1), 1, true};

	test_add(f->d, 0, &seg, 1);
	assert_int_equal(virtq_pop(&f->q, &chain), 1);
	virtq_push(&f->q, chain.head, 1);
}

static void signals_by_flag(void **state)
{
	struct fixture f = make(8, 0);

	assert_false(virtq_wants_signal(&f.q));
	finish_one(&f);
	assert_true(virtq_wants_signal(&f.q));
	assert_false(virtq_wants_signal(&f.q));
	test_put16(f.d, f.d->rings[0].avail, 1); /* NO_INTERRUPT */
	finish_one(&f);
	assert_false(virtq_wants_signal(&f.q));
	drop(&f);
}

static void signals_by_event_index(void **state)
{
	struct fixture f = make(8, VIRTIO_RING_F_EVENT_IDX);

	/* The flag means nothing now. */
	test_put16(f.d, f.d->rings[0].avail, 1);
	finish_one(&f); /* 0: the first one always */
	assert_true(virtq_wants_signal(&f.q));
	test_set_used_event(f.d, 0, 2);
	finish_one(&f); /* 1 */
	assert_false(virtq_wants_signal(&f.q));
	finish_one(&f); /* 2: crosses */
	assert_true(virtq_wants_signal(&f.q));
	finish_one(&f); /* 3: 2 is behind */
	assert_false(virtq_wants_signal(&f.q));
	test_set_used_event(f.d, 0, 5);
	finish_one(&f);
	finish_one(&f);
	finish_one(&f); /* 4, 5, 6 in one batch */
	assert_true(virtq_wants_signal(&f.q));
	drop(&f);
}

static void kicks_by_flag(void **state)
{
	struct fixture f = make(8, 0);
	struct test_seg seg = {buffer(&f, 1), 1, true};
	uint64_t used = f.d->rings[0].used;

	virtq_disable_kick(&f.q);
	assert_int_equal(test_get16(f.d, used), 1);
	assert_false(virtq_enable_kick(&f.q));
	assert_int_equal(test_get16(f.d, used), 0);
	test_add(f.d, 0, &seg, 1);
	assert_true(virtq_enable_kick(&f.q));
	drop(&f);
}

static void kicks_by_event_index(void **state)
{
	struct fixture f = make(8, VIRTIO_RING_F_EVENT_IDX);
	struct test_ring *r = &f.d->rings[0];
	uint64_t event = r->used + 4 + 8ull * 8;

	finish_one(&f);
	finish_one(&f);
	virtq_disable_kick(&f.q);
	assert_int_equal(test_get16(f.d, r->used), 0);
	/* Behind the next request, the third. */
	assert_int_equal(test_get16(f.d, event), 1);
	assert_false(virtq_enable_kick(&f.q));
	assert_int_equal(test_get16(f.d, event), 2);
	virtq_disable_kick(&f.q);
	assert_int_equal(test_get16(f.d, event), 1);
	assert_false(virtq_pending(&f.q));
	test_add(f.d, 0, &(struct test_seg){buffer(&f, 1), 1, true}, 1);
	assert_true(virtq_pending(&f.q));
	assert_true(virtq_enable_kick(&f.q));
	drop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_checks_the_registers),
		cmocka_unit_test(live_registers_are_not_used),
		cmocka_unit_test(pops_what_was_published),
		cmocka_unit_test(indices_wrap_at_16_bits),
		cmocka_unit_test(unpop_gives_the_same_again),
		cmocka_unit_test(resumes_at_the_base),
		cmocka_unit_test(avail_runs_at_most_size_ahead),
		cmocka_unit_test(at_most_size_requests_in_flight),
		cmocka_unit_test(refuses_broken_chains),
		cmocka_unit_test(head_out_of_range),
		cmocka_unit_test(indirect_when_negotiated),
		cmocka_unit_test(four_gigabytes_are_too_much),
		cmocka_unit_test(signals_by_flag),
		cmocka_unit_test(signals_by_event_index),
		cmocka_unit_test(kicks_by_flag),
		cmocka_unit_test(kicks_by_event_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

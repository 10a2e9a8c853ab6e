/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/slots.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct thing {
	struct fs_slot slot;
	int value;
};

static atomic_uint ended;

static void thing_end(struct fs_slots *slots, struct fs_slot *slot)
{
	atomic_fetch_add(&ended, 1);
	fs_slots_free(slots, slot);
}

static void test_ids(void **state)
{
	struct fs_slots slots;
	struct fs_slot *a;
	struct fs_slot *b;
	uint64_t id;

	atomic_store(&ended, 0);
	assert_int_equal(
		fs_slots_init(&slots, sizeof(struct thing), 2, thing_end), 0);
	a = fs_slots_alloc(&slots);
	assert_non_null(a);
	id = fs_slot_id(a);
	assert_true(id == 1);
	/* Not published: not found. */
	assert_null(fs_slots_get(&slots, id));
	fs_slot_publish(a);
	assert_ptr_equal(fs_slots_get(&slots, id), a);
	b = fs_slots_alloc(&slots);
	assert_non_null(b);
	fs_slot_publish(b);
	assert_null(fs_slots_alloc(&slots));

	assert_null(fs_slots_get(&slots, 0));
	assert_null(fs_slots_get(&slots, 3));
	assert_null(fs_slots_get(&slots, 1ull << 32));
	assert_null(fs_slots_get(&slots, 1ull << 32 | 1));
	assert_null(fs_slots_get(&slots, UINT64_MAX));

	fs_slots_put(&slots, a);
	assert_int_equal(atomic_load(&ended), 0);
	fs_slots_put(&slots, a);
	assert_int_equal(atomic_load(&ended), 1);
	assert_null(fs_slots_get(&slots, id));
	/* The place again, under another number. */
	assert_ptr_equal(fs_slots_alloc(&slots), a);
	fs_slot_publish(a);
	assert_true(fs_slot_id(a) != id);
	assert_null(fs_slots_get(&slots, id));
	assert_ptr_equal(fs_slots_get(&slots, fs_slot_id(a)), a);
	fs_slots_release(&slots);
}

static void *churn(void *arg)
{
	struct fs_slots *slots = arg;
	struct fs_slot *slot;

	for (unsigned i = 0; i < 20000; i++) {
		slot = fs_slots_alloc(slots);
		if (!slot)
			continue;
		container_of(slot, struct thing, slot)->value = (int)i;
		fs_slot_publish(slot);
		fs_slots_put(slots, slot);
	}
	return NULL;
}

static void *seek(void *arg)
{
	struct fs_slots *slots = arg;
	struct fs_slot *slot;

	for (uint64_t i = 0; i < 20000; i++) {
		slot = fs_slots_get(slots, (i / 64) << 32 | (i % 4 + 1));
		if (slot)
			fs_slots_put(slots, slot);
		slot = fs_slots_at(slots, (uint32_t)(i % 4));
		if (slot)
			fs_slots_put(slots, slot);
	}
	return NULL;
}

static void test_threads(void **state)
{
	static void *(*const run[])(void *) = {churn, seek, churn, seek};
	struct fs_slots slots;
	pthread_t threads[4];

	assert_int_equal(
		fs_slots_init(&slots, sizeof(struct thing), 4, thing_end), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, run[i], &slots), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	/* All came back. */
	for (unsigned i = 0; i < 4; i++)
		assert_non_null(fs_slots_alloc(&slots));
	assert_null(fs_slots_alloc(&slots));
	fs_slots_release(&slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/console.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/driver.h"

static struct evloop *loop;
static char out[1 << 20];
static size_t out_len;

static void collect(void *arg, const void *data, size_t len)
{
	assert_ptr_equal(arg, &out_len);
	assert_true(len > 0 && len <= sizeof(out) - out_len);
	memcpy(out + out_len, data, len);
	out_len += len;
}

static struct test_driver *started(void)
{
	struct test_driver *d = test_driver_new(2 << 20);

	out_len = 0;
	test_driver_plug(d, virtio_console_new(collect, &out_len), loop);
	test_driver_start(d, 0, 64);
	return d;
}

static void writes_out(void **state)
{
	struct test_driver *d = started();
	struct test_seg segs[] = {{test_alloc_data(d, "hello ", 6), 6, false},
				  {test_alloc_data(d, "world\n", 6), 6, false}};
	uint32_t len;

	test_add(d, 1, segs, 2);
	test_add(d, 1, segs, 1);
	test_kick(d, 1);
	assert_int_equal(out_len, 18);
	assert_memory_equal(out, "hello world\nhello ", 18);
	assert_true(test_used(d, 1, NULL, &len));
	assert_int_equal(len, 0);
	assert_true(test_used(d, 1, NULL, NULL));
	assert_int_equal(test_signals(d, 1), 1);
	test_driver_free(d);
}

static void a_kick_is_bounded(void **state)
{
	struct test_driver *d = started();
	uint64_t gpa = test_alloc(d, 200000, 1);
	struct test_seg seg = {gpa, 200000, false};
	unsigned i;

	for (i = 0; i < 200000; i++)
		((uint8_t *)test_ptr(d, gpa))[i] = (uint8_t)(i * 7 + i / 251);
	test_add(d, 1, &seg, 1);
	test_kick(d, 1);
	assert_int_equal(out_len, 64 << 10);
	assert_false(test_used(d, 1, NULL, NULL));
	while (!test_used(d, 1, NULL, NULL))
		assert_int_equal(evloop_once(loop, 1000), 0);
	assert_int_equal(out_len, 200000);
	assert_memory_equal(out, test_ptr(d, gpa), 200000);
	/* Held at a reset: dropped, and the next one starts clean. */
	test_add(d, 1, &seg, 1);
	test_kick(d, 1);
	out_len = 0;
	test_driver_start(d, 0, 64);
	seg.len = 5;
	test_add(d, 1, &seg, 1);
	test_kick(d, 1);
	assert_int_equal(out_len, 5);
	test_driver_free(d);
}

/* Nothing is ever typed: buffers for it are not touched. */
static void has_no_input(void **state)
{
	struct test_driver *d = started();
	struct test_seg seg = {test_alloc(d, 4, 1), 4, true};

	test_add(d, 0, &seg, 1);
	test_kick(d, 0);
	assert_false(test_used(d, 0, NULL, NULL));
	assert_false(virtio_device_status(d->dev) & VIRTIO_NEEDS_RESET);
	test_driver_free(d);
}

static void wrong_direction_is_a_fault(void **state)
{
	struct test_driver *d = started();
	struct test_seg seg = {test_alloc(d, 4, 1), 4, true};

	test_add(d, 1, &seg, 1);
	test_kick(d, 1);
	assert_true(virtio_device_status(d->dev) & VIRTIO_NEEDS_RESET);
	assert_int_equal(out_len, 0);
	test_driver_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_out),
		cmocka_unit_test(a_kick_is_bounded),
		cmocka_unit_test(has_no_input),
		cmocka_unit_test(wrong_direction_is_a_fault),
	};
	int rc;

	loop = evloop_new();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return rc;
}

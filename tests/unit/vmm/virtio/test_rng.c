/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/driver.h"

static struct evloop *loop;

static struct test_driver *started(void)
{
	struct test_driver *d = test_driver_new(8 << 20);

	test_driver_plug(d, virtio_rng_new(), loop);
	test_driver_start(d, 0, 64);
	return d;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i])
			return false;
	}
	return true;
}

static void fills_buffers(void **state)
{
	struct test_driver *d = started();
	struct test_seg segs[] = {{test_alloc(d, 4096, 1), 40, true},
				  {test_alloc(d, 4096, 1), 400, true}};
	uint32_t len;

	test_add(d, 0, segs, 2);
	test_kick(d, 0);
	assert_true(test_used(d, 0, NULL, &len));
	assert_int_equal(len, 440);
	assert_false(all_zero(test_ptr(d, segs[0].gpa), 40));
	assert_true(all_zero((uint8_t *)test_ptr(d, segs[0].gpa) + 40, 4056));
	assert_false(all_zero((uint8_t *)test_ptr(d, segs[1].gpa) + 360, 40));
	assert_true(all_zero((uint8_t *)test_ptr(d, segs[1].gpa) + 400, 3696));
	assert_int_equal(test_signals(d, 0), 1);
	test_driver_free(d);
}

static void a_request_is_bounded(void **state)
{
	struct test_driver *d = started();
	struct test_seg seg = {test_alloc(d, 1 << 20, 1), 1 << 20, true};
	uint32_t len;

	test_add(d, 0, &seg, 1);
	test_kick(d, 0);
	assert_true(test_used(d, 0, NULL, &len));
	assert_int_equal(len, 64 << 10);
	assert_true(all_zero((uint8_t *)test_ptr(d, seg.gpa) + len,
			     (1 << 20) - len));
	test_driver_free(d);
}

static void a_kick_is_bounded(void **state)
{
	struct test_driver *d = started();
	struct test_seg seg = {test_alloc(d, 1 << 20, 1), 1 << 20, true};
	unsigned first = 0;
	unsigned i;

	for (i = 0; i < 32; i++)
		test_add(d, 0, &seg, 1);
	test_kick(d, 0);
	while (test_used(d, 0, NULL, NULL))
		first++;
	assert_int_equal(first, 4);
	/* The rest follows without another kick from the driver. */
	for (i = 0; i < 32 - first; i++) {
		while (!test_used(d, 0, NULL, NULL))
			assert_int_equal(evloop_once(loop, 1000), 0);
	}
	test_driver_free(d);
}

static void reset_forgets_the_rest(void **state)
{
	struct test_driver *d = started();
	struct test_seg seg = {test_alloc(d, 1 << 20, 1), 1 << 20, true};
	unsigned i;

	for (i = 0; i < 32; i++)
		test_add(d, 0, &seg, 1);
	test_kick(d, 0);
	virtio_device_set_status(d->dev, 0);
	assert_int_equal(evloop_once(loop, 0), 0);
	assert_int_equal(test_get16(d, d->rings[0].used + 2), 4);
	test_driver_free(d);
}

static void requests_carry_no_data(void **state)
{
	struct test_driver *d = started();
	struct test_seg segs[] = {{test_alloc(d, 8, 1), 8, false},
				  {test_alloc(d, 8, 1), 8, true}};

	test_add(d, 0, segs, 2);
	test_kick(d, 0);
	assert_true(virtio_device_status(d->dev) & VIRTIO_NEEDS_RESET);
	assert_false(test_used(d, 0, NULL, NULL));
	test_driver_free(d);
}

static void broken_ring_is_a_fault(void **state)
{
	struct test_driver *d = started();

	test_publish(d, 0, 1000);
	test_kick(d, 0);
	assert_true(virtio_device_status(d->dev) & VIRTIO_NEEDS_RESET);
	test_driver_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_buffers),
		cmocka_unit_test(a_request_is_bounded),
		cmocka_unit_test(a_kick_is_bounded),
		cmocka_unit_test(reset_forgets_the_rest),
		cmocka_unit_test(requests_carry_no_data),
		cmocka_unit_test(broken_ring_is_a_fault),
	};
	int rc;

	loop = evloop_new();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return rc;
}

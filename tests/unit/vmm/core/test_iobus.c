/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/core/iobus.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct probe {
	struct iodev io;
	unsigned accesses;
	uint64_t off;
	unsigned len;
	uint64_t value;
};

static uint64_t probe_read(struct iodev *io, uint64_t off, unsigned len)
{
	struct probe *p = container_of(io, struct probe, io);

	p->accesses++;
	p->off = off;
	p->len = len;
	return 0x1122334455667788;
}

static void probe_write(struct iodev *io, uint64_t off, unsigned len,
			uint64_t value)
{
	struct probe *p = container_of(io, struct probe, io);

	p->accesses++;
	p->off = off;
	p->len = len;
	p->value = value;
}

static const struct iodev_ops probe_ops = {
	.read = probe_read,
	.write = probe_write,
};

static void routes_by_range(void **state)
{
	struct iobus bus = {0};
	struct probe a = {.io.ops = &probe_ops}, b = {.io.ops = &probe_ops};
	uint8_t data[8] = {0};

	assert_int_equal(iobus_add(&bus, &b.io, 0x2000, 0x10), 0);
	assert_int_equal(iobus_add(&bus, &a.io, 0x1000, 0x10), 0);
	iobus_read(&bus, 0x1004, data, 4);
	assert_int_equal(a.accesses, 1);
	assert_int_equal(a.off, 4);
	assert_int_equal(a.len, 4);
	assert_int_equal(data[0], 0x88);
	assert_int_equal(data[3], 0x55);
	assert_int_equal(data[4], 0);
	data[0] = 0x5a;
	iobus_write(&bus, 0x200f, data, 1);
	assert_int_equal(b.accesses, 1);
	assert_int_equal(b.off, 0xf);
	assert_int_equal(b.value, 0x5a);
}

static void nobody_answers_with_ones(void **state)
{
	struct iobus bus = {0};
	struct probe a = {.io.ops = &probe_ops};
	uint8_t data[8];
	/* Before, behind, across the end, odd widths. */
	static const struct {
		uint64_t addr;
		unsigned len;
	} cases[] = {{0xfff, 1},  {0x1010, 1}, {0x100e, 4}, {0x1009, 8},
		     {0x1000, 3}, {0x1000, 0}, {0, 1},	    {UINT64_MAX, 8}};
	size_t i, k;

	assert_int_equal(iobus_add(&bus, &a.io, 0x1000, 0x10), 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		for (k = 0; k < sizeof(data); k++)
			data[k] = 0;
		iobus_read(&bus, cases[i].addr, data, cases[i].len);
		for (k = 0; k < sizeof(data); k++)
			assert_int_equal(data[k], k < cases[i].len ? 0xff : 0);
		iobus_write(&bus, cases[i].addr, data, cases[i].len);
	}
	assert_int_equal(a.accesses, 0);
}

static void refuses_overlaps(void **state)
{
	struct iobus bus = {0};
	struct probe a = {.io.ops = &probe_ops}, b = {.io.ops = &probe_ops};

	assert_int_equal(iobus_add(&bus, &a.io, 0x1000, 0), -EINVAL);
	assert_int_equal(iobus_add(&bus, &a.io, UINT64_MAX, 2), -EINVAL);
	assert_int_equal(iobus_add(&bus, &a.io, 0x1000, 0x100), 0);
	assert_int_equal(iobus_add(&bus, &b.io, 0x1000, 0x100), -EEXIST);
	assert_int_equal(iobus_add(&bus, &b.io, 0x10ff, 1), -EEXIST);
	assert_int_equal(iobus_add(&bus, &b.io, 0x0, 0x1001), -EEXIST);
	assert_int_equal(iobus_add(&bus, &b.io, 0x0, UINT64_MAX), -EEXIST);
	assert_int_equal(iobus_add(&bus, &b.io, 0x0, 0x1000), 0);
	iobus_del(&bus, &b.io);
	iobus_del(&bus, &b.io);
	assert_int_equal(bus.count, 1);
	assert_int_equal(iobus_add(&bus, &b.io, 0x800, 0x800), 0);
}

static void is_bounded(void **state)
{
	static struct probe many[IOBUS_DEVICES_MAX + 1];
	struct iobus bus = {0};
	unsigned i;

	for (i = 0; i < IOBUS_DEVICES_MAX; i++)
		assert_int_equal(iobus_add(&bus, &many[i].io, i * 16ull, 16),
				 0);
	assert_int_equal(iobus_add(&bus, &many[i].io, i * 16ull, 16), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_by_range),
		cmocka_unit_test(nobody_answers_with_ones),
		cmocka_unit_test(refuses_overlaps),
		cmocka_unit_test(is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

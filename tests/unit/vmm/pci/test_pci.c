/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/vmm/pci/fake_host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BAR FAKE_WINDOW

static struct fake_host host;
static struct pci_function fn;

static uint64_t bar_read(struct iodev *io, uint64_t off, unsigned len)
{
	return 0x1000 + off;
}

static void bar_write(struct iodev *io, uint64_t off, unsigned len,
		      uint64_t value)
{
}

static const struct iodev_ops bar_ops = {
	.read = bar_read,
	.write = bar_write,
};
static struct iodev bar = {.ops = &bar_ops};

static int setup(void **state)
{
	static const struct pci_id id = {
		.vendor = 0x1af4,
		.device = 0x1044,
		.subsystem = 0x1044,
		.class = 0xff0000,
		.revision = 1,
	};
	static const uint8_t cap[6] = {1, 2, 3, 4, 5, 6};
	static const uint8_t mask[6] = {0, 0xff, 0, 0, 0x0f, 0};

	if (fake_host_init(&host) < 0)
		return -1;
	if (pci_function_init(&fn, &id, NULL) < 0)
		return -1;
	pci_function_set_bar(&fn, pci_host_window_take(&host.pci, 0x8000),
			     0x8000);
	pci_function_add_cap(&fn, 9, cap, mask, sizeof(cap));
	pci_function_add_cap(&fn, 9, cap, NULL, 3);
	return pci_host_plug(&host.pci, &fn, &bar);
}

static int teardown(void **state)
{
	pci_function_release(&fn);
	pci_host_release(&host.pci);
	return 0;
}

static uint64_t get(unsigned off, unsigned len)
{
	return fake_load(&host, fake_config(1, off), len);
}

static void set(unsigned off, unsigned len, uint64_t value)
{
	fake_store(&host, fake_config(1, off), len, value);
}

static void identity(void **state)
{
	assert_int_equal(get(0, 4), 0x10441af4);
	assert_int_equal(get(8, 4), 0xff000001);
	assert_int_equal(get(0x2c, 4), 0x10441af4);
	assert_int_equal(get(0x0e, 1), 0); /* one function */
	assert_int_equal(get(0x3d, 1), 0); /* no interrupt pin */
	set(0, 4, 0);
	set(8, 4, 0);
	assert_int_equal(get(0, 4), 0x10441af4);
	assert_int_equal(get(8, 4), 0xff000001);
}

static void absent_functions_are_ones(void **state)
{
	unsigned device;

	assert_int_equal(fake_load(&host, fake_config(0, 0), 4), 0x00081b36);
	for (device = 2; device < PCI_DEVICES; device++)
		assert_int_equal(fake_load(&host, fake_config(device, 0), 4),
				 UINT32_MAX);
	/* Function 1 of device 1, and the bus behind the last. */
	assert_int_equal(fake_load(&host, fake_config(1, 0x1000), 4),
			 UINT32_MAX);
	assert_int_equal(fake_load(&host, FAKE_ECAM + (1u << 20), 4),
			 UINT32_MAX);
}

static void width_and_alignment(void **state)
{
	/* Where reads come out, as without a page for the guest. */
	pci_host_trap_reads(&host.pci);
	assert_null(host.space);
	assert_int_equal(get(1, 2), UINT16_MAX);
	assert_int_equal(get(2, 4), UINT32_MAX);
	assert_int_equal(get(0, 8), UINT64_MAX);
	set(PCI_COMMAND - 1, 4, 0x00000400);
	assert_int_equal(get(PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	/* Extended space: empty, not absent. */
	assert_int_equal(get(0x100, 4), 0);
	assert_int_equal(get(0xffc, 4), 0);
	set(0xffc, 4, 1);
}

static void bar_tells_its_size(void **state)
{
	assert_int_equal(get(0x10, 4), BAR | 4);
	assert_int_equal(get(0x14, 4), 0);
	set(0x10, 4, UINT32_MAX);
	assert_int_equal(get(0x10, 4), 0xffff8004);
	assert_int_equal(get(0x14, 4), 0);
	set(0x14, 4, UINT32_MAX);
	assert_int_equal(get(0x14, 4), UINT32_MAX);
	set(0x10, 4, BAR);
	set(0x14, 4, 0);
	assert_int_equal(get(0x10, 4), BAR | 4);
	assert_int_equal(get(0x14, 4), 0);
	/* The other BARs are not there. */
	set(0x18, 4, UINT32_MAX);
	assert_int_equal(get(0x18, 4), 0);
}

static void bar_does_not_move(void **state)
{
	set(0x10, 4, FAKE_ECAM);
	assert_int_equal(get(0x10, 4), BAR | 4);
	assert_int_equal(fake_load(&host, BAR + 8, 4), 0x1008);
	assert_int_equal(fake_load(&host, FAKE_ECAM, 4), 0x00081b36);
	set(0x10, 2, 0x1234);
	set(0x14, 4, 1);
	assert_int_equal(get(0x10, 4), BAR | 4);
	assert_int_equal(get(0x14, 4), 0);
}

static void command_bits(void **state)
{
	assert_true(pci_function_decodes(&fn));
	set(PCI_COMMAND, 2, 0);
	assert_false(pci_function_decodes(&fn));
	set(PCI_COMMAND, 2, 0xffff);
	assert_int_equal(get(PCI_COMMAND, 2), 0x0546);
	assert_true(pci_function_decodes(&fn));
}

static void capabilities(void **state)
{
	unsigned first = (unsigned)get(0x34, 1);
	unsigned second = (unsigned)get(first + 1, 1);

	assert_true(get(0x06, 2) & 0x10);
	assert_int_equal(first, 0x40);
	assert_int_equal(second, 0x48);
	assert_int_equal(get(second + 1, 1), 0);
	/* Only what the mask says can be written. */
	set(first, 4, UINT32_MAX);
	set(first + 4, 4, UINT32_MAX);
	assert_int_equal(get(first, 4), 0xff014809);
	assert_int_equal(get(first + 4, 4), 0x060f0403);
}

static void window_is_bounded(void **state)
{
	unsigned n = 0;

	while (pci_host_window_take(&host.pci, 0x100000))
		n++;
	assert_int_equal(n, 15); /* 16 MiB less the first, aligned up */
	assert_int_equal(pci_host_window_take(&host.pci, 1ull << 63), 0);
}

#define HIGH 0x240000000ull

/* A BAR of memory above 4 GiB: both halves of its address count. */
static void memory_bar(void **state)
{
	pci_function_set_memory_bar(&fn, HIGH, 0x40000000);
	assert_int_equal(get(0x18, 4), 0x40000000 | 0xc);
	assert_int_equal(get(0x1c, 4), 2);
	set(0x18, 4, UINT32_MAX);
	set(0x1c, 4, UINT32_MAX);
	assert_int_equal(get(0x18, 4), 0xc000000c);
	assert_int_equal(get(0x1c, 4), UINT32_MAX);
	set(0x18, 4, 0x12345678);
	set(0x1c, 4, 0x12345678);
	assert_int_equal(get(0x18, 4), 0x40000000 | 0xc);
	assert_int_equal(get(0x1c, 4), 2);
	set(0x18, 2, UINT16_MAX);
	assert_int_equal(get(0x18, 4), 0x40000000 | 0xc);
	/* The first one is as it was; the third is not there. */
	assert_int_equal(get(0x10, 4), BAR | 4);
	set(0x20, 4, UINT32_MAX);
	assert_int_equal(get(0x20, 4), 0);
}

static void high_window_is_bounded(void **state)
{
	assert_int_equal(pci_host_high_take(&host.pci, 0x200000), 0);
	pci_host_set_high(&host.pci, 0x140000000, 0x400000000);
	assert_int_equal(pci_host_high_take(&host.pci, 1ull << 34), 0);
	assert_int_equal(pci_host_high_take(&host.pci, 1ull << 63), 0);
	assert_int_equal(pci_host_high_take(&host.pci, 0x200000), 0x140000000);
	assert_int_equal(pci_host_high_take(&host.pci, 1ull << 33),
			 0x200000000);
	assert_int_equal(pci_host_high_take(&host.pci, 0x200000), 0);
	/* What is used is what the guest is told of. */
	assert_int_equal(host.pci.high_base, 0x140000000);
	assert_int_equal(host.pci.high_next, 0x400000000);
	/* At the end of all addresses nothing wraps. */
	pci_host_set_high(&host.pci, UINT64_MAX - 0xfff, UINT64_MAX);
	assert_int_equal(pci_host_high_take(&host.pci, 0x200000), 0);
}

static void bus_is_bounded(void **state)
{
	static const struct pci_id id = {.vendor = 0x1af4};
	static struct pci_function many[PCI_DEVICES];
	static struct iodev bars[PCI_DEVICES];
	unsigned i;

	for (i = 2; i < PCI_DEVICES; i++) {
		assert_int_equal(pci_function_init(&many[i], &id, NULL), 0);
		many[i].bars[0].base = FAKE_WINDOW + i * 0x8000u;
		many[i].bars[0].size = 0x8000;
		assert_int_equal(pci_host_plug(&host.pci, &many[i], &bars[i]),
				 0);
	}
	assert_int_equal(pci_host_plug(&host.pci, &many[0], &bars[0]), -ENOSPC);
	assert_int_equal(fake_load(&host, fake_config(31, 0), 2), 0x1af4);
	for (i = 2; i < PCI_DEVICES; i++)
		pci_function_release(&many[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(identity, setup, teardown),
		cmocka_unit_test_setup_teardown(absent_functions_are_ones,
						setup, teardown),
		cmocka_unit_test_setup_teardown(width_and_alignment, setup,
						teardown),
		cmocka_unit_test_setup_teardown(bar_tells_its_size, setup,
						teardown),
		cmocka_unit_test_setup_teardown(bar_does_not_move, setup,
						teardown),
		cmocka_unit_test_setup_teardown(command_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(capabilities, setup, teardown),
		cmocka_unit_test_setup_teardown(window_is_bounded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(memory_bar, setup, teardown),
		cmocka_unit_test_setup_teardown(high_window_is_bounded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(bus_is_bounded, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/pci/msix.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/vmm/pci/fake_host.h"

#define VECTORS 3u

static struct fake_host host;
static struct msix msix;

static int setup(void **state)
{
	struct err err;

	if (fake_host_init(&host) < 0)
		return -1;
	return msix_init(&msix, &host.pci, VECTORS, &err);
}

static int teardown(void **state)
{
	msix_release(&msix);
	pci_host_release(&host.pci);
	return 0;
}

/* Interrupts that vector sent since the last look. */
static uint64_t fired(unsigned vector)
{
	uint64_t count = 0;

	if (read(host.eventfds[vector], &count, sizeof(count)) < 0)
		assert_int_equal(errno, EAGAIN);
	return count;
}

static void fill(unsigned vector, uint32_t data)
{
	msix_table_write(&msix, vector * 16, 4, 0xfee01000);
	msix_table_write(&msix, vector * 16 + 4, 4, 0);
	msix_table_write(&msix, vector * 16 + 8, 4, data);
}

static void unmask(unsigned vector)
{
	msix_table_write(&msix, vector * 16 + 12, 4, 0);
}

static void starts_masked(void **state)
{
	unsigned i;

	for (i = 0; i < VECTORS; i++)
		assert_int_equal(msix_table_read(&msix, i * 16 + 12, 4), 1);
	msix_signal(&msix, 0);
	assert_int_equal(fired(0), 0);
	/* Not even pending while MSI-X is off. */
	assert_int_equal(msix_pending_read(&msix, 0, 8), 0);
}

/* As Linux does it: all masked, fill, unmask, then the function mask. */
static void one_commit_for_all(void **state)
{
	unsigned i;

	msix_control(&msix, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK);
	for (i = 0; i < VECTORS; i++) {
		fill(i, 0x40 + i);
		unmask(i);
	}
	assert_int_equal(host.commits, 0);
	msix_control(&msix, MSIX_CONTROL_ENABLE);
	assert_int_equal(host.commits, 1);
	for (i = 0; i < VECTORS; i++) {
		assert_int_equal(host.routes[i].address_low, 0xfee01000);
		assert_int_equal(host.routes[i].data, 0x40 + i);
		msix_signal(&msix, i);
		assert_int_equal(fired(i), 1);
	}
}

static void masked_is_pending(void **state)
{
	msix_control(&msix, MSIX_CONTROL_ENABLE);
	fill(1, 0x41);
	msix_signal(&msix, 1);
	msix_signal(&msix, 1);
	assert_int_equal(fired(1), 0);
	assert_int_equal(msix_pending_read(&msix, 0, 8), 2);
	assert_int_equal(msix_pending_read(&msix, 4, 4), 0);
	unmask(1);
	assert_int_equal(fired(1), 1);
	assert_int_equal(msix_pending_read(&msix, 0, 4), 0);
	msix_control(&msix, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK);
	msix_signal(&msix, 1);
	assert_int_equal(fired(1), 0);
	msix_control(&msix, MSIX_CONTROL_ENABLE);
	assert_int_equal(fired(1), 1);
}

static void same_route_is_not_set_again(void **state)
{
	msix_control(&msix, MSIX_CONTROL_ENABLE);
	fill(0, 0x40);
	unmask(0);
	assert_int_equal(host.commits, 1);
	msix_table_write(&msix, 12, 4, 1);
	unmask(0);
	assert_int_equal(host.commits, 1);
	/* A change of affinity. */
	msix_table_write(&msix, 12, 4, 1);
	msix_table_write(&msix, 0, 8, 0xfee02000);
	assert_int_equal(host.commits, 1);
	unmask(0);
	assert_int_equal(host.commits, 2);
	assert_int_equal(host.routes[0].address_low, 0xfee02000);
}

static void bounds_and_widths(void **state)
{
	msix_table_write(&msix, VECTORS * 16, 4, 1);
	msix_table_write(&msix, UINT64_MAX - 7, 8, 1);
	msix_table_write(&msix, 2, 4, 1);
	msix_table_write(&msix, 0, 2, 1);
	msix_table_write(&msix, 4, 8, 1);
	assert_int_equal(msix_table_read(&msix, 0, 8), 0);
	assert_int_equal(msix_table_read(&msix, VECTORS * 16, 4), UINT64_MAX);
	assert_int_equal(msix_table_read(&msix, 1, 1), UINT64_MAX);
	assert_int_equal(msix_pending_read(&msix, 0, 2), UINT64_MAX);
	assert_int_equal(msix_pending_read(&msix, 0xff8, 8), 0);
	msix_signal(&msix, VECTORS);
	msix_signal(&msix, 0xffff);
	/* Address bits 0 and 1 are always clear. */
	msix_table_write(&msix, 0, 4, UINT32_MAX);
	assert_int_equal(msix_table_read(&msix, 0, 4), 0xfffffffc);
}

static void set_up_fails_cleanly(void **state)
{
	struct msix other;
	struct err err;

	host.fail = -ENOSPC;
	assert_int_equal(msix_init(&other, &host.pci, 2, &err), -ENOSPC);
	msix_release(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(starts_masked, setup, teardown),
		cmocka_unit_test_setup_teardown(one_commit_for_all, setup,
						teardown),
		cmocka_unit_test_setup_teardown(masked_is_pending, setup,
						teardown),
		cmocka_unit_test_setup_teardown(same_route_is_not_set_again,
						setup, teardown),
		cmocka_unit_test_setup_teardown(bounds_and_widths, setup,
						teardown),
		cmocka_unit_test_setup_teardown(set_up_fails_cleanly, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

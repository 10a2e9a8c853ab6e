/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/hw/power.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static unsigned offs, resets;

static void requested(struct power *power, enum power_request request)
{
	if (request == POWER_REQUEST_OFF)
		offs++;
	else
		resets++;
}

static void only_the_right_values(void **state)
{
	struct power power;
	unsigned v;

	power_init(&power, requested);
	for (v = 0; v < 256; v++) {
		power.acpi.ops->write(&power.acpi, 0, 1, v);
		assert_int_equal(offs, v >= 0x34);
		assert_int_equal(resets, v >= 0x01);
	}
	power.acpi.ops->write(&power.acpi, 1, 1, 0x34);
	power.acpi.ops->write(&power.acpi, 0, 2, 0x34);
	assert_int_equal(offs, 1);
	for (v = 0; v < 256; v++) {
		power.i8042.ops->write(&power.i8042, 0, 1, v);
		assert_int_equal(resets, v >= 0xfe ? 2 : 1);
	}
	/* Never busy: who waits for the controller does not wait. */
	assert_int_equal(power.i8042.ops->read(&power.i8042, 0, 1), 0);
	assert_int_equal(power.acpi.ops->read(&power.acpi, 1, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_right_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

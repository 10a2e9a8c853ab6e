/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/number.h"

static void takes_decimal_digits(void **state)
{
	uint64_t n = 99;

	assert_int_equal(number_parse("0", 0, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(number_parse("007", 7, &n), 0);
	assert_int_equal(n, 7);
	assert_int_equal(number_parse("18446744073709551615", UINT64_MAX, &n),
			 0);
	assert_true(n == UINT64_MAX);
}

static void takes_nothing_else(void **state)
{
	static const char *const others[] = {
		"",	" 1", "1 ",  "-1", "+1",
		"0x10", "1k", "1.0", "a",  "18446744073709551616",
	};
	uint64_t n;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(number_parse(others[i], UINT64_MAX, &n),
				 -EINVAL);
	assert_int_equal(number_parse("8", 7, &n), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_decimal_digits),
		cmocka_unit_test(takes_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jsonw.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

static void test_compact(void **state)
{
	struct jsonw *w = jsonw_new(false);
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	jsonw_object(w);
	jsonw_kstr(w, "s", "a\"\n\x01");
	jsonw_kstr(w, "none", NULL);
	jsonw_kint(w, "i", INT64_MIN);
	jsonw_ku64(w, "u", UINT64_MAX);
	jsonw_kbool(w, "b", true);
	jsonw_key(w, "v");
	jsonw_array(w);
	jsonw_int(w, 1);
	jsonw_u64(w, 2);
	jsonw_bool(w, false);
	jsonw_str(w, "x");
	jsonw_hundredths(w, 12.345);
	jsonw_hundredths(w, -(double)INFINITY);
	jsonw_object(w);
	jsonw_end_object(w);
	jsonw_end_array(w);
	jsonw_end_object(w);
	text = jsonw_finish(w, &len);
	assert_string_equal(text, "{\"s\":\"a\\\"\\n\\u0001\",\"none\":null,"
				  "\"i\":-9223372036854775808,"
				  "\"u\":18446744073709551615,\"b\":true,"
				  "\"v\":[1,2,false,\"x\",12.35,null,{}]}\n");
	assert_int_equal(len, strlen(text));
}

static void test_pretty(void **state)
{
	struct jsonw *w = jsonw_new(true);
	AUTO_FREE char *text = NULL;

	jsonw_object(w);
	jsonw_kint(w, "a", 1);
	jsonw_end_object(w);
	text = jsonw_finish(w, NULL);
	assert_string_equal(text, "{\n  \"a\": 1\n}\n");
}

static void test_bad_utf8(void **state)
{
	struct jsonw *w = jsonw_new(false);
	AUTO_FREE char *text = NULL;

	jsonw_object(w);
	jsonw_kstr(w, "\xff", "a\xed\xa0\x80z\xe2\x82\xac");
	jsonw_end_object(w);
	text = jsonw_finish(w, NULL);
	assert_string_equal(text, "{\"\xef\xbf\xbd\":\"a\xef\xbf\xbd"
				  "\xef\xbf\xbd\xef\xbf\xbdz\xe2\x82\xac\"}\n");
}

static void test_errors_stick(void **state)
{
	struct jsonw *w = jsonw_new(false);

	assert_null(jsonw_finish(w, NULL)); /* nothing written */

	w = jsonw_new(false);
	jsonw_object(w);
	assert_null(jsonw_finish(w, NULL)); /* not closed */

	w = jsonw_new(false);
	jsonw_end_array(w); /* not open */
	jsonw_int(w, 1);
	assert_null(jsonw_finish(w, NULL));

	w = jsonw_new(false);
	jsonw_object(w);
	jsonw_end_array(w); /* crossed */
	jsonw_end_object(w);
	assert_null(jsonw_finish(w, NULL));

	w = jsonw_new(false);
	jsonw_object(w);
	jsonw_int(w, 1); /* a key must be a string */
	jsonw_end_object(w);
	assert_null(jsonw_finish(w, NULL));

	w = jsonw_new(false);
	jsonw_int(w, 1);
	jsonw_int(w, 2); /* two values */
	assert_null(jsonw_finish(w, NULL));

	w = jsonw_new(false);
	jsonw_object(w);
	jsonw_key(w, "a"); /* without a value */
	jsonw_end_object(w);
	assert_null(jsonw_finish(w, NULL));
}

static void test_misplaced_keys(void **state)
{
	struct jsonw *w = jsonw_new(false);

	jsonw_array(w);
	jsonw_key(w, "a"); /* in an array */
	jsonw_end_array(w);
	assert_null(jsonw_finish(w, NULL));

	w = jsonw_new(false);
	jsonw_object(w);
	jsonw_key(w, "a");
	jsonw_key(w, "b"); /* instead of a value */
	jsonw_end_object(w);
	assert_null(jsonw_finish(w, NULL));
}

static void test_depth(void **state)
{
	struct jsonw *w = jsonw_new(false);

	for (int i = 0; i < 1000; i++)
		jsonw_array(w);
	for (int i = 0; i < 1000; i++)
		jsonw_end_array(w);
	assert_null(jsonw_finish(w, NULL));
}

/* jsonw_new may fail: nobody has to check before the end. */
static void test_no_writer(void **state)
{
	jsonw_object(NULL);
	jsonw_kstr(NULL, "a", "b");
	jsonw_kint(NULL, "a", 1);
	jsonw_ku64(NULL, "a", 1);
	jsonw_kbool(NULL, "a", true);
	jsonw_array(NULL);
	jsonw_end_array(NULL);
	jsonw_end_object(NULL);
	assert_null(jsonw_finish(NULL, NULL));
	jsonw_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_pretty),
		cmocka_unit_test(test_bad_utf8),
		cmocka_unit_test(test_errors_stick),
		cmocka_unit_test(test_misplaced_keys),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_no_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

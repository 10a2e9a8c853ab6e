/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"

static struct err err;
static struct json *root;

static int set_up(void **state)
{
	memset(&err, 0, sizeof(err));
	root = NULL;
	return 0;
}

static int tear_down(void **state)
{
	json_free(root);
	return 0;
}

static const struct json *parse(const char *text)
{
	json_free(root);
	root = json_parse(text, strlen(text), "f", 0, &err);
	if (!root)
		print_error("%s\n", err.text);
	assert_non_null(root);
	return root;
}

static void refused_n(const char *text, size_t len, unsigned flags,
		      const char *why)
{
	struct json *node = json_parse(text, len, "f", flags, &err);

	if (node || strncmp(err.text, why, strlen(why)) != 0)
		print_error("%s: %s, not %s\n", text, err.text, why);
	assert_null(node);
	assert_int_equal(err.code, EINVAL);
	assert_memory_equal(err.text, why, strlen(why));
}

static void refused(const char *text, const char *why)
{
	refused_n(text, strlen(text), 0, why);
}

/* As errors name it. */
static unsigned line_of(const struct json *node)
{
	unsigned line = 0;

	(void)!json_fail(node, &err, "x");
	assert_int_equal(sscanf(err.text, "f:%u:", &line), 1);
	return line;
}

static void test_tree(void **state)
{
	const struct json *n = parse("{\n\"a\": [1, \"x\",\n null],\n"
				     "\"b\": {\"c\": true},\n\"d\": -1.5e3}");
	const struct json *a = json_get(n, "a");

	assert_int_equal(json_type(n), JSON_OBJECT);
	assert_int_equal(json_count(n), 3);
	assert_string_equal(json_key(n, 0), "a");
	assert_null(json_key(n, 3));
	assert_int_equal(json_type(a), JSON_ARRAY);
	assert_int_equal(json_count(a), 3);
	assert_int_equal(line_of(json_at(a, 1)), 2);
	assert_int_equal(line_of(json_at(a, 2)), 3);
	assert_int_equal(json_type(json_at(a, 2)), JSON_NULL);
	assert_null(json_at(a, 3));
	assert_null(json_key(a, 0));
	assert_true(json_true(json_get(json_get(n, "b"), "c")));
	assert_false(json_true(json_get(n, "d")));
	assert_int_equal(json_type(json_get(n, "d")), JSON_NUMBER);
	assert_null(json_get(n, "e"));
	assert_null(json_get(a, "a"));
	assert_null(json_get(NULL, "a"));
	assert_int_equal(json_count(json_get(n, "d")), 0);
}

static void test_scalars_at_the_root(void **state)
{
	int64_t value;

	assert_int_equal(json_type(parse(" \n null ")), JSON_NULL);
	assert_int_equal(json_type(parse("\"\"")), JSON_STRING);
	/* yajl reports a number at the end only when told it is the end. */
	assert_int_equal(json_as_int(parse("\n\n12"), 0, 99, &value, &err), 0);
	assert_int_equal(value, 12);
	assert_int_equal(line_of(root), 3);
}

static void test_syntax(void **state)
{
	refused("", "f:1: ");
	refused("{", "f:1: ");
	refused("{\"a\":\n1,}", "f:2: ");
	refused("[1 2]", "f:1: ");
	refused("[01]", "f:1: ");
	refused("[1.]", "f:1: ");
	refused("nul", "f:1: ");
	refused("{}\n{}", "f:2: ");
	refused("1 x", "f:1: ");
	refused("\"a\nb\"", "f:");
	refused("\"\\x\"", "f:1: ");
	refused("{} // c", "f:1: ");
	refused("{1: 2}", "f:1: ");
	refused_n("[1]\0", 4, 0, "f:1: ");
}

static void test_comments(void **state)
{
	static const char text[] = "// one\n{/* \"two\\ */\"a\": \"b\"}\n";
	const char *value;

	root = json_parse(text, sizeof(text) - 1, "f", JSON_COMMENTS, &err);
	assert_non_null(root);
	assert_int_equal(line_of(root), 2);
	assert_int_equal(json_string_opt(root, "a", &value, &err), 0);
	assert_string_equal(value, "b");
	refused_n("{/* ", 4, JSON_COMMENTS, "f:1: ");
}

static void test_strings(void **state)
{
	const char *value;

	assert_int_equal(
		json_as_string(parse("\"\\u20ac\\\"\\\\\\ud83d\\ude00\\n\""),
			       &value, &err),
		0);
	assert_string_equal(value, "\xe2\x82\xac\"\\\xf0\x9f\x98\x80\n");
	refused("[\"a\\u0000b\"]", "f:1: a string must not contain NUL");
	refused("{\"a\\u0000b\": 1}", "f:1: a string must not contain NUL");
	refused("\"\xff\"", "f:1: ");
	refused("\"\xc0\x80\"", "f:1: ");
	refused("\"\xed\xa0\x80\"", "f:1: ");
	refused("\"\\ud800\"", "f:1: invalid UTF-8");
	refused("\"\\udc00\"", "f:1: invalid UTF-8");
	refused("\"\\ud800x\"", "f:1: invalid UTF-8");
	refused("[\"x\", \"\\ud800\\u0041\"]", "f:1: invalid UTF-8");
	refused("{\"\\\\\\\"\\ud800\\ud800\": 1}", "f:1: invalid UTF-8");
	/* An escaped backslash before "ud800" is no escape. */
	parse("\"\\\\ud800\"");
}

static void test_duplicates(void **state)
{
	refused("{\"a\": 1,\n\"b\": {\"c\": 1,\n\"d\": 2, \"\\u0063\": 3}}",
		"f:3: b.c: given twice");
	parse("{\"a\": {\"a\": 1}, \"b\": [{\"a\": 1}, {\"a\": 1}]}");
}

static void test_depth(void **state)
{
	char text[131] = "";

	memset(text, '[', 64);
	memset(text + 64, ']', 64);
	parse(text);
	memset(text, '[', 65);
	memset(text + 65, ']', 65);
	refused(text, "f:1: nested too deep");
}

static void test_integers(void **state)
{
	const struct json *n = parse(
		"{\"min\": -9223372036854775808, \"max\": 9223372036854775807,"
		"\"u\": 18446744073709551615, \"over\": 18446744073709551616,"
		"\"f\": 1.0, \"e\": 1e2, \"s\": \"1\", \"zero\": -0}");
	int64_t i = 7;
	uint64_t u = 7;

	assert_int_equal(json_int_opt(n, "min", INT64_MIN, 0, &i, &err), 0);
	assert_true(i == INT64_MIN);
	assert_int_equal(json_int_opt(n, "max", 0, INT64_MAX, &i, &err), 0);
	assert_true(i == INT64_MAX);
	i = 7;
	assert_int_equal(json_int_opt(n, "u", 0, INT64_MAX, &i, &err), -EINVAL);
	assert_int_equal(json_int_opt(n, "f", 0, 9, &i, &err), -EINVAL);
	assert_string_equal(err.text, "f:1: f: expected an integer");
	assert_int_equal(json_int_opt(n, "e", 0, 999, &i, &err), -EINVAL);
	assert_int_equal(json_int_opt(n, "s", 0, 9, &i, &err), -EINVAL);
	assert_int_equal(json_int_opt(n, "max", 0, 9, &i, &err), -EINVAL);
	assert_string_equal(err.text, "f:1: max: 9223372036854775807 is not in "
				      "the range from 0 to 9");
	assert_int_equal(i, 7);
	assert_int_equal(json_int_opt(n, "zero", 0, 9, &i, &err), 0);
	assert_int_equal(i, 0);
	assert_int_equal(json_u64_opt(n, "u", &u, &err), 0);
	assert_true(u == UINT64_MAX);
	u = 7;
	assert_int_equal(json_u64_opt(n, "over", &u, &err), -EINVAL);
	assert_int_equal(json_u64_opt(n, "min", &u, &err), -EINVAL);
	assert_int_equal(json_u64_opt(n, "zero", &u, &err), -EINVAL);
	assert_int_equal(json_u64_opt(n, "none", &u, &err), 0);
	assert_int_equal(u, 7);
}

static void test_optional(void **state)
{
	const struct json *n = parse("{\"null\": null, \"t\": true}");
	const struct json *node = n;
	const char *s = "kept";
	bool b = true;
	int64_t i = 5;

	assert_int_equal(json_string_opt(n, "none", &s, &err), 0);
	assert_int_equal(json_string_opt(n, "null", &s, &err), 0);
	assert_int_equal(json_string_opt(NULL, "x", &s, &err), 0);
	assert_string_equal(s, "kept");
	assert_int_equal(json_int_opt(n, "null", 0, 9, &i, &err), 0);
	assert_int_equal(i, 5);
	assert_int_equal(json_bool_opt(n, "none", &b, &err), 0);
	assert_true(b);
	assert_int_equal(json_array_opt(n, "none", &node, &err), 0);
	assert_null(node);
	node = n;
	assert_int_equal(json_object_opt(n, "null", &node, &err), 0);
	assert_null(node);
	assert_int_equal(json_bool_opt(n, "t", &b, &err), 0);
}

static void test_wrong_types(void **state)
{
	const struct json *n = parse("{\"o\": {}, \"a\": [], \"s\": \"x\",\n"
				     "\"p\": {\"args\": [\"a\", 1]}}");
	const struct json *node;
	const char **v = NULL;
	const char *s;
	size_t count;
	bool b;

	assert_int_equal(json_string_opt(n, "o", &s, &err), -EINVAL);
	assert_string_equal(err.text, "f:1: o: expected a string");
	assert_int_equal(json_bool_opt(n, "s", &b, &err), -EINVAL);
	assert_int_equal(json_array_opt(n, "o", &node, &err), -EINVAL);
	assert_null(node);
	assert_int_equal(json_object_opt(n, "a", &node, &err), -EINVAL);
	assert_null(node);
	assert_int_equal(
		json_strings_opt(json_get(n, "p"), "args", &v, &count, &err),
		-EINVAL);
	assert_string_equal(err.text, "f:2: p.args[1]: expected a string");
	assert_null(v);
	assert_int_equal(json_string_opt(json_get(n, "a"), "x", &s, &err),
			 -EINVAL);
	assert_string_equal(err.text, "f:1: a: expected an object");
}

static void test_strings_vector(void **state)
{
	const struct json *n = parse("{\"v\": [\"a\", \"b\"], \"e\": []}");
	const char **v = NULL;
	size_t count = 9;

	assert_int_equal(json_strings_opt(n, "none", &v, &count, &err), 0);
	assert_null(v);
	assert_int_equal(count, 9);
	assert_int_equal(json_strings_opt(n, "v", &v, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_string_equal(v[1], "b");
	assert_null(v[2]);
	free(v);
	assert_int_equal(json_strings_opt(n, "e", &v, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_null(v[0]);
	free(v);
}

static void test_paths(void **state)
{
	const struct json *n = parse("{\"a\": {\"io.x/y\": [[1]]}}");
	const struct json *leaf =
		json_at(json_at(json_get(json_get(n, "a"), "io.x/y"), 0), 0);

	assert_int_equal(json_fail(leaf, &err, "is %d", 1), -EINVAL);
	assert_string_equal(err.text, "f:1: a[\"io.x/y\"][0][0]: is 1");
	json_fail(n, &err, "empty");
	assert_string_equal(err.text, "f:1: empty");
}

static void test_long_path(void **state)
{
	char text[1200];
	const struct json *n;

	snprintf(text, sizeof(text), "{\"%0500d\": {\"%0500d\": 1}}", 0, 0);
	n = parse(text);
	json_fail(json_at(json_at(n, 0), 0), &err, "long");
	assert_int_equal(err.code, EINVAL);
	assert_non_null(strstr(err.text, "long"));
}

static void test_nearest(void **state)
{
	static const char *const names[] = {"memory", "cpus", "kernel", NULL};

	assert_string_equal(json_nearest(names, "memmory"), "memory");
	assert_string_equal(json_nearest(names, "kernal"), "kernel");
	assert_string_equal(json_nearest(names, "cpu"), "cpus");
	assert_null(json_nearest(names, "initrd"));
	assert_null(json_nearest(names, ""));
}

static void test_text(void **state)
{
	static const char text[] =
		"{\"a\":[1,-2.50e+1,true,null],\"\\\"\":{\"x\":\"\\n\"}}";
	AUTO_FREE char *all = json_text(parse(text));
	AUTO_FREE char *part = json_text(json_get(root, "a"));

	assert_string_equal(all, text);
	assert_string_equal(part, "[1,-2.50e+1,true,null]");
}

static void write_file(const char *path, const char *text)
{
	AUTO_FILE FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static void test_load(void **state)
{
	char dir[] = "/tmp/test_json.XXXXXX";
	char path[64], fifo[64];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f.json", dir);
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	write_file(path, "{\"a\": 1}");
	root = json_load(path, 8, 0, &err);
	assert_non_null(root);
	assert_null(json_load(path, 7, 0, &err));
	assert_int_equal(err.code, EFBIG);
	assert_null(json_load(dir, 100, 0, &err));
	assert_int_equal(err.code, EINVAL);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_null(json_load(fifo, 100, 0, &err));
	assert_int_equal(err.code, EINVAL);
	unlink(fifo);
	unlink(path);
	assert_null(json_load(path, 100, 0, &err));
	assert_int_equal(err.code, ENOENT);
	rmdir(dir);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_tree),	   T(test_scalars_at_the_root),
		T(test_syntax),	   T(test_comments),
		T(test_strings),   T(test_duplicates),
		T(test_depth),	   T(test_integers),
		T(test_optional),  T(test_wrong_types),
		T(test_paths),	   T(test_strings_vector),
		T(test_long_path), T(test_nearest),
		T(test_text),	   T(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

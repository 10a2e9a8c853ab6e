/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"

static int out[2];
static char got[2 * LOG_LINE_MAX];

static int set_up(void **state)
{
	if (pipe2(out, O_NONBLOCK | O_CLOEXEC) < 0)
		return -1;
	log_open(out[1], LOG_TEXT, LOG_INFO, "test");
	return 0;
}

static int tear_down(void **state)
{
	log_open(STDERR_FILENO, LOG_TEXT, LOG_INFO, "test");
	close(out[0]);
	close(out[1]);
	return 0;
}

/* What was logged since the last time. */
static const char *logged(void)
{
	ssize_t n = read(out[0], got, sizeof(got) - 1);

	got[n < 0 ? 0 : n] = '\0';
	return got;
}

static void test_text(void **state)
{
	log_error("open %s: %d", "x", 3);
	assert_string_equal(logged(), "test: error: open x: 3\n");
	log_warn("w");
	assert_string_equal(logged(), "test: warning: w\n");
	assert_int_equal(log_fd(), out[1]);
}

static void test_level(void **state)
{
	log_debug("hidden");
	assert_string_equal(logged(), "");
	assert_false(log_wants(LOG_DEBUG));
	assert_true(log_wants(LOG_INFO));
	log_open(out[1], LOG_TEXT, LOG_DEBUG, "test");
	log_debug("shown");
	assert_string_equal(logged(), "test: debug: shown\n");
}

static void test_controls_are_escaped(void **state)
{
	log_info("a\nb\x1b[2J\x7f\xc2\x9b\xff\xc3\xa9");
	assert_string_equal(
		logged(), "test: info: a\\nb\\x1b[2J\\x7f\\x9b\\xff\xc3\xa9\n");
}

static void test_errno_is_kept(void **state)
{
	log_open(-1, LOG_TEXT, LOG_INFO, "test");
	errno = ENOTTY;
	log_info("nowhere");
	assert_int_equal(errno, ENOTTY);
}

static void test_json(void **state)
{
	struct err err = {0};
	struct json *root;
	const char *msg, *level, *stamp;
	struct tm tm = {0};
	time_t now = time(NULL);
	char *rest;

	log_open(out[1], LOG_JSON, LOG_INFO, "test");
	log_error("say \"hi\"\\\n\x01\xff\xc2\x85 \xe2\x82\xac");
	logged();
	root = json_parse(got, strlen(got), "log", 0, &err);
	assert_non_null(root);
	assert_string_equal(json_key(root, 0), "msg");
	assert_int_equal(json_string_opt(root, "msg", &msg, &err), 0);
	assert_string_equal(msg, "say \"hi\"\\\n\x01\xef\xbf\xbd\xc2\x85 "
				 "\xe2\x82\xac");
	assert_int_equal(json_string_opt(root, "level", &level, &err), 0);
	assert_string_equal(level, "error");
	assert_int_equal(json_string_opt(root, "time", &stamp, &err), 0);
	rest = strptime(stamp, "%Y-%m-%dT%H:%M:%S", &tm);
	assert_non_null(rest);
	assert_int_equal(strlen(rest), strlen(".123456789Z"));
	assert_in_range(timegm(&tm), now, now + 60);
	json_free(root);
}

static void test_long_lines(void **state)
{
	char big[3 * LOG_LINE_MAX];
	struct err err = {0};
	struct json *root;
	size_t len;

	memset(big, '"', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	log_info("%s", big);
	len = strlen(logged());
	assert_int_equal(len, LOG_LINE_MAX);
	assert_string_equal(got + len - 5, "\"...\n");

	log_open(out[1], LOG_JSON, LOG_INFO, "test");
	log_info("%s", big);
	len = strlen(logged());
	assert_in_range(len, LOG_LINE_MAX - 4, LOG_LINE_MAX);
	root = json_parse(got, len, "log", 0, &err);
	assert_non_null(root);
	json_free(root);
}

/* A cut must not leave half a character. */
static void test_long_utf8(void **state)
{
	char big[3 * LOG_LINE_MAX + 1] = "";

	for (size_t i = 0; i + 3 < sizeof(big); i += 3)
		memcpy(big + i, "\xe2\x82\xac", 4);
	log_open(out[1], LOG_JSON, LOG_INFO, "test");
	for (int shift = 0; shift < 3; shift++) {
		struct err err = {0};
		struct json *root;
		const char *msg;

		log_info("%.*s%s", shift, "abc", big);
		logged();
		root = json_parse(got, strlen(got), "log", 0, &err);
		assert_non_null(root);
		assert_int_equal(json_string_opt(root, "msg", &msg, &err), 0);
		assert_null(strstr(msg, "\\ufffd"));
		json_free(root);
	}
}

static void test_limit(void **state)
{
	struct log_limit limit = {0};

	assert_true(log_allowed(&limit, 2));
	assert_true(log_allowed(&limit, 2));
	assert_false(log_allowed(&limit, 2));
	assert_false(log_allowed(&limit, 2));
	assert_string_equal(logged(), "");
	/* Five seconds later. */
	limit.window_ns -= 5000000000u;
	assert_true(log_allowed(&limit, 2));
	assert_non_null(strstr(logged(), "2 lines"));
	assert_true(log_allowed(&limit, 2));
	assert_false(log_allowed(&limit, 2));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_text),
		T(test_level),
		T(test_controls_are_escaped),
		T(test_errno_is_kept),
		T(test_json),
		T(test_long_lines),
		T(test_long_utf8),
		T(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static void test_set(void **state)
{
	struct err err = {0};

	assert_int_equal(err_set(&err, EINVAL, "memory %s: odd", "3"), -EINVAL);
	assert_int_equal(err.code, EINVAL);
	assert_string_equal(err.text, "memory 3: odd");
}

static void test_sys(void **state)
{
	struct err err = {0};

	errno = ENOENT;
	assert_int_equal(err_sys(&err, "open %s", "/x"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.text, "open /x: No such file or directory");
}

static void test_ret(void **state)
{
	struct err err = {0};

	errno = 0;
	assert_int_equal(err_ret(&err, -EACCES, "mount"), -EACCES);
	assert_int_equal(err.code, EACCES);
	assert_string_equal(err.text, "mount: Permission denied");
	assert_int_equal(err_ret(&err, -4000, "mount"), -4000);
	assert_string_equal(err.text, "mount: Unknown error");
}

static void test_wrap(void **state)
{
	struct err err = {0};

	err_set(&err, EPERM, "mount proc");
	assert_int_equal(err_wrap(&err, "sandbox %s", "a"), -EPERM);
	assert_int_equal(err_wrap(&err, "create"), -EPERM);
	assert_string_equal(err.text, "create: sandbox a: mount proc");
}

static void test_text_of_itself(void **state)
{
	struct err err = {0};

	err_set(&err, EPERM, "inner");
	err_set(&err, EIO, "outer: %s", err.text);
	assert_string_equal(err.text, "outer: inner");
}

static void test_truncates(void **state)
{
	struct err err = {0};
	char big[2 * ERR_TEXT_MAX];

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	err_set(&err, E2BIG, "%s", big);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	err_wrap(&err, "head");
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	assert_memory_equal(err.text, "head: xxx", 9);
	errno = EIO;
	err_sys(&err, "%s", big);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	assert_int_equal(err.code, EIO);
}

static void test_bug_aborts(void **state)
{
	char text[256] = {0};
	int status, out[2];
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* cmocka's own handler would carry on after abort. */
		signal(SIGABRT, SIG_DFL);
		log_open(out[1], LOG_TEXT, LOG_ERROR, "test");
		BUG_ON(pid == 0);
		_exit(0);
	}
	close(out[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_true(read(out[0], text, sizeof(text) - 1) > 0);
	close(out[0]);
	assert_non_null(strstr(text, "test: error: BUG at "));
	assert_non_null(strstr(text, "test_err.c:"));
	assert_non_null(strstr(text, ": pid == 0\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_sys),
		cmocka_unit_test(test_ret),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_text_of_itself),
		cmocka_unit_test(test_truncates),
		cmocka_unit_test(test_bug_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

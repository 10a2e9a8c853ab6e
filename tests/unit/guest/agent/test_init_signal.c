/* SPDX-License-Identifier: Apache-2.0 */
/* Which SIGTERM becomes a SIGKILL. */
#include "guest/agent/init_signal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static char text[512];

static const char *status(const char *pids, const char *blocked,
			  const char *ignored, const char *caught)
{
	(void)snprintf(text, sizeof(text),
		       "Name:\tSigCgt:\nPid:\t123\nNSpid:%s\nSigPnd:\t"
		       "ffffffffffffffff\nSigBlk:\t%s\nSigIgn:\t%s\n"
		       "SigCgt:\t%s\nCapInh:\t0\n",
		       pids, blocked, ignored, caught);
	return text;
}

#define NONE "0000000000000000"
#define TERM "0000000000004000"
#define OTHERS "ffffffffffffbfff"

static void first_without_handler(void **state)
{
	status("\t123\t1", NONE, NONE, NONE);
	assert_int_equal(init_signal_by_status(text, SIGTERM), SIGKILL);
	assert_int_equal(init_signal_by_status(text, SIGINT), SIGINT);
	assert_int_equal(init_signal_by_status(text, 0), 0);
	status("\t123\t17\t1", OTHERS, OTHERS, OTHERS);
	assert_int_equal(init_signal_by_status(text, SIGTERM), SIGKILL);
}

static void first_that_expects_it(void **state)
{
	status("\t123\t1", TERM, NONE, NONE);
	assert_int_equal(init_signal_by_status(text, SIGTERM), SIGTERM);
	status("\t123\t1", NONE, TERM, NONE);
	assert_int_equal(init_signal_by_status(text, SIGTERM), SIGTERM);
	status("\t123\t1", NONE, NONE, TERM);
	assert_int_equal(init_signal_by_status(text, SIGTERM), SIGTERM);
}

/* The kernel's default action ends these. */
static void others(void **state)
{
	status("\t123\t2", NONE, NONE, NONE);
	assert_int_equal(init_signal_by_status(text, SIGTERM), SIGTERM);
	status("\t1", NONE, NONE, NONE);
	assert_int_equal(init_signal_by_status(text, SIGTERM), SIGTERM);
	assert_int_equal(init_signal_by_status("", SIGTERM), SIGTERM);
	assert_int_equal(init_signal_by_status("NSpid:", SIGTERM), SIGTERM);
	assert_int_equal(init_signal_by_status("NSpid:\t\n", SIGTERM), SIGTERM);
}

static void of_a_process(void **state)
{
	assert_int_equal(init_signal(getpid(), SIGTERM), SIGTERM);
	assert_int_equal(init_signal(getpid(), SIGHUP), SIGHUP);
	assert_int_equal(init_signal(0, SIGTERM), SIGTERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_without_handler),
		cmocka_unit_test(first_that_expects_it),
		cmocka_unit_test(others),
		cmocka_unit_test(of_a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/hooks.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct evloop *loop;
static int result;
static char said[256];

static void done(struct hook_run *run, int ret, const char *text)
{
	result = ret;
	snprintf(said, sizeof(said), "%s", text);
	evloop_stop(loop);
}

/* Of one hook; true: it was good. */
static bool run_hook(const char *path)
{
	Oci__Hook hook = OCI__HOOK__INIT;
	Oci__Hook *hooks[] = {&hook};
	struct hook_run run;

	hook.path = (char *)path;
	hooks_start(&run, loop, "createRuntime", hooks, 1, strdup("{}"), done);
	assert_int_equal(evloop_run(loop), 0);
	return result == 0;
}

static void ends_are_told(void **state)
{
	assert_true(run_hook("/bin/true"));
	assert_false(run_hook("/bin/false"));
	assert_string_equal(said,
			    "createRuntime hook 0 (/bin/false): exit status 1");
	assert_false(run_hook("/bin/none"));
	assert_false(run_hook("bin/true"));
	assert_non_null(strstr(said, "not an absolute path"));
}

/* A process that ignores SIGCHLD has no children to wait for. */
static void no_end_is_no_success(void **state)
{
	signal(SIGCHLD, SIG_IGN);
	assert_false(run_hook("/bin/false"));
	signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_are_told),
		cmocka_unit_test(no_end_is_no_success),
	};
	int rc;

	loop = evloop_new();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return rc;
}

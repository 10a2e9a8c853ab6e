/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a guest that is switched off. */
#include "guest/agent/boot.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool silent;
static pid_t *syncs; /* who has come that far, for all processes */

/* In place of the system's. */
void sync(void)
{
	*syncs = getpid();
	while (silent)
		(void)pause();
}

static void is_waited_for(void **state)
{
	silent = false;
	assert_int_equal(boot_sync(60000), 0);
	assert_int_not_equal(*syncs, 0);
	assert_int_not_equal(*syncs, getpid());
	assert_int_equal(waitpid(*syncs, NULL, 0), *syncs);
}

static void has_a_limit(void **state)
{
	*syncs = 0;
	silent = true;
	assert_int_equal(boot_sync(100), -ETIMEDOUT);
	while (__atomic_load_n(syncs, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	assert_int_equal(kill(*syncs, SIGKILL), 0);
	assert_int_equal(waitpid(*syncs, NULL, 0), *syncs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_waited_for),
		cmocka_unit_test(has_a_limit),
	};

	syncs = mmap(NULL, sizeof(*syncs), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (syncs == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

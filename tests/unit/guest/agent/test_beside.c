/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest/agent/beside.h"

struct seen {
	int argument;
	char name[16];
	unsigned descriptors; /* beside the three */
	bool ignores, blocks;
};

static void look(const void *arg)
{
	struct seen seen = {.argument = *(const int *)arg};
	struct sigaction action;
	sigset_t mask;
	DIR *dir = opendir("/proc/self/fd");

	for (struct dirent *d; dir && (d = readdir(dir));)
		seen.descriptors += *d->d_name != '.' &&
				    atoi(d->d_name) > STDERR_FILENO &&
				    atoi(d->d_name) != dirfd(dir);
	(void)prctl(PR_GET_NAME, seen.name);
	(void)sigaction(SIGUSR1, NULL, &action);
	seen.ignores = action.sa_handler != SIG_DFL;
	(void)sigprocmask(SIG_BLOCK, NULL, &mask);
	seen.blocks = sigismember(&mask, SIGUSR2);
	beside_tell(&seen, sizeof(seen));
}

static void reap(int want)
{
	int status;

	assert_true(wait(&status) > 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), want);
}

static void has_nothing_of_ours(void **state)
{
	const int argument = 42;
	struct seen seen = {0};
	sigset_t mask;
	int pair[2];
	int kept = open("/dev/null", O_RDONLY); /* not close-on-exec */

	assert_true(kept >= 0);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(beside_start("nacre-test", pair, look, &argument), 0);
	/* Ours is closed: what comes after its word is the end. */
	assert_int_equal(read(pair[0], &seen, sizeof(seen)), sizeof(seen));
	assert_int_equal(read(pair[0], &seen, sizeof(seen)), 0);
	assert_int_equal(seen.argument, 42);
	assert_string_equal(seen.name, "nacre-test");
	assert_int_equal(seen.descriptors, 0);
	assert_false(seen.ignores);
	assert_false(seen.blocks);
	reap(0);
	close(pair[0]);
	close(kept);
}

static void say_nothing(const void *arg)
{
}

static void end_is_seen(void **state)
{
	int pair[2];
	char c;

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(beside_start("nacre-test", pair, say_nothing, NULL),
			 0);
	assert_int_equal(read(pair[0], &c, 1), 0);
	reap(0);
	close(pair[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_nothing_of_ours),
		cmocka_unit_test(end_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

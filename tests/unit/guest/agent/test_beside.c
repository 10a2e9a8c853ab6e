/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
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
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest/agent/beside.h"
#include "tests/unit/descriptors.h"

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

static void echo(const void *arg)
{
	int n;

	while (read(STDIN_FILENO, &n, sizeof(n)) == (ssize_t)sizeof(n)) {
		n++;
		beside_tell(&n, sizeof(n));
	}
}

static void say_nothing(const void *arg)
{
}

static struct evloop *loop;
static unsigned calls;

static void told(struct beside *b)
{
	calls++;
	evloop_stop(loop);
}

/* What it tells next. */
static int hear(struct beside *b, void *data, size_t len)
{
	calls = 0;
	assert_int_equal(evloop_run(loop), 0);
	assert_int_equal(calls, 1);
	return beside_hear(b, data, len);
}

static int start(struct beside *b, void (*run)(const void *), const void *arg)
{
	const struct beside_work work = {
		.name = "nacre-test",
		.run = run,
		.arg = arg,
	};

	return beside_start(b, loop, &work, told);
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
	struct beside b = {0};
	struct seen seen = {0};
	sigset_t mask;
	int kept = open("/dev/null", O_RDONLY); /* not close-on-exec */

	assert_true(kept >= 0);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	assert_int_equal(start(&b, look, &argument), 0);
	assert_int_equal(hear(&b, &seen, sizeof(seen)), 0);
	assert_int_equal(seen.argument, 42);
	assert_string_equal(seen.name, "nacre-test");
	assert_int_equal(seen.descriptors, 0);
	assert_false(seen.ignores);
	assert_false(seen.blocks);
	/* Its end of the pair is closed here: what comes next is its end. */
	assert_int_equal(hear(&b, &seen, sizeof(seen)), -ECHILD);
	reap(0);
	beside_close(&b);
	close(kept);
}

static void hears_and_is_closed(void **state)
{
	unsigned before = descriptors();
	struct beside b = {0};
	int n = 5;

	assert_false(beside_open(&b));
	beside_close(&b);
	assert_int_equal(start(&b, echo, NULL), 0);
	assert_true(beside_open(&b));
	assert_int_equal(beside_hear(&b, &n, sizeof(n)), -EAGAIN);
	assert_int_equal(beside_ask(&b, &n, sizeof(n)), 0);
	assert_int_equal(hear(&b, &n, sizeof(n)), 0);
	assert_int_equal(n, 6);
	beside_close(&b);
	assert_false(beside_open(&b));
	beside_close(&b);
	reap(0);
	assert_int_equal(descriptors(), before);
}

static void end_is_seen(void **state)
{
	struct beside b = {0};
	char c;

	assert_int_equal(start(&b, say_nothing, NULL), 0);
	assert_int_equal(hear(&b, &c, 1), -ECHILD);
	reap(0);
	beside_close(&b);
}

/* Neither cut off nor filled up. */
static void length_is_told(void **state)
{
	struct beside b = {0};
	int n = 1;
	char c;
	long more;

	assert_int_equal(start(&b, echo, NULL), 0);
	assert_int_equal(beside_ask(&b, &n, sizeof(n)), 0);
	assert_int_equal(hear(&b, &c, sizeof(c)), -ECHILD);
	assert_int_equal(beside_ask(&b, &n, sizeof(n)), 0);
	assert_int_equal(hear(&b, &more, sizeof(more)), -ECHILD);
	beside_close(&b);
	reap(0);
}

static void say_one(const void *arg)
{
	int n = 1;

	beside_tell(&n, sizeof(n));
}

/* Unix sockets tell of that before they give what was sent. */
static void need_not_read(void **state)
{
	struct beside b = {0};
	siginfo_t info;
	int n = 0;

	assert_int_equal(start(&b, say_one, NULL), 0);
	assert_int_equal(beside_ask(&b, &n, sizeof(n)), 0);
	assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(hear(&b, &n, sizeof(n)), 0);
	assert_int_equal(n, 1);
	beside_close(&b);
	reap(0);
}

static void failure_leaves_nothing(void **state)
{
	unsigned before = descriptors();
	struct beside b = {0};
	struct rlimit old, none = {0};

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(start(&b, say_nothing, NULL), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_false(beside_open(&b));
	assert_int_equal(descriptors(), before);
}

/* Whose numbers arg has, and which others are closed. */
static void look_at_kept(const void *arg)
{
	const int *fds = arg;
	bool kept = fcntl(fds[0], F_GETFD) >= 0 && fcntl(fds[1], F_GETFD) >= 0;
	unsigned n = 0;

	for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	kept = kept && n == 2;
	beside_tell(&kept, sizeof(kept));
}

static void keeps_what_it_is_left(void **state)
{
	const int fds[] = {dup(0), fcntl(0, F_DUPFD_CLOEXEC, 900)};
	const int next[] = {fds[1], fcntl(0, F_DUPFD_CLOEXEC, fds[1] + 1)};
	struct beside_work work = {
		.name = "nacre-test",
		.run = look_at_kept,
		.arg = fds,
		.fds = fds,
		.nfds = 2,
	};
	struct beside b = {0};
	bool kept = false;

	assert_int_equal(beside_start(&b, loop, &work, told), 0);
	assert_int_equal(hear(&b, &kept, sizeof(kept)), 0);
	assert_true(kept);
	beside_close(&b);
	reap(0);
	work.arg = work.fds = next;
	assert_int_equal(next[1], fds[1] + 1);
	kept = false;
	assert_int_equal(beside_start(&b, loop, &work, told), 0);
	assert_int_equal(hear(&b, &kept, sizeof(kept)), 0);
	assert_true(kept);
	beside_close(&b);
	reap(0);
	close(fds[0]);
	close(fds[1]);
	close(next[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_nothing_of_ours),
		cmocka_unit_test(hears_and_is_closed),
		cmocka_unit_test(end_is_seen),
		cmocka_unit_test(length_is_told),
		cmocka_unit_test(need_not_read),
		cmocka_unit_test(failure_leaves_nothing),
		cmocka_unit_test(keeps_what_it_is_left),
	};
	int ret;

	loop = evloop_new();
	if (!loop)
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return ret;
}

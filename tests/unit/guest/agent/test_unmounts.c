/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/unmounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What all processes see. */
static struct shared {
	sem_t may_end[3];
	unsigned begun;
	pid_t pid[3];
} * shared;

struct item {
	struct unmount unmount;
	unsigned n;
	int ret;
	bool gone;
};

static struct evloop *loop;
static struct unmounts all;
static struct item items[3];
static unsigned ngone, ndone;
static bool no_fork;

static int run(const struct unmount *m)
{
	const struct item *i = container_of(m, const struct item, unmount);

	shared->begun |= 1u << i->n;
	shared->pid[i->n] = getpid();
	while (sem_wait(&shared->may_end[i->n]) < 0)
		;
	for (size_t k = 0; k < m->nfds; k++)
		if (fcntl(m->fds[k], F_GETFD) < 0)
			return -EBADF;
	return -(int)i->n;
}

static void gone(struct unmount *m, int ret)
{
	struct item *i = container_of(m, struct item, unmount);

	assert_false(i->gone);
	i->gone = true;
	i->ret = ret;
	ngone++;
	evloop_stop(loop);
}

static void done(struct unmounts *u)
{
	assert_ptr_equal(u, &all);
	assert_null(unmounts_waits_for(u));
	ndone++;
}

static const struct unmount_ops waiting = {
	.run = run,
	.waits = true,
	.gone = gone,
};
static const struct unmount_ops at_once = {
	.run = run,
	.gone = gone,
};

static int set_up(void **state)
{
	static const char *const paths[] = {"/0", "/1", "/2"};

	memset(shared, 0, sizeof(*shared));
	memset(items, 0, sizeof(items));
	ngone = ndone = 0;
	all = (struct unmounts){.loop = loop, .done = done};
	for (unsigned n = 0; n < 3; n++) {
		if (sem_init(&shared->may_end[n], 1, 0) < 0)
			return -1;
		items[n].n = n;
		items[n].unmount.ops = &waiting;
		items[n].unmount.path = paths[n];
		unmounts_add(&all, &items[n].unmount);
	}
	return 0;
}

static void end(unsigned n)
{
	assert_int_equal(sem_post(&shared->may_end[n]), 0);
}

/* Until so many are gone: of those under way, several at a time may be. */
static void wait_for(unsigned n)
{
	while (ngone < n)
		assert_int_equal(evloop_run(loop), 0);
}

static void none_is_left(void)
{
	assert_int_equal(ngone, 3);
	assert_int_equal(ndone, 1);
	while (wait(NULL) > 0)
		;
	assert_int_equal(errno, ECHILD);
}

static void one_after_the_other(void **state)
{
	for (unsigned n = 1; n < 3; n++)
		end(n);
	unmounts_run(&all);
	unmounts_run(&all); /* asked for again */
	assert_string_equal(unmounts_waits_for(&all), "/0");
	assert_int_equal(ngone, 0);
	assert_int_equal(shared->begun & ~1u, 0);
	end(0);
	wait_for(1);
	assert_int_equal(shared->begun & ~3u, 0);
	assert_string_equal(unmounts_waits_for(&all), "/1");
	wait_for(3);
	for (unsigned n = 0; n < 3; n++) {
		assert_int_equal(items[n].ret, -(int)n);
		assert_int_not_equal(shared->pid[n], getpid());
	}
	none_is_left();
}

static void hurry_waits_for_none(void **state)
{
	unmounts_run(&all);
	end(1);
	end(2);
	unmounts_hurry(&all);
	wait_for(2);
	assert_false(items[0].gone);
	assert_int_equal(ndone, 0);
	assert_string_equal(unmounts_waits_for(&all), "/0");
	end(0);
	wait_for(3);
	none_is_left();
}

static void hurry_waits_for_what_is_within(void **state)
{
	items[0].unmount.path = "/2/within";
	items[1].unmount.path = "/22";
	unmounts_run(&all);
	end(1);
	end(2);
	unmounts_hurry(&all);
	wait_for(1);
	unmounts_hurry(&all); /* asked for again */
	assert_true(items[1].gone);
	assert_false(beside_open(&items[2].unmount.process));
	assert_int_equal(shared->begun & 4u, 0);
	end(0);
	wait_for(2);
	assert_true(items[0].gone);
	wait_for(3);
	none_is_left();
}

static void memory_is_done_here(void **state)
{
	items[0].unmount.ops = items[1].unmount.ops = &at_once;
	end(0);
	end(1);
	unmounts_run(&all);
	assert_int_equal(ngone, 2);
	assert_int_equal(shared->pid[0], getpid());
	assert_int_equal(shared->pid[1], getpid());
	end(2);
	wait_for(3);
	none_is_left();
}

/* Were they open here as well, who closes them last would wait here. */
static void descriptors_are_the_process(void **state)
{
	int fds[2] = {dup(0), dup(0)};

	items[0].unmount.fds = fds;
	items[0].unmount.nfds = 2;
	unmounts_run(&all);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
	for (unsigned n = 0; n < 3; n++)
		end(n);
	wait_for(3);
	assert_int_equal(items[0].ret, 0);
	none_is_left();
}

static void one_that_is_killed(void **state)
{
	end(1);
	end(2);
	unmounts_run(&all);
	while (!__atomic_load_n(&shared->pid[0], __ATOMIC_SEQ_CST))
		sched_yield();
	assert_int_equal(kill(shared->pid[0], SIGKILL), 0);
	wait_for(1);
	assert_int_equal(items[0].ret, -ECHILD);
	wait_for(3);
	none_is_left();
}

/* In place of the system's. */
pid_t fork(void)
{
	if (no_fork) {
		errno = EAGAIN;
		return -1;
	}
	return _Fork();
}

static void without_a_process(void **state)
{
	int fd = dup(0);

	items[0].unmount.fds = &fd;
	items[0].unmount.nfds = 1;
	for (unsigned n = 0; n < 3; n++)
		end(n);
	no_fork = true;
	unmounts_run(&all);
	no_fork = false;
	assert_int_equal(shared->pid[0], getpid());
	assert_int_equal(items[0].ret, 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	none_is_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_after_the_other, set_up),
		cmocka_unit_test_setup(hurry_waits_for_none, set_up),
		cmocka_unit_test_setup(hurry_waits_for_what_is_within, set_up),
		cmocka_unit_test_setup(memory_is_done_here, set_up),
		cmocka_unit_test_setup(descriptors_are_the_process, set_up),
		cmocka_unit_test_setup(one_that_is_killed, set_up),
		cmocka_unit_test_setup(without_a_process, set_up),
	};
	int ret;

	loop = evloop_new();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!loop || shared == MAP_FAILED)
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return ret;
}

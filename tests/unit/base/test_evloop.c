/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/evloop.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS 500

static struct evloop *loop;

static int set_up(void **state)
{
	loop = evloop_new();
	return loop ? 0 : -1;
}

static int tear_down(void **state)
{
	evloop_free(loop);
	return 0;
}

struct counter {
	struct evsource src;
	struct counter *victim; /* deleted and freed when this one runs */
	struct counter *mute;	/* asked for nothing when this one runs */
	int ran;
	uint32_t revents;
};

static void count(struct evsource *src, uint32_t revents)
{
	struct counter *c = container_of(src, struct counter, src);

	c->ran++;
	c->revents = revents;
	if (c->victim) {
		evsource_del(&c->victim->src);
		free(c->victim);
		c->victim = NULL;
	}
	if (c->mute)
		assert_int_equal(evsource_modify(&c->mute->src, 0), 0);
}

static int ready_fd(void)
{
	int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void test_source(void **state)
{
	struct counter c = {.ran = 0};
	int fd = ready_fd();

	assert_int_equal(evsource_add(loop, &c.src, fd, EPOLLIN, count), 0);
	assert_int_equal(c.src.fd, fd);
	assert_int_equal(evloop_once(loop, -1), 0);
	assert_int_equal(c.ran, 1);
	assert_int_equal(c.revents, EPOLLIN);
	assert_int_equal(evsource_modify(&c.src, EPOLLOUT), 0);
	assert_int_equal(evloop_once(loop, -1), 0);
	assert_int_equal(c.revents, EPOLLOUT);
	evsource_del(&c.src);
	evsource_del(&c.src);
	assert_int_equal(c.src.fd, -1);
	assert_int_equal(evloop_once(loop, 0), 0);
	assert_int_equal(c.ran, 2);
	close(fd);
}

static void test_source_errors(void **state)
{
	struct counter c = {.ran = 0};
	struct evsource zero = {0};

	assert_int_equal(evsource_add(loop, &c.src, -1, EPOLLIN, count),
			 -EBADF);
	assert_int_equal(c.src.fd, -1);
	evsource_del(&c.src);
	evsource_del(&zero);
	assert_int_equal(evsource_modify(&zero, EPOLLIN), -ENOENT);
}

/* Each of two fetched sources frees the other one: only one may run. */
static void test_delete_in_batch(void **state)
{
	struct counter *a = calloc(1, sizeof(*a));
	struct counter *b = calloc(1, sizeof(*b));
	int fa = ready_fd(), fb = ready_fd();
	struct counter *left;

	assert_non_null(a);
	assert_non_null(b);
	a->victim = b;
	b->victim = a;
	assert_int_equal(evsource_add(loop, &a->src, fa, EPOLLIN, count), 0);
	assert_int_equal(evsource_add(loop, &b->src, fb, EPOLLIN, count), 0);
	assert_int_equal(evloop_once(loop, -1), 0);
	/* epoll returns them in the order in which they became ready. */
	left = a;
	assert_int_equal(left->ran, 1);
	assert_null(left->victim);
	evsource_del(&left->src);
	free(left);
	close(fa);
	close(fb);
}

static void test_modify_in_batch(void **state)
{
	struct counter a = {.ran = 0}, b = {.ran = 0};
	int fa = ready_fd(), fb = ready_fd();

	a.mute = &b;
	b.mute = &a;
	assert_int_equal(evsource_add(loop, &a.src, fa, EPOLLIN, count), 0);
	assert_int_equal(evsource_add(loop, &b.src, fb, EPOLLIN, count), 0);
	assert_int_equal(evloop_once(loop, -1), 0);
	assert_int_equal(a.ran + b.ran, 1);
	evsource_del(&a.src);
	evsource_del(&b.src);
	close(fa);
	close(fb);
}

struct alarm {
	struct evtimer timer;
	struct evtimer *restart; /* started anew for later */
	int ran;
};

static void expire(struct evtimer *timer)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);

	alarm->ran++;
	if (alarm->restart)
		evtimer_start(alarm->restart, 3600000);
	evloop_stop(loop);
}

static void test_timer(void **state)
{
	struct alarm alarm = {.ran = 0};
	int64_t start = monotonic_ms();

	assert_int_equal(evtimer_init(loop, &alarm.timer, expire), 0);
	evtimer_start(&alarm.timer, 20);
	assert_int_equal(evloop_run(loop), 0);
	assert_int_equal(alarm.ran, 1);
	assert_true(monotonic_ms() - start >= 20);
	/* One shot. */
	assert_int_equal(evloop_once(loop, 5), 0);
	assert_int_equal(alarm.ran, 1);
	evtimer_start(&alarm.timer, 0);
	assert_int_equal(evloop_run(loop), 0);
	assert_int_equal(alarm.ran, 2);
	evtimer_start(&alarm.timer, 1);
	evtimer_stop(&alarm.timer);
	assert_int_equal(evloop_once(loop, 5), 0);
	assert_int_equal(alarm.ran, 2);
	evtimer_start(&alarm.timer, UINT64_MAX);
	evtimer_release(&alarm.timer);
	evtimer_release(&alarm.timer);
}

/* Of two expired timers, the first one moves the other one away. */
static void test_timer_restart_in_batch(void **state)
{
	struct alarm a = {.ran = 0}, b = {.ran = 0};
	const struct timespec wait = {.tv_nsec = 5000000};

	assert_int_equal(evtimer_init(loop, &a.timer, expire), 0);
	assert_int_equal(evtimer_init(loop, &b.timer, expire), 0);
	a.restart = &b.timer;
	b.restart = &a.timer;
	evtimer_start(&a.timer, 0);
	evtimer_start(&b.timer, 0);
	/* Both shall be in one batch. */
	nanosleep(&wait, NULL);
	assert_int_equal(evloop_once(loop, -1), 0);
	assert_int_equal(a.ran + b.ran, 1);
	evtimer_release(&a.timer);
	evtimer_release(&b.timer);
}

static void test_zeroed_timer(void **state)
{
	int fd = ready_fd();
	struct evtimer timer = {.src.fd = fd};

	evtimer_stop(&timer);
	evtimer_release(&timer);
	/* A timer that is not initialised owns no descriptor. */
	assert_int_equal(close(fd), 0);
}

struct note {
	struct evpost post;
	int number;
	bool again;
};

static int notes[8];
static size_t noted;

static void take_note(struct evpost *post)
{
	struct note *note = container_of(post, struct note, post);

	notes[noted++] = note->number;
	if (note->again) {
		note->again = false;
		note->number += 10;
		evloop_post(loop, post);
	}
}

static void test_posts_in_order(void **state)
{
	struct note n[3] = {
		{.post.run = take_note, .number = 0, .again = true},
		{.post.run = take_note, .number = 1},
		{.post.run = take_note, .number = 2},
	};

	noted = 0;
	for (size_t i = 0; i < ARRAY_SIZE(n); i++)
		evloop_post(loop, &n[i].post);
	assert_int_equal(noted, 0);
	assert_int_equal(evloop_once(loop, -1), 0);
	assert_int_equal(noted, 4);
	assert_int_equal(notes[0], 0);
	assert_int_equal(notes[1], 1);
	assert_int_equal(notes[2], 2);
	assert_int_equal(notes[3], 10);
}

static void test_stop_before_run(void **state)
{
	evloop_stop(loop);
	assert_int_equal(evloop_run(loop), 0);
}

static void *run_loop(void *arg)
{
	assert_int_equal(evloop_run(loop), 0);
	return NULL;
}

struct tally {
	pthread_t loop_thread;
	unsigned posts, calls; /* of the loop's thread, unlocked on purpose */
	bool elsewhere;
};

static struct tally tally;

struct parcel {
	struct evpost post;
};

static void count_post(struct evpost *post)
{
	tally.posts++;
	free(container_of(post, struct parcel, post));
}

static void count_call(void *arg)
{
	tally.calls++;
	if (!pthread_equal(pthread_self(), tally.loop_thread))
		tally.elsewhere = true;
	*(int *)arg += 1;
}

static void *pester(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct parcel *p = calloc(1, sizeof(*p));
		int answer = i;

		if (!p)
			abort();
		p->post.run = count_post;
		evloop_post(loop, &p->post);
		evloop_call(loop, count_call, &answer);
		if (answer != i + 1)
			abort();
	}
	return NULL;
}

static void started(struct evpost *post)
{
	struct note *note = container_of(post, struct note, post);

	tally.loop_thread = pthread_self();
	if (write(note->number, &(uint64_t){1}, sizeof(uint64_t)) < 0)
		abort();
}

static void wait_for(int fd)
{
	uint64_t value;

	assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
}

static void test_threads(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct note hello = {.post.run = started, .number = fd};
	pthread_t runner, threads[THREADS];

	tally = (struct tally){0};
	evloop_post(loop, &hello.post);
	assert_int_equal(pthread_create(&runner, NULL, run_loop, NULL), 0);
	wait_for(fd);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, pester, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	evloop_stop(loop);
	pthread_join(runner, NULL);
	assert_int_equal(tally.posts, THREADS * ROUNDS);
	assert_int_equal(tally.calls, THREADS * ROUNDS);
	assert_false(tally.elsewhere);
	close(fd);
}

static void *call_once(void *arg)
{
	int *answer = arg;

	evloop_call(loop, count_call, answer);
	return NULL;
}

/* Stops the loop, with a call queued behind it. */
static void stop_later(struct evpost *post)
{
	evloop_stop(loop);
}

static void test_stop_serves_calls(void **state)
{
	for (int i = 0; i < 100; i++) {
		struct evpost stop = {.run = stop_later};
		pthread_t runner, caller;
		int answer = 0;

		tally = (struct tally){0};
		assert_int_equal(pthread_create(&runner, NULL, run_loop, NULL),
				 0);
		assert_int_equal(
			pthread_create(&caller, NULL, call_once, &answer), 0);
		evloop_post(loop, &stop);
		/* Whether the call came before, during or after the run. */
		pthread_join(caller, NULL);
		pthread_join(runner, NULL);
		assert_int_equal(answer, 1);
	}
}

static void nested_call(void *arg)
{
	evloop_call(loop, count_call, arg);
}

static void test_plain_calls(void **state)
{
	int answer = 0;

	evloop_call(loop, count_call, &answer);
	assert_int_equal(answer, 1);
	evloop_call(loop, nested_call, &answer);
	assert_int_equal(answer, 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_source),
		T(test_source_errors),
		T(test_delete_in_batch),
		T(test_modify_in_batch),
		T(test_timer),
		T(test_timer_restart_in_batch),
		T(test_zeroed_timer),
		T(test_posts_in_order),
		T(test_stop_before_run),
		T(test_threads),
		T(test_stop_serves_calls),
		T(test_plain_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/clock.h"

/* Time passes as the code looks at it, and others have the processor when a
 * test says so, whatever else this machine does. */
static long switches;
static uint64_t clock_ns = 10 * 1000000;
/* What a system call takes. */
static uint64_t call_ns;

static uint64_t test_ns(void)
{
	return clock_ns += 100;
}

static int test_usage(struct rusage *usage)
{
	memset(usage, 0, sizeof(*usage));
	usage->ru_nivcsw = switches;
	clock_ns += call_ns;
	return 0;
}

#define monotonic_ns() test_ns()
#define getrusage(who, usage) test_usage(usage)
/* NOLINTNEXTLINE(bugprone-suspicious-include): with what is defined above */
#include "virtiofs/spin.c"

/* Of asleep_ns: so long ago that nobody would have waited for it. */
#define LONG_AGO 1u

struct ring {
	unsigned looks; /* so far */
	unsigned after; /* of so many there is something */
};

static bool more(void *arg)
{
	struct ring *ring = arg;

	return ++ring->looks >= ring->after;
}

/* A request that comes right after the thread went to sleep. */
static void wake_soon(struct fs_spin *spin)
{
	spin->asleep_ns = test_ns();
	fs_spin_woken(spin);
}

static void slow_machines_have_more_time(void **state)
{
	call_ns = 0;
	assert_int_equal(measure_window(), WINDOW_MAX_LEAST);
	call_ns = 900;
	assert_int_equal(measure_window(), 1000 * WINDOW_CALLS);
	call_ns = 1000000;
	assert_int_equal(measure_window(), WINDOW_MAX_MOST);
	call_ns = 0;
}

static void looks_once_without_a_reason(void **state)
{
	struct ring ring = {.after = 2};
	struct fs_spin spin = {0};

	assert_false(fs_spin_for(&spin, more, &ring));
	assert_int_equal(ring.looks, 1);
	assert_true(fs_spin_for(&spin, more, &ring));
	assert_int_equal(ring.looks, 2);
}

static void a_late_request_is_none(void **state)
{
	struct ring ring = {.after = UINT32_MAX};
	struct fs_spin spin = {.asleep_ns = LONG_AGO};

	fs_spin_woken(&spin);
	assert_int_equal(spin.asleep_ns, 0);
	assert_int_equal(spin.window_ns, 0);
	assert_false(fs_spin_for(&spin, more, &ring));
	assert_int_equal(ring.looks, 1);
}

static void looks_again_after_a_soon_one(void **state)
{
	struct ring ring = {.after = 3};
	struct fs_spin spin = {0};

	wake_soon(&spin);
	assert_true(spin.window_ns > 0);
	assert_true(fs_spin_for(&spin, more, &ring));
	assert_int_equal(ring.looks, 3);
	assert_true(spin.window_ns > 0);
}

/* It takes the longer to try again the more often it was in vain, up to a
 * point; and less again when it was not. */
static void vain_looks_are_not_repeated(void **state)
{
	struct ring never = {.after = UINT32_MAX};
	struct ring soon = {.after = 2};
	struct fs_spin spin = {0};
	unsigned wakes = 0;

	for (unsigned i = 0; i < 10; i++) {
		unsigned n = 0;

		while (!spin.window_ns) {
			wake_soon(&spin);
			n++;
		}
		assert_in_range(n, wakes, 65);
		wakes = n;
		never.looks = 0;
		assert_false(fs_spin_for(&spin, more, &never));
		assert_true(never.looks > 1);
		assert_int_equal(spin.window_ns, 0);
	}
	assert_int_equal(wakes, 65);
	while (!spin.window_ns)
		wake_soon(&spin);
	for (unsigned i = 0; i < VAIN_MAX; i++) {
		soon.looks = 0;
		assert_true(fs_spin_for(&spin, more, &soon));
	}
	assert_int_equal(spin.vain, 0);
}

/* The time since it began to look is no sleep if it found something. */
static void what_was_found_was_not_waited_for(void **state)
{
	struct ring soon = {.after = 3};
	struct fs_spin spin = {0};
	uint32_t window;

	wake_soon(&spin);
	window = spin.window_ns;
	assert_true(fs_spin_for(&spin, more, &soon));
	assert_int_equal(spin.asleep_ns, 0);
	fs_spin_woken(&spin);
	assert_int_equal(spin.window_ns, window);
}

static void others_may_know_better(void **state)
{
	struct ring never = {.after = UINT32_MAX};
	struct fs_spin spin = {0};

	fs_spin_expect(&spin);
	assert_int_equal(spin.window_ns, fs_spin_longest());
	/* Not every time, if it was in vain. */
	assert_false(fs_spin_for(&spin, more, &never));
	assert_int_equal(spin.wait, 1);
	fs_spin_expect(&spin);
	assert_int_equal(spin.window_ns, 0);
	fs_spin_expect(&spin);
	assert_int_equal(spin.window_ns, fs_spin_longest());
}

/* How often others had the processor while that much time passed. */
static bool finds_after(struct fs_spin *spin, uint64_t ns, long times)
{
	struct ring soon = {.after = 2};

	clock_ns += ns;
	switches += times;
	return fs_spin_for(spin, more, &soon);
}

/* Who is in the way is asked now and then, and nothing is tried for a while. */
static void gives_way_to_others(void **state)
{
	struct fs_spin spin = {0};
	unsigned wakes = 0;

	wake_soon(&spin);
	assert_true(finds_after(&spin, CROWD_ASK_NS, 0));
	assert_true(finds_after(&spin, CROWD_ASK_NS / 2, 9));
	assert_false(finds_after(&spin, CROWD_ASK_NS / 2, 0));
	for (; !spin.window_ns; wakes++)
		wake_soon(&spin);
	assert_true(wakes > 65);
}

static void lets_others_pass_by(void **state)
{
	struct fs_spin spin = {0};

	wake_soon(&spin);
	assert_true(finds_after(&spin, CROWD_ASK_NS, 0));
	assert_true(finds_after(&spin, CROWD_ASK_NS, 1));
	assert_true(finds_after(&spin, 10 * CROWD_ASK_NS, 10));
	assert_false(finds_after(&spin, 10 * CROWD_ASK_NS, 25));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_machines_have_more_time),
		cmocka_unit_test(looks_once_without_a_reason),
		cmocka_unit_test(a_late_request_is_none),
		cmocka_unit_test(looks_again_after_a_soon_one),
		cmocka_unit_test(vain_looks_are_not_repeated),
		cmocka_unit_test(what_was_found_was_not_waited_for),
		cmocka_unit_test(others_may_know_better),
		cmocka_unit_test(gives_way_to_others),
		cmocka_unit_test(lets_others_pass_by),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

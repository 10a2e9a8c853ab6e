/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/spin.h"

#include <stdatomic.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/compiler.h"

/* Looking for longer costs more than to sleep and be woken, and what the guest
 * pays for its notification. That many times what a system call takes, as
 * machines differ: 100 to 250 us on one of today, and more on one that is
 * emulated. */
#define WINDOW_CALLS 1000u
#define WINDOW_MAX_LEAST 100000u
#define WINDOW_MAX_MOST 2000000u
/* Of the longest window. */
#define WINDOW_MIN_SHARE 10u
#define VAIN_MAX 7u
/* Looks at the ring between two at the clock, and the share of the longest
 * window that those take when nobody else had the processor. */
#define LOOKS 16u
#define LOOKS_SHARE 2u

/* Others want the processor, and are not just passing by, if they took it that
 * often on average, the time between two questions. It is then not tried for a
 * while, longer each time. */
#define CROWD_NS 10000000u
#define CROWD_ASK_NS (2 * CROWD_NS)
#define CROWD_WAIT 64u
#define CROWD_MAX 6u

static uint32_t measure_window(void)
{
	uint64_t best = UINT64_MAX;
	struct rusage usage;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t start = monotonic_ns();

		if (getrusage(RUSAGE_THREAD, &usage))
			return WINDOW_MAX_LEAST;
		best = MIN(best, monotonic_ns() - start);
	}
	best = MIN(best, (uint64_t)WINDOW_MAX_MOST) * WINDOW_CALLS;
	return (uint32_t)MIN(MAX(best, (uint64_t)WINDOW_MAX_LEAST),
			     (uint64_t)WINDOW_MAX_MOST);
}

uint32_t fs_spin_longest(void)
{
	static _Atomic uint32_t measured;
	uint32_t max = atomic_load_explicit(&measured, memory_order_relaxed);

	if (!max) {
		max = measure_window();
		atomic_store_explicit(&measured, max, memory_order_relaxed);
	}
	return max;
}

static void pause_briefly(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool look(bool (*more)(void *arg), void *arg)
{
	for (unsigned i = 0; i < LOOKS; i++) {
		if (more(arg))
			return true;
		pause_briefly();
	}
	return false;
}

/* Now and then: whether the thread lost its processor against its will. */
static bool is_crowded(struct fs_spin *spin, uint64_t now)
{
	uint64_t since = now - spin->asked_ns;
	struct rusage usage;
	long times;

	if (since < CROWD_ASK_NS || getrusage(RUSAGE_THREAD, &usage))
		return false;
	/* The first time, there is nothing to compare with. */
	times = spin->asked_ns ? usage.ru_nivcsw - spin->switches : 0;
	spin->switches = usage.ru_nivcsw;
	spin->asked_ns = now;
	if ((uint64_t)times * CROWD_NS < since) {
		spin->crowd -= spin->crowd > 0;
		return false;
	}
	spin->crowd += spin->crowd < CROWD_MAX;
	spin->window_ns = 0;
	spin->wait = CROWD_WAIT << spin->crowd;
	return true;
}

static bool spin_from(struct fs_spin *spin, uint64_t start,
		      bool (*more)(void *arg), void *arg)
{
	uint64_t last = start;
	uint64_t now = start;

	if (!spin->window_ns || is_crowded(spin, start))
		return more(arg);
	while (now - start < spin->window_ns &&
	       now - last < fs_spin_longest() / LOOKS_SHARE) {
		if (look(more, arg)) {
			spin->vain -= spin->vain > 0;
			return true;
		}
		last = now;
		now = monotonic_ns();
	}
	/* In vain, or in the way of others that have something to do. */
	spin->window_ns = 0;
	spin->vain += spin->vain < VAIN_MAX;
	spin->wait = 1u << (spin->vain - 1);
	return false;
}

bool fs_spin_for(struct fs_spin *spin, bool (*more)(void *arg), void *arg)
{
	uint64_t start = monotonic_ns();
	bool found = spin_from(spin, start, more, arg);

	spin->asleep_ns = found ? 0 : start;
	return found;
}

void fs_spin_woken(struct fs_spin *spin)
{
	uint64_t max = fs_spin_longest();
	uint64_t gap;

	if (!spin->asleep_ns)
		return;
	gap = monotonic_ns() - spin->asleep_ns;
	spin->asleep_ns = 0;
	if (gap > max)
		return;
	if (spin->wait > 0) {
		spin->wait--;
		return;
	}
	spin->window_ns =
		(uint32_t)MIN(MAX(2 * gap, max / WINDOW_MIN_SHARE), max);
}

void fs_spin_expect(struct fs_spin *spin)
{
	if (spin->wait > 0)
		spin->wait--;
	else
		spin->window_ns = fs_spin_longest();
}

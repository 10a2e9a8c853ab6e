/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/spin.h"

#include "base/clock.h"
#include "base/compiler.h"

/* Looking for longer costs more than to sleep and be woken. */
#define WINDOW_MAX 50000u
#define WINDOW_MIN 5000u
#define VAIN_MAX 6u
/* Looks at the ring between two at the clock, and how long those may take when
 * nobody else had the processor. */
#define LOOKS 16u
#define LOOKS_NS 20000u

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

bool fs_spin_for(struct fs_spin *spin, bool (*more)(void *arg), void *arg)
{
	uint64_t start = monotonic_ns();
	uint64_t last = start;
	uint64_t now = start;

	spin->asleep_ns = start;
	if (!spin->window_ns)
		return more(arg);
	while (now - start < spin->window_ns && now - last < LOOKS_NS) {
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
	spin->wait = 1u << spin->vain;
	return false;
}

void fs_spin_woken(struct fs_spin *spin)
{
	uint64_t gap;

	if (!spin->asleep_ns)
		return;
	gap = monotonic_ns() - spin->asleep_ns;
	spin->asleep_ns = 0;
	if (gap > WINDOW_MAX)
		return;
	if (spin->wait > 0) {
		spin->wait--;
		return;
	}
	spin->window_ns = (uint32_t)MIN(MAX(2 * gap, (uint64_t)WINDOW_MIN),
					(uint64_t)WINDOW_MAX);
}

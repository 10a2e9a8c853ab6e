/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_SPIN_H
#define VIRTIOFS_SPIN_H

/*
 * Looking for the next request for a while, before to sleep until the guest
 * says that there is one: a guest that waits for each reply has the next
 * request soon, and is spared its notification as we are the way to sleep and
 * back. Whether and for how long tells the past: it is tried when requests
 * came soon after the thread fell asleep, and the more rarely the more often
 * it was in vain; and where others want the processor, next to never: a thread
 * that sleeps is let in at once when it wakes, one that does not has to queue.
 * How long at most, in system calls: an emulated machine takes longer for all.
 */

#include <stdbool.h>
#include <stdint.h>

/* Of one thread; all zero at first. */
struct fs_spin {
	uint32_t window_ns; /* 0: not now */
	uint32_t vain;	    /* how often it was, less what was not */
	uint32_t wait;	   /* requests that must come soon before it is tried */
	uint32_t crowd;	   /* how often others had the processor meanwhile */
	long switches;	   /* of the thread, when that was last asked */
	uint64_t asked_ns; /* at that time */
	uint64_t asleep_ns; /* since then; 0: awake */
};

/* Whether there is more, now or within the window. If not, the caller sleeps
 * and says with fs_spin_woken when a request woke it. */
bool fs_spin_for(struct fs_spin *spin, bool (*more)(void *arg), void *arg);
void fs_spin_woken(struct fs_spin *spin);

/* The caller knows that requests come soon, though this thread slept. */
void fs_spin_expect(struct fs_spin *spin);
/* Nanoseconds, the longest window: what comes within is soon. */
uint32_t fs_spin_longest(void);

#endif

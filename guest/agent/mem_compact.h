/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_MEM_COMPACT_H
#define GUEST_AGENT_MEM_COMPACT_H

/*
 * Makes large free blocks of small ones. After each period that had less than
 * a limit of stall time, if free memory has become more fragmented, or
 * shrunk, by a threshold since the last time, the kernel compacts all zones.
 * That is one call, which a child makes: it is killed when the machine waits
 * beyond a limit, or after compact_sec_max.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/evloop.h"
#include "guest/agent/pressure.h"

#define MEM_COMPACT_ORDER_MAX 10u    /* MAX_PAGE_ORDER */
#define MEM_COMPACT_NEVER UINT64_MAX /* of compact_force_times */

struct mem_compact_config {
	bool disabled;
	uint64_t period_secs;
	uint32_t period_psi_percent_limit;
	uint32_t compact_psi_percent_limit;
	uint64_t compact_sec_max;
	uint32_t compact_order;	      /* blocks that are wanted */
	uint64_t compact_threshold;   /* pages */
	uint64_t compact_force_times; /* periods without; 0: do it always */
};

/* Free memory, in pages: all of it, and what lies in smaller blocks than
 * compact_order among the movable. */
struct mem_compact_free {
	uint64_t all, scattered;
};

struct mem_compact {
	struct mem_compact_config config;
	struct evtimer timer; /* the period, or the second while it works */
	int pressure;	      /* directory; -1: off */
	bool works;
	struct evsource ended; /* pidfd of the child */
	uint64_t began;	       /* microseconds */
	struct pressure_window waiting, working;
	uint64_t idle_times;	       /* periods since it worked */
	struct mem_compact_free after; /* the last time */
};

/* The content of /proc/pagetypeinfo: pages in free movable blocks below that
 * order. */
uint64_t mem_compact_scattered(const char *text, unsigned order);
bool mem_compact_due(const struct mem_compact_config *config,
		     const struct mem_compact_free *now,
		     const struct mem_compact_free *after, uint64_t idle_times);

int mem_compact_init(struct mem_compact *compact,
		     struct evloop *loop) MUST_CHECK;
/* The config is valid. -ENOTSUP with err: not with this kernel. */
int mem_compact_set(struct mem_compact *compact,
		    const struct mem_compact_config *config,
		    struct err *err) MUST_CHECK;

#endif

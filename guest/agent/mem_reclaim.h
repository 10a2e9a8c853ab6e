/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_MEM_RECLAIM_H
#define GUEST_AGENT_MEM_RECLAIM_H

/*
 * Reclaims pages that were not used for some periods. After each period, for
 * each memory group on each node that had less than a limit of stall time:
 * the multi-generational LRU ages, and once it did so often enough gives up
 * its oldest generation, until that is empty, shrinks no more, or the group
 * waits for memory and I/O beyond a limit.
 *
 * Works in steps of one call of the kernel each, between which the loop goes
 * on.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/evloop.h"
#include "guest/agent/lru_gen.h"

#define MEM_RECLAIM_SWAPPINESS_MAX 200u /* vm.swappiness */

struct mem_reclaim_config {
	bool disabled;
	bool swap;		 /* anonymous pages too, where there is swap */
	uint32_t swappiness_max; /* 0 .. MEM_RECLAIM_SWAPPINESS_MAX */
	uint64_t period_secs;
	uint32_t period_psi_percent_limit;
	uint32_t eviction_psi_percent_limit;
	uint64_t eviction_run_aging_count_min;
};

struct mem_group;

enum mem_reclaim_phase {
	MEM_RECLAIM_RESTS, /* for a period, or for good */
	MEM_RECLAIM_AGES,
	MEM_RECLAIM_EVICTS,
};

struct mem_reclaim {
	struct mem_reclaim_config config;
	struct evtimer timer;
	struct lru_gen_file lru;
	struct mem_group *groups;
	enum mem_reclaim_phase phase;
	struct mem_group *at; /* where it stands */
	uint64_t pages;	      /* evicted since the period's end */
};

/*
 * How to evict a batch, from what a group has now and what it had before the
 * last batch (NULL: this is the first): a swappiness, or -ENODATA for no more.
 * *only_swap is kept from call to call.
 */
int mem_reclaim_swappiness(const struct mem_reclaim_config *config,
			   const struct lru_gen *now,
			   const struct lru_gen *last, bool swap_there,
			   bool *only_swap);

int mem_reclaim_init(struct mem_reclaim *reclaim,
		     struct evloop *loop) MUST_CHECK;
/* The config is valid. -ENOTSUP with err: not with this kernel. */
int mem_reclaim_set(struct mem_reclaim *reclaim,
		    const struct mem_reclaim_config *config,
		    struct err *err) MUST_CHECK;

#endif

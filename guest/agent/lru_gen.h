/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_LRU_GEN_H
#define GUEST_AGENT_LRU_GEN_H

/*
 * The multi-generational LRU of the kernel (admin-guide/mm/multigen_lru in its
 * documentation, working set estimation and proactive reclaim). Each memory
 * group has, on each node, up to four generations of pages. Aging makes a new
 * one of the pages that were used since the last; eviction takes pages from
 * the oldest.
 *
 * It is spoken to through a file of debugfs, which is mounted for the agent
 * alone, at no path: containers never see it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

#define LRU_GEN_FULL 4 /* MAX_NR_GENS */

/* What a group has on one node. */
struct lru_gen {
	const char *path; /* of the group, below its mount point: "/a/b" */
	unsigned group, node;
	uint64_t min_seq, max_seq; /* numbers of the generations */
	uint64_t age_ms;	   /* of the youngest */
	uint64_t anon, file;	   /* pages of the oldest */
};

/*
 * Calls each() for all that text, the content of the file, has; text is
 * written to. 0, -EINVAL for what is not that file, or what each() returned
 * that is not 0.
 */
int lru_gen_parse(char *text, int (*each)(void *arg, const struct lru_gen *lru),
		  void *arg) MUST_CHECK;

struct lru_gen_file {
	int fd;	     /* -1: not open */
	bool was_on; /* before lru_gen_open */
};

/* Turns it on; the file must be closed. */
int lru_gen_open(struct lru_gen_file *file, struct err *err) MUST_CHECK;
/* Leaves it as it was before. No effect on a closed one. */
void lru_gen_close(struct lru_gen_file *file);
/* lru_gen_parse of what it has now. */
int lru_gen_each(const struct lru_gen_file *file,
		 int (*each)(void *arg, const struct lru_gen *lru),
		 void *arg) MUST_CHECK;
/* swap: anonymous pages too. 0 or -errno. */
int lru_gen_age(const struct lru_gen_file *file, const struct lru_gen *lru,
		bool swap) MUST_CHECK;
/* swappiness: 0 file pages alone .. 200 anonymous ones alone. */
int lru_gen_evict(const struct lru_gen_file *file, const struct lru_gen *lru,
		  unsigned swappiness, unsigned pages) MUST_CHECK;

#endif

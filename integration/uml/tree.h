/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_UML_TREE_H
#define INTEGRATION_UML_TREE_H

/* The processes below this one, as the host sees them. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TREE_MAX 64u

struct tree_process {
	pid_t pid;
	pid_t parent;
	char state;
	uint64_t ticks;	  /* of CPU time */
	uint64_t started; /* ticks since the host's start */
};

struct tree {
	unsigned count;
	struct tree_process all[TREE_MAX]; /* parents first */
};

/* Zombies are left out. */
void tree_read(struct tree *tree);
/* What the process at this index is when all are those of one machine. */
const char *tree_role(unsigned index);
uint64_t tree_ticks(const struct tree *tree);
/* None of them runs, nor would if it had a processor. */
bool tree_at_rest(const struct tree *tree);
/* How many of them exist still. */
unsigned tree_left(const struct tree *tree);

#endif

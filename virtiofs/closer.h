/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_CLOSER_H
#define VIRTIOFS_CLOSER_H

/*
 * A file without a name goes with its last descriptor, which is often that of
 * its inode, and a large one takes long. Who forgets it is the loop, or the
 * thread of a vCPU: a thread of the pool closes it for them, one at a time, so
 * that the others serve meanwhile.
 */

#include <pthread.h>
#include <stdbool.h>

#include "base/compiler.h"

#define FS_CLOSER_MAX 64u

struct fs_closer {
	pthread_mutex_t lock; /* guards the fields below */
	int call_fd;	      /* eventfd; borrowed. -1: there is no pool */
	bool busy;
	unsigned n;
	int fds[FS_CLOSER_MAX];
};

void fs_closer_init(struct fs_closer *closer);
/* Nobody calls any more: closes what there is. */
void fs_closer_release(struct fs_closer *closer);

/* From now on call_fd says that there is something for fs_closer_run. -1: and
 * what there was is closed. */
void fs_closer_call(struct fs_closer *closer, int call_fd);

/* Takes fd. False: there is no place, or nobody to do it; it is the caller's.
 */
bool fs_closer_add(struct fs_closer *closer, int fd) MUST_CHECK;
/* Closes all there are, unless somebody does. */
void fs_closer_run(struct fs_closer *closer);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_UNMOUNTS_H
#define GUEST_AGENT_UNMOUNTS_H

/*
 * Mounts that are given back, one after the other, beside the agent. MNT_DETACH
 * does not keep umount2 from waiting: it looks the path up, which asks the file
 * servers on the way; and who gives back the last reference to a file system
 * ends it before returning to user space. That is
 *
 *	virtio-fs	FUSE_SYNCFS and FUSE_DESTROY, for whose answers Linux
 *			waits whatever signals come
 *	of a disk	a sync, so what the disk has yet to write
 *	overlayfs	a sync of the upper one, and maybe the end of all below
 *
 * A tmpfs and huge pages have nobody to ask: these are unmounted in the agent.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/evloop.h"
#include "guest/agent/beside.h"

/* Of what is asked for without a limit. */
#define UNMOUNTS_LIMIT_S 60

struct unmount;
struct unmounts;

struct unmount_ops {
	/* 0 or -errno; in a process of its own if it may wait. */
	int (*run)(const struct unmount *m);
	bool waits;
	/* In the agent, once that has ended. May free m. */
	void (*gone)(struct unmount *m, int ret);
};

/* One mount, or some that come and go together. */
struct unmount {
	const struct unmount_ops *ops;
	const char *path; /* what errors call it */
	/* Descriptors, in order, for run and to be closed after it. A process
	 * has them alone, as the last one to close them waits, too. */
	const int *fds;
	size_t nfds;
	/* Private. */
	struct unmount *next;
	struct unmounts *of;
	struct beside process; /* open: it is under way */
};

/* Those of one owner. */
struct unmounts {
	struct evloop *loop;
	/* None is left. May free it. */
	void (*done)(struct unmounts *u);
	/* Private. */
	struct unmount *first;
	bool hurry;
};

/* To be the last one. */
void unmounts_add(struct unmounts *u, struct unmount *m);
/* Ends with done, now or later. */
void unmounts_run(struct unmounts *u);
/* Those that are left wait no more for others than those within them. The same
 * end. */
void unmounts_hurry(struct unmounts *u);
/* What has been waited for longest; NULL: none is left. */
const char *unmounts_waits_for(const struct unmounts *u);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_STORAGE_H
#define GUEST_AGENT_STORAGE_H

/*
 * Storages of the protocol: file systems the agent mounts for containers.
 * Drivers: virtio-fs (a tag), ephemeral (a file system of the kernel's),
 * local (a directory), blk, mmioblk and nvdimm (a block device), overlayfs. One
 * mount point is mounted once and counted, whether it says `shared` or not: it
 * stays while anybody has it, and a block device keeps its files beyond that.
 * Unmounting may take its time (unmounts.h): what would be mounted there, or
 * from there, waits for it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"
#include "guest/agent/unmounts.h"

struct storages {
	struct storage_mount *first;
	/* One has been unmounted. NULL: nobody asks. */
	void (*gone)(struct storages *s);
};

struct storage_mount {
	struct storage_mount *next;
	struct storages *all;
	char *path;
	/* The tag or device, whose file system there is once; NULL: none. */
	char *device;
	unsigned refs; /* 0: it is being unmounted */
	struct unmount unmount;
	bool mounted; /* false: a directory only */
	/* What its huge pages added to the pool: the size of one, and how many
	 * (0: it has none). */
	uint64_t page_size, pages;
};

/* -EAGAIN with err: the device of one of them is not there yet, or what was
 * mounted before is being unmounted. */
int storages_ready(const struct storages *all, Agent__Storage *const *storages,
		   size_t n, struct err *err) MUST_CHECK;
/* *taken: NULL-terminated, for storages_unmount; set in failure too. */
int storages_mount(struct storages *all, Agent__Storage *const *storages,
		   size_t n, struct storage_mount ***taken,
		   struct err *err) MUST_CHECK;
/* Gives them back and frees the vector (NULL is fine): adds those that nobody
 * has any more to what is to be unmounted. */
void storages_unmount(struct storage_mount **taken, struct unmounts *unmounts);
/* New options for an ephemeral one that is mounted, its size above all. */
int storage_remount(const struct storages *all, const Agent__Storage *storage,
		    struct err *err) MUST_CHECK;
/* The names of the drivers, NULL-terminated. */
extern const char *const storage_drivers[];

#endif

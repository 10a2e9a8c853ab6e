/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_STORAGE_H
#define GUEST_AGENT_STORAGE_H

/*
 * Storages of the protocol: file systems the agent mounts for containers.
 * Drivers: virtio-fs (a tag), ephemeral (a file system of the kernel's),
 * local (a directory), blk, mmioblk and nvdimm (a block device), overlayfs. One
 * mount point is mounted once and counted.
 */

#include <stdbool.h>

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

struct storage_mount {
	struct storage_mount *next;
	char *path;
	unsigned refs;
	bool mounted; /* false: a directory only */
	/* What its huge pages added to the pool: the size of one, and how many
	 * (0: it has none). */
	uint64_t page_size, pages;
};

/* -EAGAIN with err: the device of one of them is not there yet. */
int storages_ready(Agent__Storage *const *storages, size_t n,
		   struct err *err) MUST_CHECK;
/* *taken: NULL-terminated mount points, for storages_unmount; set in failure
 * too. */
int storages_mount(struct storage_mount **all, Agent__Storage *const *storages,
		   size_t n, char ***taken, struct err *err) MUST_CHECK;
/* Gives the mount points back and frees the vector (NULL is fine). */
void storages_unmount(struct storage_mount **all, char **taken);
/* New options for an ephemeral one that is mounted, its size above all. */
int storage_remount(struct storage_mount *all, const Agent__Storage *storage,
		    struct err *err) MUST_CHECK;
/* The names of the drivers, NULL-terminated. */
extern const char *const storage_drivers[];

#endif

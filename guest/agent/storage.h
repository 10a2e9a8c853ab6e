/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_STORAGE_H
#define GUEST_AGENT_STORAGE_H

/*
 * Storages of the protocol: file systems the agent mounts for containers.
 * Drivers: virtio-fs (a tag), ephemeral (a file system of the kernel's),
 * local (a directory). One mount point is mounted once and counted.
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
};

/* *taken: NULL-terminated mount points, for storages_unmount; set in failure
 * too. */
int storages_mount(struct storage_mount **all, Agent__Storage *const *storages,
		   size_t n, char ***taken, struct err *err) MUST_CHECK;
/* Gives the mount points back and frees the vector (NULL is fine). */
void storages_unmount(struct storage_mount **all, char **taken);
/* The names of the drivers, NULL-terminated. */
extern const char *const storage_drivers[];

#endif

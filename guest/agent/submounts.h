/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_SUBMOUNTS_H
#define GUEST_AGENT_SUBMOUNTS_H

/*
 * A directory that the host binds into the shared tree is a file system of
 * its own in the guest (FUSE_ATTR_SUBMOUNT), which is mounted where somebody
 * looks first. Were that a container, the end of its mount namespace would
 * end the file system while read-ahead and releases are on their way: they
 * hold no reference to it, and Linux reports busy inodes and then panics.
 * So the agent looks first, and keeps it until the container is removed.
 */

#include <stddef.h>

#include "agent-proto/oci.pb-c.h"
#include "guest/agent/unmounts.h"

struct submounts {
	int *fds; /* O_PATH, of those that were mounted by this; in order */
	size_t n;
	char *path; /* of the first one */
	struct unmount unmount;
};

/* Those of spec's root and bind mounts. */
void submounts_pin(struct submounts *s, const Oci__Spec *spec);
/* Once all processes of the container have ended: adds them to what is to be
 * unmounted. Fine for a zero one. */
void submounts_unpin(struct submounts *s, struct unmounts *unmounts);

#endif

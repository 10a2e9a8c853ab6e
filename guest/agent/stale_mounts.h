/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_STALE_MOUNTS_H
#define GUEST_AGENT_STALE_MOUNTS_H

/*
 * RemoveStaleVirtiofsShareMounts: looks at the mounts of file systems that the
 * host shares, below a directory, and unmounts those that the host has taken
 * away. A process of its own does that: a file server that is there and does
 * not answer must not hold up the agent.
 */

#include "agent-proto/ttrpc.h"
#include "base/evloop.h"

/* For one mount; and how many that do not answer are left behind. */
#define STALE_MOUNT_LIMIT_S 1
#define STALE_MOUNTS_SILENT_MAX 4u

/* Takes req. One search is under way at a time; what comes meanwhile waits
 * for the next one. */
void stale_mounts_drop(struct evloop *loop, struct ttrpc_request *req);
/* Forgets what nobody waits for any more. */
void stale_mounts_forget(void);

#endif

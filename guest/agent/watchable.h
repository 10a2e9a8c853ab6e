/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_WATCHABLE_H
#define GUEST_AGENT_WATCHABLE_H

/*
 * "watchable-bind" storages, as Kata's runtimes have them for ConfigMaps and
 * the like. Kata's agent copies files to a tmpfs again and again, and binds
 * what is too large for that; here all are bound: what the host changes is
 * there at once, but raises no events. Those are for runtimes that send
 * ReplayEvents.
 */

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/* Before the mount point is made, which may lie in a tree that is the host's,
 * and read-only, unless its parent is a tmpfs of ours. */
int watchable_prepare(const Agent__Storage *s, struct err *err) MUST_CHECK;
/* On the mount point, a directory that becomes what the source is. */
int watchable_mount(const Agent__Storage *s, struct err *err) MUST_CHECK;

#endif

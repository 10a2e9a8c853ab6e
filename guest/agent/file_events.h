/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_FILE_EVENTS_H
#define GUEST_AGENT_FILE_EVENTS_H

/*
 * ReplayEvents, an extension of the protocol: what the host changed in shared
 * directories and files is done once more in the guest (base/replay.h), so that
 * programs that watch them hear of it. A process of its own does that, since
 * the file server may let it wait.
 */

#include <stdbool.h>

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/ttrpc.h"
#include "base/compiler.h"
#include "base/replay.h"

#define FILE_EVENTS_MAX 4096u	     /* of a request */
#define FILE_EVENTS_SIZE (64u << 10) /* packed */

/* Names that are names, kinds that are there. 0 or -EINVAL. */
int file_events_check(const Agent__ReplayEventsRequest *msg) MUST_CHECK;
/* The kind is one of events of a root that is a file, or else of a directory;
 * named: with a name in there. */
bool file_event_fits(enum file_event_kind kind, bool named, bool file);
/* The container goes, and its directories are let go. */
void file_events_forget(const char *container);
/* Forgets what nobody waits for any more. */
void file_events_drop(void);

#endif

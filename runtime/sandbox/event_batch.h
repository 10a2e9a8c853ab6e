/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_EVENT_BATCH_H
#define RUNTIME_SANDBOX_EVENT_BATCH_H

/*
 * File events on their way from the sandbox process to its supervisor: the
 * text of a control message. The sender is hostile for the reader.
 */

#include <stddef.h>

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "runtime/sandbox/control.h"
#include "virtiofs/watch.h"

struct event_batch {
	size_t len;
	char text[CONTROL_TEXT_MAX];
};

/* False: it is full. */
bool event_batch_add(struct event_batch *batch, const struct fs_event *event);
/* The request to the agent (free it unpacked), or NULL: malformed, or out of
 * memory. Nothing is known of names but their lengths. */
Agent__ReplayEventsRequest *event_batch_read(const char *text, size_t len);

#endif

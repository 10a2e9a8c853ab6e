/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_STDIO_DIAL_H
#define RUNTIME_SANDBOX_STDIO_DIAL_H

/*
 * Connections for the standard streams of a process that is about to be made,
 * to an agent that takes them ("stdio_ports"). What cannot be had is done
 * without: that stream goes by the agent's Read and Write requests.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/evloop.h"
#include "runtime/sandbox/dial.h"
#include "runtime/sandbox/stream.h"

/* The guest's, as of Kata's agent. */
#define STDIO_DIAL_PORT 1027u

struct sandbox;
struct stdio_dial;

struct stdio_call {
	struct stdio_dial *owner;
	struct dial dial;
	struct evsource src;
};

struct stdio_dial {
	struct stream_set *set;
	unsigned waiting;
	struct stdio_call calls[3];
	struct evtimer timer;
	void (*done)(struct stdio_dial *d);
};

/* For each of set's descriptors; set lives until done() was called, which may
 * be at once. */
void stdio_dial_start(struct stdio_dial *d, const struct sandbox *s,
		      struct stream_set *set,
		      void (*done)(struct stdio_dial *));

#endif

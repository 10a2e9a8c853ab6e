/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_BESIDE_H
#define GUEST_AGENT_BESIDE_H

/*
 * A process beside the agent, for what may have to wait for a file server: it
 * is a copy of the agent that runs one function. Its standard input is its end
 * of the pair, its output and errors are the agent's; it has no descriptor
 * else, so whatever it waits for, it holds up nobody.
 */

#include <stddef.h>

#include "base/compiler.h"

/*
 * Runs run(arg) in a process of that name, which ends when it returns and is
 * the reaper's. Takes pair[1]; pair[0] stays the caller's. 0 or -errno.
 */
int beside_start(const char *name, const int pair[2],
		 void (*run)(const void *arg), const void *arg) MUST_CHECK;
/* In that process: tells what data is at once. It ends if nobody listens. */
void beside_tell(const void *data, size_t len);

#endif

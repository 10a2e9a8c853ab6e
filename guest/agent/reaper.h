/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_REAPER_H
#define GUEST_AGENT_REAPER_H

/*
 * Ends of children. A process may end before the message that tells its pid
 * was read, so the last unknown ends are remembered.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/evloop.h"

#define REAPER_UNKNOWN 32

struct agent;

struct reaper {
	struct evsource src;
	int fd;
	struct {
		pid_t pid;
		int status;
	} unknown[REAPER_UNKNOWN];
	unsigned next;
};

/* Blocks SIGCHLD and SIGPIPE for the process. */
int reaper_init(struct agent *agent) MUST_CHECK;
/* Pids are used again: nothing older than a launch may be remembered. */
void reaper_forget(struct reaper *reaper);
/* True: pid ended already, with *status of waitpid(2). */
bool reaper_known(struct reaper *reaper, pid_t pid, int *status);

#endif

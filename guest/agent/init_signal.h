/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_INIT_SIGNAL_H
#define GUEST_AGENT_INIT_SIGNAL_H

/*
 * The kernel drops a SIGTERM for the first process of a PID namespace that has
 * no handler for it, and a pod would end by SIGKILL only when its time to end
 * is over. As with Kata's agent, such a process is sent SIGKILL at once.
 */

#include <sys/types.h>

/* What to send to a container's first process that is to be sent sig. */
int init_signal(pid_t pid, int sig);
/* The same by the text of /proc/PID/status. */
int init_signal_by_status(const char *status, int sig);

#endif

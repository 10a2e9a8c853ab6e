/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_AGENT_BOOT_KERNEL_H
#define INTEGRATION_AGENT_BOOT_KERNEL_H

/*
 * System calls of an agent that would change this machine: its clock, its swap
 * space, its random numbers. They are stopped (seccomp_unotify(2)), answered as
 * if they had been done, and told. So is an attribute of a file that only a
 * server of virtio-fs has, REPLAY_XATTR.
 */

/* In the process that becomes the agent: from now on; the other end of the
 * socket is kernel_answer's. 0 or -errno. */
int kernel_watch(int socket);
/* In its parent: starts a process that answers, until the next one is, or the
 * parent ends. 0 or -errno. */
int kernel_answer(int socket);
/* What the next call was, a line such as "swapon /dev/vdz 0"; static storage,
 * and "" when none comes. */
const char *kernel_told(void);

#endif

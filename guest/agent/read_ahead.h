/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_READ_AHEAD_H
#define GUEST_AGENT_READ_AHEAD_H

/*
 * How far ahead the kernel reads a file that is read in order. The default,
 * 128 KiB, suits a disk; each request to the host for so little costs more than
 * its copy. It is the most at a time: a file that is read here and there, or a
 * small one, is not read any further than before.
 */

/* KiB; as much as a request holds. */
#define READ_AHEAD_KIB 1024u

/* Of the file system at path, and of its submounts. No harm where that cannot
 * be set: then it is as it was. */
void read_ahead_enlarge(const char *path);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_JAIL_H
#define RUNTIME_SANDBOX_JAIL_H

/*
 * What confines the sandbox process. It starts in namespaces of its own
 * (mount, PID, IPC, UTS, network) and ends with:
 *
 *	/		tmpfs, read-only
 *	/shared		the shared tree, a slave of the supervisor's
 *	/vsock		sockets for the guest's calls (working directory)
 *
 * no supplementary groups, no_new_privs, the capabilities that file
 * ownership (and file handles, where these are wanted) needs on the threads
 * that serve files, none on vCPU threads, and a seccomp filter a kind of
 * thread (seccomp.h).
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"

struct jail {
	int root_fd;   /* the jail's root, before it becomes / */
	int shared_fd; /* O_PATH, /shared */
	int proc_fd;   /* O_PATH, /proc/self/fd of a procfs not in the jail */
};

/* dir: <root>/<id>; uses dir/jail, dir/shared and dir/vsock. Call in the new
 * mount namespace. */
int jail_build(struct jail *jail, const char *dir, struct err *err) MUST_CHECK;
/* Enters it. No path of the host is reachable afterwards. */
int jail_enter(struct jail *jail, struct err *err) MUST_CHECK;
/* Keeps the capabilities of file ownership, and what opens file handles where
 * there are some; sets no_new_privs. */
int jail_drop_privileges(bool file_handles, struct err *err) MUST_CHECK;
/* On a thread that serves no files: no capability at all. 0 or -errno. */
int jail_drop_thread(void) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_DAEMON_CONFINE_H
#define VIRTIOFS_DAEMON_CONFINE_H

/*
 * What confines nacre-virtiofsd. With the sandbox "namespace", the server is
 * a child in mount, PID, network, IPC and UTS namespaces of its own, and in a
 * user namespace when the caller is not root or gives id maps. Its root is a
 * read-only tmpfs with nothing but
 *
 *	/shared		the shared directory: nodev, nosuid, noexec; a slave of
 *			the host's mounts
 *
 * With "chroot", the root is the shared directory itself. In every case it
 * ends with few capabilities, no_new_privs and a list of system calls; and
 * with Landlock where there is a sandbox, the kernel has it, and inodes are
 * descriptors.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"
#include "virtiofs/daemon/options.h"

/* What the server works with, opened before the root changes. */
struct confined {
	int root_fd; /* O_PATH, the shared directory */
	int proc_fd; /* O_PATH, this process's /proc/self/fd */
	/* Readable when the process that waits for this one wants the end, or
	 * is gone; -1: there is none. */
	int parent_fd;
};

/*
 * DAEMON_SANDBOX_NAMESPACE alone. In the parent, the child's pid; *alive_fd:
 * closed, it ends the child. In the child 0, with *parent_fd; ids are set.
 */
pid_t confine_fork(const struct daemon_options *o, int *alive_fd,
		   int *parent_fd, struct err *err) MUST_CHECK;
/* Enters the sandbox; no path leads out of it afterwards. */
int confine_enter(const struct daemon_options *o, struct confined *confined,
		  struct err *err) MUST_CHECK;
/* Capabilities, Landlock, system calls. handles: what the device has, whatever
 * the options prefer. root_fd: the shared directory. */
int confine_lock(const struct daemon_options *o, bool handles, int root_fd,
		 struct err *err) MUST_CHECK;
/* On each thread that comes later: virtiofs_config.thread_started. */
int confine_thread(void *arg, const char *name);

#endif

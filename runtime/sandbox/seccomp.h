/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_SECCOMP_H
#define RUNTIME_SANDBOX_SECCOMP_H

/*
 * System calls of the sandbox process: one list a kind of thread, ioctl by
 * exact request. A call that is not on the list raises SIGSYS, whose handler
 * names it in the log and ends the process, which ends this sandbox and no
 * other. A call of another architecture's table kills at once.
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"

enum seccomp_kind {
	SECCOMP_LOOP, /* devices and control */
	SECCOMP_VCPU,
	SECCOMP_VCPU_FILES, /* one that serves virtio-fs as well */
	SECCOMP_FILES,	    /* workers of virtio-fs and virtio-blk */
};

/* Compiles the filters (allocates; call before the first install).
 * file_handles: who serves files may open those. */
int seccomp_prepare(bool file_handles, struct err *err) MUST_CHECK;
/* On the calling thread. 0 or -errno. */
int seccomp_install(enum seccomp_kind kind) MUST_CHECK;
/* The SIGSYS handler writes to fd (a control socket). */
void seccomp_report_to(int fd);

#endif

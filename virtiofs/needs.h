/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_NEEDS_H
#define VIRTIOFS_NEEDS_H

/* What a thread that serves files may not be denied. */

#include <linux/capability.h>

#include "base/privilege.h"
#include "base/syscall_filter.h"

/*
 * In the name of guest users: create and chown files of any owner, ignore
 * modes as the guest's root does, keep set-id bits, store file capabilities.
 * Overlay whiteouts take none since Linux 5.8, nor do other nodes that a guest
 * may make.
 */
#define VIRTIOFS_CAPS                                                         \
	(CAP_MASK(CAP_CHOWN) | CAP_MASK(CAP_DAC_OVERRIDE) |                   \
	 CAP_MASK(CAP_FOWNER) | CAP_MASK(CAP_FSETID) | CAP_MASK(CAP_SETGID) | \
	 CAP_MASK(CAP_SETUID) | CAP_MASK(CAP_SETFCAP))

/*
 * With file handles as well: to open them. Who has it and the system call opens
 * any file of a file system of which he has a descriptor, below the shared tree
 * or not.
 */
#define VIRTIOFS_HANDLE_CAPS CAP_MASK(CAP_DAC_READ_SEARCH)

/* Beside syscalls_common. */
extern const struct syscall_list virtiofs_syscalls;
/* With file handles as well. */
extern const struct syscall_list virtiofs_handle_syscalls;

#endif

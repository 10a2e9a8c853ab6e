/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_CRED_H
#define VIRTIOFS_CRED_H

/*
 * Whose work a thread does. Ids and capabilities belong to a thread in the
 * kernel; the C library would change them for all, so these are the bare
 * system calls.
 */

#include "virtiofs/server.h"

void fs_cred_init(struct fs_thread *thread);
/*
 * For a process that is not root: when a thread gives up root's ids, which it
 * took on for a request, its capabilities stay. So do those of the threads that
 * the caller starts, which may not ask for it themselves any more.
 */
int fs_cred_keep(const struct fs_thread *thread) MUST_CHECK;

/* Takes on the ids of the request, for calls that create. 0 or -errno. */
int fs_cred_enter(struct fs_req *req) MUST_CHECK;
void fs_cred_leave(struct fs_req *req);
/* Only the group, without CAP_FSETID; for set-id bits. */
int fs_cred_enter_group(struct fs_req *req) MUST_CHECK;
void fs_cred_leave_group(struct fs_req *req);

/*
 * Both do nothing when that is done already: who writes again and again has it
 * stay away, and requests for which it matters bring it back (server.c).
 *
 * Without CAP_FSETID the kernel clears set-user-ID and set-group-ID bits at a
 * write or a truncation, as it would for the guest's unprivileged process.
 */
void fs_fsetid_drop(struct fs_thread *thread);
void fs_fsetid_restore(struct fs_thread *thread);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_SHARE_H
#define RUNTIME_SANDBOX_SHARE_H

/*
 * Binds into the shared tree. The sandbox process has a slave copy of it, and
 * a mount's flags travel only at the moment when it is attached: what must be
 * read-only is made so before.
 */

#include "base/compiler.h"
#include "base/err.h"

/* Its mounts are the supervisor's own and end with it; those of the host
 * still arrive. Once, before the others. */
int share_leave_host(struct err *err) MUST_CHECK;
/* What the host has at path (O_PATH; with more flags), or -errno. */
int share_open(const char *path, int flags) MUST_CHECK;
enum share_flags {
	SHARE_RECURSIVE = 1,	    /* with what is mounted below it */
	SHARE_READ_ONLY = 2,	    /* all of it */
	SHARE_READ_ONLY_AT_TOP = 4, /* but what is mounted below it */
	SHARE_IDMAP_RECURSIVE = 8,  /* the mapping is of all of it */
};
/*
 * Binds what from, of share_open, names on target: no devices, no set-id
 * bits, ids mapped as in the user namespace userns (-1: none). flags are those
 * above. The flags of the source's mounts stay.
 */
int share_bind(int from, const char *target, unsigned flags, int userns,
	       struct err *err) MUST_CHECK;

#endif

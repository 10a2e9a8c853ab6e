/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_MOUNTS_H
#define GUEST_AGENT_MOUNTS_H

/* The mounts of a container's spec, made below its root (rootfs.h). */

#include <stdbool.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"
#include "guest/agent/mount_options.h"

struct mounts_context {
	int root;	    /* O_PATH */
	const char *cgroup; /* the container's group, with CGROUP_ROOT */
	bool cgroup_ns;	    /* it has a cgroup namespace of its own */
	const int *mapped;  /* of mapped_mounts_open */
	int *sealed;	    /* of mounts_apply, for mounts_seal */
	size_t n_sealed;
};

/*
 * File systems in memory that are to be read-only stay writable, for what is
 * yet to be made in them, until mounts_seal.
 */
int mounts_apply(struct mounts_context *ctx, Oci__Mount *const *mounts,
		 size_t n, struct err *err) MUST_CHECK;
int mounts_seal(struct mounts_context *ctx, struct err *err) MUST_CHECK;
/* Whether file systems of this type are. */
bool mounts_sealed_later(const char *type);
bool mount_wants_bind(const Oci__Mount *m, const struct mount_options *o);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_ROOTFS_H
#define GUEST_AGENT_ROOTFS_H

/* A container's root, before the container runs. */

#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/rootfs_path.h"

/* "/proc/self/fd/N", for calls that take paths only. */
struct fd_path {
	char text[32];
};
struct fd_path fd_path(int fd);

/* From here on the caller is in the mount namespace of the container. */

/* Binds `source` on target, the container's root to be, with propagation of
 * the spec ("": private). A descriptor of it (O_PATH), or -errno. */
int rootfs_bind(const char *source, const char *target, const char *propagation,
		struct err *err) MUST_CHECK;
int rootfs_mask(int root, char *const *paths, size_t n,
		struct err *err) MUST_CHECK;
int rootfs_make_readonly(int root, char *const *paths, size_t n,
			 struct err *err) MUST_CHECK;
/* Makes root the root, nothing of the old one stays reachable. */
int rootfs_enter(int root, const char *propagation, struct err *err) MUST_CHECK;
/* Remounts path read-only, keeping the flags it has. */
int remount_readonly(const char *path) MUST_CHECK;

#endif

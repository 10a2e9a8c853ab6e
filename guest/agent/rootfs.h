/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_ROOTFS_H
#define GUEST_AGENT_ROOTFS_H

/*
 * Paths below a container's root, before the container runs. The image is
 * hostile: it may hold any symbolic link. All look-ups are openat2 with
 * RESOLVE_IN_ROOT, and what was found is used by its descriptor.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

/* "/proc/self/fd/N", for calls that take paths only. */
struct fd_path {
	char text[32];
};
struct fd_path fd_path(int fd);

/* An O_PATH descriptor of path inside of root, or -errno. resolve: further
 * RESOLVE_ flags. */
int rootfs_open(int root, const char *path, uint64_t resolve) MUST_CHECK;
/* The same, and makes what is missing: a directory, or an empty file. */
int rootfs_make(int root, const char *path, bool directory) MUST_CHECK;
/* The directory that is to hold path's last component, whose name goes to
 * base. Missing directories are made. */
int rootfs_parent(int root, const char *path,
		  char base[NAME_MAX + 1]) MUST_CHECK;

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

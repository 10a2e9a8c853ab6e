/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ROOTFS_PATH_H
#define BASE_ROOTFS_PATH_H

/*
 * Paths below a container's root. The image is hostile: it may hold any
 * symbolic link. All look-ups are openat2 with RESOLVE_IN_ROOT, and what was
 * found is used by its descriptor.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* An O_PATH descriptor of path inside of root, or -errno. resolve: further
 * RESOLVE_ flags. */
int rootfs_open(int root, const char *path, uint64_t resolve) MUST_CHECK;
/* The same, and makes what is missing: a directory, or an empty file. */
int rootfs_make(int root, const char *path, bool directory) MUST_CHECK;
/* The directory that is to hold path's last component, whose name goes to
 * base. Missing directories are made. */
int rootfs_parent(int root, const char *path,
		  char base[NAME_MAX + 1]) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/submounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define SHARED "/run/kata-containers/shared/containers/"

static bool is_mount_point(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, 0,
		     &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* Opening a directory mounts what is to be mounted there; others are not
 * ours to unmount. */
static void pin(char **points, size_t *n, const char *path)
{
	AUTO_FD int dir = -1;

	if (strncmp(path, SHARED, strlen(SHARED)) || is_mount_point(path))
		return;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || !is_mount_point(path))
		return;
	points[*n] = strdup(path);
	if (points[*n])
		++*n;
}

char **submounts_pin(const Oci__Spec *spec)
{
	char **points = calloc(spec->n_mounts + 2, sizeof(char *));
	size_t n = 0;

	if (!points)
		return NULL;
	pin(points, &n, spec->root->path);
	for (size_t i = 0; i < spec->n_mounts; i++)
		pin(points, &n, spec->mounts[i]->source);
	return points;
}

void submounts_unpin(char **points)
{
	for (char **p = points; p && *p; p++) {
		struct statfs st;

		/* Its answer comes after those of what was sent before. */
		if (statfs(*p, &st) < 0 ||
		    umount2(*p, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			log_debug("unmount %s: %s", *p, strerror(errno));
		free(*p);
	}
	free(points);
}

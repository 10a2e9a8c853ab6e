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
#include "guest/agent/rootfs.h"

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
static int pin(const char *path)
{
	AUTO_FD int dir = -1;

	if (strncmp(path, SHARED, strlen(SHARED)) || is_mount_point(path))
		return -1;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || !is_mount_point(path))
		return -1;
	/* One that has nothing to release at the server. */
	return openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void submounts_pin(struct submounts *s, const Oci__Spec *spec)
{
	s->fds = calloc(spec->n_mounts + 1, sizeof(*s->fds));
	s->n = 0;
	if (!s->fds)
		return;
	for (size_t i = 0; i <= spec->n_mounts; i++) {
		int fd = pin(i < spec->n_mounts ? spec->mounts[i]->source
						: spec->root->path);

		if (fd >= 0)
			s->fds[s->n++] = fd;
	}
}

void submounts_unpin(struct submounts *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct statfs st;

		/* Its answer comes after those of what was sent before. By
		 * the descriptor: a path would look fresh for a while, when
		 * the host has removed it next. */
		if (fstatfs(s->fds[i], &st) < 0 ||
		    umount2(fd_path(s->fds[i]).text, MNT_DETACH) < 0)
			log_debug("unmount: %s", strerror(errno));
		close(s->fds[i]);
	}
	free(steal_ptr(&s->fds));
	s->n = 0;
}

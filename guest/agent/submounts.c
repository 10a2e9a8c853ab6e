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

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void submounts_pin(struct submounts *s, const Oci__Spec *spec)
{
	s->fds = calloc(spec->n_mounts + 1, sizeof(*s->fds));
	s->n = 0;
	if (!s->fds)
		return;
	for (size_t i = 0; i <= spec->n_mounts; i++) {
		const char *path = i < spec->n_mounts ? spec->mounts[i]->source
						      : spec->root->path;
		int fd = pin(path);

		if (fd < 0)
			continue;
		s->fds[s->n++] = fd;
		if (!s->path)
			s->path = strdup(path);
	}
	qsort(s->fds, s->n, sizeof(*s->fds), by_number);
}

static int unpin(const struct unmount *u)
{
	for (size_t i = 0; i < u->nfds; i++) {
		struct statfs st;

		/* Its answer comes after those of what was sent before. By
		 * the descriptor: a path would look fresh for a while, when
		 * the host has removed it next. */
		if (fstatfs(u->fds[i], &st) < 0 ||
		    umount2(fd_path(u->fds[i]).text, MNT_DETACH) < 0)
			log_debug("unmount: %s", strerror(errno));
	}
	return 0;
}

static void release(struct submounts *s)
{
	free(steal_ptr(&s->fds));
	free(steal_ptr(&s->path));
	s->n = 0;
}

static void unpinned(struct unmount *u, int ret)
{
	if (ret < 0)
		log_debug("unmount: %s: %s", u->path, strerror(-ret));
	release(container_of(u, struct submounts, unmount));
}

static const struct unmount_ops ops = {
	.run = unpin,
	.waits = true,
	.gone = unpinned,
};

void submounts_unpin(struct submounts *s, struct unmounts *unmounts)
{
	if (!s->n) {
		release(s);
		return;
	}
	s->unmount.ops = &ops;
	s->unmount.path = s->path ? s->path : SHARED;
	s->unmount.fds = s->fds;
	s->unmount.nfds = s->n;
	unmounts_add(unmounts, &s->unmount);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

/*
 * A container wrote the tree, so its depth is not bounded by PATH_MAX: the
 * walk holds one directory open at a time and remembers the way back on the
 * heap. Going up by ".." is checked against what was left on the way down,
 * since a directory may be moved meanwhile.
 */
struct level {
	struct level *up;
	dev_t dev;
	ino_t ino;
	char name[]; /* of the subdirectory that the walk went into */
};

static int open_subdir(int dirfd, const char *path, uint64_t resolve)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = resolve,
	};
	long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

	if (fd >= 0)
		return (int)fd;
	/* A mount: as busy as rmdir would find it. */
	return errno == EXDEV ? -EBUSY : -errno;
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/*
 * Unlinks the entries of fd until there is a directory that is not empty:
 * its name goes to *sub (NULL: everything is gone).
 */
static int unlink_entries(int fd, char **sub)
{
	AUTO_DIR DIR *dir = NULL;
	const struct dirent *e;
	int copy;

	*sub = NULL;
	/* A descriptor of its own: a copy would share the position. */
	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copy < 0)
		return -errno;
	dir = fdopendir(copy);
	if (!dir) {
		close(copy);
		return -ENOMEM;
	}
	while (errno = 0, (e = readdir(dir))) {
		if (is_dot(e->d_name) || unlinkat(fd, e->d_name, 0) == 0)
			continue;
		if (errno == ENOENT)
			continue;
		if (errno != EISDIR)
			return -errno;
		if (unlinkat(fd, e->d_name, AT_REMOVEDIR) == 0 ||
		    errno == ENOENT)
			continue;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return -errno;
		*sub = strdup(e->d_name);
		return *sub ? 0 : -ENOMEM;
	}
	return -errno;
}

static int descend(int *fd, struct level **levels, const char *name)
{
	size_t len = strlen(name);
	struct level *level;
	struct stat st;
	int sub;

	if (fstat(*fd, &st) < 0)
		return -errno;
	sub = open_subdir(*fd, name,
			  RESOLVE_BENEATH | RESOLVE_NO_XDEV |
				  RESOLVE_NO_SYMLINKS);
	if (sub < 0)
		return sub;
	level = malloc(sizeof(*level) + len + 1);
	if (!level) {
		close(sub);
		return -ENOMEM;
	}
	level->up = *levels;
	level->dev = st.st_dev;
	level->ino = st.st_ino;
	memcpy(level->name, name, len + 1);
	*levels = level;
	close(*fd);
	*fd = sub;
	return 0;
}

/* Back to the directory above, and removes the one that is empty now. */
static int ascend(int *fd, struct level **levels)
{
	AUTO_FREE struct level *level = *levels;
	struct stat st;
	int up = openat(*fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*levels = level->up;
	if (up < 0)
		return -errno;
	close(*fd);
	*fd = up;
	if (fstat(up, &st) < 0)
		return -errno;
	if (st.st_dev != level->dev || st.st_ino != level->ino)
		return -ESTALE;
	/* ENOTEMPTY: somebody put new entries in; the rescan finds it. */
	if (unlinkat(up, level->name, AT_REMOVEDIR) < 0 && errno != ENOENT &&
	    errno != ENOTEMPTY)
		return -errno;
	return 0;
}

static int empty_dir(int *fd)
{
	struct level *levels = NULL;
	int rc;

	for (;;) {
		AUTO_FREE char *sub = NULL;

		rc = unlink_entries(*fd, &sub);
		if (rc < 0)
			break;
		if (!sub && !levels)
			break;
		rc = sub ? descend(fd, &levels, sub) : ascend(fd, &levels);
		if (rc < 0)
			break;
	}
	while (levels) {
		AUTO_FREE struct level *level = levels;

		levels = level->up;
	}
	return rc;
}

/* -EBUSY when path is the root of another mount. */
static int check_same_mount(int dirfd, const char *path)
{
	struct statx st;

	if (statx(dirfd, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) < 0)
		return -errno;
	return st.stx_attributes & STATX_ATTR_MOUNT_ROOT ? -EBUSY : 0;
}

int remove_tree(int dirfd, const char *path)
{
	AUTO_FD int fd = -1;
	int rc;

	if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return -errno;
	rc = check_same_mount(dirfd, path);
	if (rc < 0)
		return rc;
	/* Links on the way to path are the caller's; its end is not one. */
	fd = open_subdir(dirfd, path, 0);
	if (fd < 0)
		return steal_fd(&fd);
	rc = empty_dir(&fd);
	if (rc < 0)
		return rc;
	if (unlinkat(dirfd, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

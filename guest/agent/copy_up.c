/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/copy_up.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DEPTH_MAX 128 /* the image decides how deep it is */

static int copy_dir(int from, int to, unsigned depth);

static int copy_file(int from, int to, const char *name, off_t size)
{
	AUTO_FD int in = openat(from, name,
				O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO_FD int out =
		openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (in < 0 || out < 0)
		return -errno;
	while (size > 0) {
		ssize_t n = sendfile(out, in, NULL, (size_t)size);

		if (n <= 0)
			return n < 0 ? -errno : 0; /* it became shorter */
		size -= n;
	}
	return 0;
}

static int copy_link(int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, to, name) < 0 ? -errno : 0;
}

static int copy_subdir(int from, int to, const char *name, unsigned depth)
{
	AUTO_FD int in = openat(
		from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int out = -1;

	if (in < 0 || mkdirat(to, name, 0700) < 0)
		return -errno;
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return out < 0 ? -errno : copy_dir(in, out, depth + 1);
}

/* The mode after the owner, whose change clears bits of it. */
static int copy_attributes(int to, const char *name, const struct stat *st)
{
	struct timespec times[] = {st->st_atim, st->st_mtim};

	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(st->st_mode) &&
	    fchmodat(to, name, st->st_mode & 07777, 0) < 0)
		return -errno;
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_entry(int from, int to, const char *name, unsigned depth)
{
	struct stat st;
	int ret;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		ret = copy_file(from, to, name, st.st_size);
		break;
	case S_IFDIR:
		ret = copy_subdir(from, to, name, depth);
		break;
	case S_IFLNK:
		ret = copy_link(from, to, name);
		break;
	case S_IFIFO:
		ret = mkfifoat(to, name, 0600) < 0 ? -errno : 0;
		break;
	default:
		return 0;
	}
	return ret < 0 ? ret : copy_attributes(to, name, &st);
}

static int copy_dir(int from, int to, unsigned depth)
{
	AUTO_FD int fd = -1;
	AUTO_DIR DIR *dir = NULL;
	struct dirent *entry;
	int ret = 0;

	if (depth > DEPTH_MAX)
		return -ELOOP;
	fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	steal_fd(&fd);
	while (!ret && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			ret = copy_entry(from, to, entry->d_name, depth);
	return ret;
}

int copy_up(int from, int to)
{
	return copy_dir(from, to, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/name.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int fs_name_check(const char *name)
{
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if (strchr(name, '/'))
		return -EINVAL;
	return strlen(name) > FS_NAME_MAX ? -ENAMETOOLONG : 0;
}

int fs_take_string(const struct fs_req *req, size_t *pos, const char **out)
{
	const char *args = req->args;
	const char *end;

	if (*pos >= req->args_len)
		return -EINVAL;
	end = memchr(args + *pos, 0, req->args_len - *pos);
	if (!end)
		return -EINVAL;
	*out = args + *pos;
	*pos = (size_t)(end - args) + 1;
	return 0;
}

int fs_take_name(const struct fs_req *req, size_t *pos, const char **name)
{
	int ret = fs_take_string(req, pos, name);

	return ret ? ret : fs_name_check(*name);
}

/*
 * RESOLVE_NO_SYMLINKS lets the last link through when it is opened with
 * O_PATH | O_NOFOLLOW, as the link itself: openat2(2).
 */
static int open_path(int dirfd, const char *name, uint64_t resolve)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_SYMLINKS | resolve,
	};
	long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int fs_open_path(int dirfd, const char *name)
{
	return open_path(dirfd, name, 0);
}

/* Kernels before 5.12 do not know it: then all is worth waiting for. */
int fs_open_cached(int dirfd, const char *name)
{
	int fd = open_path(dirfd, name, RESOLVE_CACHED);

	return fd == -EINVAL ? -EAGAIN : fd;
}

void fs_proc_name(int fd, char name[FS_PROC_NAME_MAX])
{
	snprintf(name, FS_PROC_NAME_MAX, "%d", fd);
}

int fs_reopen(struct virtiofs *fs, const struct fs_inode *inode, int flags)
{
	char name[FS_PROC_NAME_MAX];
	int fd;

	if (inode->type == S_IFLNK)
		return -ELOOP;
	/* Opening a FIFO waits, opening a device acts (CVE-2020-35517). */
	if (inode->type != S_IFREG && inode->type != S_IFDIR)
		return -ENXIO;
	fs_proc_name(inode->fd, name);
	fd = openat(fs->proc_fd, name, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
	/* O_NOATIME is a wish that only the owner may have. */
	if (fd < 0 && errno == EPERM && (flags & O_NOATIME))
		fd = openat(fs->proc_fd, name,
			    (flags & ~(O_NOFOLLOW | O_NOATIME)) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Without OPEN_TREE_CLONE it is an open with O_PATH, of a descriptor, for which
 * open has no flag: half the price of the way through the proc directory. */
int fs_path_of(int fd)
{
	int path = open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLOEXEC);

	return path < 0 ? -errno : path;
}

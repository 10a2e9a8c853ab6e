/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent/ids.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* fs/ext4/ext4.h and fs/xfs/libxfs/xfs_fs.h of Linux, which have no header
 * of their own for programs. */
#define EXT4_RESIZE _IOW('f', 16, uint64_t) /* in blocks */
struct xfs_growfs {
	uint64_t blocks;
	uint32_t inode_percent;
};
#define XFS_GROW _IOW('X', 110, struct xfs_growfs)
struct xfs_geometry {
	uint32_t words[28];
};
#define XFS_GEOMETRY _IOR('X', 100, struct xfs_geometry)

static int open_volume(const char *path, struct err *err)
{
	int fd;

	if (!path_valid(path))
		return err_set(err, EINVAL, "volume: path not usable");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? err_sys(err, "volume %.200s", path) : fd;
}

int volume_stats(const char *path, struct volume_usage *bytes,
		 struct volume_usage *inodes, struct err *err)
{
	AUTO_FD int fd = open_volume(path, err);
	struct statfs st;
	uint64_t unit;

	if (fd < 0)
		return fd;
	if (fstatfs(fd, &st) < 0)
		return err_sys(err, "volume %.200s: statfs", path);
	unit = (uint64_t)(st.f_frsize ? st.f_frsize : st.f_bsize);
	bytes->total = st.f_blocks * unit;
	bytes->available = st.f_bavail * unit;
	bytes->used = (st.f_blocks - st.f_bfree) * unit;
	inodes->total = st.f_files;
	inodes->available = st.f_ffree;
	inodes->used = st.f_files - st.f_ffree;
	return 0;
}

/* The size of the block device a file system is on. */
static int device_size(int fd, uint64_t *size, struct err *err)
{
	char path[64];
	AUTO_FREE char *text = NULL;
	struct stat st;
	int ret;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat");
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/size",
		       major(st.st_dev), minor(st.st_dev));
	ret = file_read(AT_FDCWD, path, 64, &text, NULL);
	if (ret < 0)
		return err_ret(err, ret, "size of its device");
	*size = strtoull(text, NULL, 10) * 512;
	return 0;
}

static int grow(int fd, const struct statfs *st, uint64_t size, struct err *err)
{
	uint64_t unit = (uint64_t)st->f_bsize;
	uint64_t blocks = size / unit;
	struct xfs_growfs xfs = {.blocks = blocks};

	switch ((uint32_t)st->f_type) {
	case EXT4_SUPER_MAGIC:
		if (ioctl(fd, EXT4_RESIZE, &blocks) < 0)
			return err_sys(err, "ext4");
		return 0;
	case XFS_SUPER_MAGIC: {
		struct xfs_geometry geometry = {0};

		/* imaxpct is the eighth word; growth sets it anew. */
		if (ioctl(fd, XFS_GEOMETRY, &geometry) < 0)
			return err_sys(err, "xfs: geometry");
		xfs.inode_percent = geometry.words[7];
		if (ioctl(fd, XFS_GROW, &xfs) < 0)
			return err_sys(err, "xfs");
		return 0;
	}
	default:
		return err_set(err, ENOTSUP,
			       "its file system (type %#lx) cannot be resized",
			       (unsigned long)st->f_type);
	}
}

static int resize(int fd, uint64_t size, struct err *err)
{
	uint64_t device = 0, now;
	struct statfs st;
	int ret;

	if (fstatfs(fd, &st) < 0)
		return err_sys(err, "statfs");
	if ((uint32_t)st.f_type != EXT4_SUPER_MAGIC &&
	    (uint32_t)st.f_type != XFS_SUPER_MAGIC)
		return grow(fd, &st, size, err); /* which refuses */
	ret = device_size(fd, &device, err);
	if (ret < 0)
		return ret;
	if (size == 0)
		size = device;
	now = st.f_blocks * (uint64_t)st.f_bsize;
	if (size > device)
		return err_set(err, ENOSPC, "%llu bytes: its device has %llu",
			       (unsigned long long)size,
			       (unsigned long long)device);
	if (size < now)
		return err_set(err, EINVAL,
			       "%llu bytes: it has %llu and cannot shrink",
			       (unsigned long long)size,
			       (unsigned long long)now);
	return grow(fd, &st, size, err);
}

int volume_resize(const char *path, uint64_t size, struct err *err)
{
	AUTO_FD int fd = open_volume(path, err);

	if (fd < 0)
		return fd;
	return resize(fd, size, err) < 0 ? err_wrap(err, "volume %.200s", path)
					 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/mount_options.h"

struct fd_path fd_path(int fd)
{
	struct fd_path p;

	(void)snprintf(p.text, sizeof(p.text), "/proc/self/fd/%d", fd);
	return p;
}

int remount_readonly(const char *path)
{
	static const struct {
		unsigned long st, ms;
	} keep[] = {
		{ST_NOSUID, MS_NOSUID},		{ST_NODEV, MS_NODEV},
		{ST_NOEXEC, MS_NOEXEC},		{ST_NOATIME, MS_NOATIME},
		{ST_NODIRATIME, MS_NODIRATIME}, {ST_RELATIME, MS_RELATIME},
	};
	unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY;
	struct statvfs st;

	if (statvfs(path, &st) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		if (st.f_flag & keep[i].st)
			flags |= keep[i].ms;
	}
	return mount(NULL, path, NULL, flags, NULL) < 0 ? -errno : 0;
}

int rootfs_bind(const char *source, const char *target, const char *propagation,
		struct err *err)
{
	unsigned long flags;
	int fd;

	if (mount_propagation(propagation, &flags) < 0)
		return err_set(err, EINVAL, "rootfsPropagation: %.32s",
			       propagation);
	/*
	 * What the container mounts must not come out; what the guest mounts
	 * may come in if the spec says so.
	 */
	if (!(flags & MS_SLAVE))
		flags = MS_PRIVATE | MS_REC;
	if (mount(NULL, "/", NULL, flags, NULL) < 0)
		return err_sys(err, "rootfsPropagation: mount /");
	if (mount(source, target, NULL, MS_BIND | MS_REC, NULL) < 0)
		return err_sys(err, "root: bind %s", source);
	if (mount(NULL, target, NULL, MS_PRIVATE, NULL) < 0)
		return err_sys(err, "root: mount %s private", target);
	fd = open(target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "root: open %s", target) : fd;
}

static int mask(int root, const char *path)
{
	AUTO_FD int fd = rootfs_open(root, path, 0);
	AUTO_FD int top = -1;
	struct stat st;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return mount("tmpfs", fd_path(fd).text, "tmpfs",
			     MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			     "size=4k") < 0
			       ? -errno
			       : 0;
	if (mount("/dev/null", fd_path(fd).text, NULL, MS_BIND, NULL) < 0)
		return -errno;
	/* It is the guest's own node, whose mode is not the container's. */
	top = rootfs_open(root, path, 0);
	return top < 0 ? top : remount_readonly(fd_path(top).text);
}

int rootfs_mask(int root, char *const *paths, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		int ret = mask(root, paths[i]);

		if (ret < 0)
			return err_ret(err, ret, "maskedPaths: %s", paths[i]);
	}
	return 0;
}

static int make_readonly(int root, const char *path)
{
	AUTO_FD int fd = rootfs_open(root, path, 0);
	AUTO_FD int top = -1;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return fd;
	if (mount(fd_path(fd).text, fd_path(fd).text, NULL, MS_BIND | MS_REC,
		  NULL) < 0)
		return -errno;
	/* fd is what lies below now. */
	top = rootfs_open(root, path, 0);
	return top < 0 ? top : remount_readonly(fd_path(top).text);
}

int rootfs_make_readonly(int root, char *const *paths, size_t n,
			 struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		int ret = make_readonly(root, paths[i]);

		if (ret < 0)
			return err_ret(err, ret, "readonlyPaths: %s", paths[i]);
	}
	return 0;
}

int rootfs_enter(int root, const char *propagation, struct err *err)
{
	unsigned long flags = 0;

	if (fchdir(root) < 0)
		return err_sys(err, "root: fchdir");
	/*
	 * pivot_root(2), NOTES: with the same directory for both, the old
	 * root comes to lie on top of the new one and is unmounted by ".".
	 */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, "root: pivot_root");
	if (mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return err_sys(err, "root: mount the old root slave");
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "root: unmount the old root");
	if (chdir("/") < 0)
		return err_sys(err, "root: chdir /");
	if (mount_propagation(propagation, &flags) == 0 && flags &&
	    mount(NULL, "/", NULL, flags, NULL) < 0)
		return err_sys(err, "rootfsPropagation: mount / %s",
			       propagation);
	return 0;
}

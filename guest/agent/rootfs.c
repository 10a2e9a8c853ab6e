/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
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

static int in_root(int root, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = (uint64_t)(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) |
			   resolve,
	};
	long fd;

	do { /* EAGAIN: a rename went on meanwhile */
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd < 0 ? -errno : (int)fd;
}

int rootfs_open(int root, const char *path, uint64_t resolve)
{
	return in_root(root, path, O_PATH, resolve);
}

/* The directory at path's first len bytes; dir is the one that holds it. */
static int step(int root, int dir, const char *path, size_t len)
{
	char prefix[PATH_MAX];
	const char *name;
	int fd;

	memcpy(prefix, path, len);
	prefix[len] = '\0';
	fd = in_root(root, prefix, O_PATH | O_DIRECTORY, 0);
	if (fd != -ENOENT)
		return fd;
	name = strrchr(prefix, '/');
	name = name ? name + 1 : prefix;
	if (mkdirat(dir, name, 0755) < 0)
		return -errno;
	return in_root(root, prefix, O_PATH | O_DIRECTORY, 0);
}

int rootfs_parent(int root, const char *path, const char **base)
{
	AUTO_FD int dir = fcntl(root, F_DUPFD_CLOEXEC, 3);
	const char *at = path;

	if (dir < 0)
		return -errno;
	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	for (;;) {
		size_t len;
		int fd;

		at += strspn(at, "/");
		len = strcspn(at, "/");
		*base = at;
		if (at[len + strspn(at + len, "/")] == '\0')
			return len ? steal_fd(&dir) : -EINVAL;
		at += len;
		fd = step(root, dir, path, (size_t)(at - path));
		if (fd < 0)
			return fd;
		close(dir);
		dir = fd;
	}
}

int rootfs_make(int root, const char *path, bool directory)
{
	AUTO_FD int parent = -1;
	const char *base;
	char name[NAME_MAX + 1];
	size_t len;
	int fd = rootfs_open(root, path, 0);

	if (fd != -ENOENT)
		return fd;
	parent = rootfs_parent(root, path, &base);
	if (parent < 0)
		return parent;
	len = strcspn(base, "/");
	if (len >= sizeof(name))
		return -ENAMETOOLONG;
	memcpy(name, base, len);
	name[len] = '\0';
	if (directory) {
		if (mkdirat(parent, name, 0755) < 0)
			return -errno;
	} else {
		AUTO_FD int file = openat(parent, name,
					  O_CREAT | O_EXCL | O_WRONLY |
						  O_NOFOLLOW | O_CLOEXEC,
					  0644);

		if (file < 0)
			return -errno;
	}
	return rootfs_open(root, path, 0);
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
	struct stat st;
	int ret;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		ret = mount("tmpfs", fd_path(fd).text, "tmpfs",
			    MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			    "size=4k");
	else
		ret = mount("/dev/null", fd_path(fd).text, NULL, MS_BIND, NULL);
	return ret < 0 ? -errno : 0;
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

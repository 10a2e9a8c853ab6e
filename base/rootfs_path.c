/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rootfs_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LINKS_MAX 40 /* as the kernel's own limit */

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

/*
 * Puts the target of a link in place of path's component at `at`, in dir.
 * Images have links to what is made at run time only, as /etc/resolv.conf
 * to /run/systemd/resolve; the kernel does not make what they name.
 */
static int expand(char path[PATH_MAX], size_t at, size_t len, int dir)
{
	char name[NAME_MAX + 1], target[PATH_MAX], out[PATH_MAX];
	ssize_t n;
	int total;

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, path + at, len);
	name[len] = '\0';
	n = readlinkat(dir, name, target, sizeof(target) - 1);
	if (n <= 0)
		return n < 0 && errno != EINVAL ? -errno : -EEXIST;
	target[n] = '\0';
	total = snprintf(out, sizeof(out), "%.*s%s%s",
			 target[0] == '/' ? 0 : (int)at, path, target,
			 path + at + len);
	if (total < 0 || (size_t)total >= sizeof(out))
		return -ENAMETOOLONG;
	memcpy(path, out, (size_t)total + 1);
	return 0;
}

/* Once through path: the parent of its last component; *at and *len tell
 * that component, or with -EEXIST the link that leads nowhere, in *dir. */
static int walk(int root, const char *path, size_t *at, size_t *len, int *dir)
{
	const char *p = path;

	for (;;) {
		int fd;

		p += strspn(p, "/");
		*at = (size_t)(p - path);
		*len = strcspn(p, "/");
		if (p[*len + strspn(p + *len, "/")] == '\0')
			return *len ? 0 : -EINVAL;
		p += *len;
		fd = step(root, *dir, path, (size_t)(p - path));
		if (fd < 0)
			return fd;
		close(*dir);
		*dir = fd;
	}
}

int rootfs_parent(int root, const char *path, char base[NAME_MAX + 1])
{
	char buf[PATH_MAX];
	size_t at = 0, len = 0;

	if (strlen(path) >= sizeof(buf))
		return -ENAMETOOLONG;
	memcpy(buf, path, strlen(path) + 1);
	for (unsigned links = 0; links < LINKS_MAX; links++) {
		AUTO_FD int dir = fcntl(root, F_DUPFD_CLOEXEC, 3);
		int ret = dir < 0 ? -errno : walk(root, buf, &at, &len, &dir);

		if (ret == -EEXIST) {
			ret = expand(buf, at, len, dir);
			if (!ret)
				continue;
		}
		if (ret < 0)
			return ret;
		if (len > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(base, buf + at, len);
		base[len] = '\0';
		return steal_fd(&dir);
	}
	return -ELOOP;
}

static int create(int dir, const char *name, bool directory)
{
	AUTO_FD int file = -1;

	if (directory)
		return mkdirat(dir, name, 0755) < 0 ? -errno : 0;
	file = openat(dir, name,
		      O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
		      0644);
	return file < 0 ? -errno : 0;
}

int rootfs_make(int root, const char *path, bool directory)
{
	char buf[PATH_MAX];

	if (strlen(path) >= sizeof(buf))
		return -ENAMETOOLONG;
	memcpy(buf, path, strlen(path) + 1);
	for (unsigned links = 0; links < LINKS_MAX; links++) {
		AUTO_FD int parent = -1;
		char base[NAME_MAX + 1];
		size_t at;
		int fd = rootfs_open(root, buf, 0), ret;

		if (fd != -ENOENT)
			return fd;
		parent = rootfs_parent(root, buf, base);
		if (parent < 0)
			return parent;
		ret = create(parent, base, directory);
		if (ret == -EEXIST) {
			/* The last component of buf, without final slashes. */
			at = strlen(buf);
			while (at > 0 && buf[at - 1] == '/')
				buf[--at] = '\0';
			while (at > 0 && buf[at - 1] != '/')
				at--;
			ret = expand(buf, at, strlen(buf + at), parent);
		}
		if (ret < 0)
			return ret;
	}
	return -ELOOP;
}

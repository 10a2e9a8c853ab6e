/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/copy_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent/ids.h"

/* Precedes the name of what is not complete yet. */
#define PARTIAL ".nacre-copy-"

/* Links may lead elsewhere below the root, never out of it. */
static int open_beneath(int root, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	do { /* EAGAIN: a rename went on meanwhile */
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd < 0 ? -errno : (int)fd;
}

/* The directory `prefix` of root, made in dir when it is missing. */
static int step(int root, int dir, const char *prefix, mode_t mode)
{
	const char *name = strrchr(prefix, '/');
	int fd = open_beneath(root, prefix);

	if (fd != -ENOENT)
		return fd;
	if (mkdirat(dir, name ? name + 1 : prefix, mode) < 0)
		return -errno;
	return open_beneath(root, prefix);
}

/* The directory that holds rel's last component, which goes to *name. */
static int parent(int root, char *rel, mode_t mode, const char **name)
{
	AUTO_FD int dir = open_beneath(root, ".");
	char *slash = rel;

	if (dir < 0)
		return dir;
	*name = rel;
	while ((slash = strchr(slash, '/'))) {
		int fd;

		*slash = '\0';
		fd = step(root, dir, rel, mode);
		*slash = '/';
		if (fd < 0)
			return fd;
		close(dir);
		dir = fd;
		*name = ++slash;
	}
	return steal_fd(&dir);
}

static int set_owner(int dir, const char *name,
		     const Agent__CopyFileRequest *msg)
{
	return fchownat(dir, name, (uid_t)msg->uid, (gid_t)msg->gid,
			AT_SYMLINK_NOFOLLOW) < 0
		       ? -errno
		       : 0;
}

static int copy_directory(int dir, const char *name,
			  const Agent__CopyFileRequest *msg)
{
	AUTO_FD int fd = -1;

	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fchown(fd, (uid_t)msg->uid, (gid_t)msg->gid) < 0 ||
	    fchmod(fd, msg->file_mode & 07777) < 0)
		return -errno;
	return 0;
}

static int copy_link(int dir, const char *name, const char *partial,
		     const Agent__CopyFileRequest *msg)
{
	char target[PATH_MAX];
	int ret;

	if (msg->data.len == 0 || msg->data.len >= sizeof(target) ||
	    memchr(msg->data.data, '\0', msg->data.len))
		return -EINVAL;
	memcpy(target, msg->data.data, msg->data.len);
	target[msg->data.len] = '\0';
	(void)unlinkat(dir, partial, 0);
	if (symlinkat(target, dir, partial) < 0)
		return -errno;
	ret = set_owner(dir, partial, msg);
	if (!ret && renameat(dir, partial, dir, name) < 0)
		ret = -errno;
	if (ret < 0)
		(void)unlinkat(dir, partial, 0);
	return ret;
}

static int write_piece(int fd, const Agent__CopyFileRequest *msg)
{
	size_t done = 0;

	while (done < msg->data.len) {
		ssize_t n =
			pwrite(fd, msg->data.data + done, msg->data.len - done,
			       msg->offset + (off_t)done);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

static int copy_piece(int dir, const char *name, const char *partial,
		      const Agent__CopyFileRequest *msg, struct err *err)
{
	int64_t end = msg->offset + (int64_t)msg->data.len;
	int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
	AUTO_FD int fd = -1;
	struct stat st;
	int ret;

	fd = openat(dir, partial, flags | (msg->offset ? 0 : O_TRUNC), 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open");
	if (!S_ISREG(st.st_mode) || msg->offset > st.st_size)
		return err_set(err, EINVAL,
			       "offset %lld: what precedes it did not come",
			       (long long)msg->offset);
	ret = write_piece(fd, msg);
	if (ret < 0)
		return err_ret(err, ret, "write");
	if (end < msg->file_size)
		return 0;
	if (fchown(fd, (uid_t)msg->uid, (gid_t)msg->gid) < 0 ||
	    fchmod(fd, msg->file_mode & 07777) < 0)
		return err_sys(err, "owner and mode");
	return renameat(dir, partial, dir, name) < 0 ? err_sys(err, "rename")
						     : 0;
}

/* msg's path below SHARED_DIR; no component is ".", ".." or empty. */
static int relative(const char *path, char rel[PATH_MAX], struct err *err)
{
	size_t base = strlen(SHARED_DIR);

	if (!path_valid(path) || strncmp(path, SHARED_DIR, base) != 0 ||
	    path[base] != '/')
		return err_set(err, EPERM, "not below " SHARED_DIR);
	(void)snprintf(rel, PATH_MAX, "%s", path + base + 1);
	for (const char *p = rel;;) {
		size_t len = strcspn(p, "/");

		if (len == 0 || (len == 1 && *p == '.') ||
		    len + sizeof(PARTIAL) > NAME_MAX)
			return err_set(err, EINVAL, "path: not usable");
		if (!p[len])
			return 0;
		p += len + 1;
	}
}

static int check_size(const Agent__CopyFileRequest *msg, struct err *err)
{
	if (msg->file_size < 0 || msg->offset < 0 ||
	    msg->offset > msg->file_size ||
	    (int64_t)msg->data.len > msg->file_size - msg->offset)
		return err_set(err, EINVAL, "file size and offset disagree");
	return 0;
}

static int copy_to(const Agent__CopyFileRequest *msg, struct err *err)
{
	mode_t dir_mode = msg->dir_mode & 07777;
	char rel[PATH_MAX], partial[NAME_MAX + 1];
	AUTO_FD int root = -1, dir = -1;
	const char *name;
	int ret = relative(msg->path, rel, err);

	if (!ret && mkdir_all(SHARED_DIR, 0755) < 0)
		return err_set(err, EIO, SHARED_DIR ": cannot be made");
	if (ret < 0)
		return ret;
	root = open(SHARED_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "open " SHARED_DIR);
	dir = parent(root, rel, dir_mode ? dir_mode : 0755, &name);
	if (dir < 0)
		return err_ret(err, dir, "its directory");
	(void)snprintf(partial, sizeof(partial), PARTIAL "%.*s",
		       (int)(NAME_MAX - sizeof(PARTIAL)), name);
	switch (msg->file_mode & S_IFMT) {
	case S_IFDIR:
		ret = copy_directory(dir, name, msg);
		return ret < 0 ? err_ret(err, ret, "directory") : 0;
	case S_IFLNK:
		ret = copy_link(dir, name, partial, msg);
		return ret < 0 ? err_ret(err, ret, "symbolic link") : 0;
	case S_IFREG:
	case 0:
		ret = check_size(msg, err);
		return ret < 0 ? ret : copy_piece(dir, name, partial, msg, err);
	default:
		return err_set(err, EINVAL, "file_mode %#o: its type",
			       msg->file_mode);
	}
}

int copy_file(const Agent__CopyFileRequest *msg, struct err *err)
{
	return copy_to(msg, err) < 0 ? err_wrap(err, "%.200s", msg->path) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/xattr.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "virtiofs/acl.h"
#include "virtiofs/cred.h"
#include "virtiofs/name.h"

/*
 * The calls take a path, or a descriptor open for I/O, which a symbolic link
 * or a FIFO cannot have. So the path is the inode's number in the proc
 * directory, relative to the working directory.
 */
static int cwd_enter(struct fs_thread *thread, int *back)
{
	int ret = 0;

	*back = -1;
	if (thread->own_cwd)
		return 0;
	*back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*back < 0)
		return -errno;
	if (fchdir(thread->fs->proc_fd)) {
		ret = -errno;
		close(*back);
	}
	return ret;
}

static void cwd_leave(int back)
{
	if (back < 0)
		return;
	BUG_ON(fchdir(back));
	close(back);
}

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool name_allowed(const struct virtiofs *fs, const char *name)
{
	if (has_prefix(name, "security."))
		return strcmp(name, XATTR_NAME_CAPS) == 0;
	if (fs_acl_is(name))
		return fs->config.posix_acl;
	return has_prefix(name, "user.") || has_prefix(name, "trusted.");
}

static int take_name(struct fs_req *req, size_t *pos, const char **name)
{
	int ret;

	if (!req->fs->config.xattr)
		return -ENOSYS;
	ret = fs_take_string(req, pos, name);
	if (ret)
		return ret;
	if (!**name || strlen(*name) > XATTR_NAME_MAX)
		return -ERANGE;
	*name = fs_xattr_to_host(req->fs->config.xattrmap, *name,
				 req->thread->xattr_name, &ret);
	if (!*name)
		return ret;
	return name_allowed(req->fs, *name) ? 0 : -EOPNOTSUPP;
}

static ssize_t value_get(struct fs_req *req, const struct fs_inode *inode,
			 const char *name, void *value, size_t size)
{
	char path[FS_PROC_NAME_MAX];
	ssize_t n;
	int back;
	int ret = cwd_enter(req->thread, &back);

	if (ret)
		return ret;
	fs_proc_name(inode->fd, path);
	n = getxattr(path, name, value, size);
	if (n < 0)
		n = -errno;
	cwd_leave(back);
	return n;
}

bool fs_has_default_acl(struct fs_req *req, const struct fs_inode *dir)
{
	return value_get(req, dir, XATTR_NAME_POSIX_ACL_DEFAULT, NULL, 0) > 0;
}

static int size_reply(struct fs_req *req, ssize_t n)
{
	struct fuse_getxattr_out *out = fs_reply(req, sizeof(*out));

	out->size = (uint32_t)n;
	return 0;
}

int fs_getxattr(struct fs_req *req)
{
	const struct fuse_getxattr_in *in = req->args;
	size_t pos = sizeof(*in);
	const char *name;
	ssize_t n;
	int ret = take_name(req, &pos, &name);

	if (ret)
		return ret;
	n = value_get(req, req->inode, name, req->reply,
		      MIN((size_t)in->size, (size_t)XATTR_SIZE_MAX));
	if (n < 0)
		return (int)n;
	if (in->size == 0)
		return size_reply(req, n);
	if (fs_acl_is(name))
		fs_acl_to_guest(req->fs->config.uids, req->fs->config.gids,
				req->reply, (size_t)n);
	req->reply_len = (size_t)n;
	return 0;
}

static ssize_t names_get(struct fs_req *req, char *list, size_t size)
{
	char path[FS_PROC_NAME_MAX];
	ssize_t n;
	int back;
	int ret = cwd_enter(req->thread, &back);

	if (ret)
		return ret;
	fs_proc_name(req->inode->fd, path);
	n = listxattr(path, list, size);
	if (n < 0)
		n = -errno;
	cwd_leave(back);
	return n;
}

/* Leaves the names that a get would find. */
static size_t names_filter(struct fs_req *req, char *list, size_t len)
{
	const char *name;
	size_t out = 0;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = strnlen(list + i, len - i - 1) + 1;
		if (!name_allowed(req->fs, list + i))
			continue;
		name = fs_xattr_to_guest(req->fs->config.xattrmap, list + i);
		if (!name)
			continue;
		memmove(list + out, name, strlen(name) + 1);
		out += strlen(list + out) + 1;
	}
	return out;
}

int fs_listxattr(struct fs_req *req)
{
	const struct fuse_getxattr_in *in = req->args;
	ssize_t n;

	if (!req->fs->config.xattr)
		return -ENOSYS;
	n = names_get(req, req->reply, XATTR_LIST_MAX);
	if (n < 0)
		return (int)n;
	n = (ssize_t)names_filter(req, req->reply, (size_t)n);
	if (in->size == 0)
		return size_reply(req, n);
	if ((size_t)n > in->size)
		return -ERANGE;
	req->reply_len = (size_t)n;
	return 0;
}

static int value_set(struct fs_req *req, const char *name, const void *value,
		     size_t size, int flags)
{
	char path[FS_PROC_NAME_MAX];
	int back;
	int ret = cwd_enter(req->thread, &back);

	if (ret)
		return ret;
	fs_proc_name(req->inode->fd, path);
	ret = setxattr(path, name, value, size, flags) ? -errno : 0;
	cwd_leave(back);
	return ret;
}

/* As the host has it: the value, or a copy in the place of the reply, which is
 * empty. NULL: *err. */
static const void *value_to_host(struct fs_req *req, const char *name,
				 const void *value, size_t size, int *err)
{
	if (!fs_acl_is(name))
		return value;
	memcpy(req->reply, value, size);
	*err = fs_acl_to_host(req->fs->config.uids, req->fs->config.gids,
			      req->reply, size);
	return *err ? NULL : req->reply;
}

int fs_setxattr(struct fs_req *req)
{
	bool ext = fs_has(req->fs, FUSE_SETXATTR_EXT);
	const struct fuse_setxattr_in *in = req->args;
	size_t pos = ext ? sizeof(*in) : FUSE_COMPAT_SETXATTR_IN_SIZE;
	const void *value;
	const char *name;
	bool kill;
	int ret;

	if (req->args_len < pos)
		return -EINVAL;
	kill = ext && (in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID);
	ret = take_name(req, &pos, &name);
	if (ret)
		return ret;
	if (in->size > req->args_len - pos || in->flags > INT32_MAX)
		return -EINVAL;
	if (in->size > XATTR_SIZE_MAX)
		return -E2BIG;
	value = value_to_host(req, name, (const char *)req->args + pos,
			      in->size, &ret);
	if (!value)
		return ret;
	/* Setting an ACL clears the set-group-ID bit unless the caller is in
	 * the file's group or has CAP_FSETID: so the caller's group it is. */
	if (kill) {
		ret = fs_cred_enter_group(req);
		if (ret)
			return ret;
	}
	ret = value_set(req, name, value, in->size, (int)in->flags);
	if (kill)
		fs_cred_leave_group(req);
	return ret;
}

int fs_removexattr(struct fs_req *req)
{
	char path[FS_PROC_NAME_MAX];
	const char *name;
	size_t pos = 0;
	int back;
	int ret = take_name(req, &pos, &name);

	if (!ret)
		ret = cwd_enter(req->thread, &back);
	if (ret)
		return ret;
	fs_proc_name(req->inode->fd, path);
	ret = removexattr(path, name) ? -errno : 0;
	cwd_leave(back);
	return ret;
}

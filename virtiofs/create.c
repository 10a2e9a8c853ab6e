/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/create.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "virtiofs/attr.h"
#include "virtiofs/cred.h"
#include "virtiofs/dax.h"
#include "virtiofs/handle.h"
#include "virtiofs/inode.h"
#include "virtiofs/io.h"
#include "virtiofs/name.h"
#include "virtiofs/replay.h"
#include "virtiofs/wait.h"
#include "virtiofs/xattr.h"

/*
 * With FUSE_DONT_MASK the umask comes along, because a default ACL of the
 * directory replaces it. Otherwise the guest has applied it.
 */
static mode_t create_mode(struct fs_req *req, uint32_t mode, uint32_t umask)
{
	mode &= 07777;
	if (fs_has(req->fs, FUSE_DONT_MASK) &&
	    !fs_has_default_acl(req, req->inode))
		mode &= ~umask;
	return mode;
}

/*
 * A device node of the guest would be one of the host's devices, were it ever
 * opened there. The whiteout of overlayfs is no device.
 */
static bool mknod_allowed(mode_t type, uint32_t rdev)
{
	return type == S_IFREG || type == S_IFIFO || type == S_IFSOCK ||
	       (type == S_IFCHR && rdev == 0);
}

int fs_mknod(struct fs_req *req)
{
	const struct fuse_mknod_in *in = req->args;
	mode_t type = in->mode & S_IFMT;
	size_t pos = sizeof(*in);
	const char *name;
	mode_t mode;
	int ret = fs_take_name(req, &pos, &name);

	if (ret)
		return ret;
	if (type == 0)
		type = S_IFREG;
	if (!mknod_allowed(type, in->rdev))
		return -EPERM;
	mode = create_mode(req, in->mode, in->umask);
	ret = fs_cred_enter(req);
	if (ret)
		return ret;
	ret = mknodat(req->inode->fd, name, type | mode, 0) ? -errno : 0;
	fs_cred_leave(req);
	return ret ? ret : fs_entry_reply(req, name);
}

int fs_mkdir(struct fs_req *req)
{
	const struct fuse_mkdir_in *in = req->args;
	size_t pos = sizeof(*in);
	const char *name;
	mode_t mode;
	int ret = fs_take_name(req, &pos, &name);

	if (ret)
		return ret;
	mode = create_mode(req, in->mode, in->umask);
	ret = fs_cred_enter(req);
	if (ret)
		return ret;
	ret = mkdirat(req->inode->fd, name, mode) ? -errno : 0;
	fs_cred_leave(req);
	return ret ? ret : fs_entry_reply(req, name);
}

int fs_symlink(struct fs_req *req)
{
	const char *target;
	const char *name;
	size_t pos = 0;
	int ret = fs_take_name(req, &pos, &name);

	if (!ret)
		ret = fs_take_string(req, &pos, &target);
	if (!ret)
		ret = fs_cred_enter(req);
	if (ret)
		return ret;
	ret = symlinkat(target, req->inode->fd, name) ? -errno : 0;
	fs_cred_leave(req);
	return ret ? ret : fs_entry_reply(req, name);
}

/* Through the proc directory: AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH. */
int fs_link(struct fs_req *req)
{
	const struct fuse_link_in *in = req->args;
	char path[FS_PROC_NAME_MAX];
	size_t pos = sizeof(*in);
	struct fs_inode *old;
	const char *name;
	int ret = fs_take_name(req, &pos, &name);

	if (ret)
		return ret;
	old = fs_inode_get(req->fs, in->oldnodeid);
	if (!old)
		return -ESTALE;
	fs_proc_name(old->fd, path);
	if (linkat(req->fs->proc_fd, path, req->inode->fd, name,
		   AT_SYMLINK_FOLLOW))
		ret = -errno;
	fs_inode_put(req->fs, old);
	return ret ? ret : fs_entry_reply(req, name);
}

struct create_reply {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

static int create_open(struct fs_req *req, const char *name, int flags,
		       mode_t mode)
{
	struct open_how how = {
		.flags = (uint32_t)flags | O_CLOEXEC | O_NOFOLLOW,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_SYMLINKS,
	};
	int ret = fs_cred_enter(req);
	long fd;

	if (ret)
		return ret;
	fd = syscall(SYS_openat2, req->inode->fd, name, &how, sizeof(how));
	if (fd < 0)
		fd = -errno;
	fs_cred_leave(req);
	return (int)fd;
}

/* Entry and handle of a file that fd (taken) has open, with those flags; name
 * NULL: it has none. */
static int create_finish(struct fs_req *req, const char *name, int fd,
			 int flags, int path)
{
	struct create_reply *out = fs_reply(req, sizeof(*out));
	struct fs_inode *inode;
	int ret;

	if (path < 0) {
		close(fd);
		return path;
	}
	ret = fs_entry_fill(req, req->inode, path, &out->entry);
	if (ret) {
		close(fd);
		return ret;
	}
	inode = fs_inode_get(req->fs, out->entry.nodeid);
	if (inode)
		fs_dax_opened(req->fs, inode);
	fs_inode_put(req->fs, inode);
	ret = fs_file_add(req->fs, fd, flags, out->entry.nodeid, &out->open);
	if (ret)
		fs_inode_forget(req->fs, out->entry.nodeid, 1);
	else if (name)
		fs_replay_note(req, name, out->entry.nodeid);
	return ret;
}

/* The name was taken, which CREATE without O_EXCL allows; a regular file is
 * the only thing that is opened. */
static int create_existing(struct fs_req *req, const char *name, int flags,
			   const struct fuse_create_in *in)
{
	struct fuse_open_in open = {in->flags, in->open_flags};
	struct fs_inode found;
	struct statx stx;
	int fd;
	int ret;

	found.fd = fs_open_path(req->inode->fd, name);
	if (found.fd < 0)
		return found.fd;
	ret = fs_stat(found.fd, &stx);
	found.type = stx.stx_mode & S_IFMT;
	if (!ret && found.type == S_IFDIR)
		ret = -EISDIR;
	if (ret) {
		close(found.fd);
		return ret;
	}
	fd = fs_open_file(req, &found, &open, &flags);
	if (fd < 0) {
		close(found.fd);
		return fd;
	}
	return create_finish(req, name, fd, flags, found.fd);
}

int fs_create(struct fs_req *req)
{
	const struct fuse_create_in *in = req->args;
	size_t pos = sizeof(*in);
	const char *name;
	int flags;
	int fd;
	int ret = fs_take_name(req, &pos, &name);

	if (!ret)
		ret = fs_open_flags(req->fs, in->flags, &flags);
	if (ret)
		return ret;
	/* O_EXCL always: an open of what is there already could be one of a
	 * device or a FIFO. */
	fd = create_open(req, name, (flags & ~O_TRUNC) | O_CREAT | O_EXCL,
			 create_mode(req, in->mode, in->umask));
	if (fd == -EEXIST && !(in->flags & O_EXCL))
		return create_existing(req, name, flags, in);
	if (fd < 0)
		return fd;
	return create_finish(req, name, fd, flags, fs_path_of(fd));
}

/* The name in the request has no meaning. */
int fs_tmpfile(struct fs_req *req)
{
	const struct fuse_create_in *in = req->args;
	int flags;
	int fd;
	int ret = fs_open_flags(req->fs, in->flags, &flags);

	if (ret)
		return ret;
	fd = create_open(req, ".",
			 (flags & ~O_TRUNC) | O_TMPFILE |
				 ((int)in->flags & O_EXCL),
			 create_mode(req, in->mode, in->umask));
	if (fd < 0)
		return fd;
	return create_finish(req, NULL, fd, flags, fs_path_of(fd));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "virtiofs/inode.h"
#include "virtiofs/name.h"
#include "virtiofs/replay.h"

static int unlink_name(struct fs_req *req, int flags)
{
	const char *name;
	size_t pos = 0;
	int ret = fs_take_name(req, &pos, &name);

	if (ret)
		return ret;
	if (unlinkat(req->inode->fd, name, flags))
		return -errno;
	fs_replay_note(req, name, 0);
	return 0;
}

int fs_unlink(struct fs_req *req)
{
	return unlink_name(req, 0);
}

int fs_rmdir(struct fs_req *req)
{
	return unlink_name(req, AT_REMOVEDIR);
}

static int rename_names(struct fs_req *req, size_t pos, uint64_t newdir,
			uint32_t flags)
{
	struct fs_inode *to;
	const char *old_name;
	const char *new_name;
	int ret = fs_take_name(req, &pos, &old_name);

	if (!ret)
		ret = fs_take_name(req, &pos, &new_name);
	if (ret)
		return ret;
	to = fs_inode_get(req->fs, newdir);
	if (!to)
		return -ESTALE;
	ret = renameat2(req->inode->fd, old_name, to->fd, new_name, flags)
		      ? -errno
		      : 0;
	if (!ret)
		fs_replay_note_rename(req, old_name, to, new_name,
				      (flags & RENAME_EXCHANGE) != 0);
	fs_inode_put(req->fs, to);
	return ret;
}

int fs_rename(struct fs_req *req)
{
	const struct fuse_rename_in *in = req->args;

	return rename_names(req, sizeof(*in), in->newdir, 0);
}

int fs_rename2(struct fs_req *req)
{
	const uint32_t allowed =
		RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
	const struct fuse_rename2_in *in = req->args;

	if (in->flags & ~allowed)
		return -EINVAL;
	return rename_names(req, sizeof(*in), in->newdir, in->flags);
}

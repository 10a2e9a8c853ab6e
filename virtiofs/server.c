/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/server.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtiofs/attr.h"
#include "virtiofs/create.h"
#include "virtiofs/cred.h"
#include "virtiofs/dax.h"
#include "virtiofs/dir.h"
#include "virtiofs/fileattr.h"
#include "virtiofs/idmap.h"
#include "virtiofs/inode.h"
#include "virtiofs/io.h"
#include "virtiofs/remove.h"
#include "virtiofs/replay.h"
#include "virtiofs/session.h"
#include "virtiofs/wait.h"
#include "virtiofs/xattr.h"

enum op_flags {
	OP_WRITES = 1 << 0,    /* refused on a read-only tree */
	OP_NO_NODE = 1 << 1,   /* the node id is unused, or handled there */
	OP_NO_REPLY = 1 << 2,  /* not even for an error */
	OP_BULK = 1 << 3,      /* what follows the minimum stays in the chain */
	OP_FIRST = 1 << 4,     /* comes before there is a session */
	OP_QUICK = 1 << 5,     /* knows how not to wait (FS_NOWAIT) */
	OP_BRIEF = 1 << 6,     /* hardly ever waits (FS_BRIEF) */
	OP_NO_FSETID = 1 << 7, /* the same with CAP_FSETID and without */
	OP_NO_FD = 1 << 8,     /* does not use the inode's descriptor */
};

struct op {
	int (*run)(struct fs_req *req);
	unsigned min; /* bytes after the header */
	unsigned flags;
};

/* What is not here is ENOSYS, which the guest's kernel remembers. */
static const struct op ops[] = {
	[FUSE_LOOKUP] = {fs_lookup, 1, OP_BRIEF | OP_QUICK | OP_NO_FSETID},
	[FUSE_FORGET] = {fs_forget, sizeof(struct fuse_forget_in),
			 OP_BRIEF | OP_NO_NODE | OP_NO_REPLY | OP_NO_FSETID},
	[FUSE_GETATTR] = {fs_getattr, sizeof(struct fuse_getattr_in),
			  OP_BRIEF | OP_QUICK | OP_NO_FSETID},
	[FUSE_SETATTR] = {fs_setattr, sizeof(struct fuse_setattr_in),
			  OP_BRIEF | OP_WRITES},
	[FUSE_READLINK] = {fs_readlink, 0, OP_BRIEF},
	[FUSE_SYMLINK] = {fs_symlink, 2, OP_BRIEF | OP_WRITES},
	[FUSE_MKNOD] = {fs_mknod, sizeof(struct fuse_mknod_in),
			OP_BRIEF | OP_WRITES},
	[FUSE_MKDIR] = {fs_mkdir, sizeof(struct fuse_mkdir_in),
			OP_BRIEF | OP_WRITES},
	[FUSE_UNLINK] = {fs_unlink, 1, OP_BRIEF | OP_WRITES},
	[FUSE_RMDIR] = {fs_rmdir, 1, OP_BRIEF | OP_WRITES},
	[FUSE_RENAME] = {fs_rename, sizeof(struct fuse_rename_in),
			 OP_BRIEF | OP_WRITES},
	[FUSE_LINK] = {fs_link, sizeof(struct fuse_link_in),
		       OP_BRIEF | OP_WRITES},
	[FUSE_OPEN] = {fs_open, sizeof(struct fuse_open_in),
		       OP_BRIEF | OP_QUICK},
	[FUSE_READ] = {fs_read, sizeof(struct fuse_read_in),
		       OP_BRIEF | OP_QUICK | OP_NO_FSETID},
	[FUSE_WRITE] = {fs_write, sizeof(struct fuse_write_in),
			OP_BRIEF | OP_QUICK | OP_WRITES | OP_BULK |
				OP_NO_FSETID},
	[FUSE_STATFS] = {fs_statfs, 0, OP_BRIEF},
	/* Nobody sends it again: it does not fail for want of a descriptor. */
	[FUSE_RELEASE] = {fs_release, sizeof(struct fuse_release_in),
			  OP_BRIEF | OP_QUICK | OP_NO_FSETID | OP_NO_FD},
	[FUSE_FSYNC] = {fs_fsync, sizeof(struct fuse_fsync_in), OP_NO_FSETID},
	[FUSE_SETXATTR] = {fs_setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE,
			   OP_BRIEF | OP_WRITES},
	[FUSE_GETXATTR] = {fs_getxattr, sizeof(struct fuse_getxattr_in),
			   OP_BRIEF},
	[FUSE_LISTXATTR] = {fs_listxattr, sizeof(struct fuse_getxattr_in),
			    OP_BRIEF},
	[FUSE_REMOVEXATTR] = {fs_removexattr, 1, OP_BRIEF | OP_WRITES},
	[FUSE_FLUSH] = {fs_flush, sizeof(struct fuse_flush_in),
			OP_BRIEF | OP_NO_FSETID},
	[FUSE_INIT] = {fs_init, 8, OP_NO_NODE | OP_FIRST},
	[FUSE_OPENDIR] = {fs_opendir, sizeof(struct fuse_open_in),
			  OP_BRIEF | OP_QUICK},
	[FUSE_READDIR] = {fs_readdir, sizeof(struct fuse_read_in),
			  OP_BRIEF | OP_NO_FSETID},
	[FUSE_RELEASEDIR] = {fs_releasedir, sizeof(struct fuse_release_in),
			     OP_BRIEF | OP_QUICK | OP_NO_FSETID | OP_NO_FD},
	[FUSE_FSYNCDIR] = {fs_fsyncdir, sizeof(struct fuse_fsync_in), 0},
	[FUSE_CREATE] = {fs_create, sizeof(struct fuse_create_in),
			 OP_BRIEF | OP_WRITES},
	[FUSE_INTERRUPT] = {fs_interrupt, sizeof(struct fuse_interrupt_in),
			    OP_BRIEF | OP_NO_NODE | OP_NO_REPLY | OP_NO_FSETID},
	[FUSE_DESTROY] = {fs_destroy, 0, OP_NO_NODE | OP_FIRST},
	[FUSE_IOCTL] = {fs_ioctl, sizeof(struct fuse_ioctl_in), OP_BRIEF},
	[FUSE_BATCH_FORGET] = {fs_batch_forget,
			       sizeof(struct fuse_batch_forget_in),
			       OP_BRIEF | OP_NO_NODE | OP_NO_REPLY | OP_BULK |
				       OP_NO_FSETID},
	[FUSE_FALLOCATE] = {fs_fallocate, sizeof(struct fuse_fallocate_in),
			    OP_WRITES},
	[FUSE_READDIRPLUS] = {fs_readdirplus, sizeof(struct fuse_read_in),
			      OP_BRIEF | OP_NO_FSETID},
	[FUSE_RENAME2] = {fs_rename2, sizeof(struct fuse_rename2_in),
			  OP_BRIEF | OP_WRITES},
	[FUSE_LSEEK] = {fs_lseek, sizeof(struct fuse_lseek_in),
			OP_BRIEF | OP_NO_FSETID},
	[FUSE_COPY_FILE_RANGE] = {fs_copy_file_range,
				  sizeof(struct fuse_copy_file_range_in),
				  OP_WRITES},
	/* Whether writing is allowed depends on the arguments. */
	[FUSE_SETUPMAPPING] = {fs_setupmapping,
			       sizeof(struct fuse_setupmapping_in), 0},
	[FUSE_REMOVEMAPPING] = {fs_removemapping,
				sizeof(struct fuse_removemapping_in), 0},
	[FUSE_SYNCFS] = {fs_syncfs, sizeof(struct fuse_syncfs_in), 0},
	[FUSE_TMPFILE] = {fs_tmpfile, sizeof(struct fuse_create_in),
			  OP_BRIEF | OP_WRITES},
	[FS_STATX] = {fs_statx, sizeof(struct fs_statx_in),
		      OP_BRIEF | OP_QUICK | OP_NO_FSETID},
};

void fs_fault(struct virtiofs *fs, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	pthread_mutex_lock(&fs->fault_lock);
	if (log_allowed(&fs->faults, 10)) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		log_warn("fs: guest: %s", text);
	}
	pthread_mutex_unlock(&fs->fault_lock);
}

void *fs_reply(struct fs_req *req, size_t len)
{
	BUG_ON(len > FS_REPLY_MAX);
	memset(req->reply, 0, len);
	req->reply_len = len;
	return req->reply;
}

size_t fs_span(const struct iovec *segs, unsigned nsegs, size_t skip,
	       size_t len, struct iovec *iov, unsigned *niov)
{
	size_t done = 0;
	unsigned n = 0;
	size_t part;

	for (unsigned i = 0; i < nsegs && done < len; i++) {
		if (skip >= segs[i].iov_len) {
			skip -= segs[i].iov_len;
			continue;
		}
		part = MIN(segs[i].iov_len - skip, len - done);
		iov[n].iov_base = (char *)segs[i].iov_base + skip;
		iov[n++].iov_len = part;
		done += part;
		skip = 0;
	}
	*niov = n;
	return done;
}

struct fs_thread *fs_thread_new(struct virtiofs *fs, bool own)
{
	struct fs_thread *thread = calloc(1, sizeof(*thread));

	if (!thread)
		return NULL;
	thread->fs = fs;
	thread->quick_max = FS_QUICK;
	fs_cred_init(thread);
	if (own ? unshare(CLONE_FS) || fchdir(fs->proc_fd)
		: fs_cred_keep(thread)) {
		free(thread);
		return NULL;
	}
	thread->own_cwd = own;
	return thread;
}

void fs_thread_free(struct fs_thread *thread)
{
	free(thread);
}

static const struct op *op_find(uint32_t opcode)
{
	if (opcode >= ARRAY_SIZE(ops) || !ops[opcode].run)
		return NULL;
	return &ops[opcode];
}

/*
 * Extensions stand behind the arguments. The one that is negotiated is
 * FUSE_EXT_GROUPS of 7.38: the group of the directory, if the caller is in it.
 */
static int extensions_read(struct fs_req *req, size_t pos, size_t len)
{
	const uint8_t *at = (const uint8_t *)req->args + pos;
	struct fuse_ext_header header;
	uint32_t groups[2];

	while (len > 0) {
		if (len < sizeof(header))
			return -EINVAL;
		memcpy(&header, at, sizeof(header));
		if (header.size < sizeof(header) || header.size > len)
			return -EINVAL;
		if (header.type == FS_EXT_GROUPS &&
		    header.size >= sizeof(header) + sizeof(groups)) {
			memcpy(groups, at + sizeof(header), sizeof(groups));
			req->has_group = groups[0] == 1;
			req->group =
				fs_id_to_host(req->fs->config.gids, groups[1]);
		}
		at += header.size;
		len -= header.size;
	}
	return 0;
}

/* The arguments and extensions, in one read. */
static int args_read(struct fs_req *req, const struct op *op)
{
	size_t extra = (size_t)req->in.total_extlen * 8;
	size_t len;

	if (req->in.len < sizeof(req->in) || req->in.len > req->chain->read_len)
		return -EINVAL;
	req->body_len = req->in.len - sizeof(req->in);
	if (extra > req->body_len)
		return -EINVAL;
	req->body_len -= extra;
	if (req->body_len < op->min)
		return -EINVAL;
	req->args_len = op->flags & OP_BULK ? op->min : req->body_len;
	len = op->flags & OP_BULK ? op->min : req->body_len + extra;
	if (len > FS_ARGS_MAX)
		return -E2BIG;
	if (virtq_chain_read(req->chain, sizeof(req->in), req->thread->args,
			     len) != len)
		return -EINVAL;
	/* A field behind the end of a short request reads as zero. */
	memset(req->thread->args + len, 0,
	       MIN(FS_ARGS_MAX - len, sizeof(struct fuse_setattr_in)));
	if (len == req->args_len)
		return 0;
	return extensions_read(req, req->args_len, extra);
}

static int request_run(struct fs_req *req, const struct op *op)
{
	bool no_fd = op->flags & OP_NO_FD;
	struct virtiofs *fs = req->fs;
	int ret;

	if (!(op->flags & OP_FIRST) && !atomic_load(&fs->session))
		return -EIO;
	if ((op->flags & OP_WRITES) && fs->config.readonly && !req->replayed)
		return -EROFS;
	if (req->replayed || !(op->flags & OP_NO_FSETID))
		fs_fsetid_restore(req->thread);
	if (op->flags & OP_NO_NODE)
		return op->run(req);
	req->inode = no_fd ? fs_inode_ref(fs, req->in.nodeid)
			   : fs_inode_get(fs, req->in.nodeid);
	if (!req->inode)
		return -ESTALE;
	ret = req->replayed ? fs_replay(req) : op->run(req);
	if (no_fd)
		fs_inode_unref(fs, req->inode);
	else
		fs_inode_put(fs, req->inode);
	return ret;
}

static uint32_t reply_send(struct fs_req *req, int ret)
{
	struct fuse_out_header out = {
		.unique = req->in.unique,
	};
	size_t len = req->direct_len ? req->direct_len : req->reply_len;

	/* Room for a reply is the guest's to give. */
	if (!ret && len > req->reply_room)
		ret = -EINVAL;
	if (ret)
		len = 0;
	out.error = ret;
	out.len = (uint32_t)(sizeof(out) + len);
	virtq_chain_write(req->chain, 0, &out, sizeof(out));
	if (len && !req->direct_len)
		virtq_chain_write(req->chain, sizeof(out), req->reply, len);
	return out.len;
}

static enum fs_patience op_patience(const struct op *op)
{
	if (op && (op->flags & OP_QUICK))
		return FS_NOWAIT;
	return op && (op->flags & OP_BRIEF) ? FS_BRIEF : FS_PATIENT;
}

static bool op_is_silent(const struct op *op)
{
	return op && (op->flags & OP_NO_REPLY);
}

int virtiofs_begin(struct fs_thread *thread, const struct virtq_chain *chain)
{
	struct fs_req *req = &thread->req;
	const struct op *op;

	*req = (struct fs_req){
		.fs = thread->fs,
		.thread = thread,
		.chain = chain,
		.args = thread->args,
		.reply = thread->reply,
	};
	if (virtq_chain_read(chain, 0, &req->in, sizeof(req->in)) !=
	    sizeof(req->in))
		return -EPROTO;
	req->replayed = fs_is_replay(req->fs, &req->in);
	req->root = req->in.uid == 0;
	req->in.uid = fs_id_to_host(req->fs->config.uids, req->in.uid);
	req->in.gid = fs_id_to_host(req->fs->config.gids, req->in.gid);
	op = op_find(req->in.opcode);
	if (chain->write_len >= sizeof(struct fuse_out_header))
		req->reply_room =
			chain->write_len - sizeof(struct fuse_out_header);
	else if (!op_is_silent(op))
		return -EPROTO;
	req->refused = op ? args_read(req, op) : -ENOSYS;
	return (int)op_patience(op);
}

void virtiofs_silent_only(struct fs_thread *thread)
{
	if (!op_is_silent(op_find(thread->req.in.opcode)))
		thread->req.refused = -EOPNOTSUPP;
}

bool virtiofs_try(struct fs_thread *thread, enum fs_patience patience,
		  uint32_t *written)
{
	struct fs_req req = thread->req;
	const struct op *op = op_find(req.in.opcode);
	int ret;

	*written = 0;
	if (patience < op_patience(op))
		return false;
	req.patience = patience;
	ret = req.refused ? req.refused : request_run(&req, op);
	/* EINTR: somebody wants the thread, not the request, to stop. */
	if (patience != FS_PATIENT && (ret == -EAGAIN || ret == -EINTR))
		return false;
	/* The reply may tell the guest of a longer file. */
	fs_dax_settle(req.fs);
	if (!op_is_silent(op))
		*written = reply_send(&req, ret);
	return true;
}

int virtiofs_handle(struct fs_thread *thread, const struct virtq_chain *chain,
		    uint32_t *written)
{
	int least = virtiofs_begin(thread, chain);

	*written = 0;
	if (least < 0)
		return least;
	BUG_ON(!virtiofs_try(thread, FS_PATIENT, written));
	return 0;
}

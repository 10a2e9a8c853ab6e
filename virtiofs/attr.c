/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "virtiofs/cred.h"
#include "virtiofs/dax.h"
#include "virtiofs/handle.h"
#include "virtiofs/idmap.h"
#include "virtiofs/inode.h"
#include "virtiofs/name.h"
#include "virtiofs/replay.h"
#include "virtiofs/wait.h"

static const uint64_t cache_seconds[] = {
	[VIRTIOFS_CACHE_NEVER] = 0,
	[VIRTIOFS_CACHE_AUTO] = 1,
	[VIRTIOFS_CACHE_METADATA] = 86400,
	[VIRTIOFS_CACHE_ALWAYS] = 86400,
};

int fs_stat(int fd, struct statx *stx)
{
	int ret = statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
			STATX_BASIC_STATS | STATX_MNT_ID, stx);

	return ret ? -errno : 0;
}

/* As new_encode_dev() of the guest's kernel decodes it. */
static uint32_t rdev_encode(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

void fs_attr_fill(const struct virtiofs *fs, const struct statx *stx,
		  struct fuse_attr *attr)
{
	*attr = (struct fuse_attr){
		.ino = stx->stx_ino,
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.atime = (uint64_t)stx->stx_atime.tv_sec,
		.mtime = (uint64_t)stx->stx_mtime.tv_sec,
		.ctime = (uint64_t)stx->stx_ctime.tv_sec,
		.atimensec = stx->stx_atime.tv_nsec,
		.mtimensec = stx->stx_mtime.tv_nsec,
		.ctimensec = stx->stx_ctime.tv_nsec,
		.mode = stx->stx_mode,
		.nlink = stx->stx_nlink,
		.uid = fs_id_to_guest(fs->config.uids, stx->stx_uid),
		.gid = fs_id_to_guest(fs->config.gids, stx->stx_gid),
		.rdev = rdev_encode(stx->stx_rdev_major, stx->stx_rdev_minor),
		.blksize = stx->stx_blksize,
	};
}

/*
 * Who announces mounts below the root also makes them and takes them away,
 * under names that may come again at once: those are asked for each time.
 */
static void entry_set(const struct fs_req *req, const struct fs_inode *parent,
		      const struct statx *stx, struct fuse_entry_out *out)
{
	uint64_t valid = cache_seconds[req->fs->config.cache];
	bool announce = fs_has(req->fs, FUSE_SUBMOUNTS);
	bool submount = announce && S_ISDIR(stx->stx_mode) &&
			stx->stx_mnt_id != parent->key.mnt;
	bool below_root = announce && req->in.nodeid == FUSE_ROOT_ID;

	*out = (struct fuse_entry_out){
		.entry_valid = submount || below_root ? 0 : valid,
		.attr_valid = valid,
	};
	fs_attr_fill(req->fs, stx, &out->attr);
	if (submount)
		out->attr.flags = FUSE_ATTR_SUBMOUNT;
}

/* Where two in a row were new, the next one is expected to be, too. */
static bool expect_new(const struct fs_thread *thread)
{
	return thread->new_names >= 2;
}

/* Whether the guest has the inode: a lookup is counted then. */
static bool entry_known(struct fs_req *req, const struct statx *stx,
			struct fuse_entry_out *out)
{
	struct fs_thread *thread = req->thread;

	if (!fs_inode_known(req->fs, stx, &out->nodeid)) {
		if (!expect_new(thread))
			thread->new_names++;
		return false;
	}
	thread->new_names = 0;
	out->attr.flags |= fs_dax_flag(req->fs, out->nodeid, stx);
	return true;
}

int fs_entry_fill(struct fs_req *req, const struct fs_inode *parent, int fd,
		  struct fuse_entry_out *out)
{
	struct statx stx;
	int ret = fs_stat(fd, &stx);

	if (!ret)
		entry_set(req, parent, &stx, out);
	if (ret || (expect_new(req->thread) && entry_known(req, &stx, out))) {
		close(fd);
		return ret;
	}
	ret = fs_inode_add(req->fs, fd, &stx, &out->nodeid);
	if (!ret)
		out->attr.flags |= fs_dax_flag(req->fs, out->nodeid, &stx);
	return ret;
}

/*
 * Many lookups are of what the guest has and wants to see confirmed: the
 * attributes by name are enough then, for an inode that is held open keeps its
 * number. Others come in rows, of what it reads for the first time; those
 * begin with the descriptor, which they need. The name is one component and is
 * not followed.
 */
int fs_entry_named(struct fs_req *req, const char *name,
		   struct fuse_entry_out *out)
{
	const struct fs_inode *parent = req->inode;
	struct statx stx;
	int fd;

	if (expect_new(req->thread)) {
		fd = fs_open_path(parent->fd, name);
		return fd < 0 ? fd : fs_entry_fill(req, parent, fd, out);
	}
	if (statx(parent->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		  STATX_BASIC_STATS | STATX_MNT_ID, &stx))
		return -errno;
	entry_set(req, parent, &stx, out);
	if (entry_known(req, &stx, out))
		return 0;
	fd = fs_open_path(parent->fd, name);
	return fd < 0 ? fd : fs_entry_fill(req, parent, fd, out);
}

int fs_entry_reply(struct fs_req *req, const char *name)
{
	struct fuse_entry_out *out = fs_reply(req, sizeof(*out));
	int ret = fs_entry_named(req, name, out);

	if (!ret)
		fs_replay_note(req, name, out->nodeid);
	return ret;
}

int fs_lookup(struct fs_req *req)
{
	struct fuse_entry_out *out;
	const char *name;
	size_t pos = 0;
	int ret = fs_take_name(req, &pos, &name);
	int fd;

	if (ret)
		return ret;
	out = fs_reply(req, sizeof(*out));
	if (req->patience != FS_NOWAIT) {
		ret = fs_entry_named(req, name, out);
	} else {
		fd = fs_open_cached(req->inode->fd, name);
		if (fd < 0)
			return fd;
		ret = fs_entry_fill(req, req->inode, fd, out);
	}
	if (!ret)
		fs_replay_note(req, name, out->nodeid);
	return ret;
}

static int attr_reply(struct fs_req *req)
{
	struct fuse_attr_out *out = fs_reply(req, sizeof(*out));
	struct statx stx;
	int ret = fs_stat(req->inode->fd, &stx);

	if (ret)
		return ret;
	out->attr_valid = cache_seconds[req->fs->config.cache];
	fs_attr_fill(req->fs, &stx, &out->attr);
	out->attr.flags = fs_dax_flag(req->fs, req->in.nodeid, &stx);
	return 0;
}

/* The inode's own descriptor answers for all its open files. */
int fs_getattr(struct fs_req *req)
{
	return attr_reply(req);
}

static struct fs_sx_time sx_time(const struct statx_timestamp *from)
{
	return (struct fs_sx_time){.sec = from->tv_sec, .nsec = from->tv_nsec};
}

/* Of what the host says about a file, that which is not about its mounts. */
static void sx_fill(const struct virtiofs *fs, const struct statx *stx,
		    struct fs_statx_out *out)
{
	const uint64_t attributes = STATX_ATTR_COMPRESSED |
				    STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND |
				    STATX_ATTR_NODUMP | STATX_ATTR_ENCRYPTED;

	out->stat.mask = stx->stx_mask & (STATX_BASIC_STATS | STATX_BTIME);
	out->stat.blksize = stx->stx_blksize;
	out->stat.attributes = stx->stx_attributes & attributes;
	out->stat.attributes_mask = stx->stx_attributes_mask & attributes;
	out->stat.nlink = stx->stx_nlink;
	out->stat.uid = fs_id_to_guest(fs->config.uids, stx->stx_uid);
	out->stat.gid = fs_id_to_guest(fs->config.gids, stx->stx_gid);
	out->stat.mode = stx->stx_mode;
	out->stat.ino = stx->stx_ino;
	out->stat.size = stx->stx_size;
	out->stat.blocks = stx->stx_blocks;
	out->stat.atime = sx_time(&stx->stx_atime);
	out->stat.btime = sx_time(&stx->stx_btime);
	out->stat.ctime = sx_time(&stx->stx_ctime);
	out->stat.mtime = sx_time(&stx->stx_mtime);
	out->stat.rdev_major = stx->stx_rdev_major;
	out->stat.rdev_minor = stx->stx_rdev_minor;
}

/* Since Linux 6.6, for whoever wants to know when a file was made. */
int fs_statx(struct fs_req *req)
{
	const struct fs_statx_in *in = req->args;
	struct fs_statx_out *out = fs_reply(req, sizeof(*out));
	int flags = (int)in->sx_flags & AT_STATX_SYNC_TYPE;
	struct statx stx;

	if (statx(req->inode->fd, "",
		  AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | flags,
		  STATX_BASIC_STATS | STATX_BTIME, &stx))
		return -errno;
	out->attr_valid = cache_seconds[req->fs->config.cache];
	sx_fill(req->fs, &stx, out);
	return 0;
}

static int set_mode(struct fs_req *req, const struct fuse_setattr_in *in)
{
	char name[FS_PROC_NAME_MAX];

	if (req->inode->type == S_IFLNK)
		return -EOPNOTSUPP;
	fs_proc_name(req->inode->fd, name);
	return fchmodat(req->fs->proc_fd, name, in->mode & 07777, 0) ? -errno
								     : 0;
}

static bool id_forbidden(const struct fs_idmap *map, uint32_t id)
{
	return id != UINT32_MAX && fs_id_to_host(map, id) == FS_ID_FORBIDDEN;
}

static int set_owner(struct fs_req *req, const struct fuse_setattr_in *in)
{
	uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
	gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;

	/* What is forbidden would read as "leave it". */
	if (id_forbidden(req->fs->config.uids, uid) ||
	    id_forbidden(req->fs->config.gids, gid))
		return -EPERM;
	uid = fs_id_to_host(req->fs->config.uids, uid);
	gid = fs_id_to_host(req->fs->config.gids, gid);
	return fchownat(req->inode->fd, "", uid, gid,
			AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)
		       ? -errno
		       : 0;
}

static int truncate_fd(struct fs_req *req, int fd, uint64_t size, bool kill)
{
	int ret;

	if (kill)
		fs_fsetid_drop(req->thread);
	ret = ftruncate(fd, (off_t)size) ? -errno : 0;
	if (kill)
		fs_fsetid_restore(req->thread);
	return ret;
}

static int set_size(struct fs_req *req, const struct fuse_setattr_in *in)
{
	bool kill = (in->valid & FATTR_KILL_SUIDGID) != 0;
	struct fs_handle *handle;
	int fd;
	int ret;

	if (in->size > INT64_MAX)
		return -EINVAL;
	if (in->valid & FATTR_FH) {
		handle =
			fs_handle_get(req->fs, in->fh, FS_FILE, req->in.nodeid);
		if (!handle)
			return -EBADF;
		ret = truncate_fd(req, handle->fd, in->size, kill);
		fs_handle_put(req->fs, handle);
		return ret;
	}
	if (req->inode->type == S_IFDIR)
		return -EISDIR;
	fd = fs_reopen_wait(req, req->inode, O_WRONLY);
	if (fd < 0)
		return fd;
	fs_dax_opened(req->fs, req->inode);
	ret = truncate_fd(req, fd, in->size, kill);
	close(fd);
	return ret;
}

static int set_times(struct fs_req *req, const struct fuse_setattr_in *in)
{
	struct timespec ts[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_nsec = UTIME_OMIT},
	};

	if (in->atimensec >= 1000000000u || in->mtimensec >= 1000000000u)
		return -EINVAL;
	if (in->valid & FATTR_ATIME_NOW)
		ts[0].tv_nsec = UTIME_NOW;
	else if (in->valid & FATTR_ATIME)
		ts[0] = (struct timespec){(time_t)in->atime, in->atimensec};
	if (in->valid & FATTR_MTIME_NOW)
		ts[1].tv_nsec = UTIME_NOW;
	else if (in->valid & FATTR_MTIME)
		ts[1] = (struct timespec){(time_t)in->mtime, in->mtimensec};
	return utimensat(req->inode->fd, "", ts, AT_EMPTY_PATH) ? -errno : 0;
}

/*
 * A request that sets nothing is what is left of a chown(-1, -1), or of a
 * write whose set-id bits are the server's to clear (Linux, with
 * FUSE_HANDLE_KILLPRIV_V2): a chown to nobody does that. The change time, which
 * comes with it in writeback mode, is the host's own.
 */
static bool sets_nothing(const struct fuse_setattr_in *in)
{
	return !(in->valid & (FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE |
			      FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW |
			      FATTR_MTIME_NOW));
}

static int kill_bits(struct fs_req *req, const struct fuse_setattr_in *in)
{
	int ret = 0;

	/* Without group-execute, the bit stays for root and members. */
	if (!req->root)
		ret = fs_cred_enter_group(req);
	if (ret)
		return ret;
	ret = set_owner(req, in);
	if (!req->root)
		fs_cred_leave_group(req);
	return ret;
}

int fs_setattr(struct fs_req *req)
{
	const struct fuse_setattr_in *in = req->args;
	int ret = 0;

	if ((in->valid & FATTR_SIZE) && req->patience != FS_PATIENT)
		return -EAGAIN;
	if (in->valid & FATTR_MODE)
		ret = set_mode(req, in);
	if (!ret && (in->valid & (FATTR_UID | FATTR_GID)))
		ret = set_owner(req, in);
	if (!ret && sets_nothing(in))
		ret = kill_bits(req, in);
	if (!ret && (in->valid & FATTR_SIZE))
		ret = set_size(req, in);
	if (!ret && (in->valid & (FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW |
				  FATTR_MTIME_NOW)))
		ret = set_times(req, in);
	return ret ? ret : attr_reply(req);
}

int fs_statfs(struct fs_req *req)
{
	struct fuse_statfs_out *out = fs_reply(req, sizeof(*out));
	struct statfs st;

	if (fstatfs(req->inode->fd, &st))
		return -errno;
	out->st = (struct fuse_kstatfs){
		.blocks = st.f_blocks,
		.bfree = st.f_bfree,
		.bavail = st.f_bavail,
		.files = st.f_files,
		.ffree = st.f_ffree,
		.bsize = (uint32_t)st.f_bsize,
		.namelen = (uint32_t)st.f_namelen,
		.frsize = (uint32_t)st.f_frsize,
	};
	return 0;
}

int fs_readlink(struct fs_req *req)
{
	ssize_t n;

	if (req->inode->type != S_IFLNK)
		return -EINVAL;
	n = readlinkat(req->inode->fd, "", req->reply, 4096);
	if (n < 0)
		return -errno;
	req->reply_len = (size_t)n;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "virtiofs/cred.h"
#include "virtiofs/dax.h"
#include "virtiofs/handle.h"
#include "virtiofs/inode.h"
#include "virtiofs/name.h"
#include "virtiofs/wait.h"

/* One COPY_FILE_RANGE; the guest goes on where a short one ends. */
#define COPY_MAX (64u << 20)

/*
 * O_APPEND does not reach the host, but for fs_open_file: it is asked for write
 * by write (RWF_APPEND), because dirty pages of a shared mapping may come with
 * the handle of any writer and have to land at their offset. O_DIRECT does when
 * the configuration says so: buffers are then aligned as the guest has them.
 */
int fs_open_flags(struct virtiofs *fs, uint32_t flags, int *out)
{
	int host = (int)flags & (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC |
				 O_NOATIME | O_NONBLOCK);
	int mode = host & O_ACCMODE;

	if (mode == O_ACCMODE)
		return -EINVAL;
	if (fs->config.readonly && (mode != O_RDONLY || (host & O_TRUNC)))
		return -EROFS;
	if (fs->config.no_noatime)
		host &= ~O_NOATIME;
	if (fs->config.direct_io)
		host |= (int)flags & O_DIRECT;
	/* The guest's page cache reads the rest of a page it writes. */
	if (fs_has(fs, FUSE_WRITEBACK_CACHE) && mode == O_WRONLY)
		host = (host & ~O_ACCMODE) | O_RDWR;
	*out = host | O_NOCTTY;
	return 0;
}

/* Without FUSE_HANDLE_KILLPRIV_V2 a guest clears them itself, but leaves that
 * to the open when the open truncates (fs/fuse/dir.c, fuse_do_setattr). Nor
 * does it tell who has CAP_FSETID. */
static bool open_kills(struct fs_req *req, int flags, uint32_t open_flags)
{
	if (fs_has(req->fs, FUSE_HANDLE_KILLPRIV_V2))
		return (open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
	return (flags & O_TRUNC) && !req->root;
}

/*
 * Of a file that is append-only, the host opens nothing else for writing. In
 * writeback mode the guest has pages of it, and where they end is not where the
 * host appends.
 */
int fs_open_file(struct fs_req *req, const struct fs_inode *inode,
		 const struct fuse_open_in *in, int *flags)
{
	bool kill = open_kills(req, *flags, in->open_flags);
	int fd;

	if (req->patience != FS_PATIENT && (*flags & O_TRUNC))
		return -EAGAIN;
	if (kill)
		fs_fsetid_drop(req->thread);
	fd = fs_reopen_wait(req, inode, *flags);
	if (fd == -EPERM && (in->flags & O_APPEND) &&
	    !fs_has(req->fs, FUSE_WRITEBACK_CACHE)) {
		*flags |= O_APPEND;
		fd = fs_reopen_wait(req, inode, *flags);
	}
	if (kill)
		fs_fsetid_restore(req->thread);
	return fd;
}

static uint32_t cache_flags(const struct virtiofs *fs)
{
	switch (fs->config.cache) {
	case VIRTIOFS_CACHE_NEVER:
	case VIRTIOFS_CACHE_METADATA:
		return FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
	case VIRTIOFS_CACHE_AUTO:
		return 0;
	case VIRTIOFS_CACHE_ALWAYS:
		return FOPEN_KEEP_CACHE;
	}
	BUG("cache policy %d", (int)fs->config.cache);
}

/* The kind of its file system, or 0. */
static long type_of(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) ? 0 : (long)st.f_type;
}

static bool is_memory(long type)
{
	return type == TMPFS_MAGIC || type == RAMFS_MAGIC;
}

/*
 * Whether a close has nothing to say that no write said: these file systems
 * have no flush operation. That of overlayfs is its upper layer's, which is
 * one of the others, or at least none over a network.
 */
static bool close_is_silent(long type)
{
	switch (type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

/* Who wrote nothing has no late error to be told of, either: a close without
 * a round trip (FUSE 7.35; unknown to older guests). */
int fs_file_add(struct virtiofs *fs, int fd, int flags, uint64_t nodeid,
		struct fuse_open_out *out)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	long type = writes ? type_of(fd) : 0;

	out->open_flags = cache_flags(fs);
	if (!writes || close_is_silent(type))
		out->open_flags |= FOPEN_NOFLUSH;
	return fs_handle_add(fs, FS_FILE,
			     is_memory(type) ? FS_WAITING_NEVER
					     : FS_WAITING_ASK,
			     fd, flags, nodeid, &out->fh);
}

int fs_open(struct fs_req *req)
{
	const struct fuse_open_in *in = req->args;
	struct fuse_open_out *out = fs_reply(req, sizeof(*out));
	int flags;
	int ret;
	int fd;

	if (req->inode->type == S_IFDIR)
		return -EISDIR;
	ret = fs_open_flags(req->fs, in->flags, &flags);
	if (ret)
		return ret;
	fd = fs_open_file(req, req->inode, in, &flags);
	if (fd < 0)
		return fd;
	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))
		fs_dax_opened(req->fs, req->inode);
	return fs_file_add(req->fs, fd, flags, req->in.nodeid, out);
}

static struct fs_handle *file_get(struct fs_req *req, uint64_t fh)
{
	return fs_handle_get(req->fs, fh, FS_FILE, req->in.nodeid);
}

static ssize_t read_now(int fd, const struct iovec *iov, unsigned niov,
			off_t offset)
{
	ssize_t n = preadv(fd, iov, (int)niov, offset);

	return n < 0 ? -errno : n;
}

/* Asked once for each handle: overlayfs and tmpfs, for two, do not say whether
 * a read would wait. */
static enum fs_waiting waiting_learn(struct fs_handle *handle)
{
	enum fs_waiting waiting = is_memory(type_of(handle->fd))
					  ? FS_WAITING_NEVER
					  : FS_WAITING_MAYBE;

	atomic_store_explicit(&handle->waiting, waiting, memory_order_relaxed);
	return waiting;
}

static enum fs_waiting waiting_of(const struct fs_handle *handle)
{
	return atomic_load_explicit(&handle->waiting, memory_order_relaxed);
}

/*
 * From the page cache alone. Less than asked for is an answer at the end of
 * the file only: otherwise the rest is not there yet.
 */
static ssize_t read_cached(struct fs_handle *handle, const struct iovec *iov,
			   unsigned niov, size_t len, off_t offset)
{
	enum fs_waiting waiting =
		atomic_load_explicit(&handle->waiting, memory_order_relaxed);
	struct stat st;
	ssize_t n = 0;

	if (waiting == FS_WAITING_ASK) {
		n = preadv2(handle->fd, iov, (int)niov, offset, RWF_NOWAIT);
		if (n < 0 && errno == EOPNOTSUPP)
			waiting = waiting_learn(handle);
		else if (n < 0)
			return -errno;
	}
	if (waiting == FS_WAITING_MAYBE)
		return -EAGAIN;
	if (waiting == FS_WAITING_NEVER)
		return read_now(handle->fd, iov, niov, offset);
	if ((size_t)n == len)
		return n;
	if (fstat(handle->fd, &st) || offset + n < st.st_size)
		return -EAGAIN;
	return n;
}

int fs_read(struct fs_req *req)
{
	const struct virtq_chain *chain = req->chain;
	const struct fuse_read_in *in = req->args;
	size_t len = MIN((size_t)in->size, req->reply_room);
	struct iovec *iov = req->thread->iov;
	struct fs_handle *handle;
	unsigned niov;
	ssize_t n;

	if (in->offset > INT64_MAX)
		return -EINVAL;
	len = MIN(len, (size_t)FS_MAX_WRITE);
	if (req->patience != FS_PATIENT && len > req->thread->quick_max)
		return -EAGAIN;
	handle = file_get(req, in->fh);
	if (!handle)
		return -EBADF;
	fs_span(chain->iov + chain->nread, chain->nwrite,
		sizeof(struct fuse_out_header), len, iov, &niov);
	if (req->patience == FS_NOWAIT)
		n = read_cached(handle, iov, niov, len, (off_t)in->offset);
	else if (req->patience == FS_PATIENT ||
		 waiting_of(handle) == FS_WAITING_MAYBE)
		n = read_now(handle->fd, iov, niov, (off_t)in->offset);
	else
		n = -EAGAIN; /* it would wait: it was tried before */
	if (n > 0)
		req->direct_len = (size_t)n;
	fs_handle_put(req->fs, handle);
	return n < 0 ? (int)n : 0;
}

/* The flags that the guest's file has now; a page of its cache
 * (FUSE_WRITE_CACHE) goes where it belongs, with a guessed handle. */
static int write_flags(struct fs_req *req, const struct fuse_write_in *in)
{
	int flags = 0;

	if (in->write_flags & FUSE_WRITE_CACHE)
		return 0;
	if ((in->flags & O_APPEND) && !fs_has(req->fs, FUSE_WRITEBACK_CACHE))
		flags |= RWF_APPEND;
	if ((in->flags & O_SYNC) == O_SYNC)
		flags |= RWF_SYNC;
	else if (in->flags & O_DSYNC)
		flags |= RWF_DSYNC;
	return flags;
}

/* The end of a file, out of the guest's cache, may be shorter than what a
 * handle with O_DIRECT takes. */
static ssize_t write_buffered(struct fs_req *req,
			      const struct fuse_write_in *in, unsigned niov)
{
	AUTO_FD int fd = fs_reopen_wait(req, req->inode, O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = pwritev2(fd, req->thread->iov, (int)niov, (off_t)in->offset, 0);
	return n < 0 ? -errno : n;
}

static ssize_t write_iov(struct fs_req *req, const struct fuse_write_in *in,
			 const struct fs_handle *handle, unsigned niov)
{
	int flags = write_flags(req, in);
	ssize_t n;

	if (handle->append && !(flags & RWF_APPEND))
		return -EPERM;
	/* As the last write had it, most of the time. */
	if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		fs_fsetid_drop(req->thread);
	else
		fs_fsetid_restore(req->thread);
	n = pwritev2(handle->fd, req->thread->iov, (int)niov, (off_t)in->offset,
		     flags);
	if (n < 0)
		n = -errno;
	if (n == -EINVAL && req->fs->config.direct_io &&
	    (in->write_flags & FUSE_WRITE_CACHE))
		n = write_buffered(req, in, niov);
	return n;
}

/* Nobody says of a write whether it would wait, except that it never does. */
static bool is_patient_enough(const struct fs_req *req,
			      const struct fs_handle *handle, size_t len)
{
	if (req->patience == FS_PATIENT)
		return true;
	return len <= req->thread->quick_max &&
	       (req->patience == FS_BRIEF ||
		waiting_of(handle) == FS_WAITING_NEVER);
}

int fs_write(struct fs_req *req)
{
	size_t skip = sizeof(req->in) + sizeof(struct fuse_write_in);
	const struct virtq_chain *chain = req->chain;
	const struct fuse_write_in *in = req->args;
	struct fuse_write_out *out = fs_reply(req, sizeof(*out));
	struct fs_handle *handle;
	unsigned niov;
	ssize_t n;

	if (in->size > FS_MAX_WRITE ||
	    in->offset > (uint64_t)INT64_MAX - in->size ||
	    in->size > req->body_len - sizeof(*in))
		return -EINVAL;
	handle = file_get(req, in->fh);
	if (!handle)
		return -EBADF;
	fs_span(chain->iov, chain->nread, skip, in->size, req->thread->iov,
		&niov);
	n = -EAGAIN;
	if (is_patient_enough(req, handle, in->size))
		n = write_iov(req, in, handle, niov);
	fs_handle_put(req->fs, handle);
	if (n < 0)
		return (int)n;
	out->size = (uint32_t)n;
	fs_inode_reaches(req->inode, in->flags & O_APPEND
					     ? UINT64_MAX
					     : in->offset + (uint64_t)n);
	return 0;
}

/* A close by one of several owners: some file systems report errors then. */
int fs_flush(struct fs_req *req)
{
	const struct fuse_flush_in *in = req->args;
	struct fs_handle *handle = file_get(req, in->fh);
	int ret = 0;
	int fd;

	if (!handle)
		return -EBADF;
	fd = fcntl(handle->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || close(fd))
		ret = -errno;
	fs_handle_put(req->fs, handle);
	return ret;
}

int fs_release_kind(struct fs_req *req, enum fs_handle_kind kind)
{
	const struct fuse_release_in *in = req->args;
	bool wrote = (in->flags & O_ACCMODE) != O_RDONLY;
	struct fs_handle *handle;

	/* With the last descriptor of a file may go the file, and with the last
	 * writer what was kept for it on the disk. A guest that tells another
	 * mode makes itself wait. */
	if (req->patience == FS_NOWAIT && (wrote || req->inode->fhandle))
		return -EAGAIN;
	handle = fs_handle_get(req->fs, in->fh, kind, req->in.nodeid);
	if (!handle)
		return -EBADF;
	fs_handle_close(req->fs, handle);
	fs_handle_put(req->fs, handle);
	return 0;
}

int fs_release(struct fs_req *req)
{
	return fs_release_kind(req, FS_FILE);
}

int fs_fsync_kind(struct fs_req *req, enum fs_handle_kind kind)
{
	const struct fuse_fsync_in *in = req->args;
	struct fs_handle *handle;
	int ret;

	handle = fs_handle_get(req->fs, in->fh, kind, req->in.nodeid);
	if (!handle)
		return -EBADF;
	if (in->fsync_flags & FUSE_FSYNC_FDATASYNC)
		ret = fdatasync(handle->fd);
	else
		ret = fsync(handle->fd);
	if (ret)
		ret = -errno;
	fs_handle_put(req->fs, handle);
	return ret;
}

int fs_fsync(struct fs_req *req)
{
	return fs_fsync_kind(req, FS_FILE);
}

int fs_fallocate(struct fs_req *req)
{
	const struct fuse_fallocate_in *in = req->args;
	struct fs_handle *handle;
	int ret;

	if (in->offset > INT64_MAX || in->length > INT64_MAX ||
	    in->mode > INT32_MAX)
		return -EINVAL;
	handle = file_get(req, in->fh);
	if (!handle)
		return -EBADF;
	ret = fallocate(handle->fd, (int)in->mode, (off_t)in->offset,
			(off_t)in->length)
		      ? -errno
		      : 0;
	fs_handle_put(req->fs, handle);
	fs_inode_reaches(req->inode, in->offset + in->length);
	return ret;
}

/* The guest keeps the file position; it asks for data and holes alone. */
int fs_lseek(struct fs_req *req)
{
	const struct fuse_lseek_in *in = req->args;
	struct fuse_lseek_out *out = fs_reply(req, sizeof(*out));
	struct fs_handle *handle;
	off_t off;
	int ret;

	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return -EINVAL;
	if (in->offset > INT64_MAX)
		return -ENXIO;
	handle = file_get(req, in->fh);
	if (!handle)
		return -EBADF;
	off = lseek(handle->fd, (off_t)in->offset, (int)in->whence);
	ret = off < 0 ? -errno : 0;
	fs_handle_put(req->fs, handle);
	out->offset = (uint64_t)off;
	return ret;
}

int fs_copy_file_range(struct fs_req *req)
{
	const struct fuse_copy_file_range_in *in = req->args;
	struct fuse_write_out *out = fs_reply(req, sizeof(*out));
	struct fs_handle *from;
	struct fs_handle *to;
	struct fs_inode *inode;
	loff_t off_in = (loff_t)in->off_in;
	loff_t off_out = (loff_t)in->off_out;
	ssize_t n = -EBADF;

	if (in->flags || off_in < 0 || off_out < 0)
		return -EINVAL;
	from = file_get(req, in->fh_in);
	to = fs_handle_get(req->fs, in->fh_out, FS_FILE, in->nodeid_out);
	if (from && to) {
		n = copy_file_range(from->fd, &off_in, to->fd, &off_out,
				    MIN(in->len, (uint64_t)COPY_MAX), 0);
		if (n < 0)
			n = -errno;
	}
	fs_handle_put(req->fs, from);
	fs_handle_put(req->fs, to);
	if (n < 0)
		return (int)n;
	out->size = (uint32_t)n;
	inode = fs_inode_ref(req->fs, in->nodeid_out);
	if (inode) {
		fs_inode_reaches(inode, (uint64_t)off_out);
		fs_inode_unref(req->fs, inode);
	}
	return 0;
}

int fs_syncfs(struct fs_req *req)
{
	AUTO_FD int fd = fs_reopen_wait(req, req->inode, O_RDONLY);

	if (fd < 0)
		return fd;
	return syncfs(fd) ? -errno : 0;
}

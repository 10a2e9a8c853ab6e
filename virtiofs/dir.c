/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "virtiofs/attr.h"
#include "virtiofs/handle.h"
#include "virtiofs/io.h"
#include "virtiofs/name.h"
#include "virtiofs/replay.h"

int fs_opendir(struct fs_req *req)
{
	struct fuse_open_out *out = fs_reply(req, sizeof(*out));
	int fd;

	if (req->inode->type != S_IFDIR)
		return -ENOTDIR;
	fd = fs_reopen(req->fs, req->inode, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	if (req->fs->config.cache == VIRTIOFS_CACHE_ALWAYS ||
	    req->fs->config.cache == VIRTIOFS_CACHE_METADATA)
		out->open_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
	return fs_handle_add(req->fs, FS_DIR, FS_WAITING_MAYBE, fd, O_RDONLY,
			     req->in.nodeid, &out->fh);
}

/* With the directory's lock: the next entry. NULL: the end, or *err. */
static const struct dirent64 *dir_peek(struct fs_handle *handle, int *err)
{
	struct fs_dir *dir = handle->dir;
	ssize_t n;

	*err = 0;
	if (dir->pos == dir->len) {
		n = getdents64(handle->fd, dir->dirents, sizeof(dir->dirents));
		if (n < 0)
			*err = -errno;
		if (n <= 0)
			return NULL;
		dir->pos = 0;
		dir->len = (size_t)n;
	}
	return (const void *)(dir->dirents + dir->pos);
}

/* Entries left over from the last call serve when the guest goes on there;
 * at offset 0 it wants the directory as it is now. */
static int dir_seek(struct fs_handle *handle, uint64_t offset)
{
	struct fs_dir *dir = handle->dir;

	if (offset != 0 && offset == dir->next)
		return 0;
	if (offset > INT64_MAX)
		return -EINVAL;
	if (lseek(handle->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	dir->pos = 0;
	dir->len = 0;
	dir->next = offset;
	return 0;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static size_t dirent_put(uint8_t *at, const struct dirent64 *d, size_t namelen)
{
	struct fuse_dirent *out = (void *)at;
	size_t len = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + namelen);

	memset(at, 0, len);
	out->ino = d->d_ino;
	out->off = (uint64_t)d->d_off;
	out->namelen = (uint32_t)namelen;
	out->type = d->d_type;
	memcpy(out->name, d->d_name, namelen);
	return len;
}

/* An entry without a node is allowed: the guest looks it up when it wants
 * it. So is a file that went meanwhile, or one that is one too many. */
static void entry_put(struct fs_req *req, uint8_t *at, const char *name)
{
	struct fuse_entry_out *out = (void *)at;

	memset(out, 0, sizeof(*out));
	if (is_dots(name))
		return;
	if (fs_entry_named(req, name, out))
		memset(out, 0, sizeof(*out));
	else
		fs_replay_note(req, name, out->nodeid);
}

static int dir_fill(struct fs_req *req, struct fs_handle *handle, size_t room,
		    bool plus)
{
	size_t head = plus ? sizeof(struct fuse_entry_out) : 0;
	const struct dirent64 *d;
	uint8_t *at = req->reply;
	size_t namelen;
	int ret;

	while ((d = dir_peek(handle, &ret))) {
		namelen = strlen(d->d_name);
		if (room - req->reply_len <
		    head + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + namelen))
			break;
		if (plus)
			entry_put(req, at + req->reply_len, d->d_name);
		req->reply_len += head;
		req->reply_len += dirent_put(at + req->reply_len, d, namelen);
		handle->dir->next = (uint64_t)d->d_off;
		handle->dir->pos += d->d_reclen;
	}
	/* An error after some entries comes again with the next call. */
	return ret < 0 && req->reply_len == 0 ? ret : 0;
}

static int read_dir(struct fs_req *req, bool plus)
{
	const struct fuse_read_in *in = req->args;
	size_t room = MIN((size_t)in->size, (size_t)FS_REPLY_MAX);
	struct fs_handle *handle;
	int ret;

	handle = fs_handle_get(req->fs, in->fh, FS_DIR, req->in.nodeid);
	if (!handle)
		return -EBADF;
	room = MIN(room, req->reply_room);
	pthread_mutex_lock(&handle->dir->lock);
	ret = dir_seek(handle, in->offset);
	if (!ret)
		ret = dir_fill(req, handle, room, plus);
	pthread_mutex_unlock(&handle->dir->lock);
	fs_handle_put(req->fs, handle);
	return ret;
}

int fs_readdir(struct fs_req *req)
{
	return read_dir(req, false);
}

int fs_readdirplus(struct fs_req *req)
{
	return read_dir(req, true);
}

int fs_releasedir(struct fs_req *req)
{
	return fs_release_kind(req, FS_DIR);
}

int fs_fsyncdir(struct fs_req *req)
{
	return fs_fsync_kind(req, FS_DIR);
}

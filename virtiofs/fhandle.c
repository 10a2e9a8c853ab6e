/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/fhandle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtiofs/attr.h"
#include "virtiofs/name.h"

/* Mounts below the directory whose files have handles. */
#define MOUNTS_MAX 256u

struct fs_fhandle {
	int mount_fd; /* of the table below, as long as the server lives */
	struct file_handle file;
};

struct fs_mounts {
	pthread_mutex_t lock;
	unsigned n;
	struct {
		uint64_t id;
		int fd;
	} list[MOUNTS_MAX];
};

/* Open for reading, as the call wants it: a device would act. */
static int mount_open(struct virtiofs *fs, int fd, mode_t type)
{
	const struct fs_inode inode = {.fd = fd, .type = type};

	return fs_reopen(fs, &inode, O_RDONLY | O_NONBLOCK);
}

/* A descriptor on the mount of fd; -EOPNOTSUPP: there is none to be had. */
static int mount_fd(struct virtiofs *fs, int fd, const struct statx *stx)
{
	struct fs_mounts *mounts = fs->mounts;
	int found = -EOPNOTSUPP;

	pthread_mutex_lock(&mounts->lock);
	for (unsigned i = 0; i < mounts->n && found < 0; i++) {
		if (mounts->list[i].id == stx->stx_mnt_id)
			found = mounts->list[i].fd;
	}
	if (found < 0 && mounts->n < MOUNTS_MAX) {
		found = mount_open(fs, fd, stx->stx_mode & S_IFMT);
		if (found >= 0) {
			mounts->list[mounts->n].id = stx->stx_mnt_id;
			mounts->list[mounts->n++].fd = found;
		}
	}
	pthread_mutex_unlock(&mounts->lock);
	return found < 0 ? -EOPNOTSUPP : found;
}

static int handle_get(struct virtiofs *fs, int fd, const struct statx *stx,
		      struct fs_fhandle **out)
{
	union {
		struct file_handle file;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} found = {.file.handle_bytes = MAX_HANDLE_SZ};
	struct fs_fhandle *handle;
	int mount;
	int ret = 0;

	if (name_to_handle_at(fd, "", &found.file, &mount, AT_EMPTY_PATH))
		ret = -errno;
	if (!ret)
		ret = mount_fd(fs, fd, stx);
	if (ret < 0)
		return ret;
	/* Most are of a few bytes, and there is one for each inode. */
	handle = malloc(sizeof(*handle) + found.file.handle_bytes);
	if (!handle)
		return -ENOMEM;
	handle->mount_fd = ret;
	memcpy(&handle->file, &found,
	       sizeof(found.file) + found.file.handle_bytes);
	*out = handle;
	return 0;
}

int fs_fhandle_make(struct virtiofs *fs, int fd, const struct statx *stx,
		    struct fs_fhandle **out)
{
	int ret;

	*out = NULL;
	if (fs->config.file_handles == VIRTIOFS_HANDLES_NEVER)
		return 0;
	ret = handle_get(fs, fd, stx, out);
	return fs->config.file_handles == VIRTIOFS_HANDLES_PREFER ? 0 : ret;
}

int fs_fhandle_open(const struct fs_fhandle *handle)
{
	/* It is not changed; the type of the parameter says nothing. */
	struct file_handle *file = (struct file_handle *)&handle->file;
	int fd = open_by_handle_at(handle->mount_fd, file,
				   O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

bool fs_fhandle_equal(const struct fs_fhandle *a, const struct fs_fhandle *b)
{
	if (!a || !b)
		return a == b;
	return a->mount_fd == b->mount_fd &&
	       a->file.handle_type == b->file.handle_type &&
	       a->file.handle_bytes == b->file.handle_bytes &&
	       memcmp(a->file.f_handle, b->file.f_handle,
		      a->file.handle_bytes) == 0;
}

/* The root's: if that can be opened, so can the others of its mount. */
static int try_root(struct virtiofs *fs)
{
	struct fs_fhandle *handle;
	struct statx stx;
	int ret = fs_stat(fs->root_fd, &stx);

	if (!ret)
		ret = handle_get(fs, fs->root_fd, &stx, &handle);
	if (ret)
		return ret;
	ret = fs_fhandle_open(handle);
	free(handle);
	if (ret < 0)
		return ret;
	close(ret);
	return 0;
}

int fs_fhandles_init(struct virtiofs *fs, struct err *err)
{
	int ret;

	if (fs->config.file_handles == VIRTIOFS_HANDLES_NEVER)
		return 0;
	fs->mounts = calloc(1, sizeof(*fs->mounts));
	if (!fs->mounts)
		return err_set(err, ENOMEM, "mounts");
	pthread_mutex_init(&fs->mounts->lock, NULL);
	ret = try_root(fs);
	if (!ret)
		return 0;
	if (fs->config.file_handles == VIRTIOFS_HANDLES_MANDATORY)
		return err_ret(err, ret, "file handles");
	log_info("fs: no file handles: %s", strerror(-ret));
	fs->config.file_handles = VIRTIOFS_HANDLES_NEVER;
	return 0;
}

void fs_fhandles_release(struct virtiofs *fs)
{
	if (!fs->mounts)
		return;
	for (unsigned i = 0; i < fs->mounts->n; i++)
		close(fs->mounts->list[i].fd);
	pthread_mutex_destroy(&fs->mounts->lock);
	free(fs->mounts);
	fs->mounts = NULL;
}

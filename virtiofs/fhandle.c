/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/fhandle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtiofs/attr.h"
#include "virtiofs/name.h"

/* Mounts below the directory, at a time, whose files have handles. */
#define MOUNTS_MAX 256u

/* Held open, and so there for the host, no longer than a file of it is known:
 * containers come and go while the server stays. */
struct fs_mount {
	uint64_t id;
	int fd;
	unsigned handles; /* 0: the place is free */
};

struct fs_fhandle {
	struct fs_mount *mount;
	struct file_handle file;
};

struct fs_mounts {
	pthread_mutex_t lock; /* guards the fields below */
	unsigned n;	      /* places that were ever taken */
	struct fs_mount list[MOUNTS_MAX];
	struct fs_fhandle *root; /* keeps the root's mount */
};

/* Open for reading, as the call wants it: a device would act. */
static int mount_open(struct virtiofs *fs, int fd, mode_t type)
{
	const struct fs_inode inode = {.fd = fd, .type = type};

	return fs_reopen(fs, &inode, O_RDONLY | O_NONBLOCK);
}

/* With the lock. NULL: there is no place. */
static struct fs_mount *mount_find(struct fs_mounts *mounts, uint64_t id)
{
	struct fs_mount *free_one = NULL;

	for (unsigned i = 0; i < mounts->n; i++) {
		struct fs_mount *mount = &mounts->list[i];

		if (mount->handles && mount->id == id)
			return mount;
		if (!mount->handles)
			free_one = mount;
	}
	if (!free_one && mounts->n < MOUNTS_MAX)
		free_one = &mounts->list[mounts->n++];
	return free_one;
}

/* One handle more on the mount of fd. NULL: there is none to be had. */
static struct fs_mount *mount_get(struct virtiofs *fs, int fd,
				  const struct statx *stx)
{
	struct fs_mounts *mounts = fs->mounts;
	struct fs_mount *mount;

	pthread_mutex_lock(&mounts->lock);
	mount = mount_find(mounts, stx->stx_mnt_id);
	if (mount && !mount->handles) {
		mount->id = stx->stx_mnt_id;
		mount->fd = mount_open(fs, fd, stx->stx_mode & S_IFMT);
		if (mount->fd < 0)
			mount = NULL;
	}
	if (mount)
		mount->handles++;
	pthread_mutex_unlock(&mounts->lock);
	return mount;
}

static void mount_put(struct virtiofs *fs, struct fs_mount *mount)
{
	int fd = -1;

	pthread_mutex_lock(&fs->mounts->lock);
	if (--mount->handles == 0)
		fd = mount->fd;
	pthread_mutex_unlock(&fs->mounts->lock);
	if (fd >= 0)
		close(fd);
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

	if (name_to_handle_at(fd, "", &found.file, &mount, AT_EMPTY_PATH))
		return -errno;
	/* Most are of a few bytes, and there is one for each inode. */
	handle = malloc(sizeof(*handle) + found.file.handle_bytes);
	if (!handle)
		return -ENOMEM;
	handle->mount = mount_get(fs, fd, stx);
	if (!handle->mount) {
		free(handle);
		return -EOPNOTSUPP;
	}
	memcpy(&handle->file, &found,
	       sizeof(found.file) + found.file.handle_bytes);
	*out = handle;
	return 0;
}

void fs_fhandle_free(struct virtiofs *fs, struct fs_fhandle *handle)
{
	if (!handle)
		return;
	mount_put(fs, handle->mount);
	free(handle);
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
	int fd = open_by_handle_at(handle->mount->fd, file,
				   O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

bool fs_fhandle_equal(const struct fs_fhandle *a, const struct fs_fhandle *b)
{
	if (!a || !b)
		return a == b;
	return a->mount == b->mount &&
	       a->file.handle_type == b->file.handle_type &&
	       a->file.handle_bytes == b->file.handle_bytes &&
	       memcmp(a->file.f_handle, b->file.f_handle,
		      a->file.handle_bytes) == 0;
}

/* The root's: if that can be opened, so can the others of its mount. */
static int try_root(struct virtiofs *fs)
{
	struct statx stx;
	int ret = fs_stat(fs->root_fd, &stx);

	if (!ret)
		ret = handle_get(fs, fs->root_fd, &stx, &fs->mounts->root);
	if (!ret)
		ret = fs_fhandle_open(fs->mounts->root);
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
	fs_fhandles_release(fs);
	fs->config.file_handles = VIRTIOFS_HANDLES_NEVER;
	return 0;
}

void fs_fhandles_release(struct virtiofs *fs)
{
	if (!fs->mounts)
		return;
	fs_fhandle_free(fs, fs->mounts->root);
	pthread_mutex_destroy(&fs->mounts->lock);
	free(fs->mounts);
	fs->mounts = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void dir_free(struct fs_dir *dir)
{
	if (!dir)
		return;
	pthread_mutex_destroy(&dir->lock);
	free(dir);
}

static struct fs_dir *dir_new(void)
{
	struct fs_dir *dir = calloc(1, sizeof(*dir));

	if (dir)
		pthread_mutex_init(&dir->lock, NULL);
	return dir;
}

static struct fs_handle *handle_of(struct fs_slot *slot)
{
	return slot ? container_of(slot, struct fs_handle, slot) : NULL;
}

static void handle_end(struct fs_slots *slots, struct fs_slot *slot)
{
	struct fs_handle *handle = handle_of(slot);

	close(handle->fd);
	handle->fd = -1;
	dir_free(handle->dir);
	handle->dir = NULL;
	fs_slots_free(slots, slot);
}

int fs_handles_init(struct virtiofs *fs, uint32_t max)
{
	return fs_slots_init(&fs->handles, sizeof(struct fs_handle), max,
			     handle_end);
}

void fs_handles_release(struct virtiofs *fs)
{
	fs_slots_release(&fs->handles);
}

int fs_handle_add(struct virtiofs *fs, enum fs_handle_kind kind,
		  enum fs_waiting waiting, int fd, int flags, uint64_t nodeid,
		  uint64_t *fh)
{
	struct fs_dir *dir = NULL;
	struct fs_handle *handle;

	if (kind == FS_DIR) {
		dir = dir_new();
		if (!dir) {
			close(fd);
			return -ENOMEM;
		}
	}
	handle = handle_of(fs_slots_alloc(&fs->handles));
	if (!handle) {
		dir_free(dir);
		close(fd);
		return -ENFILE;
	}
	handle->kind = kind;
	atomic_store_explicit(&handle->waiting, waiting, memory_order_relaxed);
	handle->append = (flags & O_APPEND) != 0;
	handle->fd = fd;
	handle->nodeid = nodeid;
	handle->dir = dir;
	atomic_store(&handle->open, true);
	*fh = fs_slot_id(&handle->slot);
	fs_slot_publish(&handle->slot);
	return 0;
}

struct fs_handle *fs_handle_get(struct virtiofs *fs, uint64_t fh,
				enum fs_handle_kind kind, uint64_t nodeid)
{
	struct fs_handle *handle = handle_of(fs_slots_get(&fs->handles, fh));

	if (!handle)
		return NULL;
	if (handle->kind == kind && handle->nodeid == nodeid &&
	    atomic_load(&handle->open))
		return handle;
	fs_handle_put(fs, handle);
	return NULL;
}

void fs_handle_put(struct virtiofs *fs, struct fs_handle *handle)
{
	if (handle)
		fs_slots_put(&fs->handles, &handle->slot);
}

void fs_handle_close(struct virtiofs *fs, struct fs_handle *handle)
{
	if (atomic_exchange(&handle->open, false))
		fs_handle_put(fs, handle);
}

void fs_handles_close_all(struct virtiofs *fs)
{
	uint32_t count = fs_slots_count(&fs->handles);
	struct fs_handle *handle;

	for (uint32_t i = 0; i < count; i++) {
		handle = handle_of(fs_slots_at(&fs->handles, i));
		if (!handle)
			continue;
		fs_handle_close(fs, handle);
		fs_handle_put(fs, handle);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/dax.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "virtiofs/inode.h"
#include "virtiofs/name.h"
#include "virtiofs/wait.h"

#define PAGE 4096u
/* Of file systems that linux/magic.h does not know. */
#define CEPH_MAGIC 0x00c36400

struct fs_dax_slot {
	struct fs_inode *inode; /* as fs_inode_get has it; NULL: not mapped */
	uint64_t offset;	/* in the file */
	bool writable;
	bool zeros;    /* behind `end` there are zeros; else no access */
	uint64_t seen; /* the most of the slot that the file had */
	uint64_t end;  /* the file is mapped up to here */
};

struct fs_dax {
	struct mem_window window;
	uint32_t nslots;
	pthread_mutex_t lock; /* guards the slots, and what is mapped */
	struct fs_dax_slot *slots;
	atomic_uint mapped; /* slots with an inode; changed under `lock` */
	atomic_uint cut;    /* slots that end early; the same */
};

int fs_dax_init(struct virtiofs *fs, uint64_t size)
{
	struct fs_dax *dax = calloc(1, sizeof(*dax));
	int ret;

	if (!dax)
		return -ENOMEM;
	dax->nslots = (uint32_t)(size / FS_DAX_SLOT);
	dax->slots = calloc(dax->nslots, sizeof(dax->slots[0]));
	ret = dax->slots ? mem_window_init(&dax->window, size) : -ENOMEM;
	if (ret) {
		free(dax->slots);
		free(dax);
		return ret;
	}
	pthread_mutex_init(&dax->lock, NULL);
	fs->dax = dax;
	return 0;
}

void fs_dax_release(struct virtiofs *fs)
{
	struct fs_dax *dax = fs->dax;

	if (!dax)
		return;
	mem_window_release(&dax->window);
	pthread_mutex_destroy(&dax->lock);
	free(dax->slots);
	free(dax);
	fs->dax = NULL;
}

struct mem_window *fs_dax_window(struct virtiofs *fs)
{
	return fs->dax ? &fs->dax->window : NULL;
}

/* Slots; all with the lock. ------------------------------------------------ */

static uint64_t slot_at(uint32_t i)
{
	return i * FS_DAX_SLOT;
}

static void slot_set_end(struct fs_dax *dax, struct fs_dax_slot *slot,
			 uint64_t end)
{
	if (slot->end == FS_DAX_SLOT && end < FS_DAX_SLOT)
		atomic_fetch_add(&dax->cut, 1);
	if (slot->end < FS_DAX_SLOT && end == FS_DAX_SLOT)
		atomic_fetch_sub(&dax->cut, 1);
	slot->end = end;
	slot->zeros = false;
}

/* How much of the slot the file has, in whole pages. */
static uint64_t slot_backed(const struct fs_dax_slot *slot)
{
	struct stat st;
	uint64_t size;

	if (fstat(slot->inode->fd, &st))
		return 0;
	size = (uint64_t)st.st_size;
	if (size <= slot->offset)
		return 0;
	size = (size - slot->offset + PAGE - 1) / PAGE * PAGE;
	return MIN(size, FS_DAX_SLOT);
}

/* What is mapped there is the caller's to replace. */
static void slot_forget(struct virtiofs *fs, uint32_t i)
{
	struct fs_dax_slot *slot = &fs->dax->slots[i];

	if (!slot->inode)
		return;
	slot_set_end(fs->dax, slot, FS_DAX_SLOT);
	fs_inode_put(fs, slot->inode);
	slot->inode = NULL;
	atomic_fetch_sub(&fs->dax->mapped, 1);
}

static void slots_clear(struct virtiofs *fs, uint32_t first, uint32_t n)
{
	mem_window_clear(&fs->dax->window, slot_at(first), n * FS_DAX_SLOT);
	for (uint32_t i = first; i < first + n; i++)
		slot_forget(fs, i);
}

static int file_prot(bool writable)
{
	return writable ? PROT_READ | PROT_WRITE : PROT_READ;
}

static int file_flags(bool writable)
{
	return writable ? O_RDWR : O_RDONLY;
}

static int slots_map(struct virtiofs *fs, uint32_t first, uint32_t n,
		     struct fs_inode *inode, int fd, uint64_t offset,
		     bool writable)
{
	struct fs_dax *dax = fs->dax;
	int ret = mem_window_map(&dax->window, slot_at(first), n * FS_DAX_SLOT,
				 file_prot(writable), fd, offset);

	for (uint32_t i = first; i < first + n; i++) {
		slot_forget(fs, i);
		if (ret)
			continue;
		/* The request has the inode and its descriptor: more of both
		 * are to be had. */
		BUG_ON(fs_inode_get(fs, fs_slot_id(&inode->slot)) != inode);
		dax->slots[i] = (struct fs_dax_slot){
			.inode = inode,
			.offset = offset + slot_at(i - first),
			.writable = writable,
			.end = FS_DAX_SLOT,
		};
		dax->slots[i].seen = slot_backed(&dax->slots[i]);
		atomic_fetch_add(&dax->mapped, 1);
	}
	return ret;
}

/* The file anew, all of it. A lease that keeps it from us is an error as any
 * other: this is no thread's place to wait, and there is the lock. */
static void slot_restore(struct virtiofs *fs, uint32_t i)
{
	struct fs_dax_slot *slot = &fs->dax->slots[i];
	AUTO_FD int fd = fs_reopen(fs, slot->inode,
				   file_flags(slot->writable) | O_NONBLOCK);
	int ret = fd < 0 ? fd
			 : mem_window_map(
				   &fs->dax->window, slot_at(i), FS_DAX_SLOT,
				   file_prot(slot->writable), fd, slot->offset);

	if (ret == 0) {
		slot_set_end(fs->dax, slot, FS_DAX_SLOT);
		slot->seen = slot_backed(slot);
		return;
	}
	fs_fault(fs, "DAX: mapping a file again: %s", strerror(-ret));
	slots_clear(fs, i, 1);
}

/* Requests. ---------------------------------------------------------------- */

/* The guest's range of the window, in slots. */
static int range_check(const struct fs_dax *dax, uint64_t off, uint64_t len,
		       uint32_t *first, uint32_t *n)
{
	uint64_t size = dax->nslots * FS_DAX_SLOT;

	if (len == 0 || off % FS_DAX_SLOT || len % FS_DAX_SLOT || off > size ||
	    len > size - off)
		return -EINVAL;
	*first = (uint32_t)(off / FS_DAX_SLOT);
	*n = (uint32_t)(len / FS_DAX_SLOT);
	return 0;
}

static bool offered(struct virtiofs *fs)
{
	return fs->dax && fs_has(fs, FUSE_MAP_ALIGNMENT);
}

/* The handle is not used: Linux has none to tell (it sends -1). */
int fs_setupmapping(struct fs_req *req)
{
	const uint64_t known =
		FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE;
	const struct fuse_setupmapping_in *in = req->args;
	bool writable = (in->flags & FUSE_SETUPMAPPING_FLAG_WRITE) != 0;
	struct virtiofs *fs = req->fs;
	uint32_t first, n;
	int ret;

	if (!offered(fs))
		return -ENOSYS;
	if (!(in->flags & known) || (in->flags & ~known) ||
	    in->foffset % FS_DAX_SLOT ||
	    in->foffset > (uint64_t)INT64_MAX - fs->dax->window.size)
		return -EINVAL;
	ret = range_check(fs->dax, in->moffset, in->len, &first, &n);
	if (ret)
		return ret;
	if (req->inode->type != S_IFREG)
		return -ENODEV;
	if (writable && fs->config.readonly)
		return -EROFS;
	AUTO_FD int fd = fs_reopen_wait(req, req->inode, file_flags(writable));

	if (fd < 0)
		return fd;
	/* What is read of it takes pages as well, where it is in memory. */
	fs_inode_reaches(req->inode, in->foffset + in->len);
	pthread_mutex_lock(&fs->dax->lock);
	ret = slots_map(fs, first, n, req->inode, fd, in->foffset, writable);
	pthread_mutex_unlock(&fs->dax->lock);
	return ret;
}

int fs_removemapping(struct fs_req *req)
{
	const uint8_t *at = (const uint8_t *)req->args +
			    sizeof(struct fuse_removemapping_in);
	const struct fuse_removemapping_in *in = req->args;
	size_t room = (req->args_len - sizeof(*in)) /
		      sizeof(struct fuse_removemapping_one);
	struct fuse_removemapping_one one;
	uint32_t first, n;
	int ret = 0;

	if (!offered(req->fs))
		return -ENOSYS;
	if (in->count > room)
		return -EINVAL;
	pthread_mutex_lock(&req->fs->dax->lock);
	for (uint32_t i = 0; i < in->count && !ret; i++) {
		memcpy(&one, at + i * sizeof(one), sizeof(one));
		ret = range_check(req->fs->dax, one.moffset, one.len, &first,
				  &n);
		if (!ret)
			slots_clear(req->fs, first, n);
	}
	pthread_mutex_unlock(&req->fs->dax->lock);
	return ret;
}

void fs_dax_reset(struct virtiofs *fs)
{
	if (!fs->dax)
		return;
	pthread_mutex_lock(&fs->dax->lock);
	slots_clear(fs, 0, fs->dax->nslots);
	pthread_mutex_unlock(&fs->dax->lock);
}

/* Which files. ------------------------------------------------------------- */

/*
 * Files of other machines are not mapped: there, what a mapping shows may be
 * old, and another client's truncation is no rare thing.
 */
static enum fs_mappable mappable(struct fs_inode *inode)
{
	enum fs_mappable known = atomic_load(&inode->mappable);
	struct statfs st;

	if (known != FS_MAPPABLE_UNKNOWN)
		return known;
	if (fstatfs(inode->fd, &st))
		return FS_MAPPABLE_NO;
	switch ((uint32_t)st.f_type) {
	case FUSE_SUPER_MAGIC:
	case V9FS_MAGIC:
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case AFS_SUPER_MAGIC:
	case CEPH_MAGIC:
		known = FS_MAPPABLE_NO;
		break;
	case OVERLAYFS_SUPER_MAGIC:
		known = FS_MAPPABLE_OVERLAY;
		break;
	default:
		known = FS_MAPPABLE_YES;
		break;
	}
	atomic_store(&inode->mappable, known);
	return known;
}

/*
 * A write into a hole of a mapped file may find the disk full, which no guest
 * can be told of as it is told of a failed request: only files without holes.
 */
uint32_t fs_dax_flag(struct virtiofs *fs, uint64_t nodeid,
		     const struct statx *stx)
{
	struct fs_inode *inode;
	bool good;

	if (!offered(fs) || !S_ISREG(stx->stx_mode) ||
	    stx->stx_size < FS_DAX_FILE_MIN ||
	    stx->stx_blocks < stx->stx_size / 512)
		return 0;
	inode = fs_inode_get(fs, nodeid);
	good = inode && mappable(inode) != FS_MAPPABLE_NO;
	fs_inode_put(fs, inode);
	return good ? FUSE_ATTR_DAX : 0;
}

/* Writable slots have the writable file already. */
void fs_dax_opened(struct virtiofs *fs, struct fs_inode *inode)
{
	struct fs_dax *dax = fs->dax;

	if (!dax || atomic_load(&dax->mapped) == 0 ||
	    mappable(inode) != FS_MAPPABLE_OVERLAY)
		return;
	pthread_mutex_lock(&dax->lock);
	for (uint32_t i = 0; i < dax->nslots; i++) {
		if (dax->slots[i].inode == inode && !dax->slots[i].writable)
			slot_restore(fs, i);
	}
	pthread_mutex_unlock(&dax->lock);
}

/* Files that were cut short. ----------------------------------------------- */

/*
 * Ends the mapping where the file does, if that is earlier than it was: what
 * lies behind the end of most files was never there.
 */
static void slot_cut(struct virtiofs *fs, uint32_t i)
{
	struct fs_dax_slot *slot = &fs->dax->slots[i];
	uint64_t backed = slot_backed(slot);

	if (backed >= MIN(slot->seen, slot->end)) {
		slot->seen = MAX(slot->seen, backed);
		return;
	}
	mem_window_clear(&fs->dax->window, slot_at(i) + backed,
			 FS_DAX_SLOT - backed);
	/* Told before the second look: who makes the file longer sees either
	 * this, or is seen. */
	slot_set_end(fs->dax, slot, backed);
	if (slot_backed(slot) > backed)
		slot_restore(fs, i);
}

void fs_dax_check(struct virtiofs *fs)
{
	struct fs_dax *dax = fs->dax;

	if (!dax || atomic_load(&dax->mapped) == 0)
		return;
	pthread_mutex_lock(&dax->lock);
	for (uint32_t i = 0; i < dax->nslots; i++) {
		if (dax->slots[i].inode)
			slot_cut(fs, i);
	}
	pthread_mutex_unlock(&dax->lock);
}

bool fs_dax_fault(struct virtiofs *fs)
{
	struct fs_dax *dax = fs->dax;
	bool found = false;

	fs_dax_check(fs);
	pthread_mutex_lock(&dax->lock);
	for (uint32_t i = 0; i < dax->nslots; i++) {
		struct fs_dax_slot *slot = &dax->slots[i];

		if (!slot->inode || slot->end == FS_DAX_SLOT || slot->zeros)
			continue;
		mem_window_blank(&dax->window, slot_at(i) + slot->end,
				 FS_DAX_SLOT - slot->end);
		slot->zeros = true;
		found = true;
	}
	pthread_mutex_unlock(&dax->lock);
	if (found)
		fs_fault(fs, "DAX: reads behind the end of a file that was "
			     "cut short: zeros");
	return found;
}

void fs_dax_settle(struct virtiofs *fs)
{
	struct fs_dax *dax = fs->dax;
	bool torn;

	if (!dax ||
	    (atomic_load(&dax->cut) == 0 && !atomic_load(&dax->window.torn)))
		return;
	pthread_mutex_lock(&dax->lock);
	torn = atomic_exchange(&dax->window.torn, false);
	for (uint32_t i = 0; i < dax->nslots; i++) {
		struct fs_dax_slot *slot = &dax->slots[i];

		if (!slot->inode && torn)
			mem_window_clear(&dax->window, slot_at(i), FS_DAX_SLOT);
		else if (slot->inode &&
			 (torn || (slot->end < FS_DAX_SLOT &&
				   slot_backed(slot) > slot->end)))
			slot_restore(fs, i);
	}
	pthread_mutex_unlock(&dax->lock);
}

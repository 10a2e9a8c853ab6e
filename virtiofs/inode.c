/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/inode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "virtiofs/fhandle.h"

static bool key_equal(const struct fs_key *a, const struct fs_key *b)
{
	return a->ino == b->ino && a->mnt == b->mnt &&
	       a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

/*
 * Files that were made together have numbers in a row, and buckets in a row, of
 * different shards: a few thousand inodes touch a few pages of a table that has
 * room for a million.
 */
static uint32_t key_hash(const struct virtiofs *fs, const struct fs_key *key)
{
	uint64_t h = key->ino / FS_SHARDS;

	h = (h ^ key->mnt << 40 ^ (uint64_t)key->dev_minor << 20 ^
	     key->dev_major) *
	    0x9e3779b97f4a7c15ull;
	return ((uint32_t)(h >> 32) * FS_SHARDS +
		(uint32_t)(key->ino % FS_SHARDS)) &
	       (fs->nbuckets - 1);
}

static struct fs_shard *shard_of(struct virtiofs *fs, uint32_t bucket)
{
	return &fs->shards[bucket % FS_SHARDS];
}

static struct fs_inode *inode_of(struct fs_slot *slot)
{
	return slot ? container_of(slot, struct fs_inode, slot) : NULL;
}

/*
 * Where inodes are file handles, there may be more of them than descriptors,
 * and some have to do with one all the same. Without, they are all counted.
 */
static bool held_get(struct virtiofs *fs)
{
	if (fs->config.file_handles == VIRTIOFS_HANDLES_NEVER)
		return true;
	if (atomic_fetch_add(&fs->held, 1) < fs->held_max)
		return true;
	atomic_fetch_sub(&fs->held, 1);
	return false;
}

static void held_put(struct virtiofs *fs)
{
	if (fs->config.file_handles != VIRTIOFS_HANDLES_NEVER)
		atomic_fetch_sub(&fs->held, 1);
}

static bool takes_long_to_close(const struct fs_inode *inode)
{
	struct stat st;

	return atomic_load_explicit(&inode->large, memory_order_relaxed) &&
	       inode->type == S_IFREG && fstat(inode->fd, &st) == 0 &&
	       st.st_nlink == 0;
}

/* The last reference went: nobody finds the inode by number any more. */
static void inode_end(struct fs_slots *slots, struct fs_slot *slot)
{
	struct virtiofs *fs = container_of(slots, struct virtiofs, inodes);
	struct fs_inode *inode = inode_of(slot);
	uint32_t bucket = key_hash(fs, &inode->key);
	struct fs_shard *shard = shard_of(fs, bucket);
	struct fs_inode **p;

	pthread_mutex_lock(&shard->lock);
	for (p = &fs->buckets[bucket]; *p != inode; p = &(*p)->next)
		BUG_ON(!*p);
	*p = inode->next;
	pthread_mutex_unlock(&shard->lock);
	BUG_ON(inode->pins);
	if (!inode->fhandle) {
		if (!takes_long_to_close(inode) ||
		    !fs_closer_add(&fs->closer, inode->fd))
			close(inode->fd);
		held_put(fs);
	}
	inode->fd = -1;
	fs_fhandle_free(fs, inode->fhandle);
	inode->fhandle = NULL;
	fs_slots_free(slots, slot);
}

int fs_inodes_init(struct virtiofs *fs, uint32_t max)
{
	uint32_t n = FS_SHARDS;

	while (n < max / 4)
		n *= 2;
	fs->buckets = calloc(n, sizeof(fs->buckets[0]));
	if (!fs->buckets)
		return -ENOMEM;
	fs->nbuckets = n;
	for (unsigned i = 0; i < FS_SHARDS; i++)
		pthread_mutex_init(&fs->shards[i].lock, NULL);
	return fs_slots_init(&fs->inodes, sizeof(struct fs_inode), max,
			     inode_end);
}

void fs_inodes_release(struct virtiofs *fs)
{
	if (!fs->buckets)
		return;
	fs_slots_release(&fs->inodes);
	for (unsigned i = 0; i < FS_SHARDS; i++)
		pthread_mutex_destroy(&fs->shards[i].lock);
	free(fs->buckets);
	fs->buckets = NULL;
}

struct fs_inode *fs_inode_ref(struct virtiofs *fs, uint64_t nodeid)
{
	return inode_of(fs_slots_get(&fs->inodes, nodeid));
}

void fs_inode_unref(struct virtiofs *fs, struct fs_inode *inode)
{
	fs_slots_put(&fs->inodes, &inode->slot);
}

/* With a reference: the descriptor is there until it is unpinned. */
static int inode_pin(struct virtiofs *fs, struct fs_inode *inode)
{
	struct fs_shard *shard = shard_of(fs, key_hash(fs, &inode->key));
	int fd = 0;

	if (!inode->fhandle)
		return 0;
	pthread_mutex_lock(&shard->lock);
	if (inode->pins == 0) {
		fd = fs_fhandle_open(inode->fhandle);
		inode->fd = MAX(fd, -1);
	}
	if (fd >= 0)
		inode->pins++;
	pthread_mutex_unlock(&shard->lock);
	return MIN(fd, 0);
}

static void inode_unpin(struct virtiofs *fs, struct fs_inode *inode)
{
	struct fs_shard *shard = shard_of(fs, key_hash(fs, &inode->key));
	int fd = -1;

	if (!inode->fhandle)
		return;
	pthread_mutex_lock(&shard->lock);
	if (--inode->pins == 0) {
		fd = inode->fd;
		inode->fd = -1;
	}
	pthread_mutex_unlock(&shard->lock);
	if (fd >= 0)
		close(fd);
}

struct fs_inode *fs_inode_get(struct virtiofs *fs, uint64_t nodeid)
{
	struct fs_inode *inode = fs_inode_ref(fs, nodeid);

	if (!inode || inode_pin(fs, inode) == 0)
		return inode;
	fs_inode_unref(fs, inode);
	return NULL;
}

void fs_inode_put(struct virtiofs *fs, struct fs_inode *inode)
{
	if (!inode)
		return;
	inode_unpin(fs, inode);
	fs_inode_unref(fs, inode);
}

/* With the shard's lock. The reference, if any, is the guest's. */
static struct fs_inode *inode_find(struct virtiofs *fs, uint32_t bucket,
				   const struct fs_key *key,
				   const struct fs_fhandle *fhandle)
{
	struct fs_inode *inode;

	for (inode = fs->buckets[bucket]; inode; inode = inode->next) {
		/* What is not held open may have left its number to another. */
		if (!key_equal(&inode->key, key) ||
		    (fhandle && !fs_fhandle_equal(inode->fhandle, fhandle)))
			continue;
		/* One on its way out has a place in the bucket, but no
		 * reference to give: the file gets a new inode. */
		if (inode->nlookup > 0 || fs_slot_ref(&inode->slot))
			return inode;
	}
	return NULL;
}

static struct fs_inode *inode_insert(struct virtiofs *fs, uint32_t bucket,
				     const struct fs_key *key, int fd,
				     mode_t type, struct fs_fhandle *fhandle)
{
	struct fs_inode *inode;

	if (!fhandle && !held_get(fs))
		return NULL;
	inode = inode_of(fs_slots_alloc(&fs->inodes));
	if (!inode && !fhandle)
		held_put(fs);
	if (!inode)
		return NULL;
	inode->key = *key;
	inode->fd = fd;
	inode->fhandle = fhandle;
	inode->pins = 0;
	inode->type = type;
	atomic_store(&inode->mappable, FS_MAPPABLE_UNKNOWN);
	atomic_store(&inode->noted, false);
	atomic_store(&inode->large, false);
	inode->nlookup = 0;
	inode->next = fs->buckets[bucket];
	fs->buckets[bucket] = inode;
	fs_slot_publish(&inode->slot);
	return inode;
}

static struct fs_key key_of(const struct statx *stx)
{
	return (struct fs_key){
		.ino = stx->stx_ino,
		.mnt = stx->stx_mnt_id,
		.dev_major = stx->stx_dev_major,
		.dev_minor = stx->stx_dev_minor,
	};
}

bool fs_inode_known(struct virtiofs *fs, const struct statx *stx,
		    uint64_t *nodeid)
{
	struct fs_key key = key_of(stx);
	uint32_t bucket = key_hash(fs, &key);
	struct fs_shard *shard = shard_of(fs, bucket);
	struct fs_inode *inode;

	/* A number that is held open is the file's alone; a handle is not. */
	if (fs->config.file_handles != VIRTIOFS_HANDLES_NEVER)
		return false;
	pthread_mutex_lock(&shard->lock);
	inode = inode_find(fs, bucket, &key, NULL);
	if (inode) {
		inode->nlookup++;
		fs_inode_reaches(inode, stx->stx_size);
		*nodeid = fs_slot_id(&inode->slot);
	}
	pthread_mutex_unlock(&shard->lock);
	return inode != NULL;
}

int fs_inode_add(struct virtiofs *fs, int fd, const struct statx *stx,
		 uint64_t *nodeid)
{
	struct fs_key key = key_of(stx);
	uint32_t bucket = key_hash(fs, &key);
	struct fs_shard *shard = shard_of(fs, bucket);
	struct fs_fhandle *fhandle = NULL;
	struct fs_inode *inode;
	bool found;
	/* The root's descriptor stays. */
	int ret = fs->root_id ? fs_fhandle_make(fs, fd, stx, &fhandle) : 0;

	if (ret) {
		close(fd);
		return ret;
	}
	if (fhandle) {
		close(fd);
		fd = -1;
	}
	pthread_mutex_lock(&shard->lock);
	inode = inode_find(fs, bucket, &key, fhandle);
	found = inode != NULL;
	if (!found)
		inode = inode_insert(fs, bucket, &key, fd,
				     stx->stx_mode & S_IFMT, fhandle);
	if (inode) {
		inode->nlookup++;
		fs_inode_reaches(inode, stx->stx_size);
		*nodeid = fs_slot_id(&inode->slot);
	}
	pthread_mutex_unlock(&shard->lock);
	if (found || !inode) {
		if (fd >= 0)
			close(fd);
		fs_fhandle_free(fs, fhandle);
	}
	return inode ? 0 : -ENFILE;
}

/* Takes n lookups; true: the guest's reference is the caller's now. */
static bool lookups_take(struct virtiofs *fs, struct fs_inode *inode,
			 uint64_t n, uint64_t *had)
{
	struct fs_shard *shard = shard_of(fs, key_hash(fs, &inode->key));
	bool gone;

	pthread_mutex_lock(&shard->lock);
	*had = inode->nlookup;
	inode->nlookup -= MIN(n, inode->nlookup);
	gone = *had > 0 && inode->nlookup == 0;
	pthread_mutex_unlock(&shard->lock);
	return gone;
}

void fs_inode_forget(struct virtiofs *fs, uint64_t nodeid, uint64_t n)
{
	struct fs_inode *inode;
	uint64_t had;

	/* The root is not looked up: it is there from INIT to DESTROY. */
	if (nodeid == FUSE_ROOT_ID)
		return;
	inode = fs_inode_ref(fs, nodeid);
	if (!inode) {
		fs_fault(fs, "forget of unknown node %" PRIu64, nodeid);
		return;
	}
	if (lookups_take(fs, inode, n, &had))
		fs_inode_unref(fs, inode);
	if (n > had)
		fs_fault(fs, "forget of %" PRIu64 " lookups, had %" PRIu64, n,
			 had);
	fs_inode_unref(fs, inode);
}

void fs_inodes_forget_all(struct virtiofs *fs)
{
	uint32_t count = fs_slots_count(&fs->inodes);
	struct fs_inode *inode;
	uint64_t had;

	for (uint32_t i = 0; i < count; i++) {
		inode = inode_of(fs_slots_at(&fs->inodes, i));
		if (!inode)
			continue;
		if (fs_slot_id(&inode->slot) != FUSE_ROOT_ID &&
		    lookups_take(fs, inode, UINT64_MAX, &had))
			fs_inode_unref(fs, inode);
		fs_inode_unref(fs, inode);
	}
}

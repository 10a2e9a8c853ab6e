/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_INODE_H
#define VIRTIOFS_INODE_H

/*
 * The inode table. The guest's lookup count is one thing, references of the
 * host another: a request holds a reference while it runs, so that a FORGET
 * on another thread cannot close the descriptor below it.
 */

#include "virtiofs/server.h"

/* Bytes that are not deleted in no time. */
#define FS_INODE_LARGE (4u << 20)

int fs_inodes_init(struct virtiofs *fs, uint32_t max) MUST_CHECK;
void fs_inodes_release(struct virtiofs *fs);

/* NULL: no such inode. */
struct fs_inode *fs_inode_get(struct virtiofs *fs, uint64_t nodeid);
void fs_inode_put(struct virtiofs *fs, struct fs_inode *inode);

/* The same for those who do not use its descriptor. */
struct fs_inode *fs_inode_ref(struct virtiofs *fs, uint64_t nodeid);
void fs_inode_unref(struct virtiofs *fs, struct fs_inode *inode);

/*
 * The inode of fd (O_PATH; taken in every case) with attributes stx; counts
 * one lookup. 0, -ENFILE or -ENOMEM.
 */
int fs_inode_add(struct virtiofs *fs, int fd, const struct statx *stx,
		 uint64_t *nodeid) MUST_CHECK;
/*
 * The same for an inode that the guest has already: counts one lookup. False:
 * there is none with attributes stx.
 */
bool fs_inode_known(struct virtiofs *fs, const struct statx *stx,
		    uint64_t *nodeid);
/* A file goes on as far as that, at least. */
static inline void fs_inode_reaches(struct fs_inode *inode, uint64_t end)
{
	if (end > FS_INODE_LARGE &&
	    !atomic_load_explicit(&inode->large, memory_order_relaxed))
		atomic_store_explicit(&inode->large, true,
				      memory_order_relaxed);
}

/* Takes n lookups back; more than there are is a fault of the guest. */
void fs_inode_forget(struct virtiofs *fs, uint64_t nodeid, uint64_t n);
/* All of them but the root. */
void fs_inodes_forget_all(struct virtiofs *fs);

#endif

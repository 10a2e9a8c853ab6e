/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_ATTR_H
#define VIRTIOFS_ATTR_H

/* Attributes, entries and how long the guest may keep them. */

#include "virtiofs/server.h"

/* FUSE_STATX of 7.39, which the headers of 7.38 do not have. */
#define FS_STATX 52u

struct fs_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags; /* AT_STATX_* */
	uint32_t sx_mask;
};

struct fs_sx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};

struct fs_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct {
		uint32_t mask;
		uint32_t blksize;
		uint64_t attributes;
		uint32_t nlink;
		uint32_t uid;
		uint32_t gid;
		uint16_t mode;
		uint16_t spare0;
		uint64_t ino;
		uint64_t size;
		uint64_t blocks;
		uint64_t attributes_mask;
		struct fs_sx_time atime;
		struct fs_sx_time btime;
		struct fs_sx_time ctime;
		struct fs_sx_time mtime;
		uint32_t rdev_major;
		uint32_t rdev_minor;
		uint32_t dev_major;
		uint32_t dev_minor;
		uint64_t spare2[14];
	} stat;
};

int fs_stat(int fd, struct statx *stx) MUST_CHECK;
void fs_attr_fill(const struct virtiofs *fs, const struct statx *stx,
		  struct fuse_attr *attr);
/* fd: O_PATH, taken in every case. Counts one lookup. */
int fs_entry_fill(struct fs_req *req, const struct fs_inode *parent, int fd,
		  struct fuse_entry_out *out) MUST_CHECK;
/* The entry of a checked name in the request's directory. */
int fs_entry_named(struct fs_req *req, const char *name,
		   struct fuse_entry_out *out) MUST_CHECK;
/* Looks name up and makes it the reply. */
int fs_entry_reply(struct fs_req *req, const char *name) MUST_CHECK;

int fs_lookup(struct fs_req *req);
int fs_getattr(struct fs_req *req);
int fs_statx(struct fs_req *req);
int fs_setattr(struct fs_req *req);
int fs_statfs(struct fs_req *req);
int fs_readlink(struct fs_req *req);

#endif

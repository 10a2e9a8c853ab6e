/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_IO_H
#define VIRTIOFS_IO_H

/* Open files: data goes between the chain and the file without a copy. */

#include "virtiofs/server.h"

/* The host's flags for those of the guest's open. 0 or -EINVAL, -EROFS. */
int fs_open_flags(struct virtiofs *fs, uint32_t flags, int *out) MUST_CHECK;
/*
 * Opens a file that is there, for a guest that asked for it with `in`; *flags
 * are fs_open_flags', and what it is open with in the end. The descriptor or
 * -errno.
 */
int fs_open_file(struct fs_req *req, const struct fs_inode *inode,
		 const struct fuse_open_in *in, int *flags) MUST_CHECK;
/* A handle for fd (taken), open with those flags, and FOPEN_* by the cache
 * policy. 0 or -errno. */
int fs_file_add(struct virtiofs *fs, int fd, int flags, uint64_t nodeid,
		struct fuse_open_out *out) MUST_CHECK;
int fs_release_kind(struct fs_req *req, enum fs_handle_kind kind);
int fs_fsync_kind(struct fs_req *req, enum fs_handle_kind kind);

int fs_open(struct fs_req *req);
int fs_read(struct fs_req *req);
int fs_write(struct fs_req *req);
int fs_flush(struct fs_req *req);
int fs_release(struct fs_req *req);
int fs_fsync(struct fs_req *req);
int fs_fallocate(struct fs_req *req);
int fs_lseek(struct fs_req *req);
int fs_copy_file_range(struct fs_req *req);
int fs_syncfs(struct fs_req *req);

#endif

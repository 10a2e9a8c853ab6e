/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_IO_H
#define VIRTIOFS_IO_H

/* Open files: data goes between the chain and the file without a copy. */

#include "virtiofs/server.h"

/* The host's flags for those of the guest's open. 0 or -EINVAL, -EROFS. */
int fs_open_flags(struct virtiofs *fs, uint32_t flags, int *out) MUST_CHECK;
/* FOPEN_* for what fd has open with those flags, by the cache policy. */
uint32_t fs_open_reply(const struct virtiofs *fs, int fd, int flags);
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

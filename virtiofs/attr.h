/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_ATTR_H
#define VIRTIOFS_ATTR_H

/* Attributes, entries and how long the guest may keep them. */

#include "virtiofs/server.h"

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
int fs_setattr(struct fs_req *req);
int fs_statfs(struct fs_req *req);
int fs_readlink(struct fs_req *req);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_HANDLE_H
#define VIRTIOFS_HANDLE_H

/* Open files and directories, by the number the guest has for them. */

#include "virtiofs/server.h"

int fs_handles_init(struct virtiofs *fs, uint32_t max) MUST_CHECK;
void fs_handles_release(struct virtiofs *fs);

/* Takes fd, open with those flags, in every case. 0, -ENFILE or -ENOMEM. */
int fs_handle_add(struct virtiofs *fs, enum fs_handle_kind kind,
		  enum fs_waiting waiting, int fd, int flags, uint64_t nodeid,
		  uint64_t *fh) MUST_CHECK;
/* NULL unless fh is an open handle of that kind and that inode. */
struct fs_handle *fs_handle_get(struct virtiofs *fs, uint64_t fh,
				enum fs_handle_kind kind, uint64_t nodeid);
void fs_handle_put(struct virtiofs *fs, struct fs_handle *handle);
/* The guest closes it; requests that use it go on. */
void fs_handle_close(struct virtiofs *fs, struct fs_handle *handle);
void fs_handles_close_all(struct virtiofs *fs);

#endif

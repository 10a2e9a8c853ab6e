/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_FILEATTR_H
#define VIRTIOFS_FILEATTR_H

/*
 * FUSE_IOCTL, for the requests that Linux makes of it by itself, for chattr,
 * lsattr and the like: the flags of an inode. Others are -ENOTTY, as nothing
 * that a guest says about its memory is believed here.
 */

#include "virtiofs/server.h"

int fs_ioctl(struct fs_req *req);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_CREATE_H
#define VIRTIOFS_CREATE_H

/* New names: with the ids and the mode of the guest's caller. */

#include "virtiofs/server.h"

int fs_mknod(struct fs_req *req);
int fs_mkdir(struct fs_req *req);
int fs_symlink(struct fs_req *req);
int fs_link(struct fs_req *req);
int fs_create(struct fs_req *req);
int fs_tmpfile(struct fs_req *req);

#endif

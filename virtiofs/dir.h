/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_DIR_H
#define VIRTIOFS_DIR_H

#include "virtiofs/server.h"

int fs_opendir(struct fs_req *req);
int fs_readdir(struct fs_req *req);
int fs_readdirplus(struct fs_req *req);
int fs_releasedir(struct fs_req *req);
int fs_fsyncdir(struct fs_req *req);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_REMOVE_H
#define VIRTIOFS_REMOVE_H

/* Names that go or move. */

#include "virtiofs/server.h"

int fs_unlink(struct fs_req *req);
int fs_rmdir(struct fs_req *req);
int fs_rename(struct fs_req *req);
int fs_rename2(struct fs_req *req);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_SESSION_H
#define VIRTIOFS_SESSION_H

/* The server's life and the sessions of the guest in it. */

#include "virtiofs/server.h"

int fs_init(struct fs_req *req);
int fs_destroy(struct fs_req *req);
int fs_forget(struct fs_req *req);
int fs_batch_forget(struct fs_req *req);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_XATTR_H
#define VIRTIOFS_XATTR_H

/*
 * Extended attributes. system.posix_acl_* goes through with posix_acl only;
 * of security.* only file capabilities do, since labels (SELinux, IMA) mean
 * something else to the host than to the guest.
 */

#include "virtiofs/server.h"

/* Whether files made in the directory get an ACL from it. */
bool fs_has_default_acl(struct fs_req *req, const struct fs_inode *dir);

int fs_setxattr(struct fs_req *req);
int fs_getxattr(struct fs_req *req);
int fs_listxattr(struct fs_req *req);
int fs_removexattr(struct fs_req *req);

#endif

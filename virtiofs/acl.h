/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_ACL_H
#define VIRTIOFS_ACL_H

/*
 * The values of system.posix_acl_access and system.posix_acl_default
 * (linux/posix_acl_xattr.h), whose entries name users and groups: those of the
 * guest are not those of the host where owners have other numbers.
 */

#include <stdbool.h>
#include <stddef.h>

#include "virtiofs/idmap.h"

bool fs_acl_is(const char *name);

/*
 * In place, size bytes without alignment. What is no list of entries stays as
 * it is, for the kernel to refuse. -EPERM: one that the guest may not use.
 */
int fs_acl_to_host(const struct fs_idmap *uids, const struct fs_idmap *gids,
		   void *value, size_t size) MUST_CHECK;
void fs_acl_to_guest(const struct fs_idmap *uids, const struct fs_idmap *gids,
		     void *value, size_t size);

#endif

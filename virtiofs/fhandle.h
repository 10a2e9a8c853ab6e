/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_FHANDLE_H
#define VIRTIOFS_FHANDLE_H

/*
 * File handles (name_to_handle_at(2)) in place of the descriptors that inodes
 * hold: a guest may then know more files than the process may have open. A
 * handle is made from a descriptor that was found as every other, by one name
 * below a directory; the guest never sees it. It opens that file or none.
 *
 * Opening takes CAP_DAC_READ_SEARCH, and a descriptor on each mount of which
 * there is a handle.
 */

#include <stdbool.h>

#include "virtiofs/server.h"

/* Whether handles can be opened; without, config.file_handles becomes
 * VIRTIOFS_HANDLES_NEVER, or it is an error. */
int fs_fhandles_init(struct virtiofs *fs, struct err *err) MUST_CHECK;
void fs_fhandles_release(struct virtiofs *fs);

/*
 * The handle of fd (O_PATH) with attributes stx. 0, and *out is NULL where fd
 * has to do; or -errno.
 */
int fs_fhandle_make(struct virtiofs *fs, int fd, const struct statx *stx,
		    struct fs_fhandle **out) MUST_CHECK;
/* handle may be NULL. */
void fs_fhandle_free(struct virtiofs *fs, struct fs_fhandle *handle);
/* An O_PATH descriptor, or -errno: -ESTALE, the file is gone. */
int fs_fhandle_open(const struct fs_fhandle *handle) MUST_CHECK;
/* Both may be NULL. */
bool fs_fhandle_equal(const struct fs_fhandle *a, const struct fs_fhandle *b);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_DAX_H
#define VIRTIOFS_DAX_H

/*
 * The DAX window (virtio 1.2, 5.11.6.4): the guest asks for ranges of files to
 * be mapped there and reads the host's page cache, so that all sandboxes that
 * use a file share one copy of it.
 *
 * The window is a row of slots of 2 MiB, the unit in which Linux uses it, and
 * a mapping is some slots of it: their number bounds that of the mappings. The
 * guest learns which files are worth a slot by a flag among the attributes
 * (FUSE_ATTR_DAX); others it reads by requests.
 *
 * A file may be cut short under its mapping. Touched then, its pages are SIGBUS
 * to a thread of the host, but not to KVM: that takes them for pages that are
 * on their way (asynchronous page faults) and tries for ever. So fs_dax_check,
 * each second, takes the access away from what is gone, and the vCPU stops. A
 * program of the guest is sent SIGBUS, and its read(2) with a size that is no
 * longer right fails, which is the machine's work. Where that cannot be, the
 * guest's kernel gets zeros as it would at the end of a page: fs_dax_fault puts
 * them there. All this must be undone when the file grows again and the guest
 * may hear of it, hence fs_dax_settle before each reply.
 */

#include "virtiofs/server.h"
#include "vmm/core/window.h"

/* What the alignment of FUSE_INIT says: a slot's. */
#define FS_DAX_SHIFT 21u
#define FS_DAX_SLOT (1ull << FS_DAX_SHIFT)
/* 16384 slots; vm.max_map_count is 65530, and a slot may be two mappings. */
#define FS_DAX_SIZE_MAX (32ull << 30)
/* Smaller files would waste most of a slot. */
#define FS_DAX_FILE_MIN (512ull << 10)

/* size: slots. 0 or -errno. */
int fs_dax_init(struct virtiofs *fs, uint64_t size) MUST_CHECK;
void fs_dax_release(struct virtiofs *fs);
/* NULL: there is none. */
struct mem_window *fs_dax_window(struct virtiofs *fs);
/* Takes all mappings away. */
void fs_dax_reset(struct virtiofs *fs);

/* FUSE_ATTR_DAX, or 0. */
uint32_t fs_dax_flag(struct virtiofs *fs, uint64_t nodeid,
		     const struct statx *stx);
/*
 * The inode was opened for writing. On an overlay it may now be another file,
 * and what is mapped must be that one.
 */
void fs_dax_opened(struct virtiofs *fs, struct fs_inode *inode);
/* Any thread, all three. Takes access away from what files lost. */
void fs_dax_check(struct virtiofs *fs);
/* The same, and puts zeros there. False: there is nothing to put. */
bool fs_dax_fault(struct virtiofs *fs);
/* Maps again what files have again. */
void fs_dax_settle(struct virtiofs *fs);

int fs_setupmapping(struct fs_req *req);
int fs_removemapping(struct fs_req *req);

#endif

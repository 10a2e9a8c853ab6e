/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_REPLAY_H
#define VIRTIOFS_REPLAY_H

/*
 * Requests that repeat in the guest what the host did already (base/replay.h).
 * They read the tree as all others do, and change nothing of it: a guest that
 * makes such requests up fools itself.
 *
 * What was deleted or replaced has no name on the host. For guests that know
 * its inode, the server remembers the numbers of what was found or made in
 * watched directories, in a table of fixed size. A name that came and went
 * stands for an empty file that nobody can write to.
 */

#include "virtiofs/server.h"

int fs_replay_init(struct virtiofs *fs) MUST_CHECK;
void fs_replay_release(struct virtiofs *fs);

/* Ids as the guest sent them. */
bool fs_is_replay(const struct virtiofs *fs, const struct fuse_in_header *in);
/* In place of the opcode's own function. */
int fs_replay(struct fs_req *req);

void fs_replay_note_slow(struct fs_req *req, const char *name, uint64_t nodeid);

/* The guest was told that name in req->inode is nodeid; 0: it removed it. */
static inline void fs_replay_note(struct fs_req *req, const char *name,
				  uint64_t nodeid)
{
	if (atomic_load_explicit(&req->inode->noted, memory_order_relaxed))
		fs_replay_note_slow(req, name, nodeid);
}

/* The guest renamed name in req->inode to to_name in `to`. */
void fs_replay_note_rename(struct fs_req *req, const char *name,
			   const struct fs_inode *to, const char *to_name,
			   bool exchange);

#endif

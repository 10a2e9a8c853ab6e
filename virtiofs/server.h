/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_SERVER_H
#define VIRTIOFS_SERVER_H

/*
 * The inside of the FUSE server (protocol 7.31 to 7.38, and STATX). It works on
 * one request at a time per thread, on a chain of segments: device.c feeds it
 * from virtqueues, tests and fuzzers from plain memory.
 *
 * A request is read once: the header, then the arguments into the thread's
 * buffer, however often it is tried. File data is the exception: it goes
 * straight between the chain and the file.
 */

#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/log.h"
#include "virtiofs/closer.h"
#include "virtiofs/slots.h"
#include "virtiofs/virtiofs.h"
#include "virtiofs/wait.h"
#include "virtiofs/xattrmap.h"
#include "vmm/virtio/queue.h"

#define FS_SHARDS 64u
#define FS_NAME_MAX 255u
/* The largest arguments: an extended attribute with its name. */
#define FS_ARGS_MAX (72u << 10)
#define FS_REPLY_MAX (72u << 10)
#define FS_MAX_WRITE (1u << 20)
#define FS_MAX_PAGES 256u
/* Directory entries read from the host at a time. */
#define FS_DIRENTS 4096u
/* Of 7.38, but not in all headers of that version. */
#define FS_CREATE_SUPP_GROUP (1ull << 34)
#define FS_EXT_GROUPS 32u

/* The identity of a host inode: the same file below two mounts is two. */
struct fs_key {
	uint64_t ino;
	uint64_t mnt;
	uint32_t dev_major;
	uint32_t dev_minor;
};

/* Whether a file of its file system may be in the DAX window. */
enum fs_mappable {
	FS_MAPPABLE_UNKNOWN, /* nobody asked yet */
	FS_MAPPABLE_NO,
	FS_MAPPABLE_YES,
	FS_MAPPABLE_OVERLAY, /* becomes another file when it is written */
};

struct fs_inode {
	struct fs_slot slot;
	struct fs_inode *next; /* in its bucket; guarded by the shard */
	struct fs_key key;
	/* O_PATH. With a file handle it is there while requests work on the
	 * inode, and guarded by the shard, as the number of those is. */
	int fd;
	struct fs_fhandle *fhandle; /* NULL: fd is always there */
	unsigned pins;
	mode_t type; /* S_IFMT bits; an inode never changes them */
	_Atomic(enum fs_mappable) mappable;
	atomic_bool noted; /* a directory: see replay.h */
	atomic_bool large; /* a file: it has been seen, or made, so */
	uint64_t nlookup;  /* the guest's count; guarded by the shard. While it
			    * is not 0, the guest has one reference. */
};

struct fs_shard {
	pthread_mutex_t lock;
};

enum fs_handle_kind {
	FS_FILE,
	FS_DIR,
};

struct fs_dir {
	pthread_mutex_t lock; /* guards all below */
	uint64_t next;	      /* the offset of the entry at `pos` */
	size_t pos;
	size_t len;
	_Alignas(8) char dirents[FS_DIRENTS];
};

/* Whether to read a file, or write it, may have to wait for a disk. */
enum fs_waiting {
	FS_WAITING_ASK,	  /* the host says, call by call (RWF_NOWAIT) */
	FS_WAITING_MAYBE, /* it does not say */
	FS_WAITING_NEVER, /* the file is nowhere but in memory */
};

struct fs_handle {
	struct fs_slot slot;
	enum fs_handle_kind kind;
	_Atomic(enum fs_waiting) waiting;
	bool append; /* the host's file takes no other writes */
	int fd;
	uint64_t nodeid;
	struct fs_dir *dir; /* FS_DIR only */
	atomic_bool open;   /* the guest has one reference */
};

struct fs_dax;
struct fs_fhandle;
struct fs_mounts;
struct fs_replay;

struct virtiofs {
	struct virtiofs_config config; /* without tag and callbacks */
	int root_fd;
	int proc_fd;
	/* Features of the session, 0 between DESTROY and INIT. FUSE_INIT_EXT
	 * is always among those of a session, so it is never 0 by chance. */
	_Atomic uint64_t session;
	struct fs_slots inodes;
	/* With file handles: of inodes that are held by a descriptor. */
	atomic_uint held;
	uint32_t held_max;
	struct fs_slots handles;
	struct fs_shard shards[FS_SHARDS];
	struct fs_inode **buckets;
	uint32_t nbuckets; /* power of two, at least FS_SHARDS */
	uint64_t root_id;
	struct fs_dax *dax;	  /* NULL: none */
	struct fs_mounts *mounts; /* of file handles; NULL: none */
	struct fs_replay *replay; /* NULL: none */
	struct fs_waits waits;
	struct fs_closer closer;
	pthread_mutex_t fault_lock;
	struct log_limit faults;
};

/* What a request may do to the thread that works on it; each may do what those
 * before it may. */
enum fs_patience {
	FS_NOWAIT,  /* it never waits */
	FS_BRIEF,   /* hardly ever: not for what is known to take long */
	FS_PATIENT, /* anything */
};

struct fs_req {
	struct virtiofs *fs;
	struct fs_thread *thread;
	const struct virtq_chain *chain;
	struct fuse_in_header in;
	/* Less than FS_PATIENT: -EAGAIN rather than to wait. */
	enum fs_patience patience;
	bool replayed;	  /* what the host did: see replay.h */
	bool root;	  /* the guest's, whoever in.uid is on the host */
	int refused;	  /* 0, or the error that it has in any case */
	const void *args; /* after the header; at least the opcode's minimum */
	size_t args_len;  /* bytes at args */
	size_t body_len;  /* of the request, without header */
	struct fs_inode *inode; /* of in.nodeid, where the opcode has one */
	bool has_group;		/* one of the caller's groups is `group` */
	gid_t group;
	void *reply;	   /* FS_REPLY_MAX bytes */
	size_t reply_len;  /* bytes of it to send */
	size_t direct_len; /* or: already in the chain, after the header */
	size_t reply_room; /* writable bytes after the header */
};

/* Bytes that take less time to copy than to call another thread for. */
#define FS_QUICK (128u << 10)

/* What one thread needs to work on requests. */
struct fs_thread {
	struct virtiofs *fs;
	size_t quick_max; /* more bytes are copied with FS_PATIENT alone */
	bool own_cwd;	  /* its working directory is proc_fd, for good */
	bool can_setid;
	uid_t uid;
	gid_t gid;
	uint64_t permitted; /* capabilities */
	uint64_t effective;
	bool no_fsetid;	   /* CAP_FSETID is away for now */
	uint8_t new_names; /* looked up lately, of inodes not seen before */
	struct fs_req req; /* since virtiofs_begin; each attempt has a copy */
	char xattr_name[FS_XATTR_NAME];
	struct iovec iov[VIRTQ_SEGS_MAX];
	_Alignas(8) uint8_t args[FS_ARGS_MAX];
	_Alignas(8) uint8_t reply[FS_REPLY_MAX];
};

/* Takes root_fd and proc_fd in every case. NULL: err. */
struct virtiofs *virtiofs_new(const struct virtiofs_config *config,
			      struct err *err);
void virtiofs_free(struct virtiofs *fs);
/* Ends the session: forgets what the guest holds. What runs meanwhile goes on,
 * as a guest may have it. */
void virtiofs_reset(struct virtiofs *fs);

/*
 * own: the thread is a worker's and gets a working directory of its own,
 * which stays in the proc directory. NULL: errno.
 */
struct fs_thread *fs_thread_new(struct virtiofs *fs, bool own);
void fs_thread_free(struct fs_thread *thread);

/*
 * Reads a request, for virtiofs_try: nothing of it but file data and lists is
 * read again. The least fs_patience that can do it; -EPROTO: the chain has no
 * room for a request or its reply.
 */
int virtiofs_begin(struct fs_thread *thread,
		   const struct virtq_chain *chain) MUST_CHECK;

/* Refuses the request that was begun, unless it is one that has no reply. */
void virtiofs_silent_only(struct fs_thread *thread);

/*
 * Works on the request that was begun, while the chain is there. True: done,
 * and *written is the number of bytes written to the chain. False, never with
 * FS_PATIENT: nothing has happened, it takes more patience.
 */
bool virtiofs_try(struct fs_thread *thread, enum fs_patience patience,
		  uint32_t *written) MUST_CHECK;

/* Both, with FS_PATIENT. 0 or -EPROTO. */
int virtiofs_handle(struct fs_thread *thread, const struct virtq_chain *chain,
		    uint32_t *written) MUST_CHECK;

/* One rate-limited line about what the guest did. */
void fs_fault(struct virtiofs *fs, const char *fmt, ...) PRINTF(2, 3);

static inline bool fs_has(struct virtiofs *fs, uint64_t feature)
{
	return (atomic_load_explicit(&fs->session, memory_order_relaxed) &
		feature) != 0;
}

/* Space for a fixed reply, zeroed. */
void *fs_reply(struct fs_req *req, size_t len);
/* The segments that hold [skip, skip + len) of segs; *niov of them in iov. */
size_t fs_span(const struct iovec *segs, unsigned nsegs, size_t skip,
	       size_t len, struct iovec *iov, unsigned *niov);

#endif

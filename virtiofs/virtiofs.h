/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_VIRTIOFS_H
#define VIRTIOFS_VIRTIOFS_H

/*
 * A virtio-fs device (virtio 1.2, 5.11) with its FUSE server in process. The
 * server shows one directory tree and nothing else of the host:
 *
 *  - every lookup is one name below a directory that is held open, never a
 *    path, and follows no link;
 *  - only regular files and directories are ever opened, through the private
 *    /proc/self/fd; device nodes, FIFOs and sockets are names with attributes;
 *  - of device nodes only the overlay whiteout (character 0:0) can be made.
 *
 * With CAP_SETUID and CAP_SETGID, files are created with the ids the guest
 * asks for; without, everything belongs to the process. Locks stay in the
 * guest: a tree has one guest. So do leases, which FUSE has no request for;
 * those of the host's processes are respected (wait.h).
 *
 * The process should have no supplementary groups. virtiofs_device_new sets
 * its umask to 0, since modes come from the guest, ignores SIGXFSZ, and raises
 * its soft limit of descriptors: each inode that the guest knows takes one. For
 * another user than root that may change its ids, it sets PR_SET_KEEPCAPS.
 *
 * System calls after activation, besides those of the event loop, by the loop
 * and the workers alike: openat, openat2, open_tree, close, fcntl
 * (F_DUPFD_CLOEXEC), ioctl (the flags of inodes), fchdir, statx, newfstatat,
 * fstatfs, readlinkat, fchmodat, fchownat, utimensat, ftruncate, mmap, preadv,
 * preadv2, pwritev2, lseek, fsync, fdatasync, syncfs, fallocate,
 * copy_file_range, getdents64, mkdirat, mknodat, symlinkat, linkat, unlinkat,
 * renameat2 and renameat, getxattr, setxattr, listxattr, removexattr, capget,
 * capset, setresuid, setresgid, setgroups, write (eventfd), epoll_wait or
 * epoll_pwait, futex, clock_gettime, getrusage.
 * To start a worker: clone3 or clone, mmap, mprotect, rt_sigprocmask,
 * set_robust_list, rseq, unshare (CLONE_FS); madvise, munmap, exit when it
 * ends.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

#define VIRTIOFS_TAG_MAX 36u
#define VIRTIOFS_QUEUES_MAX 4u
#define VIRTIOFS_WORKERS_MAX 16u

enum virtiofs_cache {
	VIRTIOFS_CACHE_NEVER,	 /* nothing; the host changes files at will */
	VIRTIOFS_CACHE_AUTO,	 /* attributes for 1 s, data from open on */
	VIRTIOFS_CACHE_METADATA, /* attributes for a day, no data */
	VIRTIOFS_CACHE_ALWAYS,	 /* the guest is the only writer */
};

/* What stands for an inode that no request works on. */
enum virtiofs_file_handles {
	VIRTIOFS_HANDLES_NEVER,	    /* a descriptor */
	VIRTIOFS_HANDLES_PREFER,    /* a file handle, where there is one */
	VIRTIOFS_HANDLES_MANDATORY, /* a file handle */
};

struct fs_idmap;
struct fs_xattrmap;

struct virtiofs_config {
	int root_fd; /* taken; an O_PATH directory */
	/*
	 * Taken; this process's /proc/self/fd (not that of a parent), opened
	 * before the root changes. -1: opened by path.
	 */
	int proc_fd;
	const char *tag; /* 1..VIRTIOFS_TAG_MAX bytes */
	bool readonly;
	enum virtiofs_cache cache;
	bool xattr;
	bool posix_acl;		 /* needs xattr */
	bool announce_submounts; /* mounts below the root get own devices */
	bool writeback;
	/* As a guest asks for: with all of these false, set-id bits are
	 * cleared by the host, and of open flags O_NOATIME holds for the host,
	 * O_DIRECT does not. */
	bool no_killpriv;
	bool no_noatime;
	bool direct_io;
	bool no_readdirplus;
	bool no_mmap; /* shared mappings of files that are not cached */
	/* Changes of the host's may be repeated in the guest: base/replay.h.
	 * One ordinary user and group of the guest is lost to that. */
	bool replay;
	/* Owners by other numbers in the guest; borrowed. NULL: the same. */
	const struct fs_idmap *uids;
	const struct fs_idmap *gids;
	/* Extended attributes by other names on the host; borrowed. NULL: the
	 * same. With posix_acl, access control lists keep their names; only
	 * with no_killpriv may security.capability have another. The host
	 * would not know them. */
	const struct fs_xattrmap *xattrmap;
	/* Needs CAP_DAC_READ_SEARCH, and the system calls name_to_handle_at
	 * and open_by_handle_at. What is in the DAX window has a descriptor
	 * all the same. */
	enum virtiofs_file_handles file_handles;
	/*
	 * Bytes of the DAX window, multiple of 2 MiB, up to 32 GiB; 0: none.
	 * Only machines that can show it to the guest take the device.
	 */
	uint64_t dax_size;
	/* Threads for what may wait for a disk, beside one more that serves
	 * meanwhile; 0: all runs on the loop. */
	unsigned workers;
	/* With workers: threads of vCPUs, where the transport has them, serve
	 * what is soon done. They need all that a worker needs. */
	bool vcpus;
	unsigned request_queues; /* 0: 1; at most VIRTIOFS_QUEUES_MAX */
	/* 0: what RLIMIT_NOFILE leaves. Each costs one descriptor; an inode
	 * that is a file handle none, and of those that have to do with one
	 * there are as many as fit, in any case. */
	uint32_t max_inodes;
	uint32_t max_handles;
	uint32_t other_fds; /* that the process takes for other things */
	/* The soft RLIMIT_NOFILE stays as it is; else it is raised to the hard
	 * one, or as far as there is use for. */
	bool keep_nofile;
	/* On each worker before it works ("fs0"); may be NULL. Not 0: the
	 * worker does not run and the device cannot be activated. */
	int (*thread_started)(void *arg, const char *name);
	void *arg;
};

struct virtio_device;

/* NULL: err. Takes the descriptors in every case. */
struct virtio_device *virtiofs_device_new(const struct virtiofs_config *config,
					  struct err *err);

/* Whether it opens file handles, which those who preferred them may not know:
 * it then needs what needs.h says of that. */
bool virtiofs_device_has_handles(const struct virtio_device *dev);

#endif

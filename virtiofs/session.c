/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/xattr.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "virtiofs/attr.h"
#include "virtiofs/dax.h"
#include "virtiofs/fhandle.h"
#include "virtiofs/handle.h"
#include "virtiofs/inode.h"
#include "virtiofs/replay.h"
#include "virtiofs/wait.h"

/* virtio-fs came with 7.31; later than 7.38, replies keep their form. */
#define MINOR_MIN 31u
#define MINOR_OURS 38u
/* 7.39: shared mappings of files without page cache. */
#define DIRECT_IO_ALLOW_MMAP (1ull << 36)

/* Descriptors for requests in flight and the rest of the process. */
#define FD_RESERVE 512u
#define FD_MIN 1024u
#define INODES_DEFAULT (1u << 20)
#define HANDLES_DEFAULT (1u << 16)
/* What there is room for without growth. */
#define FD_TABLE 4096
#define FD_WANTED (FD_RESERVE + INODES_DEFAULT + HANDLES_DEFAULT)

static uint64_t features_wanted(const struct virtiofs_config *config)
{
	uint64_t want = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC |
			FUSE_BIG_WRITES | FUSE_ASYNC_DIO |
			FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 |
			FUSE_MAX_PAGES | FUSE_SETXATTR_EXT |
			FS_CREATE_SUPP_GROUP;

	if (config->cache != VIRTIOFS_CACHE_NEVER)
		want |= FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO;
	if (config->cache == VIRTIOFS_CACHE_AUTO)
		want |= FUSE_AUTO_INVAL_DATA;
	if (config->cache == VIRTIOFS_CACHE_METADATA ||
	    config->cache == VIRTIOFS_CACHE_ALWAYS)
		want |= FUSE_CACHE_SYMLINKS;
	if (config->cache == VIRTIOFS_CACHE_NEVER ||
	    config->cache == VIRTIOFS_CACHE_METADATA)
		want |= DIRECT_IO_ALLOW_MMAP;
	if (config->posix_acl)
		want |= FUSE_POSIX_ACL | FUSE_DONT_MASK;
	if (config->announce_submounts)
		want |= FUSE_SUBMOUNTS;
	if (config->writeback)
		want |= FUSE_WRITEBACK_CACHE;
	if (config->no_killpriv)
		want &= ~(uint64_t)FUSE_HANDLE_KILLPRIV_V2;
	if (config->no_readdirplus)
		want &= ~(uint64_t)(FUSE_DO_READDIRPLUS |
				    FUSE_READDIRPLUS_AUTO);
	if (config->no_mmap)
		want &= ~DIRECT_IO_ALLOW_MMAP;
	if (config->dax_size)
		want |= FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX;
	return want;
}

int fs_init(struct fs_req *req)
{
	const struct fuse_init_in *in = req->args;
	size_t short_len = offsetof(struct fuse_init_in, flags2);
	struct fuse_init_out *out = fs_reply(req, sizeof(*out));
	uint64_t offered = in->flags;
	uint64_t none = 0;
	uint64_t session;

	out->major = FUSE_KERNEL_VERSION;
	out->minor = MINOR_OURS;
	/* A newer major version asks again with ours. */
	if (in->major > FUSE_KERNEL_VERSION)
		return 0;
	if (in->major < FUSE_KERNEL_VERSION || in->minor < MINOR_MIN)
		return -EPROTO;
	if (req->args_len < short_len)
		return -EINVAL;
	if ((offered & FUSE_INIT_EXT) && req->args_len >= sizeof(*in))
		offered |= (uint64_t)in->flags2 << 32;
	session = offered & features_wanted(&req->fs->config);
	/* A guest that was started again without a word about it. */
	if (atomic_load(&req->fs->session))
		virtiofs_reset(req->fs);
	/* The mark of a session, whether the guest has the feature or not. */
	if (!atomic_compare_exchange_strong(&req->fs->session, &none,
					    session | FUSE_INIT_EXT))
		return -EINVAL;
	/* A guest takes no more than it has set itself, by the time that this
	 * comes; the agent sets more after the mount. */
	out->max_readahead = FS_MAX_WRITE;
	out->flags = (uint32_t)session | (in->flags & FUSE_INIT_EXT);
	out->flags2 = (uint32_t)(session >> 32);
	out->max_background = 64;
	out->congestion_threshold = 48;
	out->max_write = FS_MAX_WRITE;
	out->max_pages = FS_MAX_PAGES;
	out->time_gran = 1;
	if (session & FUSE_MAP_ALIGNMENT)
		out->map_alignment = FS_DAX_SHIFT;
	return 0;
}

void virtiofs_reset(struct virtiofs *fs)
{
	fs_handles_close_all(fs);
	fs_dax_reset(fs);
	fs_inodes_forget_all(fs);
	fs_waits_forget(&fs->waits);
	atomic_store(&fs->session, 0);
}

int fs_destroy(struct fs_req *req)
{
	virtiofs_reset(req->fs);
	return 0;
}

int fs_forget(struct fs_req *req)
{
	const struct fuse_forget_in *in = req->args;

	fs_inode_forget(req->fs, req->in.nodeid, in->nlookup);
	return 0;
}

/*
 * A chain can say that it has gigabytes, of the same page again and again, and
 * this runs on the loop: so no more than in one write, and in large pieces.
 */
int fs_batch_forget(struct fs_req *req)
{
	size_t pos = sizeof(req->in) + sizeof(struct fuse_batch_forget_in);
	const struct fuse_batch_forget_in *in = req->args;
	size_t left = MIN(req->body_len - sizeof(*in), (size_t)FS_MAX_WRITE);
	const struct fuse_forget_one *ones = req->reply;
	size_t part;

	if (in->count > left / sizeof(*ones)) {
		fs_fault(req->fs, "batch forget: %u of %zu", in->count,
			 left / sizeof(*ones));
		return -EINVAL;
	}
	for (left = in->count * sizeof(*ones); left; left -= part) {
		part = MIN(left, FS_REPLY_MAX / sizeof(*ones) * sizeof(*ones));
		if (virtq_chain_read(req->chain, pos, req->reply, part) != part)
			return -EINVAL;
		pos += part;
		for (size_t i = 0; i < part / sizeof(*ones); i++)
			fs_inode_forget(req->fs, ones[i].nodeid,
					ones[i].nlookup);
	}
	return 0;
}

/* What is left beside open files is for inodes that have no handle. */
static int held_limit(struct virtiofs *fs, uint64_t limit, uint64_t room,
		      struct err *err)
{
	struct virtiofs_config *config = &fs->config;
	/* What is mapped stays open, an inode a slot at the most. */
	uint64_t slots = config->dax_size / FS_DAX_SLOT;

	if (config->max_handles + slots > room)
		return err_set(err, EMFILE,
			       "%u handles and %llu slots of the DAX window do "
			       "not fit in RLIMIT_NOFILE %llu",
			       config->max_handles, (unsigned long long)slots,
			       (unsigned long long)limit);
	room -= config->max_handles + slots;
	if (!config->max_inodes)
		config->max_inodes = INODES_DEFAULT;
	/* And the root. */
	fs->held_max = 1 + (uint32_t)MIN(room, (uint64_t)UINT32_MAX - 1);
	return 0;
}

/* What the descriptor limit leaves, in one part for open files and three for
 * inodes. */
static int limits_set(struct virtiofs *fs, struct err *err)
{
	struct virtiofs_config *config = &fs->config;
	struct rlimit rlim;
	uint64_t room;

	if (getrlimit(RLIMIT_NOFILE, &rlim))
		return err_sys(err, "RLIMIT_NOFILE");
	if (!config->keep_nofile &&
	    rlim.rlim_cur < MIN(rlim.rlim_max, (rlim_t)FD_WANTED)) {
		rlim.rlim_cur = MIN(rlim.rlim_max, (rlim_t)FD_WANTED);
		if (setrlimit(RLIMIT_NOFILE, &rlim))
			return err_sys(err, "RLIMIT_NOFILE");
	}
	if (rlim.rlim_cur < FD_MIN)
		return err_set(err, EMFILE,
			       "RLIMIT_NOFILE is %llu, need at least %u",
			       (unsigned long long)rlim.rlim_cur, FD_MIN);
	room = rlim.rlim_cur - FD_RESERVE;
	room -= MIN(room / 2, (uint64_t)config->other_fds);
	if (!config->max_handles)
		config->max_handles =
			(uint32_t)MIN(room / 4, (uint64_t)HANDLES_DEFAULT);
	if (config->file_handles != VIRTIOFS_HANDLES_NEVER)
		return held_limit(fs, rlim.rlim_cur, room, err);
	if (config->max_handles < room && !config->max_inodes)
		config->max_inodes = (uint32_t)MIN(room - config->max_handles,
						   (uint64_t)INODES_DEFAULT);
	if ((uint64_t)config->max_inodes + config->max_handles > room ||
	    !config->max_inodes)
		return err_set(err, EMFILE,
			       "%u inodes and %u handles do not fit in "
			       "RLIMIT_NOFILE %llu",
			       config->max_inodes, config->max_handles,
			       (unsigned long long)rlim.rlim_cur);
	return 0;
}

/*
 * The kernel's table of descriptors grows by doubling; while there are threads,
 * it waits each time until all processors have seen the old one for the last
 * time, some 20 ms (expand_fdtable). It never shrinks.
 */
static void table_grow(const struct virtiofs *fs)
{
	int fd = fcntl(fs->root_fd, F_DUPFD_CLOEXEC, FD_TABLE - 1);

	/* With less of a limit, it is as it is. */
	if (fd >= 0)
		close(fd);
}

static int root_add(struct virtiofs *fs, struct err *err)
{
	struct statx stx;
	int ret = fs_stat(fs->root_fd, &stx);
	int fd;

	if (ret)
		return err_ret(err, ret, "root directory");
	if (!S_ISDIR(stx.stx_mode))
		return err_set(err, ENOTDIR, "root directory");
	if (!(stx.stx_mask & STATX_MNT_ID))
		return err_set(err, ENOSYS,
			       "statx has no mount ids; Linux 5.8 is needed");
	fd = fcntl(fs->root_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "root directory");
	ret = fs_inode_add(fs, fd, &stx, &fs->root_id);
	if (ret)
		return err_ret(err, ret, "root directory");
	BUG_ON(fs->root_id != FUSE_ROOT_ID);
	return 0;
}

/*
 * That of a parent process would lead to the files that have our numbers
 * there. A pipe is nobody's but ours.
 */
static int proc_check(const struct virtiofs *fs, struct err *err)
{
	struct stat ours;
	struct stat seen;
	char name[16];
	int ends[2];
	bool good;

	if (pipe2(ends, O_CLOEXEC))
		return err_sys(err, "pipe");
	snprintf(name, sizeof(name), "%d", ends[0]);
	good = fstat(ends[0], &ours) == 0 &&
	       fstatat(fs->proc_fd, name, &seen, 0) == 0 &&
	       ours.st_dev == seen.st_dev && ours.st_ino == seen.st_ino;
	close(ends[0]);
	close(ends[1]);
	return good ? 0
		    : err_set(err, EBADF,
			      "proc directory: not this process's "
			      "/proc/self/fd");
}

static int proc_open(struct virtiofs *fs, struct err *err)
{
	if (fs->proc_fd < 0)
		fs->proc_fd =
			open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fs->proc_fd < 0)
		return err_sys(err, "open /proc/self/fd");
	return proc_check(fs, err);
}

/* Both ways, as the name is the same for guest and host. */
static bool keeps_name(const struct fs_xattrmap *map, const char *name)
{
	char buf[FS_XATTR_NAME];
	const char *there;
	int error;

	there = fs_xattr_to_host(map, name, buf, &error);
	if (!there || strcmp(there, name) != 0)
		return false;
	there = fs_xattr_to_guest(map, name);
	return there && strcmp(there, name) == 0;
}

/*
 * Who writes to a file takes its capabilities away; under another name the host
 * does not (CVE-2021-20263), so that the guest has to. Lists under another name
 * would not be what the host acts on.
 */
static int xattrmap_check(const struct virtiofs_config *config, struct err *err)
{
	static const char *const lists[] = {
		XATTR_NAME_POSIX_ACL_ACCESS,
		XATTR_NAME_POSIX_ACL_DEFAULT,
	};
	const struct fs_xattrmap *map = config->xattrmap;
	char buf[FS_XATTR_NAME];
	const char *name;
	int error;

	if (!map)
		return 0;
	for (size_t i = 0; config->posix_acl && i < ARRAY_SIZE(lists); i++) {
		if (!keeps_name(map, lists[i]))
			return err_set(err, EINVAL,
				       "xattrmap: %s has to keep its name for "
				       "posix_acl",
				       lists[i]);
	}
	name = fs_xattr_to_host(map, XATTR_NAME_CAPS, buf, &error);
	if (name && strcmp(name, XATTR_NAME_CAPS) != 0 && !config->no_killpriv)
		return err_set(err, EINVAL,
			       "%s under another name does not go with "
			       "killpriv",
			       XATTR_NAME_CAPS);
	return 0;
}

static int server_open(struct virtiofs *fs, struct err *err)
{
	int ret;

	if (fs->config.posix_acl && !fs->config.xattr)
		return err_set(err, EINVAL, "posix_acl needs xattr");
	if ((unsigned)fs->config.cache > VIRTIOFS_CACHE_ALWAYS)
		return err_set(err, EINVAL, "cache policy %d",
			       (int)fs->config.cache);
	ret = xattrmap_check(&fs->config, err);
	if (ret)
		return ret;
	if (fs->root_fd < 0)
		return err_set(err, EBADF, "root directory");
	if (fs->config.dax_size % FS_DAX_SLOT ||
	    fs->config.dax_size > FS_DAX_SIZE_MAX)
		return err_set(err, EINVAL,
			       "DAX window of %llu bytes: not a multiple of "
			       "2 MiB up to 32 GiB",
			       (unsigned long long)fs->config.dax_size);
	/* The limits are others where there are no file handles. */
	ret = proc_open(fs, err);
	if (!ret)
		ret = fs_fhandles_init(fs, err);
	if (!ret)
		ret = limits_set(fs, err);
	if (ret)
		return ret;
	table_grow(fs);
	ret = fs_inodes_init(fs, fs->config.max_inodes);
	if (!ret)
		ret = fs_handles_init(fs, fs->config.max_handles);
	if (ret)
		return err_ret(err, ret, "inode and handle tables");
	if (fs->config.dax_size)
		ret = fs_dax_init(fs, fs->config.dax_size);
	if (ret)
		return err_ret(err, ret, "DAX window");
	ret = fs->config.replay ? fs_replay_init(fs) : 0;
	return ret ? err_ret(err, ret, "replay") : root_add(fs, err);
}

struct virtiofs *virtiofs_new(const struct virtiofs_config *config,
			      struct err *err)
{
	AUTO_FD int root_fd = config->root_fd;
	AUTO_FD int proc_fd = config->proc_fd;
	struct virtiofs *fs = calloc(1, sizeof(*fs));

	if (!fs) {
		err_set(err, ENOMEM, "virtio-fs server");
		return NULL;
	}
	fs->config = *config;
	fs->root_fd = steal_fd(&root_fd);
	fs->proc_fd = steal_fd(&proc_fd);
	pthread_mutex_init(&fs->fault_lock, NULL);
	fs_waits_init(&fs->waits);
	fs_closer_init(&fs->closer);
	if (server_open(fs, err)) {
		virtiofs_free(fs);
		return NULL;
	}
	umask(0);
	/* A limit for the size of files is an error for the guest, no end. */
	signal(SIGXFSZ, SIG_IGN);
	return fs;
}

void virtiofs_free(struct virtiofs *fs)
{
	struct fs_inode *root;

	if (!fs)
		return;
	if (fs->root_id) {
		virtiofs_reset(fs);
		root = fs_inode_get(fs, fs->root_id);
		fs_inode_put(fs, root);
		fs_inode_put(fs, root);
	}
	fs_handles_release(fs);
	fs_inodes_release(fs);
	fs_fhandles_release(fs);
	fs_replay_release(fs);
	fs_dax_release(fs);
	if (fs->root_fd >= 0)
		close(fs->root_fd);
	if (fs->proc_fd >= 0)
		close(fs->proc_fd);
	fs_waits_release(&fs->waits);
	fs_closer_release(&fs->closer);
	pthread_mutex_destroy(&fs->fault_lock);
	free(fs);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * FUSE requests of a hostile guest against a small tree in memory.
 *
 *	input:	options (1), record...
 *	record:	opcode (1), node (1), readable cut (1), writable size (1),
 *		length (2, little-endian), arguments
 *
 * Options are ACLs (bit 0), the agent that repeats (1), other owners (2), some
 * attributes under other names (3).
 * `node` picks a number that is or was valid, or, from 0xf0 on, a made-up one.
 * Opcodes from 0x80 to 0xef are those of the agent that repeats what the host
 *did (virtiofs/replay.h). Opcode 0xff stands for raw bytes instead of a header.
 *Opcode 0xfe changes a file behind the server's back, 0xfd is the guest's
 *kernel in the DAX window, 0xfc this process there. The oracle: sanitizers, a
 *reply that fits, a file beside the tree that never changes, and no way out of
 *the window.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/replay.h"
#include "virtiofs/dax.h"
#include "virtiofs/idmap.h"
#include "virtiofs/server.h"
#include "virtiofs/xattrmap.h"

#define RECORD 6u
#define REQUESTS_MAX 64u
#define OUT_MAX 8192u
#define DAX_SLOTS 4u

static char top[64];
static int top_fd = -1;
static struct fs_xattrmap names;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void remove_top(void)
{
	if (remove_tree(AT_FDCWD, top) < 0)
		fprintf(stderr, "cannot remove %s\n", top);
}

static void file_make(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write_full(fd, text, strlen(text)) < 0)
		BUG("%s: %s", name, strerror(errno));
	close(fd);
}

/* File sizes are limited, so that a sparse file is all a request can make. */
static void start(void)
{
	struct rlimit limit = {1 << 24, 1 << 24};
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(top, sizeof(top), "%s/nacre-fuzz-XXXXXX", base);
	if (!mkdtemp(top))
		BUG("mkdtemp: %s", strerror(errno));
	atexit(remove_top);
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file_make(top_fd, "secret", "untouched");
	setrlimit(RLIMIT_FSIZE, &limit);
	signal(SIGXFSZ, SIG_IGN);
	if (fs_xattrmap_parse(&names, ":prefix:all:user.a:user.b.::ok:all:::"))
		BUG("the map of attributes");
	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_TEXT, LOG_DEBUG,
		 "fuzz");
}

static int tree_make(void)
{
	int dir;

	if (mkdirat(top_fd, "tree", 0755) < 0)
		BUG("tree: %s", strerror(errno));
	dir = openat(top_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file_make(dir, "a", "hello");
	if (mkdirat(dir, "d", 0755) < 0 ||
	    symlinkat("../secret", dir, "s") < 0 ||
	    mkfifoat(dir, "p", 0644) < 0)
		BUG("tree: %s", strerror(errno));
	file_make(dir, "d/b", "world");
	return dir;
}

static void secret_check(void)
{
	struct stat st;

	if (fstatat(top_fd, "secret", &st, 0) < 0 || st.st_size != 9 ||
	    (st.st_mode & 07777) != 0644 || st.st_nlink != 1)
		BUG("the secret changed");
}

static void request_run(struct fs_thread *thread, struct virtq_chain *chain,
			const uint8_t *record, const uint8_t *args, size_t len)
{
	static uint8_t in[sizeof(struct fuse_in_header) + UINT16_MAX];
	static uint8_t out[OUT_MAX];
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + len),
		.opcode = record[0],
		.unique = 1,
		.nodeid = record[1] < 0xf0 ? record[1] : UINT64_MAX / record[1],
	};
	size_t in_len = sizeof(head) + len;
	size_t cut = record[2];
	bool done = false;
	uint32_t written;
	int least;

	if (record[0] >= 0x80 && record[0] < 0xf0) {
		head.opcode &= 0x7f;
		head.uid = REPLAY_UID;
		head.gid = REPLAY_GID;
	}
	memcpy(in, &head, sizeof(head));
	memcpy(in + sizeof(head), args, len);
	if (record[0] == 0xff) {
		memcpy(in, args, len);
		in_len = len;
	}
	cut = MIN(cut, in_len);
	chain->iov[0] = (struct iovec){in, cut};
	chain->iov[1] = (struct iovec){in + cut, in_len - cut};
	chain->nread = 2;
	chain->read_len = in_len;
	chain->write_len = (size_t)record[3] * 32;
	chain->iov[2] = (struct iovec){out, chain->write_len / 3};
	chain->iov[3] = (struct iovec){
		out + chain->write_len / 3,
		chain->write_len - chain->write_len / 3,
	};
	chain->nwrite = 2;
	/* As the device does. */
	least = virtiofs_begin(thread, chain);
	if (least == -EPROTO)
		return;
	if (least < 0 || least > FS_PATIENT)
		BUG("least %d", least);
	for (enum fs_patience p = FS_NOWAIT; !done && p <= FS_PATIENT; p++)
		done = virtiofs_try(thread, p, &written);
	if (!done || written > chain->write_len)
		BUG("done %d, written %u", done, written);
}

static void session_start(struct fs_thread *thread, struct virtq_chain *chain)
{
	struct fuse_init_in in = {
		.major = 7,
		.minor = 38,
		.flags = UINT32_MAX,
		.flags2 = UINT32_MAX,
	};
	const uint8_t record[RECORD] = {FUSE_INIT, 0, 40, 255};
	const uint8_t lookup[RECORD] = {FUSE_LOOKUP, 1, 40, 255};

	request_run(thread, chain, record, (const uint8_t *)&in, sizeof(in));
	request_run(thread, chain, lookup, (const uint8_t *)"a", 2);
	request_run(thread, chain, lookup, (const uint8_t *)"d", 2);
	request_run(thread, chain, lookup, (const uint8_t *)"s", 2);
	request_run(thread, chain, lookup, (const uint8_t *)"p", 2);
}

static bool skipped(uint8_t opcode, const uint8_t *args, size_t len)
{
	struct fuse_fallocate_in in;

	/* Writes back the whole host; space that is really taken. */
	if (opcode == FUSE_FALLOCATE && len >= sizeof(in)) {
		memcpy(&in, args, sizeof(in));
		return in.offset > 1 << 24 || in.length > 1 << 24;
	}
	return opcode == FUSE_SYNCFS;
}

/* The host cuts a file short, or makes it longer. */
static void file_resize(const uint8_t *record)
{
	int fd = openat(top_fd, record[1] & 1 ? "tree/a" : "tree/d/b",
			O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	/* What the guest made of the name may be anything. */
	if (fd >= 0 && ftruncate(fd, (off_t)record[2] << 14))
		BUG_ON(errno != EINVAL);
	if (fd >= 0)
		close(fd);
}

/* Any word of the window; both kinds of fault are met and survived. */
static void window_touch(struct virtiofs *fs, const uint8_t *record)
{
	struct mem_window *w = fs_dax_window(fs);
	volatile uint8_t *at =
		w->host + (w->size >> 8) * record[1] + (size_t)record[2] * 16;

	if (record[3] & 1)
		*at = record[3];
	else
		(void)*at;
}

/* Behind the protocol. False: it is a request. */
static bool happening(struct virtiofs *fs, const uint8_t *record)
{
	switch (record[0]) {
	case 0xfe:
		file_resize(record);
		return true;
	case 0xfd:
		(void)fs_dax_fault(fs);
		return true;
	case 0xfc:
		window_touch(fs, record);
		return true;
	default:
		return false;
	}
}

static void requests_run(struct fs_thread *thread, struct virtq_chain *chain,
			 const uint8_t *data, size_t size)
{
	for (unsigned i = 0; i < REQUESTS_MAX && size >= RECORD; i++) {
		size_t len = (size_t)data[4] | (size_t)data[5] << 8;
		const uint8_t *args = data + RECORD;

		len = MIN(len, size - RECORD);
		if (!happening(thread->fs, data) &&
		    !skipped(data[0], args, len))
			request_run(thread, chain, data, args, len);
		data += RECORD + len;
		size -= RECORD + len;
	}
}

/* Nobody but root keeps their number, and one is forbidden. */
static const struct fs_idmap others = {
	.to_host = {2,
		    {{1, 100001, 65535, false}, {65536, UINT32_MAX, 1, true}}},
	.to_guest = {1, {{100001, 1, 65535, false}}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtiofs_config config = {
		.proc_fd = -1,
		.cache = VIRTIOFS_CACHE_AUTO,
		.xattr = true,
		.max_inodes = 32,
		.max_handles = 16,
		.dax_size = DAX_SLOTS * FS_DAX_SLOT,
	};
	struct virtq_chain *chain = calloc(1, sizeof(*chain));
	struct fs_thread *thread;
	struct virtiofs *fs;
	struct err err;
	int dir;

	if (top_fd < 0)
		start();
	if (size > 0) {
		config.posix_acl = data[0] & 1;
		config.replay = data[0] & 2;
		if (data[0] & 4)
			config.uids = config.gids = &others;
		if (data[0] & 8)
			config.xattrmap = &names;
	}
	dir = tree_make();
	config.root_fd = dir;
	fs = virtiofs_new(&config, &err);
	if (!fs)
		BUG("%s", err.text);
	thread = fs_thread_new(fs, false);
	BUG_ON(!thread || !chain);
	session_start(thread, chain);
	requests_run(thread, chain, data + (size > 0), size - (size > 0));
	fs_thread_free(thread);
	virtiofs_free(fs);
	free(chain);
	secret_check();
	if (remove_tree(top_fd, "tree") < 0)
		BUG("cannot remove the tree");
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_VIRTIOFS_CLIENT_H
#define TESTS_UNIT_VIRTIOFS_CLIENT_H

/*
 * The guest's side of the FUSE server, for tests: requests in plain memory,
 * cut into uneven segments, on a fresh directory of the host.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "virtiofs/server.h"

#define CLIENT_BUF ((1u << 20) + 4096)

struct client {
	char path[80]; /* of the tree; its parent directory is ours, too */
	char top[64];
	int dir; /* of the tree, for the host's view */
	struct virtiofs *fs;
	struct fs_thread *thread;
	struct virtq_chain *chain;
	uint8_t *in;
	uint8_t *out;
	size_t reply_room; /* bytes after the header; SIZE_MAX: plenty */
	uint32_t uid;
	uint32_t gid;
	uint64_t unique;
	uint64_t features; /* of INIT's reply */
	int ret;	   /* of virtiofs_handle */
	uint32_t written;
};

static inline void *client_body(struct client *c)
{
	return c->out + sizeof(struct fuse_out_header);
}

/* Cuts [buf, buf + len) into segments of 1, 40, 7, then the rest. */
static inline unsigned client_cut(struct iovec *iov, uint8_t *buf, size_t len)
{
	static const size_t cuts[] = {1, 40, 7, SIZE_MAX};
	unsigned n = 0;

	for (unsigned i = 0; i < 4 && len; i++) {
		size_t part = MIN(cuts[i], len);

		iov[n++] = (struct iovec){buf, part};
		buf += part;
		len -= part;
	}
	return n;
}

/* Sends in_len bytes of c->in as they are. */
static inline int client_raw(struct client *c, size_t in_len, size_t out_len)
{
	c->chain->nread = client_cut(c->chain->iov, c->in, in_len);
	c->chain->nwrite =
		client_cut(c->chain->iov + c->chain->nread, c->out, out_len);
	c->chain->read_len = in_len;
	c->chain->write_len = out_len;
	memset(c->out, 0xee, MIN(out_len, (size_t)4096));
	c->ret = virtiofs_handle(c->thread, c->chain, &c->written);
	return c->ret;
}

/*
 * One request: a fixed part and what follows it. The bytes of the reply after
 * its header, or its error.
 */
static inline int client_call(struct client *c, uint32_t opcode, uint64_t node,
			      const void *arg, size_t len, const void *more,
			      size_t more_len)
{
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + len + more_len),
		.opcode = opcode,
		.unique = ++c->unique,
		.nodeid = node,
		.uid = c->uid,
		.gid = c->gid,
	};
	size_t room =
		MIN(c->reply_room, CLIENT_BUF - sizeof(struct fuse_out_header));
	struct fuse_out_header reply;

	assert_true(head.len <= CLIENT_BUF);
	memcpy(c->in, &head, sizeof(head));
	if (len)
		memcpy(c->in + sizeof(head), arg, len);
	if (more_len)
		memcpy(c->in + sizeof(head) + len, more, more_len);
	assert_int_equal(client_raw(c, head.len, sizeof(reply) + room), 0);
	if (c->written == 0)
		return 0;
	memcpy(&reply, c->out, sizeof(reply));
	assert_true(reply.unique == c->unique);
	assert_true(reply.len == c->written);
	assert_true(reply.len >= sizeof(reply));
	if (reply.error)
		assert_int_equal(reply.len, sizeof(reply));
	assert_true(reply.error <= 0 && reply.error > -512);
	return reply.error ? reply.error : (int)(reply.len - sizeof(reply));
}

static inline int client_name(struct client *c, uint32_t opcode, uint64_t node,
			      const char *name)
{
	return client_call(c, opcode, node, name, strlen(name) + 1, NULL, 0);
}

static inline int client_init(struct client *c, uint64_t flags)
{
	struct fuse_init_in in = {
		.major = 7,
		.minor = 38,
		.max_readahead = 65536,
		.flags = (uint32_t)flags | FUSE_INIT_EXT,
		.flags2 = (uint32_t)(flags >> 32),
	};
	struct fuse_init_out out;
	int n = client_call(c, FUSE_INIT, 0, &in, sizeof(in), NULL, 0);

	if (n < 0)
		return n;
	assert_int_equal(n, sizeof(out));
	memcpy(&out, client_body(c), sizeof(out));
	c->features = out.flags | (uint64_t)out.flags2 << 32;
	return 0;
}

static inline struct client *client_new(struct virtiofs_config *config)
{
	struct client *c = calloc(1, sizeof(*c));
	struct err err;

	assert_non_null(c);
	snprintf(c->top, sizeof(c->top), "/tmp/nacre-fs-XXXXXX");
	assert_non_null(mkdtemp(c->top));
	assert_int_equal(chmod(c->top, 0755), 0);
	snprintf(c->path, sizeof(c->path), "%s/tree", c->top);
	assert_int_equal(mkdir(c->path, 0755), 0);
	c->dir = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	config->root_fd = open(c->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	config->proc_fd = -1;
	c->fs = virtiofs_new(config, &err);
	if (!c->fs)
		fail_msg("%s", err.text);
	c->thread = fs_thread_new(c->fs, false);
	c->chain = calloc(1, sizeof(*c->chain));
	c->in = calloc(1, CLIENT_BUF);
	c->out = calloc(1, CLIENT_BUF);
	assert_true(c->thread && c->chain && c->in && c->out);
	c->reply_room = SIZE_MAX;
	c->uid = getuid();
	c->gid = getgid();
	return c;
}

/* With everything switched on, and INIT done. */
static inline struct client *client_started(enum virtiofs_cache cache)
{
	struct virtiofs_config config = {
		.cache = cache,
		.xattr = true,
	};
	struct client *c = client_new(&config);

	assert_int_equal(client_init(c, ~(uint64_t)FUSE_WRITEBACK_CACHE), 0);
	return c;
}

static inline void client_free(struct client *c)
{
	fs_thread_free(c->thread);
	virtiofs_free(c->fs);
	close(c->dir);
	assert_int_equal(remove_tree(AT_FDCWD, c->top), 0);
	free(c->chain);
	free(c->in);
	free(c->out);
	free(c);
}

/* Calls that succeed, or fail the test with the error's name. ---------------
 */

static inline uint64_t client_entry(struct client *c, int n)
{
	struct fuse_entry_out *out = client_body(c);

	if (n < (int)sizeof(*out))
		fail_msg("no entry: %s", strerror(n < 0 ? -n : EPROTO));
	return out->nodeid;
}

static inline uint64_t client_lookup(struct client *c, uint64_t dir,
				     const char *name)
{
	return client_entry(c, client_name(c, FUSE_LOOKUP, dir, name));
}

static inline int client_open(struct client *c, uint32_t opcode, uint64_t node,
			      uint32_t flags, uint64_t *fh)
{
	struct fuse_open_in in = {.flags = flags};
	struct fuse_open_out *out = client_body(c);
	int n = client_call(c, opcode, node, &in, sizeof(in), NULL, 0);

	if (n < 0)
		return n;
	assert_int_equal(n, sizeof(*out));
	*fh = out->fh;
	return 0;
}

static inline int client_create(struct client *c, uint64_t dir,
				const char *name, uint32_t flags, uint32_t mode,
				uint64_t *node, uint64_t *fh)
{
	struct fuse_create_in in = {.flags = flags | O_CREAT, .mode = mode};
	struct fuse_entry_out *entry = client_body(c);
	struct fuse_open_out *out = (void *)(entry + 1);
	int n = client_call(c, FUSE_CREATE, dir, &in, sizeof(in), name,
			    strlen(name) + 1);

	if (n < 0)
		return n;
	assert_int_equal(n, sizeof(*entry) + sizeof(*out));
	*node = entry->nodeid;
	*fh = out->fh;
	return 0;
}

static inline int client_read(struct client *c, uint64_t node, uint64_t fh,
			      uint64_t offset, uint32_t size)
{
	struct fuse_read_in in = {.fh = fh, .offset = offset, .size = size};

	return client_call(c, FUSE_READ, node, &in, sizeof(in), NULL, 0);
}

static inline int client_write(struct client *c, uint64_t node, uint64_t fh,
			       uint64_t offset, const void *data, uint32_t size,
			       uint32_t flags)
{
	struct fuse_write_in in = {
		.fh = fh, .offset = offset, .size = size, .write_flags = flags};
	struct fuse_write_out *out = client_body(c);
	int n = client_call(c, FUSE_WRITE, node, &in, sizeof(in), data, size);

	if (n < 0)
		return n;
	assert_int_equal(n, sizeof(*out));
	return (int)out->size;
}

static inline int client_release(struct client *c, uint32_t opcode,
				 uint64_t node, uint64_t fh)
{
	struct fuse_release_in in = {.fh = fh};

	return client_call(c, opcode, node, &in, sizeof(in), NULL, 0);
}

static inline int client_getattr(struct client *c, uint64_t node,
				 struct fuse_attr *attr)
{
	struct fuse_getattr_in in = {0};
	struct fuse_attr_out *out = client_body(c);
	int n = client_call(c, FUSE_GETATTR, node, &in, sizeof(in), NULL, 0);

	if (n >= 0 && attr)
		*attr = out->attr;
	return n < 0 ? n : 0;
}

static inline int client_setattr(struct client *c, uint64_t node,
				 const struct fuse_setattr_in *in)
{
	int n = client_call(c, FUSE_SETATTR, node, in, sizeof(*in), NULL, 0);

	return n < 0 ? n : 0;
}

/* Files of the host. */
static inline void client_host_file(struct client *c, const char *name,
				    const char *text)
{
	int fd = openat(c->dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, text, strlen(text)), 0);
	close(fd);
}

/* Owners and modes on the host. -------------------------------------------- */

#define GUEST_UID 1234
#define GUEST_GID 2345

/* A user of the guest; NULL: it takes root to be one. */
static inline struct client *client_of_user(void)
{
	struct client *c;

	if (geteuid() != 0)
		return NULL;
	c = client_started(VIRTIOFS_CACHE_AUTO);
	assert_int_equal(fchmod(c->dir, 0755), 0);
	c->uid = GUEST_UID;
	c->gid = GUEST_GID;
	return c;
}

static inline void client_owner(struct client *c, const char *name, uid_t uid,
				gid_t gid)
{
	struct stat st;

	assert_int_equal(fstatat(c->dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

static inline mode_t client_mode(struct client *c, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(c->dir, name, &st, 0), 0);
	return st.st_mode & 07777;
}

#endif

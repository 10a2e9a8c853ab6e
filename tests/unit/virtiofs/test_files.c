/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/client.h"

#include <sys/mman.h>
#include <sys/xattr.h>

#include "virtiofs/attr.h"
#include "virtiofs/io.h"

static void test_attributes(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_entry_out *entry = client_body(c);
	struct fuse_attr attr;
	struct stat st;
	uint64_t node;

	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	assert_true(entry->entry_valid == 1 && entry->attr_valid == 1);
	assert_int_equal(client_getattr(c, node, &attr), 0);
	assert_int_equal(fstatat(c->dir, "f", &st, 0), 0);
	assert_true(attr.ino == st.st_ino && attr.size == 5);
	assert_true(attr.mode == st.st_mode && attr.nlink == 1);
	assert_true(attr.blocks == (uint64_t)st.st_blocks);
	assert_true(attr.mtime == (uint64_t)st.st_mtim.tv_sec);
	assert_true(attr.mtimensec == (uint32_t)st.st_mtim.tv_nsec);
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, "g"), -ENOENT);
	assert_int_equal(client_name(c, FUSE_LOOKUP, node, "g"), -ENOTDIR);
	client_free(c);
}

static void test_timeouts(void **state)
{
	static const uint64_t expect[] = {0, 1, 86400, 86400};
	static const uint32_t flags[] = {FOPEN_DIRECT_IO, 0, FOPEN_DIRECT_IO,
					 FOPEN_KEEP_CACHE};

	for (unsigned i = 0; i < 4; i++) {
		struct client *c = client_started((enum virtiofs_cache)i);
		struct fuse_entry_out *entry = client_body(c);
		struct fuse_open_out *open_out = client_body(c);
		uint64_t node;
		uint64_t fh;

		client_host_file(c, "f", "x");
		node = client_lookup(c, 1, "f");
		assert_true(entry->attr_valid == expect[i]);
		assert_int_equal(client_open(c, FUSE_OPEN, node, 0, &fh), 0);
		assert_int_equal(open_out->open_flags &
					 (FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE),
				 flags[i]);
		client_free(c);
	}
}

static void assert_time(const struct fs_sx_time *time,
			const struct statx_timestamp *host)
{
	assert_true(time->sec == host->tv_sec);
	assert_int_equal(time->nsec, host->tv_nsec);
}

static void test_statx(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fs_statx_in in = {.sx_mask = STATX_BASIC_STATS | STATX_BTIME};
	struct fs_statx_out *out = client_body(c);
	struct statx host;
	uint64_t node;

	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	assert_int_equal(
		client_call(c, FS_STATX, node, &in, sizeof(in), NULL, 0), 288);
	assert_int_equal(
		statx(c->dir, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &host),
		0);
	assert_int_equal(out->attr_valid, 1);
	assert_int_equal(out->stat.mask,
			 host.stx_mask & (STATX_BASIC_STATS | STATX_BTIME));
	assert_true(out->stat.ino == host.stx_ino);
	assert_int_equal(out->stat.size, 5);
	assert_int_equal(out->stat.mode, host.stx_mode);
	assert_int_equal(out->stat.nlink, 1);
	assert_true((out->stat.attributes & ~host.stx_attributes) == 0);
	assert_time(&out->stat.atime, &host.stx_atime);
	assert_time(&out->stat.btime, &host.stx_btime);
	assert_time(&out->stat.ctime, &host.stx_ctime);
	assert_time(&out->stat.mtime, &host.stx_mtime);
	in.sx_flags = AT_STATX_SYNC_TYPE;
	assert_int_equal(
		client_call(c, FS_STATX, node, &in, sizeof(in), NULL, 0),
		-EINVAL);
	assert_int_equal(client_call(c, FS_STATX, 99, &in, sizeof(in), NULL, 0),
			 -ESTALE);
	assert_int_equal(
		client_call(c, FS_STATX, node, &in, sizeof(in) - 1, NULL, 0),
		-EINVAL);
	client_free(c);
}

static bool closes_silently(struct client *c, int fd, int flags)
{
	struct fuse_open_out out = {0};

	assert_int_equal(fs_file_add(c->fs, dup(fd), flags, 1, &out), 0);
	return (out.open_flags & FOPEN_NOFLUSH) != 0;
}

/* Who wrote asks for late errors, where there can be one. */
static void test_flushes(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_open_out *out = client_body(c);
	int memory = memfd_create("tmpfs", MFD_CLOEXEC);
	int other = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	bool silent = closes_silently(c, c->dir, O_RDWR);
	uint64_t node;
	uint64_t fh;

	assert_true(memory >= 0 && other >= 0);
	assert_true(closes_silently(c, memory, O_RDWR));
	assert_true(closes_silently(c, other, O_RDONLY));
	assert_false(closes_silently(c, other, O_WRONLY));
	assert_false(closes_silently(c, other, O_RDWR));
	assert_false(closes_silently(c, -1, O_RDWR));
	client_host_file(c, "f", "x");
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &fh), 0);
	assert_true(out->open_flags & FOPEN_NOFLUSH);
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDWR, &fh), 0);
	assert_int_equal((out->open_flags & FOPEN_NOFLUSH) != 0, silent);
	close(memory);
	close(other);
	client_free(c);
}

static void test_setattr(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_setattr_in in = {0};
	struct stat st;
	uint64_t node;
	uint64_t fh;

	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	in = (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 0100640};
	assert_int_equal(client_setattr(c, node, &in), 0);
	in = (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = 3};
	assert_int_equal(client_setattr(c, node, &in), 0);
	in = (struct fuse_setattr_in){
		.valid = FATTR_MTIME, .mtime = 1000, .mtimensec = 5};
	assert_int_equal(client_setattr(c, node, &in), 0);
	assert_int_equal(fstatat(c->dir, "f", &st, 0), 0);
	assert_true((st.st_mode & 07777) == 0640 && st.st_size == 3);
	assert_true(st.st_mtim.tv_sec == 1000 && st.st_mtim.tv_nsec == 5);
	/* Before 1970. */
	in.mtime = (uint64_t)-1000;
	assert_int_equal(client_setattr(c, node, &in), 0);
	assert_int_equal(fstatat(c->dir, "f", &st, 0), 0);
	assert_true(st.st_mtim.tv_sec == -1000);
	/* UTIME_OMIT and UTIME_NOW are no times of the guest's. */
	in.mtimensec = UTIME_NOW;
	assert_int_equal(client_setattr(c, node, &in), -EINVAL);
	in.mtimensec = 1000000000;
	assert_int_equal(client_setattr(c, node, &in), -EINVAL);

	in = (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = UINT64_MAX};
	assert_int_equal(client_setattr(c, node, &in), -EINVAL);
	in = (struct fuse_setattr_in){
		.valid = FATTR_SIZE | FATTR_FH, .size = 1, .fh = 77};
	assert_int_equal(client_setattr(c, node, &in), -EBADF);
	/* By a handle: one that can write, and of this file. */
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &fh), 0);
	in.fh = fh;
	assert_int_equal(client_setattr(c, node, &in), -EINVAL);
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_WRONLY, &fh), 0);
	in.fh = fh;
	assert_int_equal(client_setattr(c, node, &in), 0);
	assert_int_equal(client_setattr(c, 1, &in), -EBADF);
	in = (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = 1};
	assert_int_equal(client_setattr(c, 1, &in), -EISDIR);
	client_free(c);
}

static void test_read_write(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	const uint32_t big = 1 << 20;
	uint8_t *data = malloc(big + 1);
	uint64_t node;
	uint64_t fh;
	int n;

	assert_non_null(data);
	for (uint32_t i = 0; i <= big; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(client_create(c, 1, "f", O_RDWR, 0644, &node, &fh), 0);
	assert_int_equal(client_write(c, node, fh, 5, data, big, 0), big);
	n = client_read(c, node, fh, 5, big);
	assert_int_equal(n, big);
	assert_memory_equal(client_body(c), data, big);
	/* Across the end, at it, beyond it. */
	assert_int_equal(client_read(c, node, fh, big, 100), 5);
	assert_int_equal(client_read(c, node, fh, big + 5, 100), 0);
	assert_int_equal(client_read(c, node, fh, 1ull << 40, 100), 0);
	assert_int_equal(client_read(c, node, fh, INT64_MAX - 100, 100), 0);
	assert_int_equal(client_read(c, node, fh, INT64_MAX - 99, 100),
			 -EINVAL);
	assert_int_equal(client_read(c, node, fh, UINT64_MAX, 100), -EINVAL);
	assert_int_equal(client_read(c, node, fh, 0, 0), 0);
	/* A buffer of less than the size. */
	c->reply_room = 10;
	assert_int_equal(client_read(c, node, fh, 0, 100), 10);
	c->reply_room = SIZE_MAX;

	assert_int_equal(client_write(c, node, fh, UINT64_MAX, data, 1, 0),
			 -EINVAL);
	assert_int_equal(client_write(c, node, fh, INT64_MAX, data, 1, 0),
			 -EINVAL);
	assert_int_equal(client_write(c, node, fh, 0, data, 0, 0), 0);
	free(data);
	client_free(c);
}

/* A size in the arguments that is not that of what follows. */
static void test_write_sizes(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_write_in in = {0};
	uint64_t node;

	assert_int_equal(client_create(c, 1, "f", O_RDWR, 0644, &node, &in.fh),
			 0);
	in.size = 6;
	assert_int_equal(
		client_call(c, FUSE_WRITE, node, &in, sizeof(in), "hello", 5),
		-EINVAL);
	in.size = UINT32_MAX;
	assert_int_equal(
		client_call(c, FUSE_WRITE, node, &in, sizeof(in), "hello", 5),
		-EINVAL);
	in.size = 3;
	assert_int_equal(
		client_call(c, FUSE_WRITE, node, &in, sizeof(in), "hello", 5),
		sizeof(struct fuse_write_out));
	assert_int_equal(client_read(c, node, in.fh, 0, 10), 3);
	assert_memory_equal(client_body(c), "hel", 3);
	client_free(c);
}

static void test_append(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_write_in in = {.size = 3, .flags = O_RDWR | O_APPEND};
	uint64_t node;
	uint64_t fh;

	assert_int_equal(
		client_create(c, 1, "f", O_RDWR | O_APPEND, 0644, &node, &fh),
		0);
	in.fh = fh;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(client_call(c, FUSE_WRITE, node, &in,
					     sizeof(in), "abc", 3),
				 sizeof(struct fuse_write_out));
	/* A page from the cache has its place, whatever the handle. */
	in.write_flags = FUSE_WRITE_CACHE;
	in.offset = 1;
	in.size = 1;
	assert_int_equal(
		client_call(c, FUSE_WRITE, node, &in, sizeof(in), "X", 1),
		sizeof(struct fuse_write_out));
	/* The file is one that appends no longer. */
	assert_int_equal(client_write(c, node, fh, 0, "Y", 1, 0), 1);
	assert_int_equal(client_read(c, node, fh, 0, 10), 6);
	assert_memory_equal(client_body(c), "YXcabc", 6);
	client_free(c);
}

static void test_handles(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	uint64_t other;
	uint64_t node;
	uint64_t dirh;
	uint64_t fh;

	client_host_file(c, "f", "hello");
	client_host_file(c, "g", "hello");
	node = client_lookup(c, 1, "f");
	other = client_lookup(c, 1, "g");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &fh), 0);
	assert_int_equal(client_open(c, FUSE_OPENDIR, 1, 0, &dirh), 0);
	/* Made up, of another inode, of another kind, not for writing. */
	assert_int_equal(client_read(c, node, 0, 0, 5), -EBADF);
	assert_int_equal(client_read(c, node, fh + 100, 0, 5), -EBADF);
	assert_int_equal(client_read(c, node, fh | 1ull << 40, 0, 5), -EBADF);
	assert_int_equal(client_read(c, node, UINT64_MAX, 0, 5), -EBADF);
	assert_int_equal(client_read(c, other, fh, 0, 5), -EBADF);
	assert_int_equal(client_read(c, 1, dirh, 0, 5), -EBADF);
	assert_int_equal(client_write(c, node, fh, 0, "x", 1, 0), -EBADF);
	assert_int_equal(client_release(c, FUSE_RELEASE, 1, dirh), -EBADF);
	assert_int_equal(client_release(c, FUSE_RELEASEDIR, node, fh), -EBADF);
	assert_int_equal(client_read(c, node, fh, 0, 5), 5);
	assert_int_equal(client_release(c, FUSE_RELEASE, node, fh), 0);
	assert_int_equal(client_release(c, FUSE_RELEASE, node, fh), -EBADF);
	assert_int_equal(client_read(c, node, fh, 0, 5), -EBADF);
	assert_int_equal(client_release(c, FUSE_RELEASEDIR, 1, dirh), 0);

	assert_int_equal(client_open(c, FUSE_OPEN, 1, 0, &fh), -EISDIR);
	assert_int_equal(client_open(c, FUSE_OPENDIR, node, 0, &fh), -ENOTDIR);
	assert_int_equal(client_open(c, FUSE_OPEN, node, 3, &fh), -EINVAL);
	client_free(c);
}

static void test_sync_and_flush(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_fsync_in sync = {0};
	struct fuse_flush_in flush = {0};
	struct fuse_syncfs_in syncfs_in = {0};
	uint64_t node;
	uint64_t fh;

	assert_int_equal(client_create(c, 1, "f", O_RDWR, 0644, &node, &fh), 0);
	sync.fh = flush.fh = fh;
	assert_int_equal(
		client_call(c, FUSE_FSYNC, node, &sync, sizeof(sync), NULL, 0),
		0);
	sync.fsync_flags = FUSE_FSYNC_FDATASYNC;
	assert_int_equal(
		client_call(c, FUSE_FSYNC, node, &sync, sizeof(sync), NULL, 0),
		0);
	assert_int_equal(client_call(c, FUSE_FSYNCDIR, node, &sync,
				     sizeof(sync), NULL, 0),
			 -EBADF);
	assert_int_equal(client_call(c, FUSE_FLUSH, node, &flush, sizeof(flush),
				     NULL, 0),
			 0);
	flush.fh = 99;
	assert_int_equal(client_call(c, FUSE_FLUSH, node, &flush, sizeof(flush),
				     NULL, 0),
			 -EBADF);
	assert_int_equal(client_open(c, FUSE_OPENDIR, 1, 0, &sync.fh), 0);
	assert_int_equal(
		client_call(c, FUSE_FSYNCDIR, 1, &sync, sizeof(sync), NULL, 0),
		0);
	assert_int_equal(client_call(c, FUSE_SYNCFS, 1, &syncfs_in,
				     sizeof(syncfs_in), NULL, 0),
			 0);
	client_free(c);
}

static void test_space(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_fallocate_in alloc = {.offset = 0, .length = 65536};
	struct fuse_lseek_in seek = {.whence = SEEK_HOLE};
	struct fuse_lseek_out *where = client_body(c);
	struct fuse_statfs_out *st = client_body(c);
	struct fuse_attr attr;
	uint64_t node;
	uint64_t fh;

	assert_int_equal(client_create(c, 1, "f", O_RDWR, 0644, &node, &fh), 0);
	alloc.fh = seek.fh = fh;
	assert_int_equal(client_call(c, FUSE_FALLOCATE, node, &alloc,
				     sizeof(alloc), NULL, 0),
			 0);
	assert_int_equal(client_getattr(c, node, &attr), 0);
	assert_true(attr.size == 65536);
	alloc.length = UINT64_MAX;
	assert_int_equal(client_call(c, FUSE_FALLOCATE, node, &alloc,
				     sizeof(alloc), NULL, 0),
			 -EINVAL);
	alloc.length = 1;
	alloc.mode = UINT32_MAX;
	assert_int_equal(client_call(c, FUSE_FALLOCATE, node, &alloc,
				     sizeof(alloc), NULL, 0),
			 -EINVAL);
	alloc.mode = 0x7fff;
	assert_int_equal(client_call(c, FUSE_FALLOCATE, node, &alloc,
				     sizeof(alloc), NULL, 0),
			 -EOPNOTSUPP);

	assert_int_equal(
		client_call(c, FUSE_LSEEK, node, &seek, sizeof(seek), NULL, 0),
		sizeof(*where));
	assert_true(where->offset <= 65536);
	seek.whence = SEEK_SET;
	assert_int_equal(
		client_call(c, FUSE_LSEEK, node, &seek, sizeof(seek), NULL, 0),
		-EINVAL);
	seek.whence = SEEK_DATA;
	seek.offset = UINT64_MAX;
	assert_int_equal(
		client_call(c, FUSE_LSEEK, node, &seek, sizeof(seek), NULL, 0),
		-ENXIO);
	assert_int_equal(client_call(c, FUSE_STATFS, 1, NULL, 0, NULL, 0),
			 sizeof(*st));
	assert_true(st->st.bsize > 0 && st->st.blocks > 0);
	client_free(c);
}

static void test_copy_range(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_copy_file_range_in in = {.off_in = 1, .len = 100};
	struct fuse_write_out *out = client_body(c);
	uint64_t node;

	assert_int_equal(
		client_create(c, 1, "f", O_RDWR, 0644, &node, &in.fh_in), 0);
	assert_int_equal(client_create(c, 1, "g", O_RDWR, 0644, &in.nodeid_out,
				       &in.fh_out),
			 0);
	assert_int_equal(client_write(c, node, in.fh_in, 0, "hello", 5, 0), 5);
	assert_int_equal(client_call(c, FUSE_COPY_FILE_RANGE, node, &in,
				     sizeof(in), NULL, 0),
			 sizeof(*out));
	assert_int_equal(out->size, 4);
	assert_int_equal(client_read(c, in.nodeid_out, in.fh_out, 0, 10), 4);
	assert_memory_equal(client_body(c), "ello", 4);
	in.nodeid_out = node;
	assert_int_equal(client_call(c, FUSE_COPY_FILE_RANGE, node, &in,
				     sizeof(in), NULL, 0),
			 -EBADF);
	in.off_in = UINT64_MAX;
	assert_int_equal(client_call(c, FUSE_COPY_FILE_RANGE, node, &in,
				     sizeof(in), NULL, 0),
			 -EINVAL);
	in.off_in = 0;
	in.flags = 1;
	assert_int_equal(client_call(c, FUSE_COPY_FILE_RANGE, node, &in,
				     sizeof(in), NULL, 0),
			 -EINVAL);
	client_free(c);
}

static int xattr_set(struct client *c, uint64_t node, const char *name,
		     const char *value)
{
	struct fuse_setxattr_in in = {.size = (uint32_t)strlen(value)};
	char more[512];
	size_t len = strlen(name) + 1;

	memcpy(more, name, len);
	memcpy(more + len, value, in.size);
	return client_call(c, FUSE_SETXATTR, node, &in, sizeof(in), more,
			   len + in.size);
}

static int xattr_get(struct client *c, uint64_t node, const char *name,
		     uint32_t size)
{
	struct fuse_getxattr_in in = {.size = size};

	return client_call(c, FUSE_GETXATTR, node, &in, sizeof(in), name,
			   strlen(name) + 1);
}

static void test_xattr(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_setxattr_in set = {.size = 100};
	struct fuse_getxattr_in list = {.size = 1000};
	struct fuse_getxattr_out *size = client_body(c);
	uint64_t node;
	char cwd[64];
	int n;

	client_host_file(c, "f", "x");
	node = client_lookup(c, 1, "f");
	assert_int_equal(chdir(c->top), 0);
	assert_int_equal(xattr_set(c, node, "user.a", "value"), 0);
	assert_int_equal(xattr_get(c, node, "user.a", 100), 5);
	assert_memory_equal(client_body(c), "value", 5);
	assert_int_equal(xattr_get(c, node, "user.a", 0), sizeof(*size));
	assert_int_equal(size->size, 5);
	assert_int_equal(xattr_get(c, node, "user.a", 2), -ERANGE);
	assert_int_equal(xattr_get(c, node, "user.b", 2), -ENODATA);
	n = client_call(c, FUSE_LISTXATTR, node, &list, sizeof(list), NULL, 0);
	assert_int_equal(n, 7);
	assert_memory_equal(client_body(c), "user.a", 7);
	list.size = 3;
	assert_int_equal(client_call(c, FUSE_LISTXATTR, node, &list,
				     sizeof(list), NULL, 0),
			 -ERANGE);
	assert_int_equal(client_name(c, FUSE_REMOVEXATTR, node, "user.a"), 0);
	assert_int_equal(client_name(c, FUSE_REMOVEXATTR, node, "user.a"),
			 -ENODATA);
	/* Labels of the host, ACLs that were not switched on, no name. */
	assert_int_equal(xattr_set(c, node, "security.selinux", "x"),
			 -EOPNOTSUPP);
	assert_int_equal(xattr_set(c, node, "system.posix_acl_access", "x"),
			 -EOPNOTSUPP);
	assert_int_equal(xattr_set(c, node, "", "x"), -ERANGE);
	/* A value of less than its size. */
	assert_int_equal(client_call(c, FUSE_SETXATTR, node, &set, sizeof(set),
				     "user.a\0x", 8),
			 -EINVAL);
	/* The process is where it was. */
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_string_equal(cwd, c->top);
	assert_int_equal(chdir("/"), 0);
	client_free(c);
}

static void test_refused(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct virtiofs_config config = {0};
	struct fuse_ioctl_in ioctl_in = {0};
	struct fuse_lk_in lk = {0};
	struct fuse_access_in acc = {0};

	assert_int_equal(client_call(c, FUSE_IOCTL, 1, &ioctl_in,
				     sizeof(ioctl_in), NULL, 0),
			 -ENOTTY);
	assert_int_equal(
		client_call(c, FUSE_SETLK, 1, &lk, sizeof(lk), NULL, 0),
		-ENOSYS);
	assert_int_equal(
		client_call(c, FUSE_ACCESS, 1, &acc, sizeof(acc), NULL, 0),
		-ENOSYS);
	client_free(c);
	/* Extended attributes only when configured. */
	c = client_new(&config);
	assert_int_equal(client_init(c, 0), 0);
	assert_int_equal(xattr_set(c, 1, "user.a", "x"), -ENOSYS);
	assert_int_equal(xattr_get(c, 1, "user.a", 1), -ENOSYS);
	client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_statx),
		cmocka_unit_test(test_flushes),
		cmocka_unit_test(test_setattr),
		cmocka_unit_test(test_read_write),
		cmocka_unit_test(test_write_sizes),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_handles),
		cmocka_unit_test(test_sync_and_flush),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_copy_range),
		cmocka_unit_test(test_xattr),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

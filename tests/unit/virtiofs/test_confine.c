/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include "virtiofs/needs.h"

/* Each operation that takes a name, with names that are none. */
static void test_bad_names(void **state)
{
	static const char *const bad[] = {"",	 ".",	 "..",	    "/",
					  "a/b", "../x", "/etc",    "f/",
					  "./f", "../",	 "../../x", "//"};
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_mknod_in mknod_in = {.mode = S_IFREG | 0644};
	struct fuse_mkdir_in mkdir_in = {.mode = 0755};
	struct fuse_rename_in ren = {.newdir = 1};
	struct fuse_link_in link_in;
	char two[64];
	uint64_t node;
	uint64_t fh;

	client_host_file(c, "f", "x");
	link_in.oldnodeid = client_lookup(c, 1, "f");
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		size_t len = strlen(bad[i]) + 1;

		assert_int_equal(client_name(c, FUSE_LOOKUP, 1, bad[i]),
				 -EINVAL);
		assert_int_equal(client_name(c, FUSE_UNLINK, 1, bad[i]),
				 -EINVAL);
		assert_int_equal(client_name(c, FUSE_RMDIR, 1, bad[i]),
				 -EINVAL);
		assert_int_equal(client_call(c, FUSE_MKNOD, 1, &mknod_in,
					     sizeof(mknod_in), bad[i], len),
				 -EINVAL);
		assert_int_equal(client_call(c, FUSE_MKDIR, 1, &mkdir_in,
					     sizeof(mkdir_in), bad[i], len),
				 -EINVAL);
		assert_int_equal(client_call(c, FUSE_LINK, 1, &link_in,
					     sizeof(link_in), bad[i], len),
				 -EINVAL);
		assert_int_equal(
			client_call(c, FUSE_SYMLINK, 1, bad[i], len, "t", 2),
			-EINVAL);
		assert_int_equal(
			client_create(c, 1, bad[i], O_RDWR, 0644, &node, &fh),
			-EINVAL);
		memcpy(two, bad[i], len);
		memcpy(two + len, "g", 2);
		assert_int_equal(client_call(c, FUSE_RENAME, 1, &ren,
					     sizeof(ren), two, len + 2),
				 -EINVAL);
		memcpy(two, "f", 2);
		memcpy(two + 2, bad[i], len);
		assert_int_equal(client_call(c, FUSE_RENAME, 1, &ren,
					     sizeof(ren), two, len + 2),
				 -EINVAL);
	}
	/* Nothing happened to the tree, nor beside it. */
	assert_int_equal(faccessat(c->dir, "f", F_OK, 0), 0);
	assert_int_equal(faccessat(c->dir, "../x", F_OK, 0), -1);
	client_free(c);
}

static void test_name_lengths(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	char name[300];

	/* Without an end. */
	assert_int_equal(client_call(c, FUSE_LOOKUP, 1, "f", 1, NULL, 0),
			 -EINVAL);
	memset(name, 'x', sizeof(name));
	assert_int_equal(
		client_call(c, FUSE_LOOKUP, 1, name, sizeof(name), NULL, 0),
		-EINVAL);
	name[256] = 0;
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, name), -ENAMETOOLONG);
	name[255] = 0;
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, name), -ENOENT);
	client_free(c);
}

static void test_links_are_not_followed(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_setattr_in attr = {.valid = FATTR_MODE, .mode = 0777};
	struct fuse_entry_out *entry = client_body(c);
	char secret[80];
	uint64_t other;
	uint64_t node;
	uint64_t fh;
	int fd;

	snprintf(secret, sizeof(secret), "%s/secret", c->top);
	fd = open(secret, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(symlinkat("../secret", c->dir, "s"), 0);
	assert_int_equal(symlinkat("..", c->dir, "up"), 0);
	assert_int_equal(symlinkat("/proc/self/root", c->dir, "magic"), 0);

	node = client_lookup(c, 1, "s");
	assert_true(S_ISLNK(entry->attr.mode));
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDWR, &fh), -ELOOP);
	assert_int_equal(client_create(c, 1, "s", O_RDWR, 0644, &other, &fh),
			 -ELOOP);
	assert_int_equal(client_setattr(c, node, &attr), -EOPNOTSUPP);
	attr.valid = FATTR_SIZE;
	assert_int_equal(client_setattr(c, node, &attr), -ELOOP);
	/* Times are those of the link. */
	attr.valid = FATTR_MTIME;
	attr.mtime = 12345;
	assert_int_equal(client_setattr(c, node, &attr), 0);
	{
		struct stat st;

		assert_int_equal(stat(secret, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_true(st.st_mtim.tv_sec != 12345);
		assert_int_equal(fstatat(c->dir, "s", &st, AT_SYMLINK_NOFOLLOW),
				 0);
		assert_true(st.st_mtim.tv_sec == 12345);
	}
	node = client_lookup(c, 1, "up");
	assert_int_equal(client_name(c, FUSE_LOOKUP, node, "secret"), -ENOTDIR);
	assert_int_equal(client_open(c, FUSE_OPENDIR, node, 0, &fh), -ENOTDIR);
	node = client_lookup(c, 1, "magic");
	assert_int_equal(client_name(c, FUSE_LOOKUP, node, "etc"), -ENOTDIR);
	client_free(c);
}

static atomic_bool swapping;

static void *swap(void *arg)
{
	struct client *c = arg;

	while (atomic_load(&swapping))
		renameat2(c->dir, "a", c->dir, "b", RENAME_EXCHANGE);
	return NULL;
}

/*
 * "a" is now a directory with a file, now a link to a directory outside that
 * has one of the same name.
 */
static void test_swapped_link(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_forget_in forget = {.nlookup = 1};
	char outside[80];
	pthread_t thread;

	snprintf(outside, sizeof(outside), "%s/outside", c->top);
	assert_int_equal(mkdir(outside, 0755), 0);
	snprintf(outside, sizeof(outside), "%s/outside/secret", c->top);
	close(open(outside, O_WRONLY | O_CREAT, 0644));
	assert_int_equal(mkdirat(c->dir, "a", 0755), 0);
	assert_int_equal(symlinkat("../outside", c->dir, "b"), 0);
	atomic_store(&swapping, true);
	assert_int_equal(pthread_create(&thread, NULL, swap, c), 0);
	for (unsigned i = 0; i < 5000; i++) {
		uint64_t node = client_lookup(c, 1, "a");
		int n = client_name(c, FUSE_LOOKUP, node, "secret");

		assert_true(n == -ENOENT || n == -ENOTDIR);
		client_call(c, FUSE_FORGET, node, &forget, sizeof(forget), NULL,
			    0);
	}
	atomic_store(&swapping, false);
	pthread_join(thread, NULL);
	client_free(c);
}

/* The guest moves a directory up while it has one below: ".." is no name, so
 * there is no way out. What was moved stays usable. */
static void test_moved_directory(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	char out[80];
	uint64_t a;
	uint64_t b;

	assert_int_equal(mkdirat(c->dir, "a", 0755), 0);
	assert_int_equal(mkdirat(c->dir, "a/b", 0755), 0);
	a = client_lookup(c, 1, "a");
	b = client_lookup(c, a, "b");
	snprintf(out, sizeof(out), "%s/b", c->top);
	assert_int_equal(renameat(c->dir, "a/b", AT_FDCWD, out), 0);
	assert_int_equal(client_name(c, FUSE_LOOKUP, b, ".."), -EINVAL);
	assert_int_equal(client_name(c, FUSE_LOOKUP, b, "tree"), -ENOENT);
	client_free(c);
}

static void test_special_files(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	static const char *const names[] = {"fifo", "sock", "null"};
	struct fuse_setattr_in size = {.valid = FATTR_SIZE};
	struct fuse_entry_out *entry = client_body(c);
	uint64_t other;
	uint64_t node;
	uint64_t fh;

	assert_int_equal(mkfifoat(c->dir, "fifo", 0666), 0);
	assert_int_equal(mknodat(c->dir, "sock", S_IFSOCK | 0666, 0), 0);
	if (mknodat(c->dir, "null", S_IFCHR | 0666, makedev(1, 3))) {
		assert_int_equal(errno, EPERM);
		assert_int_equal(mkfifoat(c->dir, "null", 0666), 0);
	}
	/* None is opened: an open of the FIFO would wait for ever. */
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		node = client_lookup(c, 1, names[i]);
		if (S_ISCHR(entry->attr.mode))
			assert_int_equal(entry->attr.rdev, 1 << 8 | 3);
		assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDWR, &fh),
				 -ENXIO);
		assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &fh),
				 -ENXIO);
		assert_int_equal(client_setattr(c, node, &size), -ENXIO);
		assert_int_equal(client_create(c, 1, names[i], O_RDONLY, 0644,
					       &other, &fh),
				 -ENXIO);
		assert_int_equal(client_open(c, FUSE_OPENDIR, node, 0, &fh),
				 -ENOTDIR);
		assert_int_equal(client_call(c, FUSE_SYNCFS, node,
					     &(struct fuse_syncfs_in){0}, 8,
					     NULL, 0),
				 -ENXIO);
	}
	client_free(c);
}

static int make_node(struct client *c, const char *name, uint32_t mode,
		     uint32_t rdev)
{
	struct fuse_mknod_in in = {.mode = mode, .rdev = rdev};

	return client_call(c, FUSE_MKNOD, 1, &in, sizeof(in), name,
			   strlen(name) + 1);
}

static void test_mknod(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct stat st;

	assert_int_equal(make_node(c, "null", S_IFCHR | 0666, 1 << 8 | 3),
			 -EPERM);
	assert_int_equal(make_node(c, "disk", S_IFBLK | 0666, 8 << 8), -EPERM);
	assert_int_equal(make_node(c, "disk", S_IFBLK | 0666, 0), -EPERM);
	assert_int_equal(make_node(c, "dir", S_IFDIR | 0666, 0), -EPERM);
	assert_int_equal(make_node(c, "link", S_IFLNK | 0666, 0), -EPERM);
	assert_int_equal(make_node(c, "odd", 0170000 | 0666, 0), -EPERM);
	assert_true(make_node(c, "file", S_IFREG | 0640, 77) > 0);
	assert_true(make_node(c, "plain", 0640, 0) > 0);
	assert_true(make_node(c, "fifo", S_IFIFO | 0640, 0) > 0);
	assert_true(make_node(c, "sock", S_IFSOCK | 0640, 0) > 0);
	assert_int_equal(fstatat(c->dir, "fifo", &st, 0), 0);
	assert_true(S_ISFIFO(st.st_mode));
	/* The whiteout of overlayfs. */
	assert_true(make_node(c, "gone", S_IFCHR, 0) > 0);
	assert_int_equal(fstatat(c->dir, "gone", &st, 0), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
	client_free(c);
}

static void test_readonly(void **state)
{
	struct virtiofs_config config = {.readonly = true, .xattr = true};
	struct client *c = client_new(&config);
	struct fuse_mkdir_in mkdir_in = {.mode = 0755};
	struct fuse_setattr_in attr = {.valid = FATTR_MODE, .mode = 0600};
	struct fuse_setxattr_in set = {.size = 1};
	uint64_t node;
	uint64_t fh;

	assert_int_equal(client_init(c, FUSE_SETXATTR_EXT), 0);
	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDWR, &fh), -EROFS);
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_WRONLY, &fh),
			 -EROFS);
	assert_int_equal(
		client_open(c, FUSE_OPEN, node, O_RDONLY | O_TRUNC, &fh),
		-EROFS);
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &fh), 0);
	assert_int_equal(client_read(c, node, fh, 0, 10), 5);
	assert_int_equal(client_write(c, node, fh, 0, "x", 1, 0), -EROFS);
	assert_int_equal(client_create(c, 1, "g", O_RDONLY, 0644, &node, &fh),
			 -EROFS);
	assert_int_equal(client_setattr(c, node, &attr), -EROFS);
	assert_int_equal(client_name(c, FUSE_UNLINK, 1, "f"), -EROFS);
	assert_int_equal(client_name(c, FUSE_RMDIR, 1, "f"), -EROFS);
	assert_int_equal(make_node(c, "g", S_IFREG, 0), -EROFS);
	assert_int_equal(client_call(c, FUSE_MKDIR, 1, &mkdir_in,
				     sizeof(mkdir_in), "d", 2),
			 -EROFS);
	assert_int_equal(client_call(c, FUSE_SYMLINK, 1, "s\0t", 4, NULL, 0),
			 -EROFS);
	assert_int_equal(client_call(c, FUSE_RENAME, 1,
				     &(struct fuse_rename_in){1}, 8, "f\0g", 4),
			 -EROFS);
	assert_int_equal(client_call(c, FUSE_LINK, 1,
				     &(struct fuse_link_in){node}, 8, "g", 2),
			 -EROFS);
	assert_int_equal(client_call(c, FUSE_SETXATTR, node, &set, sizeof(set),
				     "user.a\0x", 8),
			 -EROFS);
	assert_int_equal(client_name(c, FUSE_REMOVEXATTR, node, "user.a"),
			 -EROFS);
	assert_int_equal(fcntl(c->dir, F_GETFD), FD_CLOEXEC);
	client_free(c);
}

/* A mount below the root: files with the numbers of others', and marked. */
static void test_submount(void **state)
{
	struct virtiofs_config config = {.announce_submounts = true};
	struct client *c = client_new(&config);
	struct fuse_entry_out *entry = client_body(c);
	char path[96];
	uint64_t below;
	uint64_t node;

	assert_int_equal(client_init(c, FUSE_SUBMOUNTS), 0);
	assert_int_equal(mkdirat(c->dir, "d", 0755), 0);
	assert_int_equal(mkdirat(c->dir, "m", 0755), 0);
	client_host_file(c, "d/f", "x");
	snprintf(path, sizeof(path), "%s/m", c->path);
	{
		char from[96];

		snprintf(from, sizeof(from), "%s/d", c->path);
		if (mount(from, path, NULL, MS_BIND, NULL)) {
			client_free(c);
			skip();
		}
	}
	node = client_lookup(c, 1, "d");
	assert_int_equal(entry->attr.flags, 0);
	node = client_lookup(c, node, "f");
	below = client_lookup(c, 1, "m");
	assert_int_equal(entry->attr.flags, FUSE_ATTR_SUBMOUNT);
	assert_true(client_lookup(c, below, "f") != node);
	assert_int_equal(entry->attr.flags, 0);
	fs_thread_free(c->thread);
	virtiofs_free(c->fs);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	config.root_fd = open(c->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	config.proc_fd = -1;
	c->fs = virtiofs_new(&config, &(struct err){0});
	assert_non_null(c->fs);
	c->thread = fs_thread_new(c->fs, false);
	client_free(c);
}

/* What no request makes is not there for whoever took the server over. */
static void test_system_calls(void **state)
{
	static const int never[] = {
		SCMP_SYS(setfsuid),  SCMP_SYS(setfsgid),   SCMP_SYS(umask),
		SCMP_SYS(fchmod),    SCMP_SYS(fchown),	   SCMP_SYS(truncate),
		SCMP_SYS(fsetxattr), SCMP_SYS(lsetxattr),  SCMP_SYS(pwrite64),
		SCMP_SYS(pwritev),   SCMP_SYS(faccessat2), SCMP_SYS(readv),
	};

	for (size_t i = 0; i < virtiofs_syscalls.n; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(never); k++)
			assert_int_not_equal(virtiofs_syscalls.rules[i].nr,
					     never[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_name_lengths),
		cmocka_unit_test(test_links_are_not_followed),
		cmocka_unit_test(test_swapped_link),
		cmocka_unit_test(test_moved_directory),
		cmocka_unit_test(test_special_files),
		cmocka_unit_test(test_mknod),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_submount),
		cmocka_unit_test(test_system_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/fhandle.h"

#include "tests/unit/virtiofs/client.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/privilege.h"
#include "tests/unit/descriptors.h"
#include "virtiofs/inode.h"
#include "vmm/virtio/device.h"

/* Inodes that are file handles. Takes root, and a /tmp that has handles. */

#define MANY 100000u

static bool possible(void)
{
	return privilege_permitted() & CAP_MASK(CAP_DAC_READ_SEARCH);
}

static struct client *handle_client(void)
{
	struct virtiofs_config config = {
		.cache = VIRTIOFS_CACHE_AUTO,
		.xattr = true,
		.file_handles = VIRTIOFS_HANDLES_MANDATORY,
	};
	struct client *c = client_new(&config);

	assert_int_equal(client_init(c, ~(uint64_t)FUSE_WRITEBACK_CACHE), 0);
	return c;
}

static void nodes_cost_no_descriptors(void **state)
{
	struct client *c;
	uint64_t nodes[300];
	unsigned before;
	char name[16];

	if (!possible())
		skip();
	c = handle_client();
	client_host_file(c, "first", "x");
	client_lookup(c, 1, "first");
	before = descriptors();
	for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++) {
		snprintf(name, sizeof(name), "f%u", i);
		client_host_file(c, name, "x");
		nodes[i] = client_lookup(c, 1, name);
		/* The same file is the same node. */
		assert_true(client_lookup(c, 1, name) == nodes[i]);
	}
	assert_int_equal(descriptors(), before);
	for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++)
		fs_inode_forget(c->fs, nodes[i], 2);
	assert_null(fs_inode_get(c->fs, nodes[0]));
	client_free(c);
}

/* In a process of its own, whose limit does not come back. */
static void with_few_descriptors(void)
{
	const struct rlimit few = {2000, 2000};
	struct fuse_getattr_in in = {0};
	struct client *c;
	uint64_t first = 0;
	char name[16];

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	c = handle_client();
	for (unsigned i = 0; i < MANY; i++) {
		uint64_t node;

		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(mknodat(c->dir, name, S_IFREG | 0644, 0), 0);
		node = client_lookup(c, 1, name);
		assert_true(node != first);
		first = i ? first : node;
	}
	assert_true(descriptors() < 100);
	assert_true(client_call(c, FUSE_GETATTR, first, &in, sizeof(in), NULL,
				0) > 0);
	client_free(c);
}

static void in_a_process(void (*test)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		test();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void many_nodes_need_few_descriptors(void **state)
{
	if (!possible())
		skip();
	in_a_process(with_few_descriptors);
}

/* What has the number of another one that is gone is not that one. */
static void a_number_may_come_again(void **state)
{
	struct fuse_getattr_in in = {0};
	struct fuse_attr_out *out;
	struct client *c;
	struct stat st;
	uint64_t node;
	ino_t ino;
	bool again = false;

	if (!possible())
		skip();
	c = handle_client();
	out = client_body(c);
	client_host_file(c, "old", "old");
	assert_int_equal(fstatat(c->dir, "old", &st, 0), 0);
	ino = st.st_ino;
	node = client_lookup(c, 1, "old");
	assert_true(client_call(c, FUSE_GETATTR, node, &in, sizeof(in), NULL,
				0) > 0);
	assert_true(out->attr.ino == ino);
	assert_int_equal(unlinkat(c->dir, "old", 0), 0);
	for (unsigned i = 0; i < 32 && !again; i++) {
		char name[16];

		snprintf(name, sizeof(name), "new%u", i);
		client_host_file(c, name, "new");
		assert_int_equal(fstatat(c->dir, name, &st, 0), 0);
		again = st.st_ino == ino;
		if (again)
			assert_true(client_lookup(c, 1, name) != node);
	}
	assert_int_equal(
		client_call(c, FUSE_GETATTR, node, &in, sizeof(in), NULL, 0),
		-ESTALE);
	client_free(c);
}

static void an_open_file_outlives_its_name(void **state)
{
	struct fuse_getattr_in in = {0};
	struct fuse_attr_out *out;
	struct client *c;
	uint64_t node = 0;
	uint64_t fh = 0;

	if (!possible())
		skip();
	c = handle_client();
	out = client_body(c);
	assert_int_equal(client_create(c, 1, "f", O_RDWR, 0600, &node, &fh), 0);
	assert_int_equal(client_write(c, node, fh, 0, "abc", 3, 0), 3);
	assert_int_equal(client_name(c, FUSE_UNLINK, 1, "f"), 0);
	assert_true(client_call(c, FUSE_GETATTR, node, &in, sizeof(in), NULL,
				0) > 0);
	assert_int_equal(out->attr.size, 3);
	assert_int_equal(out->attr.nlink, 0);
	assert_int_equal(client_read(c, node, fh, 0, 10), 3);
	assert_int_equal(client_release(c, FUSE_RELEASE, node, fh), 0);
	client_free(c);
}

/* The guest asks once: the file would stay open for as long as it runs. */
static void a_release_needs_no_descriptor(void **state)
{
	struct rlimit old;
	struct rlimit none;
	struct client *c;
	uint64_t node;
	uint64_t dir;
	uint64_t fh[2];
	unsigned before;

	if (!possible())
		skip();
	c = handle_client();
	client_host_file(c, "f", "x");
	node = client_lookup(c, 1, "f");
	assert_int_equal(mkdirat(c->dir, "d", 0755), 0);
	dir = client_lookup(c, 1, "d");
	before = descriptors();
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &fh[0]), 0);
	assert_int_equal(client_open(c, FUSE_OPENDIR, dir, 0, &fh[1]), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){0, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(client_getattr(c, node, NULL), -ESTALE);
	assert_int_equal(client_release(c, FUSE_RELEASE, node, fh[0]), 0);
	assert_int_equal(client_release(c, FUSE_RELEASEDIR, dir, fh[1]), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(descriptors(), before);
	assert_int_equal(client_getattr(c, node, NULL), 0);
	client_free(c);
}

/* In a namespace of our own, from then on. */
static bool may_mount(void)
{
	if (!possible() || !(privilege_permitted() & CAP_MASK(CAP_SYS_ADMIN)))
		return false;
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	return true;
}

/* A mount is held while a file of it is known, and its place used again: there
 * are more of them, one after the other, than there are places. */
static void mounts_come_and_go(void **state)
{
	struct client *c;
	char path[96];
	unsigned before;

	if (!may_mount())
		skip();
	c = handle_client();
	before = descriptors();
	assert_int_equal(mkdirat(c->dir, "m", 0755), 0);
	snprintf(path, sizeof(path), "%s/m", c->path);
	for (unsigned i = 0; i < 300; i++) {
		uint64_t node;

		assert_int_equal(mount("t", path, "tmpfs", 0, NULL), 0);
		node = client_lookup(c, 1, "m");
		assert_int_equal(descriptors(), before + 1);
		/* Busy, as long as the guest knows the file. */
		assert_int_equal(umount(path), -1);
		fs_inode_forget(c->fs, node, 1);
		assert_int_equal(descriptors(), before);
		assert_int_equal(umount(path), 0);
	}
	client_free(c);
}

static unsigned lookups_until_full(struct client *c, uint64_t dir,
				   uint64_t *last)
{
	char name[16];
	unsigned n = 0;
	int ret;

	for (;; n++) {
		snprintf(name, sizeof(name), "m/f%u", n);
		assert_int_equal(mknodat(c->dir, name, S_IFREG | 0644, 0), 0);
		ret = client_name(c, FUSE_LOOKUP, dir, name + 2);
		if (ret < 0)
			break;
		*last = client_entry(c, ret);
		assert_true(client_lookup(c, dir, name + 2) == *last);
	}
	assert_int_equal(ret, -ENFILE);
	return n;
}

/* Files of a mount that has no handles are held open: no more of them than
 * leave room for everything else. */
static void with_files_without_handles(void)
{
	const struct rlimit few = {2000, 2000};
	struct virtiofs_config config = {
		.file_handles = VIRTIOFS_HANDLES_PREFER,
	};
	struct client *c;
	char path[96];
	char name[16];
	uint64_t last = 0;
	uint64_t node;
	uint64_t dir;
	uint64_t fh;
	unsigned opens = 0;
	unsigned n;
	int ret;

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	c = client_new(&config);
	assert_int_equal(client_init(c, 0), 0);
	client_host_file(c, "f", "x");
	node = client_lookup(c, 1, "f");
	assert_int_equal(mkdirat(c->dir, "m", 0755), 0);
	snprintf(path, sizeof(path), "%s/m", c->path);
	assert_int_equal(mount("t", path, "ramfs", 0, NULL), 0);
	assert_int_equal(mknodat(c->dir, "m/more", S_IFREG | 0644, 0), 0);
	dir = client_lookup(c, 1, "m");
	n = lookups_until_full(c, dir, &last);
	assert_true(n > 1000);
	/* There is room for as many as go. */
	fs_inode_forget(c->fs, last, 2);
	snprintf(name, sizeof(name), "f%u", n);
	last = client_lookup(c, dir, name);
	assert_int_equal(client_name(c, FUSE_LOOKUP, dir, "more"), -ENFILE);
	assert_int_equal(client_getattr(c, last, NULL), 0);
	/* It is a limit of ours that is met, not the process's. */
	while ((ret = client_open(c, FUSE_OPEN, node, O_RDONLY, &fh)) == 0)
		opens++;
	assert_int_equal(ret, -ENFILE);
	assert_int_equal(opens, c->fs->config.max_handles);
	assert_true(descriptors() < 2000 - 400);
	virtiofs_reset(c->fs);
	assert_int_equal(umount2(path, 0), 0);
	client_free(c);
}

static void what_has_no_handle_has_a_limit(void **state)
{
	if (!may_mount())
		skip();
	in_a_process(with_files_without_handles);
}

static bool device_has_handles(enum virtiofs_file_handles handles)
{
	struct virtiofs_config config = {
		.tag = "test",
		.proc_fd = -1,
		.root_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.file_handles = handles,
	};
	struct virtio_device *dev;
	struct err err;
	bool has;

	dev = virtiofs_device_new(&config, &err);
	if (!dev)
		fail_msg("%s", err.text);
	has = virtiofs_device_has_handles(dev);
	virtio_device_free(dev);
	return has;
}

static void a_device_says_what_it_has(void **state)
{
	if (!possible())
		skip();
	assert_false(device_has_handles(VIRTIOFS_HANDLES_NEVER));
	assert_true(device_has_handles(VIRTIOFS_HANDLES_PREFER));
	assert_true(device_has_handles(VIRTIOFS_HANDLES_MANDATORY));
}

/* In a process of its own, whose capability does not come back. */
static int without_capability(void)
{
	struct virtiofs_config config = {
		.file_handles = VIRTIOFS_HANDLES_MANDATORY,
	};
	const struct rlimit few = {2000, 2000};
	struct virtiofs *fs;
	struct err err;
	bool never;

	if (setrlimit(RLIMIT_NOFILE, &few))
		return 5;
	if (privilege_set(privilege_permitted() &
			  ~CAP_MASK(CAP_DAC_READ_SEARCH)) < 0)
		return 1;
	config.proc_fd = -1;
	config.root_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (virtiofs_new(&config, &err) || !strstr(err.text, "file handles"))
		return 2;
	config.file_handles = VIRTIOFS_HANDLES_PREFER;
	config.root_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fs = virtiofs_new(&config, &err);
	if (!fs)
		return 3;
	never = fs->config.file_handles == VIRTIOFS_HANDLES_NEVER &&
		fs->config.max_inodes < 2000;
	virtiofs_free(fs);
	return never && !device_has_handles(VIRTIOFS_HANDLES_PREFER) ? 0 : 4;
}

static void without_capability_there_are_none(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(without_capability());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_cost_no_descriptors),
		cmocka_unit_test(many_nodes_need_few_descriptors),
		cmocka_unit_test(a_number_may_come_again),
		cmocka_unit_test(an_open_file_outlives_its_name),
		cmocka_unit_test(a_release_needs_no_descriptor),
		cmocka_unit_test(a_device_says_what_it_has),
		cmocka_unit_test(without_capability_there_are_none),
		/* In their own namespace. */
		cmocka_unit_test(mounts_come_and_go),
		cmocka_unit_test(what_has_no_handle_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

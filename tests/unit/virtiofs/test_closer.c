/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/closer.h"

#include "tests/unit/virtiofs/client.h"

#include <sys/eventfd.h>

#include "tests/unit/descriptors.h"
#include "virtiofs/inode.h"

/* Large files without a name, which whoever forgets them does not close. */

#define MIB (1u << 20)

static struct client *client;
static int call_fd;
static unsigned before;

static int set_up(void **state)
{
	client = client_started(VIRTIOFS_CACHE_AUTO);
	call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(call_fd >= 0);
	fs_closer_call(&client->fs->closer, call_fd);
	before = descriptors();
	return 0;
}

static int tear_down(void **state)
{
	fs_closer_call(&client->fs->closer, -1);
	assert_int_equal(descriptors(), before);
	close(call_fd);
	client_free(client);
	return 0;
}

static uint64_t file(const char *name, off_t size)
{
	client_host_file(client, name, "");
	if (size) {
		int fd = openat(client->dir, name, O_WRONLY | O_CLOEXEC);

		assert_int_equal(ftruncate(fd, size), 0);
		close(fd);
	}
	return client_lookup(client, 1, name);
}

/* True: it is for somebody else to close, who is called. */
static bool is_left(uint64_t node)
{
	struct fuse_forget_in in = {.nlookup = 1};
	unsigned had = descriptors();
	eventfd_t value;
	bool left;

	client_call(client, FUSE_FORGET, node, &in, sizeof(in), NULL, 0);
	assert_int_equal(client_getattr(client, node, NULL), -ESTALE);
	left = descriptors() == had;
	if (!left)
		assert_int_equal(descriptors(), had - 1);
	assert_int_equal(eventfd_read(call_fd, &value), left ? 0 : -1);
	return left;
}

static bool is_left_unlinked(uint64_t node, const char *name)
{
	assert_int_equal(client_name(client, FUSE_UNLINK, 1, name), 0);
	return is_left(node);
}

static void large_and_nameless(void **state)
{
	assert_false(is_left(file("f", 64 * MIB)));
	assert_true(is_left_unlinked(file("f", 64 * MIB), "f"));
	fs_closer_run(&client->fs->closer);
	assert_int_equal(descriptors(), before);
	assert_false(is_left_unlinked(file("f", MIB), "f"));
	/* One that was small has the place of the other. */
	assert_false(is_left_unlinked(file("f", 0), "f"));
	/* Nobody is there any more. */
	fs_closer_call(&client->fs->closer, -1);
	assert_false(is_left_unlinked(file("f", 64 * MIB), "f"));
}

enum way {
	READ,
	WRITE,
	APPEND,
	FALLOCATE,
	COPY,
};

static int grow(enum way way, uint64_t node, uint64_t fh)
{
	struct fuse_fallocate_in fallocate_in = {
		.fh = fh,
		.length = 5 * MIB,
		.mode = FALLOC_FL_KEEP_SIZE,
	};
	struct {
		struct fuse_write_in in;
		char text[1];
	} append = {{.fh = fh, .size = 1, .flags = O_APPEND}, "x"};
	struct fuse_copy_file_range_in copy = {
		.fh_in = fh,
		.nodeid_out = node,
		.fh_out = fh,
		.off_out = 5 * MIB,
		.len = 1,
	};

	switch (way) {
	case WRITE:
		return client_write(client, node, fh, 5 * MIB, "x", 1, 0);
	case APPEND:
		return client_call(client, FUSE_WRITE, node, &append.in,
				   sizeof(append.in), append.text, 1);
	case FALLOCATE:
		return client_call(client, FUSE_FALLOCATE, node, &fallocate_in,
				   sizeof(fallocate_in), NULL, 0);
	case COPY:
		return client_call(client, FUSE_COPY_FILE_RANGE, node, &copy,
				   sizeof(copy), NULL, 0);
	default:
		return client_read(client, node, fh, 0, 1);
	}
}

/* A file that was small when it was looked up. */
static void made_large(void **state)
{
	for (enum way way = READ; way <= COPY; way++) {
		uint64_t node;
		uint64_t fh;

		assert_int_equal(
			client_create(client, 1, "f", O_RDWR, 0600, &node, &fh),
			0);
		assert_int_equal(client_write(client, node, fh, 0, "abc", 3, 0),
				 3);
		assert_true(grow(way, node, fh) >= 0);
		assert_int_equal(client_release(client, FUSE_RELEASE, node, fh),
				 0);
		assert_int_equal(is_left_unlinked(node, "f"), way != READ);
	}
}

/* What there is no place for is closed as it was. */
static void many(void **state)
{
	struct fuse_forget_in in = {.nlookup = 1};

	for (unsigned i = 0; i < 2 * FS_CLOSER_MAX; i++) {
		uint64_t node = file("f", 64 * MIB);

		assert_int_equal(client_name(client, FUSE_UNLINK, 1, "f"), 0);
		client_call(client, FUSE_FORGET, node, &in, sizeof(in), NULL,
			    0);
	}
	assert_int_equal(descriptors(), before + FS_CLOSER_MAX);
	fs_closer_run(&client->fs->closer);
	assert_int_equal(descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(large_and_nameless, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(made_large, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

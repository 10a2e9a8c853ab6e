/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "tests/unit/virtiofs/client.h"

struct ioctl_args {
	uint32_t cmd;
	uint32_t flags;
	uint32_t in_size;
	uint32_t out_size;
};

static int call(struct client *c, uint64_t node, uint64_t fh,
		struct ioctl_args args, const void *data)
{
	struct fuse_ioctl_in in = {
		.fh = fh,
		.flags = args.flags,
		.cmd = args.cmd,
		.in_size = args.in_size,
		.out_size = args.out_size,
	};

	return client_call(c, FUSE_IOCTL, node, &in, sizeof(in), data,
			   args.in_size);
}

static int get(struct client *c, uint64_t node, uint64_t fh, bool dir,
	       unsigned *flags)
{
	const struct fuse_ioctl_out *out = client_body(c);
	int n = call(c, node, fh,
		     (struct ioctl_args){
			     .cmd = (uint32_t)FS_IOC_GETFLAGS,
			     .flags = dir ? FUSE_IOCTL_DIR : 0,
			     .out_size = sizeof(*flags),
		     },
		     NULL);

	if (n < 0)
		return n;
	assert_int_equal(n, sizeof(*out) + sizeof(*flags));
	assert_int_equal(out->result, 0);
	memcpy(flags, out + 1, sizeof(*flags));
	return 0;
}

static int set(struct client *c, uint64_t node, uint64_t fh, unsigned flags)
{
	return call(c, node, fh,
		    (struct ioctl_args){
			    .cmd = (uint32_t)FS_IOC_SETFLAGS,
			    .in_size = sizeof(flags),
		    },
		    &flags);
}

/* The host's file system may have no flags: then neither has the guest. */
static int host_flags(struct client *c, const char *name, unsigned *flags)
{
	int fd = openat(c->dir, name, O_RDONLY);
	int ret = ioctl(fd, FS_IOC_GETFLAGS, flags) ? -errno : 0;

	close(fd);
	return ret;
}

static void test_flags(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	const struct fuse_ioctl_out *out = client_body(c);
	struct fsxattr attr;
	uint64_t node;
	uint64_t fh = 0;
	unsigned flags;
	unsigned host = 0;
	int have;

	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &fh), 0);
	have = host_flags(c, "f", &host);
	assert_int_equal(get(c, node, fh, false, &flags), have);
	if (have == 0) {
		assert_int_equal(flags, host);
		assert_int_equal(set(c, node, fh, flags | FS_NODUMP_FL),
				 sizeof(*out));
		assert_int_equal(host_flags(c, "f", &host), 0);
		assert_int_equal(host, flags | FS_NODUMP_FL);
		assert_int_equal(
			call(c, node, fh,
			     (struct ioctl_args){
				     .cmd = (uint32_t)FS_IOC_FSGETXATTR,
				     .out_size = sizeof(attr),
			     },
			     NULL),
			sizeof(*out) + sizeof(attr));
		memcpy(&attr, out + 1, sizeof(attr));
		assert_true(attr.fsx_xflags & FS_XFLAG_NODUMP);
		/* How the host finds names is none of the guest's business. */
		assert_int_equal(set(c, node, fh, host | FS_CASEFOLD_FL),
				 -EOPNOTSUPP);
		assert_int_equal(set(c, node, fh, host | FS_PROJINHERIT_FL),
				 -EOPNOTSUPP);
		assert_int_equal(set(c, node, fh, host ^ FS_EXTENT_FL),
				 -EOPNOTSUPP);
		c->fs->config.readonly = true;
		assert_int_equal(set(c, node, fh, flags), -EROFS);
		c->fs->config.readonly = false;
		assert_int_equal(set(c, node, fh, flags), sizeof(*out));
	}
	client_free(c);
}

static void test_directory(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	uint64_t fh = 0;
	unsigned flags;
	unsigned host = 0;
	int have;

	assert_int_equal(client_open(c, FUSE_OPENDIR, 1, O_RDONLY, &fh), 0);
	have = host_flags(c, ".", &host);
	assert_int_equal(get(c, 1, fh, true, &flags), have);
	if (have == 0)
		assert_int_equal(flags, host);
	assert_int_equal(get(c, 1, fh, false, &flags), -EBADF);
	client_free(c);
}

/* Of the host's; 0 or -errno. */
static int make_append_only(struct client *c, const char *name, bool only)
{
	int fd = openat(c->dir, name, O_RDONLY);
	unsigned flags;
	int ret = ioctl(fd, FS_IOC_GETFLAGS, &flags) ? -errno : 0;

	flags &= ~(unsigned)FS_APPEND_FL;
	if (only)
		flags |= FS_APPEND_FL;
	if (!ret)
		ret = ioctl(fd, FS_IOC_SETFLAGS, &flags) ? -errno : 0;
	close(fd);
	return ret;
}

static int write_as(struct client *c, uint64_t node, uint64_t fh,
		    uint32_t flags, uint32_t write_flags)
{
	struct fuse_write_in in = {
		.fh = fh,
		.size = 3,
		.write_flags = write_flags,
		.flags = flags,
	};

	return client_call(c, FUSE_WRITE, node, &in, sizeof(in), "log", 3);
}

static void append(struct client *c, uint64_t node, uint64_t fh)
{
	struct fuse_attr attr;

	assert_int_equal(write_as(c, node, fh, O_WRONLY | O_APPEND, 0),
			 sizeof(struct fuse_write_out));
	/* What has a place of its own would not get there. */
	assert_int_equal(
		write_as(c, node, fh, O_WRONLY | O_APPEND, FUSE_WRITE_CACHE),
		-EPERM);
	assert_int_equal(write_as(c, node, fh, O_WRONLY, 0), -EPERM);
	assert_int_equal(client_getattr(c, node, &attr), 0);
	assert_int_equal(attr.size, 8);
}

static void test_append_only(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	uint64_t node;
	uint64_t fh;

	client_host_file(c, "f", "hello");
	client_host_file(c, "g", "hello");
	if (make_append_only(c, "f", true) || make_append_only(c, "g", true)) {
		client_free(c);
		skip();
	}
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_WRONLY, &fh),
			 -EPERM);
	assert_int_equal(client_open(c, FUSE_OPEN, node,
				     O_WRONLY | O_APPEND | O_TRUNC, &fh),
			 -EPERM);
	assert_int_equal(
		client_open(c, FUSE_OPEN, node, O_WRONLY | O_APPEND, &fh), 0);
	append(c, node, fh);
	assert_int_equal(
		client_create(c, 1, "g", O_WRONLY | O_APPEND, 0644, &node, &fh),
		0);
	append(c, node, fh);
	assert_int_equal(make_append_only(c, "f", false), 0);
	assert_int_equal(make_append_only(c, "g", false), 0);
	client_free(c);
}

/* The guest would append at the end that it knows. */
static void test_append_only_in_writeback(void **state)
{
	struct virtiofs_config config = {
		.cache = VIRTIOFS_CACHE_AUTO,
		.writeback = true,
	};
	struct client *c = client_new(&config);
	uint64_t node;
	uint64_t fh;

	assert_int_equal(client_init(c, UINT32_MAX), 0);
	assert_true(c->features & FUSE_WRITEBACK_CACHE);
	client_host_file(c, "f", "hello");
	if (make_append_only(c, "f", true)) {
		client_free(c);
		skip();
	}
	node = client_lookup(c, 1, "f");
	assert_int_equal(
		client_open(c, FUSE_OPEN, node, O_WRONLY | O_APPEND, &fh),
		-EPERM);
	assert_int_equal(make_append_only(c, "f", false), 0);
	client_free(c);
}

static void test_bad(void **state)
{
	static const struct ioctl_args bad[] = {
		{.cmd = (uint32_t)FS_IOC_GETFLAGS},
		{.cmd = (uint32_t)FS_IOC_GETFLAGS, .out_size = 8},
		{.cmd = (uint32_t)FS_IOC_GETFLAGS, .out_size = UINT32_MAX - 15},
		{.cmd = (uint32_t)FS_IOC_GETFLAGS, .in_size = 4, .out_size = 4},
		{.cmd = (uint32_t)FS_IOC_SETFLAGS},
		{.cmd = (uint32_t)FS_IOC_SETFLAGS, .in_size = 8},
		{.cmd = (uint32_t)FS_IOC_FSGETXATTR, .out_size = 4},
	};
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_ioctl_in in = {
		.cmd = (uint32_t)FS_IOC_SETFLAGS,
		.in_size = sizeof(unsigned),
	};
	uint8_t data[8] = {0};
	uint64_t node;

	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &in.fh), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(call(c, node, in.fh, bad[i], data), -EINVAL);
	/* Less than it says. */
	assert_int_equal(
		client_call(c, FUSE_IOCTL, node, &in, sizeof(in), data, 3),
		-EINVAL);
	/* Not of this inode, not open. */
	assert_int_equal(set(c, 1, in.fh, 0), -EBADF);
	assert_int_equal(set(c, node, 99, 0), -EBADF);
	/* What there is none of. */
	assert_int_equal(
		call(c, node, in.fh,
		     (struct ioctl_args){.cmd = (uint32_t)FS_IOC_FSSETXATTR,
					 .in_size = sizeof(data)},
		     data),
		-ENOTTY);
	client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_append_only),
		cmocka_unit_test(test_append_only_in_writeback),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/client.h"

/* What is answered without waiting, and what is left for a worker. */

static int try_call(struct client *c, uint32_t opcode, uint64_t node,
		    const void *arg, size_t len, int *error)
{
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + len),
		.opcode = opcode,
		.unique = ++c->unique,
		.nodeid = node,
		.uid = c->uid,
		.gid = c->gid,
	};
	const struct fuse_out_header *out = (const void *)c->out;
	int ret;

	memcpy(c->in, &head, sizeof(head));
	memcpy(c->in + sizeof(head), arg, len);
	memset(c->out, 0, 4096);
	*c->chain = (struct virtq_chain){
		.nread = 1,
		.nwrite = 1,
		.read_len = head.len,
		.write_len = CLIENT_BUF,
		.iov = {{c->in, head.len}, {c->out, CLIENT_BUF}},
	};
	ret = virtiofs_try(c->thread, c->chain, &c->written);
	if (ret == 1) {
		assert_true(out->unique == c->unique);
		assert_true(out->len == c->written);
		*error = out->error;
	} else {
		assert_int_equal(c->written, 0);
	}
	return ret;
}

static void test_names(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_entry_out *entry = client_body(c);
	struct fuse_getattr_in getattr = {0};
	struct fuse_open_in open_in = {.flags = O_WRONLY | O_TRUNC};
	uint64_t node;
	int error;

	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	assert_int_equal(try_call(c, FUSE_LOOKUP, 1, "f", 2, &error), 1);
	assert_int_equal(error, 0);
	assert_true(entry->nodeid == node);
	assert_int_equal(try_call(c, FUSE_LOOKUP, 1, "../f", 5, &error), 1);
	assert_int_equal(error, -EINVAL);
	/* Cached or not, it is not there. */
	if (try_call(c, FUSE_LOOKUP, 1, "none", 5, &error) == 1)
		assert_int_equal(error, -ENOENT);
	assert_int_equal(try_call(c, FUSE_GETATTR, node, &getattr,
				  sizeof(getattr), &error),
			 1);
	assert_int_equal(error, 0);
	assert_int_equal(try_call(c, FUSE_GETATTR, 99, &getattr,
				  sizeof(getattr), &error),
			 1);
	assert_int_equal(error, -ESTALE);
	/* Nothing that changes something, nor what is unknown. */
	assert_int_equal(
		try_call(c, FUSE_OPEN, node, &open_in, sizeof(open_in), &error),
		0);
	assert_int_equal(try_call(c, FUSE_UNLINK, 1, "f", 2, &error), 0);
	assert_int_equal(faccessat(c->dir, "f", F_OK, 0), 0);
	assert_int_equal(try_call(c, 4096, 1, "f", 2, &error), 0);
	assert_int_equal(client_getattr(c, node, NULL), 0);
	client_free(c);
}

static void test_reads(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_read_in in = {.size = 4096};
	uint64_t node;
	int error;
	int ret;
	int fd;

	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &in.fh), 0);
	/* Short, because it ends there. */
	ret = try_call(c, FUSE_READ, node, &in, sizeof(in), &error);
	if (ret == 1) {
		assert_int_equal(error, 0);
		assert_int_equal(c->written, 16 + 5);
		assert_memory_equal(client_body(c), "hello", 5);
	}
	in.size = 1 << 20;
	assert_int_equal(try_call(c, FUSE_READ, node, &in, sizeof(in), &error),
			 0);
	assert_int_equal(try_call(c, FUSE_RELEASE, node,
				  &(struct fuse_release_in){.fh = in.fh,
							    .flags = O_RDWR},
				  sizeof(struct fuse_release_in), &error),
			 0);
	assert_int_equal(client_read(c, node, in.fh, 0, 5), 5);
	assert_int_equal(try_call(c, FUSE_RELEASE, node,
				  &(struct fuse_release_in){.fh = in.fh},
				  sizeof(struct fuse_release_in), &error),
			 1);
	assert_int_equal(error, 0);
	assert_int_equal(client_read(c, node, in.fh, 0, 5), -EBADF);
	in.fh = 77;
	in.size = 1;
	assert_int_equal(try_call(c, FUSE_READ, node, &in, sizeof(in), &error),
			 1);
	assert_int_equal(error, -EBADF);

	/* A cold file: all of it, or nothing. */
	fd = openat(c->dir, "cold", O_RDWR | O_CREAT, 0644);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(write_full(fd, c->out, 4096), 0);
	assert_int_equal(fsync(fd), 0);
	posix_fadvise(fd, 8192, 0, POSIX_FADV_DONTNEED);
	close(fd);
	node = client_lookup(c, 1, "cold");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &in.fh), 0);
	in.size = 1 << 16;
	ret = try_call(c, FUSE_READ, node, &in, sizeof(in), &error);
	if (ret == 1)
		assert_int_equal(c->written, 16 + (1 << 16));
	assert_int_equal(client_read(c, node, in.fh, 0, 1 << 16), 1 << 16);
	client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

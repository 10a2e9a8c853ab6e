/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/client.h"

#include <sys/resource.h>
#include <sys/wait.h>

static void test_init(void **state)
{
	struct virtiofs_config config = {.cache = VIRTIOFS_CACHE_AUTO};
	struct client *c = client_new(&config);
	struct fuse_init_in in = {.major = 8, .minor = 1};
	struct fuse_init_out *out = client_body(c);
	uint64_t node;
	uint64_t fh;
	uint64_t again;

	/* Nothing before INIT. */
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, "x"), -EIO);
	assert_int_equal(client_getattr(c, 1, NULL), -EIO);

	/* A newer major is told ours and comes again. */
	assert_int_equal(client_call(c, FUSE_INIT, 0, &in, sizeof(in), NULL, 0),
			 sizeof(*out));
	assert_int_equal(out->major, 7);
	in.major = 6;
	assert_int_equal(client_call(c, FUSE_INIT, 0, &in, sizeof(in), NULL, 0),
			 -EPROTO);
	in.major = 7;
	in.minor = 30;
	assert_int_equal(client_call(c, FUSE_INIT, 0, &in, sizeof(in), NULL, 0),
			 -EPROTO);
	in.minor = 31;
	assert_int_equal(client_call(c, FUSE_INIT, 0, &in, 8, NULL, 0),
			 -EINVAL);
	assert_int_equal(client_call(c, FUSE_INIT, 0, &in, 7, NULL, 0),
			 -EINVAL);

	/* The short form of 7.31 has no flags2, even if it says so. */
	in.flags = FUSE_INIT_EXT | FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT |
		   FUSE_POSIX_ACL | FUSE_WRITEBACK_CACHE | FUSE_SUBMOUNTS;
	in.flags2 = UINT32_MAX;
	assert_int_equal(client_call(c, FUSE_INIT, 0, &in, 16, NULL, 0),
			 sizeof(*out));
	assert_int_equal(out->flags2, 0);
	/* Only what was offered and wanted. */
	assert_int_equal(out->flags, FUSE_ASYNC_READ | FUSE_INIT_EXT);
	assert_int_equal(out->max_readahead, 1 << 20);
	assert_int_equal(out->max_write, 1 << 20);
	assert_int_equal(out->max_pages, 0 + 256);

	assert_int_equal(client_getattr(c, 1, NULL), 0);
	/* Another guest, of which nobody told: what the one before had is gone.
	 */
	client_host_file(c, "file", "hello");
	node = client_lookup(c, 1, "file");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &fh), 0);
	assert_int_equal(client_init(c, 0), 0);
	assert_int_equal(client_getattr(c, 1, NULL), 0);
	assert_int_equal(client_getattr(c, node, NULL), -ESTALE);
	assert_int_equal(client_open(c, FUSE_OPEN, client_lookup(c, 1, "file"),
				     O_RDONLY, &again),
			 0);
	assert_true(again != fh);
	assert_int_equal(client_call(c, FUSE_DESTROY, 0, NULL, 0, NULL, 0), 0);
	assert_int_equal(client_getattr(c, 1, NULL), -EIO);
	assert_int_equal(client_init(c, 0), 0);
	assert_int_equal(client_getattr(c, 1, NULL), 0);
	client_free(c);
}

static void test_features(void **state)
{
	struct virtiofs_config config = {
		.cache = VIRTIOFS_CACHE_ALWAYS,
		.xattr = true,
		.posix_acl = true,
		.announce_submounts = true,
		.writeback = true,
	};
	struct client *c = client_new(&config);
	const uint64_t some = FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SUBMOUNTS |
			      FUSE_WRITEBACK_CACHE | FUSE_HANDLE_KILLPRIV_V2 |
			      FUSE_MAX_PAGES | FUSE_SETXATTR_EXT |
			      FUSE_PARALLEL_DIROPS | FUSE_DO_READDIRPLUS;

	assert_int_equal(client_init(c, UINT64_MAX), 0);
	assert_true((c->features & some) == some);
	assert_false(c->features & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS |
				    FUSE_AUTO_INVAL_DATA | FUSE_EXPORT_SUPPORT |
				    FUSE_NO_OPEN_SUPPORT | FUSE_SECURITY_CTX |
				    FUSE_HAS_INODE_DAX | FUSE_MAP_ALIGNMENT));
	client_free(c);

	config = (struct virtiofs_config){.cache = VIRTIOFS_CACHE_NEVER};
	c = client_new(&config);
	assert_int_equal(client_init(c, UINT64_MAX), 0);
	assert_false(c->features &
		     (FUSE_POSIX_ACL | FUSE_SUBMOUNTS | FUSE_WRITEBACK_CACHE |
		      FUSE_DO_READDIRPLUS));
	assert_true(c->features & (1ull << 36));
	client_free(c);
}

static void test_config(void **state)
{
	struct virtiofs_config config = {
		.proc_fd = -1,
		.root_fd = open("/dev/null", O_PATH),
	};
	const struct rlimit low = {1023, 1023};
	struct err err;
	int status;
	pid_t pid;

	assert_null(virtiofs_new(&config, &err));
	assert_int_equal(err.code, ENOTDIR);

	config.root_fd = open("/", O_PATH | O_DIRECTORY);
	config.posix_acl = true;
	assert_null(virtiofs_new(&config, &err));
	assert_int_equal(err.code, EINVAL);
	config.posix_acl = false;

	config.root_fd = open("/", O_PATH | O_DIRECTORY);
	config.proc_fd = open("/tmp", O_PATH | O_DIRECTORY);
	assert_null(virtiofs_new(&config, &err));
	assert_non_null(strstr(err.text, "/proc/self/fd"));
	config.proc_fd = -1;

	config.root_fd = open("/", O_PATH | O_DIRECTORY);
	config.max_inodes = UINT32_MAX;
	assert_null(virtiofs_new(&config, &err));
	assert_int_equal(err.code, EMFILE);
	config.max_inodes = 0;

	/* A child with its parent's directory. */
	config.root_fd = open("/", O_PATH | O_DIRECTORY);
	config.proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(virtiofs_new(&config, &err) ? 1 : err.code);
	close(config.root_fd);
	close(config.proc_fd);
	config.proc_fd = -1;
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EBADF);

	/* A hard limit cannot be raised again: in a process of its own. */
	config.root_fd = open("/", O_PATH | O_DIRECTORY);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (setrlimit(RLIMIT_NOFILE, &low))
			_exit(1);
		if (virtiofs_new(&config, &err) || err.code != EMFILE)
			_exit(2);
		_exit(0);
	}
	close(config.root_fd);
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
}

/* Hard limits again. */
static void test_limit_stays(void **state)
{
	const struct rlimit soft = {2000, 4000};
	struct virtiofs_config config = {.proc_fd = -1, .keep_nofile = true};
	struct rlimit now;
	struct err err;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		config.root_fd = open("/", O_PATH | O_DIRECTORY);
		if (setrlimit(RLIMIT_NOFILE, &soft) ||
		    !virtiofs_new(&config, &err) ||
		    getrlimit(RLIMIT_NOFILE, &now))
			_exit(1);
		_exit(now.rlim_cur == soft.rlim_cur ? 0 : 2);
	}
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
}

/* Every opcode there is, and more, with every body too short for it. */
static void test_short_bodies(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_in_header head = {.unique = 7, .nodeid = 1};

	for (uint32_t op = 0; op < 64; op++) {
		if (op == FUSE_DESTROY || op == FUSE_SYNCFS)
			continue;
		for (uint32_t len = 0; len < 100; len++) {
			/* Nothing but zeroes: no valid name, no handle. */
			memset(c->in, 0, 200);
			head.opcode = op;
			head.len = (uint32_t)sizeof(head) + len;
			memcpy(c->in, &head, sizeof(head));
			assert_int_equal(client_raw(c, head.len, 4096), 0);
		}
	}
	assert_int_equal(client_call(c, 0, 1, NULL, 0, NULL, 0), -ENOSYS);
	assert_int_equal(client_call(c, 4096, 1, NULL, 0, NULL, 0), -ENOSYS);
	assert_int_equal(client_call(c, UINT32_MAX, 1, NULL, 0, NULL, 0),
			 -ENOSYS);
	client_free(c);
}

static void test_lengths(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_in_header head = {
		.len = sizeof(head) + sizeof(struct fuse_getattr_in),
		.opcode = FUSE_GETATTR,
		.unique = 7,
		.nodeid = 1,
	};
	struct fuse_out_header *out = (void *)c->out;
	size_t len = head.len;

	memset(c->in, 0, 4096);
	/* Less than a header; no room for one. */
	memcpy(c->in, &head, sizeof(head));
	assert_int_equal(client_raw(c, 39, 4096), -EPROTO);
	assert_int_equal(client_raw(c, 0, 4096), -EPROTO);
	assert_int_equal(client_raw(c, len, 15), -EPROTO);
	assert_int_equal(client_raw(c, len, 0), -EPROTO);
	/* Room for the header only. */
	assert_int_equal(client_raw(c, len, 16), 0);
	assert_int_equal(c->written, 16);
	assert_int_equal(out->error, -EINVAL);
	/* The header's length against the chain's. */
	head.len = (uint32_t)len + 1;
	memcpy(c->in, &head, sizeof(head));
	assert_int_equal(client_raw(c, len, 4096), 0);
	assert_int_equal(out->error, -EINVAL);
	head.len = UINT32_MAX;
	memcpy(c->in, &head, sizeof(head));
	assert_int_equal(client_raw(c, len, 4096), 0);
	assert_int_equal(out->error, -EINVAL);
	head.len = 39;
	memcpy(c->in, &head, sizeof(head));
	assert_int_equal(client_raw(c, len, 4096), 0);
	assert_int_equal(out->error, -EINVAL);
	/* Extensions reach beyond the body. */
	head.len = (uint32_t)len;
	head.total_extlen = 3;
	memcpy(c->in, &head, sizeof(head));
	assert_int_equal(client_raw(c, len, 4096), 0);
	assert_int_equal(out->error, -EINVAL);
	head.total_extlen = 0;
	memcpy(c->in, &head, sizeof(head));
	assert_int_equal(client_raw(c, len, 4096), 0);
	assert_int_equal(out->error, 0);
	/* Arguments of more than any request has. */
	head.len = FS_ARGS_MAX + 1 + sizeof(head);
	memcpy(c->in, &head, sizeof(head));
	assert_int_equal(client_raw(c, head.len, 4096), 0);
	assert_int_equal(out->error, -E2BIG);
	client_free(c);
}

static void test_node_ids(void **state)
{
	static const uint64_t forged[] = {0,
					  3,
					  999,
					  1ull << 32,
					  1ull << 32 | 1,
					  1ull << 32 | 2,
					  UINT32_MAX,
					  UINT64_MAX};
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	uint64_t node;

	client_host_file(c, "f", "x");
	node = client_lookup(c, 1, "f");
	assert_true(node == 2);
	for (unsigned i = 0; i < ARRAY_SIZE(forged); i++) {
		assert_int_equal(client_getattr(c, forged[i], NULL), -ESTALE);
		assert_int_equal(client_name(c, FUSE_LOOKUP, forged[i], "f"),
				 -ESTALE);
	}
	assert_int_equal(client_getattr(c, node, NULL), 0);
	client_free(c);
}

static void forget(struct client *c, uint64_t node, uint64_t n)
{
	struct fuse_forget_in in = {.nlookup = n};

	assert_int_equal(
		client_call(c, FUSE_FORGET, node, &in, sizeof(in), NULL, 0), 0);
	assert_int_equal(c->written, 0);
}

static void test_forget(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	uint64_t again;
	uint64_t node;

	client_host_file(c, "f", "x");
	node = client_lookup(c, 1, "f");
	assert_true(client_lookup(c, 1, "f") == node);
	forget(c, node, 1);
	assert_int_equal(client_getattr(c, node, NULL), 0);
	forget(c, node, 1);
	assert_int_equal(client_getattr(c, node, NULL), -ESTALE);
	/* More than there are; and what is gone already. */
	again = client_lookup(c, 1, "f");
	assert_true(again != node);
	forget(c, again, UINT64_MAX);
	assert_int_equal(client_getattr(c, again, NULL), -ESTALE);
	forget(c, again, 1);
	forget(c, 0, 1);
	forget(c, UINT64_MAX, 1);
	/* The root stays. */
	forget(c, 1, UINT64_MAX);
	assert_int_equal(client_getattr(c, 1, NULL), 0);
	client_free(c);
}

/* New ones in a row and known ones are looked up in two ways. */
static void test_lookups_in_rows(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_entry_out *out = client_body(c);
	uint64_t node[6];
	char name[8];

	for (unsigned i = 0; i < ARRAY_SIZE(node); i++) {
		snprintf(name, sizeof(name), "f%u", i);
		client_host_file(c, name, "12345");
		node[i] = client_lookup(c, 1, name);
		assert_int_equal(out->attr.size, 5);
	}
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, "none"), -ENOENT);
	for (unsigned i = 0; i < ARRAY_SIZE(node); i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(client_lookup(c, 1, name), node[i]);
		assert_int_equal(out->attr.size, 5);
	}
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, "none"), -ENOENT);
	/* Each was counted once. */
	for (unsigned i = 0; i < ARRAY_SIZE(node); i++) {
		forget(c, node[i], 1);
		assert_int_equal(client_getattr(c, node[i], NULL), 0);
		forget(c, node[i], 1);
		assert_int_equal(client_getattr(c, node[i], NULL), -ESTALE);
	}
	client_free(c);
}

static void test_batch_forget(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_batch_forget_in in = {.count = 3};
	struct fuse_forget_one ones[3] = {{0}};
	uint64_t a;
	uint64_t b;

	client_host_file(c, "a", "x");
	client_host_file(c, "b", "x");
	a = client_lookup(c, 1, "a");
	b = client_lookup(c, 1, "b");
	ones[0] = (struct fuse_forget_one){a, 1};
	ones[1] = (struct fuse_forget_one){12345, 1};
	ones[2] = (struct fuse_forget_one){b, 5};
	/* A count that is a lie forgets nothing. */
	in.count = 4;
	client_call(c, FUSE_BATCH_FORGET, 0, &in, sizeof(in), ones,
		    sizeof(ones));
	in.count = UINT32_MAX;
	client_call(c, FUSE_BATCH_FORGET, 0, &in, sizeof(in), ones,
		    sizeof(ones));
	assert_int_equal(client_getattr(c, a, NULL), 0);
	in.count = 3;
	client_call(c, FUSE_BATCH_FORGET, 0, &in, sizeof(in), ones,
		    sizeof(ones));
	assert_int_equal(c->written, 0);
	assert_int_equal(client_getattr(c, a, NULL), -ESTALE);
	assert_int_equal(client_getattr(c, b, NULL), -ESTALE);
	client_free(c);
}

/* A megabyte of them, in several pieces; and not one more. */
static void test_large_batch_forget(void **state)
{
	const uint32_t most = FS_MAX_WRITE / sizeof(struct fuse_forget_one);
	struct fuse_forget_one *ones = calloc(most + 1, sizeof(ones[0]));
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_batch_forget_in in = {.count = most + 1};
	uint64_t a;

	assert_non_null(ones);
	client_host_file(c, "a", "x");
	a = client_lookup(c, 1, "a");
	/* The root is not forgotten, and nothing is said of it. */
	for (uint32_t i = 0; i <= most; i++)
		ones[i] = (struct fuse_forget_one){FUSE_ROOT_ID, 1};
	ones[most - 1].nodeid = a;
	client_call(c, FUSE_BATCH_FORGET, 0, &in, sizeof(in), ones,
		    (most + 1) * sizeof(ones[0]));
	assert_int_equal(client_getattr(c, a, NULL), 0);
	in.count = most;
	client_call(c, FUSE_BATCH_FORGET, 0, &in, sizeof(in), ones,
		    (most + 1) * sizeof(ones[0]));
	assert_int_equal(client_getattr(c, a, NULL), -ESTALE);
	client_free(c);
	free(ones);
}

static void test_caps(void **state)
{
	struct virtiofs_config config = {.max_inodes = 4, .max_handles = 2};
	struct client *c = client_new(&config);
	char name[2] = "a";
	uint64_t nodes[3];
	uint64_t fh[3];

	assert_int_equal(client_init(c, 0), 0);
	for (unsigned i = 0; i < 4; i++) {
		name[0] = (char)('a' + i);
		client_host_file(c, name, "x");
		if (i < 3)
			nodes[i] = client_lookup(c, 1, name);
	}
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, "d"), -ENFILE);
	/* One that is known is no new inode. */
	assert_true(client_lookup(c, 1, "c") == nodes[2]);
	forget(c, nodes[0], 1);
	client_lookup(c, 1, "d");

	assert_int_equal(client_open(c, FUSE_OPEN, nodes[1], 0, &fh[0]), 0);
	assert_int_equal(client_open(c, FUSE_OPENDIR, 1, 0, &fh[1]), 0);
	assert_int_equal(client_open(c, FUSE_OPEN, nodes[1], 0, &fh[2]),
			 -ENFILE);
	assert_int_equal(client_open(c, FUSE_OPENDIR, 1, 0, &fh[2]), -ENFILE);
	assert_int_equal(client_release(c, FUSE_RELEASE, nodes[1], fh[0]), 0);
	assert_int_equal(client_open(c, FUSE_OPEN, nodes[1], 0, &fh[2]), 0);
	client_free(c);
}

static void test_destroy_ends_all(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	uint64_t node;
	uint64_t fh;

	client_host_file(c, "f", "x");
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_open(c, FUSE_OPEN, node, 0, &fh), 0);
	assert_int_equal(client_call(c, FUSE_DESTROY, 0, NULL, 0, NULL, 0), 0);
	assert_int_equal(client_init(c, 0), 0);
	assert_int_equal(client_getattr(c, node, NULL), -ESTALE);
	assert_int_equal(client_read(c, node, fh, 0, 1), -ESTALE);
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_read(c, node, fh, 0, 1), -EBADF);
	client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_limit_stays),
		cmocka_unit_test(test_short_bodies),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_node_ids),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_lookups_in_rows),
		cmocka_unit_test(test_batch_forget),
		cmocka_unit_test(test_large_batch_forget),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_destroy_ends_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/client.h"
#include "virtiofs/handle.h"

static void test_names(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_mkdir_in mkdir_in = {.mode = 0750};
	struct fuse_link_in link_in;
	uint64_t node;
	uint64_t dir;
	int n;

	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	dir = client_entry(c, client_call(c, FUSE_MKDIR, 1, &mkdir_in,
					  sizeof(mkdir_in), "d", 2));
	assert_int_equal(client_call(c, FUSE_MKDIR, 1, &mkdir_in,
				     sizeof(mkdir_in), "d", 2),
			 -EEXIST);
	link_in.oldnodeid = node;
	assert_true(client_entry(c, client_call(c, FUSE_LINK, dir, &link_in,
						sizeof(link_in), "l", 2)) ==
		    node);
	assert_int_equal(faccessat(c->dir, "d/l", F_OK, 0), 0);
	link_in.oldnodeid = 999;
	assert_int_equal(client_call(c, FUSE_LINK, dir, &link_in,
				     sizeof(link_in), "m", 2),
			 -ESTALE);

	client_entry(c, client_call(c, FUSE_SYMLINK, 1, "s\0/some/where", 14,
				    NULL, 0));
	n = client_call(c, FUSE_READLINK, client_lookup(c, 1, "s"), NULL, 0,
			NULL, 0);
	assert_int_equal(n, 11);
	assert_memory_equal(client_body(c), "/some/where", 11);
	assert_int_equal(client_call(c, FUSE_READLINK, node, NULL, 0, NULL, 0),
			 -EINVAL);
	/* A link to the link itself. */
	link_in.oldnodeid = client_lookup(c, 1, "s");
	client_entry(c, client_call(c, FUSE_LINK, 1, &link_in, sizeof(link_in),
				    "s2", 3));

	assert_int_equal(client_name(c, FUSE_RMDIR, 1, "d"), -ENOTEMPTY);
	assert_int_equal(client_name(c, FUSE_UNLINK, 1, "d"), -EISDIR);
	assert_int_equal(client_name(c, FUSE_UNLINK, dir, "l"), 0);
	assert_int_equal(client_name(c, FUSE_UNLINK, dir, "l"), -ENOENT);
	assert_int_equal(client_name(c, FUSE_RMDIR, 1, "d"), 0);
	assert_int_equal(client_name(c, FUSE_UNLINK, 1, "f"), 0);
	/* The inode lives on while the guest has it. */
	assert_int_equal(client_getattr(c, node, NULL), 0);
	client_free(c);
}

static void test_rename(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_rename_in rename_in = {.newdir = 1};
	struct fuse_rename2_in rename2 = {.newdir = 1,
					  .flags = RENAME_NOREPLACE};
	uint64_t node;
	uint64_t dir;

	client_host_file(c, "f", "hello");
	client_host_file(c, "s", "other");
	client_host_file(c, "s2", "third");
	assert_int_equal(mkdirat(c->dir, "d", 0755), 0);
	node = client_lookup(c, 1, "f");
	dir = client_lookup(c, 1, "d");
	assert_int_equal(client_call(c, FUSE_RENAME2, 1, &rename2,
				     sizeof(rename2), "f\0s", 4),
			 -EEXIST);
	rename2.flags = RENAME_EXCHANGE;
	assert_int_equal(client_call(c, FUSE_RENAME2, 1, &rename2,
				     sizeof(rename2), "f\0s", 4),
			 0);
	assert_true(client_lookup(c, 1, "s") == node);
	rename2.flags = 1u << 7;
	assert_int_equal(client_call(c, FUSE_RENAME2, 1, &rename2,
				     sizeof(rename2), "f\0s", 4),
			 -EINVAL);
	rename_in.newdir = dir;
	assert_int_equal(client_call(c, FUSE_RENAME, 1, &rename_in,
				     sizeof(rename_in), "s\0t", 4),
			 0);
	assert_true(client_lookup(c, dir, "t") == node);
	rename_in.newdir = 12345;
	assert_int_equal(client_call(c, FUSE_RENAME, 1, &rename_in,
				     sizeof(rename_in), "s2\0t", 5),
			 -ESTALE);
	/* Without the second name, without its end. */
	rename_in.newdir = 1;
	assert_int_equal(client_call(c, FUSE_RENAME, 1, &rename_in,
				     sizeof(rename_in), "s2", 3),
			 -EINVAL);
	assert_int_equal(client_call(c, FUSE_RENAME, 1, &rename_in,
				     sizeof(rename_in), "s2\0t", 4),
			 -EINVAL);
	client_free(c);
}

static void test_create(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_link_in link_in;
	struct fuse_create_in in = {.flags = O_RDWR, .mode = 0600};
	struct fuse_entry_out *entry = client_body(c);
	struct stat st;
	uint64_t node = 0;
	uint64_t fh = 0;

	assert_int_equal(
		client_create(c, 1, "f", O_RDWR | O_EXCL, 0604, &node, &fh), 0);
	assert_int_equal(fstatat(c->dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode, 0100604);
	assert_int_equal(client_write(c, node, fh, 0, "hello", 5, 0), 5);
	assert_int_equal(
		client_create(c, 1, "f", O_RDWR | O_EXCL, 0604, &node, &fh),
		-EEXIST);
	assert_int_equal(client_create(c, 1, "f", O_RDWR, 0604, &node, &fh), 0);
	assert_int_equal(client_read(c, node, fh, 0, 10), 5);
	assert_int_equal(
		client_create(c, 1, "f", O_RDWR | O_TRUNC, 0604, &node, &fh),
		0);
	assert_int_equal(client_read(c, node, fh, 0, 10), 0);
	assert_int_equal(client_create(c, 1, "g", O_WRONLY, 0, &node, &fh), 0);
	assert_int_equal(client_write(c, node, fh, 0, "hello", 5, 0), 5);

	assert_int_equal(
		client_call(c, FUSE_TMPFILE, 1, &in, sizeof(in), "#1", 3),
		sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out));
	assert_int_equal(entry->attr.nlink, 0);
	link_in.oldnodeid = entry->nodeid;
	client_entry(c, client_call(c, FUSE_LINK, 1, &link_in, sizeof(link_in),
				    "t", 2));
	assert_int_equal(faccessat(c->dir, "t", F_OK, 0), 0);
	client_free(c);
}

/* Walks a directory by calls of `size`; counts entries, and nodes in plus. */
static unsigned walk(struct client *c, uint32_t opcode, uint64_t fh,
		     uint32_t size, unsigned *nodes)
{
	bool plus = opcode == FUSE_READDIRPLUS;
	struct fuse_read_in in = {.fh = fh, .size = size};
	unsigned count = 0;
	int n;

	*nodes = 0;
	for (;;) {
		n = client_call(c, opcode, 1, &in, sizeof(in), NULL, 0);
		assert_true(n >= 0 && n <= (int)size);
		if (n == 0)
			return count;
		for (uint8_t *at = client_body(c); n > 0;) {
			struct fuse_direntplus *p = (void *)at;
			struct fuse_dirent *d = (void *)at;
			size_t len = FUSE_DIRENT_SIZE(d);

			if (plus) {
				d = &p->dirent;
				len = FUSE_DIRENTPLUS_SIZE(p);
				*nodes += p->entry_out.nodeid != 0;
			}
			count++;
			in.offset = d->off;
			at += len;
			n -= (int)len;
		}
		assert_int_equal(n, 0);
	}
}

static void test_directories(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_read_in in = {.size = 4096};
	unsigned nodes;
	char name[32];
	uint64_t fh = 0;

	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		client_host_file(c, name, "");
	}
	assert_int_equal(client_open(c, FUSE_OPENDIR, 1, 0, &fh), 0);
	assert_int_equal(walk(c, FUSE_READDIR, fh, 4096, &nodes), 302);
	assert_int_equal(walk(c, FUSE_READDIR, fh, 100, &nodes), 302);
	assert_int_equal(walk(c, FUSE_READDIR, fh, 1 << 20, &nodes), 302);
	assert_int_equal(walk(c, FUSE_READDIRPLUS, fh, 4096, &nodes), 302);
	assert_int_equal(nodes, 300);
	assert_int_equal(walk(c, FUSE_READDIRPLUS, fh, 1 << 16, &nodes), 302);
	/* Changes show at the next turn. */
	client_host_file(c, "one-more", "");
	assert_int_equal(walk(c, FUSE_READDIR, fh, 4096, &nodes), 303);

	in.fh = fh;
	in.offset = UINT64_MAX;
	assert_int_equal(
		client_call(c, FUSE_READDIR, 1, &in, sizeof(in), NULL, 0),
		-EINVAL);
	in.offset = 0;
	in.size = 8;
	assert_int_equal(
		client_call(c, FUSE_READDIR, 1, &in, sizeof(in), NULL, 0), 0);
	in.fh = 99;
	assert_int_equal(
		client_call(c, FUSE_READDIR, 1, &in, sizeof(in), NULL, 0),
		-EBADF);
	client_free(c);
}

/* The place behind the entry that is there. */
static uint64_t step(struct client *c, uint64_t fh, uint64_t offset)
{
	struct fuse_read_in in = {.fh = fh, .size = 48, .offset = offset};
	struct fuse_dirent *d = client_body(c);

	assert_true(client_call(c, FUSE_READDIR, 1, &in, sizeof(in), NULL, 0) >
		    0);
	return d->off;
}

/* A place that there is none of: the directory goes on where it was. */
static void test_bad_place(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_read_in in = {.size = 48, .offset = 1ull << 40};
	uint64_t places[4] = {0};

	/* Others take any number. */
	assert_int_equal(fs_handle_add(c->fs, FS_DIR, FS_WAITING_MAYBE,
				       open("/proc/self",
					    O_RDONLY | O_DIRECTORY | O_CLOEXEC),
				       O_RDONLY, 1, &in.fh),
			 0);
	for (unsigned i = 1; i < ARRAY_SIZE(places); i++)
		places[i] = step(c, in.fh, places[i - 1]);
	assert_true(step(c, in.fh, 0) == places[1]);
	assert_true(step(c, in.fh, places[1]) == places[2]);
	assert_int_equal(
		client_call(c, FUSE_READDIR, 1, &in, sizeof(in), NULL, 0),
		-EINVAL);
	assert_true(step(c, in.fh, places[2]) == places[3]);
	client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_bad_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

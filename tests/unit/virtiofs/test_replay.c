/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/client.h"

#include "base/replay.h"

#define FEATURES (~(uint64_t)FUSE_WRITEBACK_CACHE)

static struct client *replayer(void)
{
	struct virtiofs_config config = {
		.cache = VIRTIOFS_CACHE_AUTO,
		.xattr = true,
		.replay = true,
	};
	struct client *c = client_new(&config);

	assert_int_equal(client_init(c, FEATURES), 0);
	return c;
}

static void as_agent(struct client *c)
{
	c->uid = REPLAY_UID;
	c->gid = REPLAY_GID;
}

static void as_user(struct client *c)
{
	c->uid = getuid();
	c->gid = getgid();
}

static int set_xattr(struct client *c, uint64_t dir, const char *attribute,
		     const char *value, size_t size)
{
	struct fuse_setxattr_in in = {.size = (uint32_t)size};
	char more[512];
	size_t len = strlen(attribute) + 1;

	assert_true(len + size <= sizeof(more));
	memcpy(more, attribute, len);
	memcpy(more + len, value, size);
	return client_call(c, FUSE_SETXATTR, dir, &in, sizeof(in), more,
			   len + size);
}

/* value: "c-name". */
static void announce(struct client *c, uint64_t dir, const char *value)
{
	assert_int_equal(set_xattr(c, dir, REPLAY_XATTR, value, strlen(value)),
			 -REPLAY_ACCEPTED);
}

static int make_node(struct client *c, uint64_t dir, const char *name)
{
	struct fuse_mknod_in in = {.mode = S_IFREG | 0644};

	return client_call(c, FUSE_MKNOD, dir, &in, sizeof(in), name,
			   strlen(name) + 1);
}

static int make_dir(struct client *c, uint64_t dir, const char *name)
{
	struct fuse_mkdir_in in = {.mode = 0755};

	return client_call(c, FUSE_MKDIR, dir, &in, sizeof(in), name,
			   strlen(name) + 1);
}

static int rename_to(struct client *c, uint64_t dir, const char *from,
		     uint64_t newdir, const char *to)
{
	struct fuse_rename2_in in = {.newdir = newdir};
	char names[512];
	size_t len = strlen(from) + 1;

	memcpy(names, from, len);
	memcpy(names + len, to, strlen(to) + 1);
	return client_call(c, FUSE_RENAME2, dir, &in, sizeof(in), names,
			   len + strlen(to) + 1);
}

static bool host_has(struct client *c, const char *name)
{
	return faccessat(c->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A name that is there already is made, as an empty file for the moment. */
static void test_create(void **state)
{
	struct client *c = replayer();
	struct fuse_entry_out *out = client_body(c);
	uint64_t first;
	uint64_t generation;

	client_host_file(c, "a", "text");
	as_agent(c);
	assert_int_equal(make_node(c, 1, "a"), -EPERM);
	announce(c, 1, "c-a");
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, "a"), -ENOENT);
	first = client_entry(c, make_node(c, 1, "a"));
	assert_int_equal(out->attr.mode & S_IFMT, S_IFREG);
	assert_int_equal(out->attr.size, 0);
	assert_int_equal(out->entry_valid, 0);
	generation = out->generation;
	/* Done with: the name is what it is. */
	assert_true(client_lookup(c, 1, "a") != first);
	assert_int_equal(out->attr.size, 4);
	/* One that is gone again, too; the next inode is another. */
	announce(c, 1, "c-gone");
	assert_true(client_entry(c, make_node(c, 1, "gone")) != 0);
	assert_true(out->generation != generation);
	assert_false(host_has(c, "gone"));
	/* A guest that opens it cannot fill it. */
	as_user(c);
	assert_int_equal(client_open(c, FUSE_OPEN, first, O_RDWR, &generation),
			 0);
	assert_int_equal(client_write(c, first, generation, 0, "x", 1, 0),
			 -EPERM);
	client_free(c);
}

static void test_create_directory(void **state)
{
	struct client *c = replayer();
	uint64_t dir;

	assert_int_equal(mkdirat(c->dir, "d", 0755), 0);
	client_host_file(c, "f", "");
	dir = client_lookup(c, 1, "d");
	as_agent(c);
	announce(c, 1, "cdd");
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, "d"), -ENOENT);
	assert_int_equal(client_entry(c, make_dir(c, 1, "d")), dir);
	announce(c, 1, "cdf");
	assert_int_equal(make_dir(c, 1, "f"), -ENOENT);
	announce(c, 1, "cdnone");
	assert_int_equal(make_dir(c, 1, "none"), -ENOENT);
	assert_false(host_has(c, "none"));
	client_free(c);
}

/* The inode that the guest knew by the name is what it deletes. */
static void test_delete(void **state)
{
	struct client *c = replayer();
	struct fuse_entry_out *out = client_body(c);
	uint64_t node;

	client_host_file(c, "a", "text");
	client_host_file(c, "stays", "");
	as_agent(c);
	announce(c, 1, "w-");
	as_user(c);
	node = client_lookup(c, 1, "a");
	assert_int_equal(unlinkat(c->dir, "a", 0), 0);
	as_agent(c);
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, "a"), -ENOENT);
	assert_int_equal(client_name(c, FUSE_UNLINK, 1, "a"), -EPERM);
	announce(c, 1, "d-a");
	assert_int_equal(client_lookup(c, 1, "a"), node);
	assert_int_equal(out->attr.nlink, 1); /* with the one it loses */
	assert_int_equal(client_name(c, FUSE_UNLINK, 1, "a"), 0);
	/* Nothing is there any more but what nobody knew. */
	announce(c, 1, "d-a");
	assert_true(client_lookup(c, 1, "a") != node);
	announce(c, 1, "ddunknown");
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, "unknown"), -ENOENT);
	announce(c, 1, "d-stays");
	assert_int_equal(client_name(c, FUSE_UNLINK, 1, "stays"), 0);
	assert_true(host_has(c, "stays"));
	client_free(c);
}

static void test_rename(void **state)
{
	struct client *c = replayer();
	uint64_t moved, replaced;

	client_host_file(c, "a", "new");
	client_host_file(c, "b", "old");
	as_agent(c);
	announce(c, 1, "w-");
	as_user(c);
	moved = client_lookup(c, 1, "a");
	replaced = client_lookup(c, 1, "b");
	assert_int_equal(renameat(c->dir, "a", c->dir, "b"), 0);
	as_agent(c);
	announce(c, 1, "t-b");
	announce(c, 1, "f-a");
	assert_int_equal(client_lookup(c, 1, "a"), moved);
	assert_int_equal(client_lookup(c, 1, "b"), replaced);
	assert_int_equal(rename_to(c, 1, "a", 1, "c"), -EPERM);
	assert_int_equal(rename_to(c, 1, "a", 1, "b"), 0);
	assert_int_equal(rename_to(c, 1, "a", 1, "b"), -EPERM);
	assert_int_equal(client_lookup(c, 1, "b"), moved);
	/* The guest found the new one before: it is not what is replaced. */
	client_host_file(c, "x", "");
	assert_int_equal(renameat(c->dir, "x", c->dir, "y"), 0);
	moved = client_lookup(c, 1, "y");
	announce(c, 1, "t-y");
	announce(c, 1, "f-x");
	assert_int_equal(client_lookup(c, 1, "x"), moved);
	assert_int_equal(client_name(c, FUSE_LOOKUP, 1, "y"), -ENOENT);
	client_free(c);
}

/* A directory, and what is none. */
static void makes(struct client *c, uint64_t node[6])
{
	struct fuse_link_in link = {0};
	uint64_t fh;

	node[0] = client_entry(c, make_dir(c, 1, "0"));
	node[1] = client_entry(c, make_node(c, 1, "1"));
	assert_int_equal(
		client_create(c, 1, "2", O_RDWR | O_EXCL, 0644, &node[2], &fh),
		0);
	client_host_file(c, "3", "");
	assert_int_equal(client_create(c, 1, "3", O_RDWR, 0644, &node[3], &fh),
			 0);
	node[4] = client_entry(c,
			       client_call(c, FUSE_SYMLINK, 1, "4", 2, "0", 2));
	link.oldnodeid = node[1];
	node[5] = client_entry(
		c, client_call(c, FUSE_LINK, 1, &link, sizeof(link), "5", 2));
}

/* What the guest made itself is as well known as what it found. */
static void test_own(void **state)
{
	struct client *c = replayer();
	uint64_t node[6];
	char announced[] = "d-?";

	as_agent(c);
	announce(c, 1, "w-");
	as_user(c);
	makes(c, node);
	for (int i = 0; i < 6; i++)
		(void)unlinkat(c->dir, (char[]){(char)('0' + i), '\0'},
			       i ? 0 : AT_REMOVEDIR);
	as_agent(c);
	for (int i = 0; i < 6; i++) {
		announced[1] = i ? '-' : 'd';
		announced[2] = (char)('0' + i);
		announce(c, 1, announced);
		assert_int_equal(client_lookup(c, 1, announced + 2), node[i]);
		assert_int_equal(client_name(c, i ? FUSE_UNLINK : FUSE_RMDIR, 1,
					     announced + 2),
				 0);
	}
	client_free(c);
}

/* Deleted by the host, and the guest's kernel asks for it again. */
static void assert_deleted(struct client *c, uint64_t dir, const char *name,
			   uint64_t node)
{
	char announced[16] = "dd";

	as_agent(c);
	strcat(announced, name);
	announce(c, dir, announced);
	if (node)
		assert_int_equal(client_lookup(c, dir, name), node);
	else
		assert_int_equal(client_name(c, FUSE_LOOKUP, dir, name),
				 -ENOENT);
	as_user(c);
}

static void test_own_renames(void **state)
{
	struct fuse_rename2_in in = {.flags = RENAME_EXCHANGE};
	struct client *c = replayer();
	uint64_t node, a, b;

	as_agent(c);
	announce(c, 1, "w-");
	as_user(c);
	a = client_entry(c, make_dir(c, 1, "a"));
	b = client_entry(c, make_dir(c, 1, "b"));
	node = client_entry(c, make_dir(c, 1, "c"));
	assert_int_equal(rename_to(c, 1, "c", a, "d"), 0);
	assert_deleted(c, a, "d", node);
	assert_deleted(c, 1, "c", 0);
	in.newdir = 1;
	assert_int_equal(
		client_call(c, FUSE_RENAME2, 1, &in, sizeof(in), "a\0b", 4), 0);
	assert_deleted(c, 1, "a", b);
	assert_deleted(c, 1, "b", a);
	assert_int_equal(client_name(c, FUSE_RMDIR, 1, "a"), 0);
	assert_deleted(c, 1, "a", 0);
	client_free(c);
}

/* Nothing of it reaches the host's file. */
static void test_changes(void **state)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_MTIME | FATTR_SIZE | FATTR_MODE,
		.mode = 0777,
	};
	struct client *c = replayer();
	struct fuse_attr_out *out = client_body(c);
	uint64_t node, fh = 1;
	struct stat before, after;

	client_host_file(c, "a", "text");
	assert_int_equal(fstatat(c->dir, "a", &before, 0), 0);
	as_agent(c);
	node = client_lookup(c, 1, "a");
	/* A volume by itself, in no directory that is watched. */
	announce(c, node, "n-");
	assert_int_equal(client_setattr(c, node, &in), 0);
	assert_int_equal(out->attr.size, 4);
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_WRONLY, &fh), 0);
	assert_int_equal(fh, 0);
	assert_int_equal(client_write(c, node, fh, 0, "x", 1, 0), -EPERM);
	assert_int_equal(client_release(c, FUSE_RELEASE, node, fh), 0);
	assert_int_equal(client_open(c, FUSE_OPEN, 1, O_WRONLY, &fh), -EPERM);
	assert_int_equal(client_open(c, FUSE_OPENDIR, 1, 0, &fh), -EPERM);
	assert_int_equal(client_name(c, FUSE_REMOVEXATTR, 1, "user.a"), -EPERM);
	assert_int_equal(fstatat(c->dir, "a", &after, 0), 0);
	assert_memory_equal(&before, &after, sizeof(before));
	client_free(c);
}

static void test_malformed(void **state)
{
	struct client *c = replayer();
	uint64_t file;

	client_host_file(c, "a", "");
	as_agent(c);
	file = client_lookup(c, 1, "a");
	assert_int_equal(set_xattr(c, 1, "user.other", "c-a", 3), -EPERM);
	assert_int_equal(set_xattr(c, file, REPLAY_XATTR, "c-a", 3), -EPERM);
	assert_int_equal(set_xattr(c, file, REPLAY_XATTR, "w-", 2), -EPERM);
	assert_int_equal(set_xattr(c, file, REPLAY_XATTR, "n", 1), -EINVAL);
	assert_int_equal(set_xattr(c, 1, REPLAY_XATTR, "c", 1), -EINVAL);
	assert_int_equal(set_xattr(c, 1, REPLAY_XATTR, "c-", 2), -EINVAL);
	assert_int_equal(set_xattr(c, 1, REPLAY_XATTR, "c-..", 4), -EINVAL);
	assert_int_equal(set_xattr(c, 1, REPLAY_XATTR, "c-a/b", 5), -EINVAL);
	assert_int_equal(set_xattr(c, 1, REPLAY_XATTR, "c-a\0b", 5), -EINVAL);
	assert_int_equal(set_xattr(c, 1, REPLAY_XATTR, "z-a", 3), -EINVAL);
	/* Source of a rename to nowhere. */
	announce(c, 1, "f-b");
	assert_true(client_lookup(c, 1, "b") != file);
	assert_int_equal(rename_to(c, 1, "b", 1, "c"), -EPERM);
	client_free(c);
}

/* Both ids, and a server that was told to. */
static void test_others(void **state)
{
	struct client *c = replayer();

	c->uid = REPLAY_UID;
	assert_int_equal(make_node(c, 1, "a"),
			 (int)sizeof(struct fuse_entry_out));
	assert_true(host_has(c, "a"));
	client_free(c);
	c = client_started(VIRTIOFS_CACHE_AUTO);
	as_agent(c);
	assert_int_equal(set_xattr(c, 1, REPLAY_XATTR, "c-a", 3), -EOPNOTSUPP);
	client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_create_directory),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_own_renames),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

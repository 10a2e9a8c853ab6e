/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/client.h"

#include <sys/xattr.h>

#include "virtiofs/idmap.h"

/* Set-id bits and file capabilities: when they go, and for whom they stay. All
 * of it needs root. */

static void set_bits(struct client *c)
{
	static const uint8_t cap[20] = {0, 0, 0, 2, 1}; /* revision 2 */
	char path[128];

	assert_int_equal(fchmodat(c->dir, "f", 06755, 0), 0);
	snprintf(path, sizeof(path), "%s/f", c->path);
	assert_int_equal(
		setxattr(path, "security.capability", cap, sizeof(cap), 0), 0);
}

static bool has_cap(struct client *c)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/f", c->path);
	return getxattr(path, "security.capability", NULL, 0) > 0;
}

/* CVE-2021-20263 and what FUSE_HANDLE_KILLPRIV_V2 promises. */
static void test_kill_bits(void **state)
{
	struct client *c = client_of_user();
	struct fuse_setattr_in size = {.valid = FATTR_SIZE};
	struct fuse_setattr_in owner = {.valid = FATTR_UID, .uid = GUEST_UID};
	struct fuse_open_in trunc = {.flags = O_WRONLY | O_TRUNC};
	uint64_t node;
	uint64_t fh = 0;

	if (!c)
		skip();
	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDWR, &fh), 0);

	/* A caller with CAP_FSETID keeps the bits, but not capabilities. */
	set_bits(c);
	assert_int_equal(client_write(c, node, fh, 0, "x", 1, 0), 1);
	assert_int_equal(client_mode(c, "f"), 06755);
	assert_false(has_cap(c));
	set_bits(c);
	assert_int_equal(
		client_write(c, node, fh, 0, "x", 1, FUSE_WRITE_KILL_SUIDGID),
		1);
	assert_int_equal(client_mode(c, "f"), 0755);
	assert_false(has_cap(c));
	set_bits(c);
	assert_int_equal(client_write(c, node, fh, 0, "x", 1, 0), 1);
	assert_int_equal(client_mode(c, "f"), 06755);
	assert_int_equal(
		client_write(c, node, fh, 0, "x", 1, FUSE_WRITE_KILL_SUIDGID),
		1);
	assert_int_equal(client_mode(c, "f"), 0755);

	set_bits(c);
	assert_int_equal(client_setattr(c, node, &size), 0);
	assert_int_equal(client_mode(c, "f"), 06755);
	set_bits(c);
	size.valid |= FATTR_KILL_SUIDGID;
	size.size = 1;
	assert_int_equal(client_setattr(c, node, &size), 0);
	assert_int_equal(client_mode(c, "f"), 0755);
	assert_false(has_cap(c));

	set_bits(c);
	trunc.open_flags = FUSE_OPEN_KILL_SUIDGID;
	assert_int_equal(
		client_call(c, FUSE_OPEN, node, &trunc, sizeof(trunc), NULL, 0),
		sizeof(struct fuse_open_out));
	assert_int_equal(client_mode(c, "f"), 0755);
	assert_false(has_cap(c));

	set_bits(c);
	assert_int_equal(client_setattr(c, node, &owner), 0);
	assert_int_equal(client_mode(c, "f"), 0755);
	assert_false(has_cap(c));
	client_owner(c, "f", GUEST_UID, 0);
	client_free(c);
}

/* The guest clears them, but for an open that truncates. */
static void test_bits_of_guest(void **state)
{
	struct virtiofs_config config = {.xattr = true, .no_killpriv = true};
	struct fuse_open_in trunc = {.flags = O_WRONLY | O_TRUNC};
	struct client *c;
	uint64_t node;
	uint64_t fh;

	if (geteuid() != 0)
		skip();
	c = client_new(&config);
	assert_int_equal(client_init(c, UINT32_MAX), 0);
	assert_int_equal(fchmod(c->dir, 0755), 0);
	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	set_bits(c);
	assert_int_equal(
		client_call(c, FUSE_OPEN, node, &trunc, sizeof(trunc), NULL, 0),
		sizeof(struct fuse_open_out));
	assert_int_equal(client_mode(c, "f"), 06755);
	c->uid = GUEST_UID;
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_WRONLY, &fh), 0);
	assert_int_equal(client_mode(c, "f"), 06755);
	assert_int_equal(
		client_call(c, FUSE_OPEN, node, &trunc, sizeof(trunc), NULL, 0),
		sizeof(struct fuse_open_out));
	assert_int_equal(client_mode(c, "f"), 0755);
	set_bits(c);
	assert_int_equal(
		client_create(c, 1, "f", O_WRONLY | O_TRUNC, 0644, &node, &fh),
		0);
	assert_int_equal(client_mode(c, "f"), 0755);
	client_free(c);
}

static void test_empty_setattr(void **state)
{
	struct client *c = client_of_user();
	struct fuse_setattr_in owner = {0};
	uint64_t node;

	if (!c)
		skip();
	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	/* A chown(-1, -1), as it comes. */
	set_bits(c);
	assert_int_equal(client_setattr(c, node, &owner), 0);
	assert_int_equal(client_mode(c, "f"), 0755);
	assert_false(has_cap(c));
	/* Without group-execute: cleared for those outside of the group. */
	assert_int_equal(fchmodat(c->dir, "f", 02767, 0), 0);
	assert_int_equal(client_setattr(c, node, &owner), 0);
	assert_int_equal(client_mode(c, "f"), 0767);
	assert_int_equal(getegid(), 0);
	client_free(c);
}

static struct client *translated_client(struct fs_idmap *ids, const char *rule,
					bool killpriv)
{
	struct virtiofs_config config = {
		.xattr = true,
		.no_killpriv = !killpriv,
		.uids = ids,
	};
	struct client *c;

	*ids = (struct fs_idmap){0};
	assert_int_equal(fs_idmap_add(ids, rule), 0);
	c = client_new(&config);
	assert_int_equal(client_init(c, ~(uint64_t)FUSE_WRITEBACK_CACHE), 0);
	assert_int_equal(fchmod(c->dir, 0755), 0);
	assert_int_equal(mkdirat(c->dir, "d", 0777), 0);
	assert_int_equal(fchownat(c->dir, "d", 0, 99, 0), 0);
	assert_int_equal(fchmodat(c->dir, "d", 02777, 0), 0);
	client_host_file(c, "f", "hello");
	assert_int_equal(fchownat(c->dir, "f", 0, 99, 0), 0);
	return c;
}

/* A file in a directory of another group; an open that truncates; a chown to
 * nobody of what has no group-execute. */
static void assert_bits(struct client *c, bool killpriv, bool stay)
{
	struct fuse_open_in trunc = {.flags = O_WRONLY | O_TRUNC};
	struct fuse_setattr_in owner = {0};
	uint64_t dir = client_lookup(c, 1, "d");
	uint64_t f = client_lookup(c, 1, "f");
	uint64_t node;
	uint64_t fh;

	assert_int_equal(client_create(c, dir, "g", O_RDWR, 02755, &node, &fh),
			 0);
	assert_int_equal(client_mode(c, "d/g"), stay ? 02755 : 0755);
	assert_int_equal(fchmodat(c->dir, "f", 06755, 0), 0);
	assert_int_equal(
		client_call(c, FUSE_OPEN, f, &trunc, sizeof(trunc), NULL, 0),
		sizeof(struct fuse_open_out));
	assert_int_equal(client_mode(c, "f"), stay || killpriv ? 06755 : 0755);
	assert_int_equal(fchmodat(c->dir, "f", 02767, 0), 0);
	assert_int_equal(client_setattr(c, f, &owner), 0);
	assert_int_equal(client_mode(c, "f"), stay ? 02767 : 0767);
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
}

/* It is the guest's root that has capabilities, not who has its number here. */
static void test_bits_of_others(void **state)
{
	struct fs_idmap ids;
	struct client *c;

	if (geteuid() != 0)
		skip();
	for (unsigned killpriv = 0; killpriv < 2; killpriv++) {
		c = translated_client(&ids, "map:1000:0:1", killpriv);
		c->uid = 1000;
		assert_bits(c, killpriv, false);
		client_owner(c, "d/g", 0, 99);
		client_free(c);
		c = translated_client(&ids, "map:0:100000:65536", killpriv);
		assert_bits(c, killpriv, true);
		client_owner(c, "d/g", 100000, 99);
		c->uid = 5;
		assert_int_equal(unlinkat(c->dir, "d/g", 0), 0);
		assert_bits(c, killpriv, false);
		client_owner(c, "d/g", 100005, 99);
		client_free(c);
	}
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_bits),
		cmocka_unit_test(test_bits_of_guest),
		cmocka_unit_test(test_empty_setattr),
		cmocka_unit_test(test_bits_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

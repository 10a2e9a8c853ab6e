/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/idmap.h"

#include "tests/unit/virtiofs/client.h"

/* Owners under other numbers, and what else the configuration changes. */

static void each_kind_has_its_direction(void **state)
{
	struct fs_idmap map = {0};

	assert_int_equal(fs_idmap_add(&map, "guest:0:1000:10"), 0);
	assert_int_equal(fs_idmap_add(&map, "host:5000:7:2"), 0);
	assert_int_equal(fs_idmap_add(&map, "squash-guest:100:42:50"), 0);
	assert_int_equal(fs_idmap_add(&map, "squash-host:6000:8:1000"), 0);
	assert_int_equal(fs_idmap_add(&map, "forbid-guest:200:1"), 0);
	assert_int_equal(fs_idmap_add(&map, "map:300:30000:3"), 0);
	assert_int_equal(fs_id_to_host(&map, 0), 1000);
	assert_int_equal(fs_id_to_host(&map, 9), 1009);
	assert_int_equal(fs_id_to_host(&map, 10), 10);
	assert_int_equal(fs_id_to_guest(&map, 1000), 1000);
	assert_int_equal(fs_id_to_guest(&map, 5001), 8);
	assert_int_equal(fs_id_to_guest(&map, 5002), 5002);
	assert_int_equal(fs_id_to_host(&map, 7), 1007);
	assert_int_equal(fs_id_to_host(&map, 99), 99);
	assert_int_equal(fs_id_to_host(&map, 100), 42);
	assert_int_equal(fs_id_to_host(&map, 149), 42);
	assert_int_equal(fs_id_to_host(&map, 150), 150);
	assert_int_equal(fs_id_to_guest(&map, 6999), 8);
	assert_true(fs_id_to_host(&map, 200) == FS_ID_FORBIDDEN);
	assert_int_equal(fs_id_to_host(&map, 302), 30002);
	assert_int_equal(fs_id_to_guest(&map, 30002), 302);
	assert_int_equal(fs_id_to_host(NULL, 0), 0);
	assert_int_equal(fs_id_to_guest(NULL, 7), 7);
	/* Nobody stays nobody. */
	assert_true(fs_id_to_host(&map, UINT32_MAX) == UINT32_MAX);
}

static void everybody_is_one(void **state)
{
	struct fs_idmap map = {0};

	assert_int_equal(fs_idmap_add(&map, "squash-guest:0:1001:4294967295"),
			 0);
	assert_int_equal(fs_id_to_host(&map, 0), 1001);
	assert_int_equal(fs_id_to_host(&map, UINT32_MAX - 1), 1001);
	assert_true(fs_id_to_host(&map, UINT32_MAX) == UINT32_MAX);
}

static void what_is_no_rule(void **state)
{
	static const char *const bad[] = {
		"",
		"map",
		"map:",
		"map:0:0",
		"map:0:0:0",
		"map:0:0:1:",
		"map:0:0:1:1",
		"map:-1:0:1",
		"map: 1:0:1",
		"map:0x1:0:1",
		"maps:0:0:1",
		"ma:0:0:1",
		"map:4294967295:0:1",
		"map:0:4294967295:1",
		"map:0:4294967294:2",
		"map:4294967294:0:2",
		"map:0:0:4294967296",
		"squash-guest:0:4294967295:1",
		"forbid-guest:0:0",
		"forbid-guest:0:1:1",
	};
	struct fs_idmap map = {0};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (fs_idmap_add(&map, bad[i]) != -EINVAL)
			fail_msg("%s", bad[i]);
	}
	assert_int_equal(map.to_host.n, 0);
}

static void sources_do_not_overlap(void **state)
{
	struct fs_idmap map = {0};
	char text[32];

	assert_int_equal(fs_idmap_add(&map, "guest:10:0:10"), 0);
	assert_int_equal(fs_idmap_add(&map, "guest:19:0:1"), -EEXIST);
	assert_int_equal(fs_idmap_add(&map, "guest:0:0:11"), -EEXIST);
	assert_int_equal(fs_idmap_add(&map, "squash-guest:0:1:4294967295"),
			 -EEXIST);
	assert_int_equal(fs_idmap_add(&map, "host:10:0:10"), 0);
	assert_int_equal(fs_idmap_add(&map, "map:20:12:1"), -EEXIST);
	for (unsigned i = map.to_host.n; i < FS_IDMAP_RANGES; i++) {
		snprintf(text, sizeof(text), "guest:%u:0:1", 100 + i);
		assert_int_equal(fs_idmap_add(&map, text), 0);
	}
	assert_int_equal(fs_idmap_add(&map, "guest:1000:0:1"), -E2BIG);
}

static int give_to(struct client *c, uint64_t node, uint32_t uid, uint32_t gid)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_UID | FATTR_GID,
		.uid = uid,
		.gid = gid,
	};

	return client_call(c, FUSE_SETATTR, node, &in, sizeof(in), NULL, 0);
}

static void owners_are_translated(void **state)
{
	struct fs_idmap uids = {0};
	struct fs_idmap gids = {0};
	struct virtiofs_config config = {.uids = &uids, .gids = &gids};
	struct fuse_attr_out *attr;
	struct fuse_entry_out *entry;
	struct client *c;
	struct stat st;
	uint64_t node;
	uint64_t fh;

	if (geteuid() != 0)
		skip();
	assert_int_equal(fs_idmap_add(&uids, "map:0:1000:10"), 0);
	assert_int_equal(fs_idmap_add(&uids, "forbid-guest:10:90"), 0);
	assert_int_equal(fs_idmap_add(&gids, "map:0:2000:10"), 0);
	c = client_new(&config);
	assert_int_equal(client_init(c, UINT32_MAX), 0);
	entry = client_body(c);
	attr = client_body(c);
	c->uid = 5;
	c->gid = 6;
	assert_int_equal(client_create(c, 1, "f", O_RDWR, 0640, &node, &fh), 0);
	assert_int_equal(entry->attr.uid, 5);
	assert_int_equal(entry->attr.gid, 6);
	assert_int_equal(fstatat(c->dir, "f", &st, 0), 0);
	assert_int_equal(st.st_uid, 1005);
	assert_int_equal(st.st_gid, 2006);
	c->uid = c->gid = 0;
	assert_true(give_to(c, node, 9, 1) > 0);
	assert_int_equal(attr->attr.uid, 9);
	assert_int_equal(attr->attr.gid, 1);
	assert_int_equal(fstatat(c->dir, "f", &st, 0), 0);
	assert_int_equal(st.st_uid, 1009);
	assert_int_equal(st.st_gid, 2001);
	/* Not "leave it as it is". */
	assert_int_equal(give_to(c, node, 10, 1), -EPERM);
	assert_true(give_to(c, node, UINT32_MAX, 2) > 0);
	assert_int_equal(attr->attr.uid, 9);
	assert_int_equal(attr->attr.gid, 2);
	c->uid = 99;
	assert_int_equal(client_create(c, 1, "g", O_RDWR, 0640, &node, &fh),
			 -EOVERFLOW);
	assert_int_equal(geteuid(), 0);
	client_free(c);
}

static void features_can_be_switched_off(void **state)
{
	struct virtiofs_config config = {
		.cache = VIRTIOFS_CACHE_AUTO,
		.no_killpriv = true,
		.no_readdirplus = true,
	};
	struct client *c = client_new(&config);

	assert_int_equal(client_init(c, UINT64_MAX), 0);
	assert_false(c->features &
		     (FUSE_HANDLE_KILLPRIV_V2 | FUSE_DO_READDIRPLUS |
		      FUSE_READDIRPLUS_AUTO));
	client_free(c);
	config.cache = VIRTIOFS_CACHE_NEVER;
	config.no_mmap = true;
	c = client_new(&config);
	assert_int_equal(client_init(c, UINT64_MAX), 0);
	assert_false(c->features & (1ull << 36));
	client_free(c);
}

/* The flags of the file behind a handle, which is the newest descriptor. */
static int flags_after_open(struct virtiofs_config *config, uint32_t flags)
{
	struct client *c = client_new(config);
	uint64_t node;
	uint64_t fh;
	int seen = -1;

	assert_int_equal(client_init(c, UINT32_MAX), 0);
	assert_int_equal(
		client_create(c, 1, "f", O_RDWR | flags, 0640, &node, &fh), 0);
	for (int fd = 0; fd < 256; fd++) {
		int got = fcntl(fd, F_GETFL);

		if (got >= 0 && (got & O_ACCMODE) == O_RDWR && !(got & O_PATH))
			seen = got;
	}
	client_free(c);
	return seen;
}

static void open_flags_hold_for_the_host(void **state)
{
	struct virtiofs_config config = {.no_noatime = true};

	assert_false(flags_after_open(&config, O_NOATIME) & O_NOATIME);
	assert_false(flags_after_open(&config, O_DIRECT) & O_DIRECT);
	config = (struct virtiofs_config){.direct_io = true};
	assert_true(flags_after_open(&config, O_NOATIME) & O_NOATIME);
	assert_true(flags_after_open(&config, O_DIRECT) & O_DIRECT);
}

static void the_end_of_a_direct_file_is_written(void **state)
{
	struct virtiofs_config config = {.direct_io = true};
	struct client *c = client_new(&config);
	struct stat st;
	uint64_t node;
	uint64_t fh;
	int n;

	assert_int_equal(client_init(c, UINT32_MAX), 0);
	assert_int_equal(
		client_create(c, 1, "f", O_RDWR | O_DIRECT, 0640, &node, &fh),
		0);
	n = client_write(c, node, fh, 0, "short", 5, FUSE_WRITE_CACHE);
	assert_int_equal(n, 5);
	assert_int_equal(fstatat(c->dir, "f", &st, 0), 0);
	assert_int_equal(st.st_size, 5);
	client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_has_its_direction),
		cmocka_unit_test(everybody_is_one),
		cmocka_unit_test(what_is_no_rule),
		cmocka_unit_test(sources_do_not_overlap),
		cmocka_unit_test(owners_are_translated),
		cmocka_unit_test(features_can_be_switched_off),
		cmocka_unit_test(open_flags_hold_for_the_host),
		cmocka_unit_test(the_end_of_a_direct_file_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

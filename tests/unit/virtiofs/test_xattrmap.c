/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/xattrmap.h"

#include "tests/unit/virtiofs/client.h"

#include <sys/xattr.h>

static struct fs_xattrmap map;

static void to_host(const char *guest, const char *host, int error)
{
	char buf[FS_XATTR_NAME];
	int got = 0;
	const char *name = fs_xattr_to_host(&map, guest, buf, &got);

	if (!host) {
		assert_null(name);
		assert_int_equal(got, error);
		return;
	}
	assert_non_null(name);
	assert_string_equal(name, host);
}

static void to_guest(const char *host, const char *guest)
{
	const char *name = fs_xattr_to_guest(&map, host);

	if (!guest) {
		assert_null(name);
		return;
	}
	assert_non_null(name);
	assert_string_equal(name, guest);
}

static void all_below_a_prefix(void **state)
{
	assert_int_equal(fs_xattrmap_parse(&map, ":map::user.virtiofs.:"), 0);
	to_host("trusted.x", "user.virtiofs.trusted.x", 0);
	to_host("user.virtiofs.y", "user.virtiofs.user.virtiofs.y", 0);
	to_guest("user.virtiofs.trusted.x", "trusted.x");
	to_guest("user.y", NULL);
	to_guest("user.virtiofs.", NULL);
}

static void one_kind_below_a_prefix(void **state)
{
	static const char *const same[] = {
		"/map/trusted./user.virtiofs./",
		"/prefix/all/trusted./user.virtiofs./\n"
		"  /bad/server//trusted./\t/bad/client/user.virtiofs.//"
		":ok:all:::",
	};

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		assert_int_equal(fs_xattrmap_parse(&map, same[i]), 0);
		assert_int_equal(map.n, 4);
		to_host("trusted.x", "user.virtiofs.trusted.x", 0);
		to_host("user.y", "user.y", 0);
		to_host("user.virtiofs.trusted.x", NULL, -EPERM);
		to_guest("user.virtiofs.trusted.x", "trusted.x");
		to_guest("trusted.x", NULL);
		to_guest("user.y", "user.y");
	}
}

static void each_action(void **state)
{
	char longest[FS_XATTR_NAME];
	char buf[FS_XATTR_NAME];
	int error = 0;

	assert_int_equal(
		fs_xattrmap_parse(&map, ":unsupported:all:security.:security.:"
					":prefix:client:user.a:user.b.:"
					":ok:server::user.:"),
		0);
	to_host("security.selinux", NULL, -EOPNOTSUPP);
	to_guest("security.selinux", NULL);
	to_host("user.ax", "user.b.user.ax", 0);
	to_guest("user.b.user.ax", "user.b.user.ax");
	/* No rule. */
	to_host("user.c", NULL, -EPERM);
	to_guest("trusted.c", NULL);
	memset(longest, 'a', sizeof(longest) - 1);
	memcpy(longest, "user.a", 6);
	longest[FS_XATTR_NAME - 7] = '\0';
	to_host(longest, NULL, -ERANGE);
	longest[FS_XATTR_NAME - 8] = '\0';
	assert_int_equal(strlen(fs_xattr_to_host(&map, longest, buf, &error)),
			 FS_XATTR_NAME - 1);
	assert_string_equal(fs_xattr_to_host(NULL, "x", longest, NULL), "x");
	assert_string_equal(fs_xattr_to_guest(NULL, "x"), "x");
}

static void what_is_no_rule(void **state)
{
	static const char *const bad[] = {
		"",
		"  ",
		":",
		":ok:all::",
		":ok:all:::x",
		":ok:some:::",
		":okay:all:::",
		"ok:all:::",
		":map:a:b:c:",
		":map:a:b::ok:all:::",
	};
	char many[33 * 11 + 1] = "";
	char longer[256];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (fs_xattrmap_parse(&map, bad[i]) != -EINVAL)
			fail_msg("%s", bad[i]);
	}
	for (unsigned i = 0; i < 33; i++)
		strcat(many, ":ok:all:::");
	assert_int_equal(fs_xattrmap_parse(&map, many), -E2BIG);
	many[32 * 10] = '\0';
	assert_int_equal(fs_xattrmap_parse(&map, many), 0);
	snprintf(longer, sizeof(longer), ":ok:all:%0200d::", 0);
	assert_int_equal(fs_xattrmap_parse(&map, longer), -EINVAL);
}

static int set(struct client *c, uint64_t node, const char *name)
{
	struct fuse_setxattr_in in = {.size = 1};
	char more[64];

	memcpy(more, name, strlen(name) + 1);
	more[strlen(name) + 1] = 'v';
	return client_call(c, FUSE_SETXATTR, node, &in,
			   c->features & FUSE_SETXATTR_EXT
				   ? sizeof(in)
				   : FUSE_COMPAT_SETXATTR_IN_SIZE,
			   more, strlen(name) + 2);
}

static void the_server_maps(void **state)
{
	struct virtiofs_config config = {.xattr = true, .xattrmap = &map};
	struct fuse_getxattr_in in = {.size = 100};
	struct client *c;
	char file[128];
	uint64_t node;
	int n;

	assert_int_equal(fs_xattrmap_parse(&map, ":map:user.g.:user.host.:"),
			 0);
	c = client_new(&config);
	assert_int_equal(client_init(c, UINT32_MAX), 0);
	client_host_file(c, "f", "x");
	snprintf(file, sizeof(file), "%s/f", c->path);
	node = client_lookup(c, 1, "f");
	n = set(c, node, "user.g.a");
	if (n == -EOPNOTSUPP) {
		client_free(c);
		skip();
	}
	assert_int_equal(n, 0);
	assert_int_equal(getxattr(file, "user.host.user.g.a", NULL, 0), 1);
	assert_int_equal(set(c, node, "user.plain"), 0);
	assert_int_equal(set(c, node, "user.host.x"), -EPERM);
	/* Hidden: it is not the guest's user.g.hidden. */
	assert_int_equal(setxattr(file, "user.g.hidden", "h", 1, 0), 0);
	n = client_call(c, FUSE_LISTXATTR, node, &in, sizeof(in), NULL, 0);
	assert_int_equal(n, sizeof("user.g.a") + sizeof("user.plain"));
	assert_non_null(memmem(client_body(c), (size_t)n, "user.g.a", 9));
	assert_non_null(memmem(client_body(c), (size_t)n, "user.plain", 11));
	assert_int_equal(
		client_call(c, FUSE_REMOVEXATTR, node, "user.g.a", 9, NULL, 0),
		0);
	assert_true(getxattr(file, "user.host.user.g.a", NULL, 0) < 0);
	client_free(c);
}

static void capabilities_stay_with_the_host(void **state)
{
	struct virtiofs_config config = {
		.xattr = true, .xattrmap = &map, .proc_fd = -1};
	struct virtiofs *fs;
	struct err err;

	assert_int_equal(fs_xattrmap_parse(&map, ":map::user.virtiofs.:"), 0);
	config.root_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_null(virtiofs_new(&config, &err));
	assert_non_null(strstr(err.text, "security.capability"));
	config.no_killpriv = true;
	config.root_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fs = virtiofs_new(&config, &err);
	assert_non_null(fs);
	virtiofs_free(fs);
}

/* What the server says of a map, NULL: it takes it. */
static const char *refusal(const char *text, struct err *err)
{
	struct virtiofs_config config = {
		.xattr = true,
		.posix_acl = true,
		.no_killpriv = true,
		.xattrmap = &map,
		.proc_fd = -1,
	};
	struct virtiofs *fs;

	assert_int_equal(fs_xattrmap_parse(&map, text), 0);
	config.root_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fs = virtiofs_new(&config, err);
	if (!fs)
		return err->text;
	virtiofs_free(fs);
	return NULL;
}

static void lists_keep_their_names(void **state)
{
	static const char *const bad[] = {
		":map::user.virtiofs.:",
		":bad:all:system.:::ok:all:::",
		":unsupported:client:system.posix_acl_default:::ok:all:::",
		/* Set by their names, and not seen. */
		":bad:server::system.::ok:all:::",
	};
	struct err err;
	const char *text;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		text = refusal(bad[i], &err);
		if (!text || !strstr(text, "system.posix_acl_"))
			fail_msg("%s: %s", bad[i], text ? text : "taken");
	}
	text = refusal(":prefix:all:trusted.:user.virtiofs.::ok:all:::", &err);
	if (text)
		fail_msg("%s", text);
	assert_null(refusal(":ok:all:::", &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_below_a_prefix),
		cmocka_unit_test(one_kind_below_a_prefix),
		cmocka_unit_test(each_action),
		cmocka_unit_test(what_is_no_rule),
		cmocka_unit_test(the_server_maps),
		cmocka_unit_test(capabilities_stay_with_the_host),
		cmocka_unit_test(lists_keep_their_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

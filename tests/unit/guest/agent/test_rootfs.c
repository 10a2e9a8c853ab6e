/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile image cannot lead the agent out of its root. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent/lookup.h"
#include "guest/agent/rootfs.h"

static char top[] = "/tmp/test_rootfs.XXXXXX";
static int root = -1;

static int setup(void **state)
{
	char path[64];

	if (!mkdtemp(top))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/root", top);
	if (mkdir(path, 0755) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/outside", top);
	if (mkdir(path, 0755) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/root", top);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || symlinkat("/../outside", root, "abs") < 0 ||
	    symlinkat("../../outside", root, "rel") < 0 ||
	    symlinkat("loop", root, "loop") < 0 ||
	    mkdirat(root, "bin", 0755) < 0 ||
	    symlinkat("/bin", root, "sbin") < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	close(root);
	return remove_tree(AT_FDCWD, top);
}

static bool exists(const char *path)
{
	struct stat st;

	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void makes_inside(void **state)
{
	static const char *const paths[] = {"/abs/a", "/rel/b", "rel/../c",
					    "/../../d", "/deep/er/and/deeper"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		int fd = rootfs_make(root, paths[i], i % 2 == 0);

		if (fd >= 0)
			close(fd);
	}
	/* The links lead to /outside, which the root did not have. */
	assert_false(exists("../outside/a"));
	assert_false(exists("../outside/b"));
	assert_false(exists("../d"));
	assert_true(exists("outside/a"));
	assert_true(exists("outside/b"));
	assert_true(exists("deep/er/and/deeper"));
}

static void follows_inside(void **state)
{
	AUTO_FD int fd = rootfs_make(root, "/sbin/tool", false);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstatat(root, "bin/tool", &st, 0), 0);
	assert_true(S_ISREG(st.st_mode));
}

/* /etc/resolv.conf of many images */
static void makes_what_links_name(void **state)
{
	AUTO_FD int fd = -1;
	struct stat st;

	assert_int_equal(mkdirat(root, "etc", 0755), 0);
	assert_int_equal(symlinkat("../run/sub/stub", root, "etc/file"), 0);
	fd = rootfs_make(root, "/etc/file", false);
	assert_true(fd >= 0);
	assert_int_equal(fstatat(root, "run/sub/stub", &st, 0), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void refuses(void **state)
{
	char base[NAME_MAX + 1];

	assert_int_equal(rootfs_open(root, "/loop", 0), -ELOOP);
	assert_int_equal(rootfs_make(root, "/loop/x", true), -ELOOP);
	assert_int_equal(rootfs_open(root, "/nosuch", 0), -ENOENT);
	assert_int_equal(rootfs_parent(root, "/", base), -EINVAL);
	assert_true(rootfs_make(root, "/bin/tool/x", true) < 0);
}

static void gives_parents(void **state)
{
	char base[NAME_MAX + 1];
	AUTO_FD int dir = rootfs_parent(root, "//p/q//name", base);
	AUTO_FD int up = rootfs_parent(root, "name", base);

	assert_true(dir >= 0);
	assert_true(exists("p/q"));
	assert_false(exists("p/q/name"));
	assert_true(up >= 0);
	assert_string_equal(base, "name");
}

static void finds_executables(void **state)
{
	char path[128], out[256];
	struct err err;

	(void)snprintf(path, sizeof(path), "%s:%s/root/bin:/nosuch", top, top);
	assert_int_equal(
		lookup_executable("tool", path, out, sizeof(out), &err),
		-EACCES);
	assert_string_equal(err.text, "exec: \"tool\": permission denied");
	assert_int_equal(fchmodat(root, "bin/tool", 0755, 0), 0);
	assert_int_equal(
		lookup_executable("tool", path, out, sizeof(out), &err), 0);
	assert_int_equal(
		lookup_executable("tool2", path, out, sizeof(out), &err),
		-ENOENT);
	assert_string_equal(
		err.text,
		"exec: \"tool2\": executable file not found in $PATH");
	assert_int_equal(
		lookup_executable("tool", NULL, out, sizeof(out), &err),
		-ENOENT);
	assert_int_equal(lookup_executable(top, path, out, sizeof(out), &err),
			 -EISDIR);
	assert_int_equal(
		lookup_executable("/nosuch/x", path, out, sizeof(out), &err),
		-ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_inside),
		cmocka_unit_test(follows_inside),
		cmocka_unit_test(makes_what_links_name),
		cmocka_unit_test(refuses),
		cmocka_unit_test(gives_parents),
		cmocka_unit_test(finds_executables),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

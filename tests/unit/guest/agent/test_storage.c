/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a virtio-fs storage where there is no DAX. */
#include "guest/agent/storage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

/* In place of the system's: one that refuses options with `refused`. */
static const char *refused;
static unsigned calls;
static char last[256];

int mount(const char *source, const char *target, const char *type,
	  unsigned long flags, const void *data)
{
	calls++;
	(void)snprintf(last, sizeof(last), "%s %s %lx %s", source, type, flags,
		       data ? (const char *)data : "");
	if (refused && strstr(last, refused)) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

int umount2(const char *target, int flags)
{
	return 0;
}

/* 0, or -errno; what mount(2) was last asked for is in `last`. */
static int try(char **options, size_t n, const char *refusing)
{
	char top[] = "/tmp/test_storage.XXXXXX";
	char path[64];
	Agent__Storage s = AGENT__STORAGE__INIT;
	Agent__Storage *list[] = {&s};
	struct storage_mount *all = NULL;
	struct err err;
	char **taken;
	int ret;

	assert_non_null(mkdtemp(top));
	(void)snprintf(path, sizeof(path), "%s/shared", top);
	s.driver = (char *)(uintptr_t) "virtio-fs";
	s.source = (char *)(uintptr_t) "tag";
	s.fstype = (char *)(uintptr_t) "virtiofs";
	s.mount_point = path;
	s.options = options;
	s.n_options = n;
	refused = refusing;
	calls = 0;
	ret = storages_mount(&all, list, 1, &taken, &err);
	storages_unmount(&all, taken);
	(void)rmdir(path);
	assert_int_equal(rmdir(top), 0);
	return ret < 0 ? -err.code : 0;
}

static char nodev[] = "nodev", dax[] = "dax=inode", old[] = "dax",
	    other[] = "daxes=3";

static void with_dax(void **state)
{
	char *options[] = {nodev, dax};

	assert_int_equal(try(options, 2, NULL), 0);
	assert_int_equal(calls, 1);
	assert_string_equal(last, "tag virtiofs 4 dax=inode");
}

static void without_dax(void **state)
{
	char *options[] = {nodev, dax, other};
	char *older[] = {old};

	assert_int_equal(try(options, 3, "dax=inode"), 0);
	assert_int_equal(calls, 2);
	assert_string_equal(last, "tag virtiofs 4 daxes=3");
	assert_int_equal(try(older, 1, "dax"), 0);
	assert_int_equal(calls, 2);
	assert_string_equal(last, "tag virtiofs 0 ");
}

/* Another option is at fault: no second try would help. */
static void other_errors_stay(void **state)
{
	char *options[] = {nodev, other};
	char *both[] = {dax, other};

	assert_int_equal(try(options, 2, "daxes"), -EINVAL);
	assert_int_equal(calls, 1);
	assert_int_equal(try(both, 2, "daxes"), -EINVAL);
	assert_int_equal(calls, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_dax),
		cmocka_unit_test(without_dax),
		cmocka_unit_test(other_errors_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a virtio-fs storage where there is no DAX; and of what is to
 * be mounted where, or from where, something is still being unmounted. */
#include "guest/agent/storage.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"

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

/* Of all processes. NULL: nobody waits. */
static sem_t *server;

int umount2(const char *target, int flags)
{
	return server ? sem_wait(server) : 0;
}

static struct evloop *loop;
static struct storages all;
static unsigned gone;

static void count_gone(struct storages *storages)
{
	assert_ptr_equal(storages, &all);
	gone++;
}

static void done(struct unmounts *unmounts)
{
	evloop_stop(loop);
}

static struct unmounts unmounts = {.done = done};

static void give_back(struct storage_mount **taken)
{
	storages_unmount(taken, &unmounts);
	unmounts_run(&unmounts);
}

static void until_done(void)
{
	assert_int_equal(evloop_run(loop), 0);
	assert_null(all.first);
	assert_null(unmounts_waits_for(&unmounts));
	while (wait(NULL) > 0)
		;
}

/* 0, or -errno; what mount(2) was last asked for is in `last`. */
static int try(char **options, size_t n, const char *refusing)
{
	char top[] = "/tmp/test_storage.XXXXXX";
	char path[64];
	Agent__Storage s = AGENT__STORAGE__INIT;
	Agent__Storage *list[] = {&s};
	struct storage_mount **taken;
	struct err err;
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
	give_back(taken);
	until_done();
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

static char dir[] = "/tmp/test_storage.XXXXXX";
static char fs[] = "virtio-fs", eph[] = "ephemeral", tmpfs[] = "tmpfs";

/* A storage below `dir`. */
static Agent__Storage make(char *driver, const char *source, const char *path)
{
	Agent__Storage s = AGENT__STORAGE__INIT;

	s.driver = driver;
	if (driver == eph)
		s.fstype = tmpfs;
	s.source = (char *)(uintptr_t)source;
	assert_true(asprintf(&s.mount_point, "%s%s", dir, path) > 0);
	return s;
}

static struct storage_mount **mounted(Agent__Storage s)
{
	Agent__Storage *list[] = {&s};
	struct storage_mount **taken;
	struct err err;

	assert_int_equal(storages_mount(&all, list, 1, &taken, &err), 0);
	free(s.mount_point);
	return taken;
}

/* Both by who looks first, and by who does not. */
static bool has_to_wait(Agent__Storage s)
{
	Agent__Storage *list[] = {&s};
	struct err err = {0};
	int ret = storages_ready(&all, list, 1, &err);
	struct storage_mount **taken;

	if (ret < 0) {
		assert_int_equal(ret, -EAGAIN);
		assert_non_null(strstr(err.text, "/a is still being unm"));
		assert_int_equal(storages_mount(&all, list, 1, &taken, &err),
				 -EAGAIN);
		assert_null(taken[0]);
		give_back(taken);
	}
	free(s.mount_point);
	return ret < 0;
}

static void place_is_waited_for(void **state)
{
	struct storage_mount **a;
	Agent__Storage again, *list[] = {&again};
	struct err err;

	refused = NULL;
	assert_non_null(mkdtemp(dir));
	again = make(fs, "one", "/a");
	server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(server, MAP_FAILED);
	assert_int_equal(sem_init(server, 1, 0), 0);
	a = mounted(make(fs, "one", "/a"));
	assert_false(has_to_wait(make(fs, "one", "/a")));
	gone = 0;
	give_back(a);
	assert_int_equal(gone, 0);
	assert_string_equal(unmounts_waits_for(&unmounts), again.mount_point);
	assert_true(has_to_wait(make(fs, "one", "/a")));
	assert_true(has_to_wait(make(eph, "one", "/a")));
	assert_true(has_to_wait(make(fs, "two", "/a/b")));
	assert_true(has_to_wait(make(fs, "two", "")));
	assert_true(has_to_wait(make(fs, "one", "/c")));
	assert_false(has_to_wait(make(fs, "two", "/ab")));
	assert_false(has_to_wait(make(eph, "one", "/c")));
	assert_int_equal(storage_remount(&all, &again, &err), -ENOTSUP);
	free(again.mount_point);
	again = make(eph, "one", "/a");
	assert_int_equal(storage_remount(&all, &again, &err), -ENOENT);
	assert_int_equal(sem_post(server), 0);
	until_done();
	assert_int_equal(gone, 1);
	assert_int_equal(storages_ready(&all, list, 1, &err), 0);
	free(again.mount_point);
	assert_int_equal(rmdir(dir), 0);
	munmap(steal_ptr(&server), sizeof(*server));
}

static void memory_has_no_process(void **state)
{
	struct storage_mount **first, **second;

	gone = 0;
	assert_non_null(mkdtemp(strcpy(dir, "/tmp/test_storage.XXXXXX")));
	first = mounted(make(eph, "tmpfs", "/a"));
	second = mounted(make(eph, "tmpfs", "/a"));
	give_back(first);
	assert_int_equal(gone, 0);
	assert_non_null(all.first);
	give_back(second);
	assert_int_equal(gone, 1);
	assert_null(all.first);
	assert_int_equal(wait(NULL), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	int ret;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_dax),
		cmocka_unit_test(without_dax),
		cmocka_unit_test(other_errors_stay),
		cmocka_unit_test(place_is_waited_for),
		cmocka_unit_test(memory_has_no_process),
	};

	loop = evloop_new();
	if (!loop)
		return 1;
	unmounts.loop = loop;
	all.gone = count_gone;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return ret;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"

static char dir[64];
static int dirfd_;

static int set_up(void **state)
{
	strcpy(dir, "/tmp/test_file.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dirfd_ < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	close(dirfd_);
	return remove_tree(AT_FDCWD, dir);
}

static void put(const char *name, const char *text)
{
	assert_int_equal(file_replace(dirfd_, name, text, strlen(text), 0600),
			 0);
}

static bool exists(const char *name)
{
	return faccessat(dirfd_, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static unsigned entries(void)
{
	AUTO_DIR DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2;
}

static void test_full_transfers(void **state)
{
	static char big[300000];
	char *back = malloc(sizeof(big));
	int fds[2], status;
	pid_t pid;

	assert_non_null(back);
	assert_int_equal(pipe(fds), 0);
	memset(big, 'q', sizeof(big));
	pid = fork();
	if (pid == 0)
		_exit(write_full(fds[1], big, sizeof(big)) ? 1 : 0);
	close(fds[1]);
	assert_int_equal(read_full(fds[0], back, sizeof(big)), 0);
	assert_memory_equal(back, big, sizeof(big));
	assert_int_equal(read_full(fds[0], back, 1), -EPIPE);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read_full(-1, back, 1), -EBADF);
	assert_int_equal(write_full(-1, back, 1), -EBADF);
	free(back);
}

static void test_read(void **state)
{
	static char big[10000];
	char *text = NULL;
	size_t len = 0;

	put("a", "hello");
	assert_int_equal(file_read(dirfd_, "a", 5, &text, &len), 0);
	assert_int_equal(len, 5);
	assert_string_equal(text, "hello");
	free(text);
	text = NULL;
	assert_int_equal(file_read(dirfd_, "a", 4, &text, &len), -EFBIG);
	assert_null(text);
	assert_int_equal(file_read(dirfd_, "b", 4, &text, NULL), -ENOENT);
	assert_int_equal(file_read(AT_FDCWD, dir, 4, &text, NULL), -EISDIR);
	put("empty", "");
	assert_int_equal(file_read(dirfd_, "empty", 0, &text, &len), 0);
	assert_int_equal(len, 0);
	assert_string_equal(text, "");
	free(text);
	memset(big, 'x', sizeof(big) - 1);
	put("big", big);
	assert_int_equal(file_read(dirfd_, "big", sizeof(big) - 1, &text, NULL),
			 0);
	assert_string_equal(text, big);
	free(text);
	text = NULL;
	assert_int_equal(file_read(dirfd_, "big", sizeof(big) - 2, &text, NULL),
			 -EFBIG);
	/* A file that has no size. */
	assert_int_equal(
		file_read(AT_FDCWD, "/proc/self/maps", 1 << 20, &text, &len),
		0);
	assert_true(len > 4096);
	free(text);
}

static void test_replace(void **state)
{
	char *text = NULL;
	struct stat st;
	mode_t mask = umask(0077);

	put("a", "old");
	assert_int_equal(file_replace(dirfd_, "a", "new", 3, 0644), 0);
	umask(mask);
	assert_int_equal(file_read(dirfd_, "a", 100, &text, NULL), 0);
	assert_string_equal(text, "new");
	free(text);
	assert_int_equal(fstatat(dirfd_, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(entries(), 1);
	/* Nothing is left behind by a failure. */
	assert_int_equal(mkdirat(dirfd_, "d", 0700), 0);
	assert_int_equal(file_replace(dirfd_, "d", "x", 1, 0600), -EISDIR);
	assert_int_equal(entries(), 2);
	assert_int_equal(file_replace(dirfd_, "no/a", "x", 1, 0600), -ENOENT);
}

static void test_write(void **state)
{
	char *text = NULL;

	assert_int_equal(file_write(dirfd_, "a", "x"), -ENOENT);
	put("a", "abc");
	assert_int_equal(file_write(dirfd_, "a", "X"), 0);
	assert_int_equal(file_read(dirfd_, "a", 100, &text, NULL), 0);
	assert_string_equal(text, "Xbc");
	free(text);
}

static void test_mkdir_all(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/a//b/c/", dir);
	assert_int_equal(mkdir_all(path, 0700), 0);
	assert_true(exists("a/b/c"));
	assert_int_equal(mkdir_all(path, 0700), 0);
	put("f", "");
	snprintf(path, sizeof(path), "%s/f", dir);
	assert_int_equal(mkdir_all(path, 0700), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/f/g", dir);
	assert_int_equal(mkdir_all(path, 0700), -ENOTDIR);
	assert_int_equal(mkdir_all("", 0700), -ENOENT);
	assert_int_equal(mkdir_all("/", 0700), 0);
}

static void test_remove(void **state)
{
	assert_int_equal(remove_tree(dirfd_, "none"), 0);
	put("kept", "");
	assert_int_equal(mkdirat(dirfd_, "t", 0700), 0);
	assert_int_equal(mkdirat(dirfd_, "t/d", 0700), 0);
	assert_int_equal(mkdirat(dirfd_, "t/empty", 0700), 0);
	assert_int_equal(mkdirat(dirfd_, "t/d/e", 0700), 0);
	put("t/d/e/f", "x");
	put("t/g", "x");
	assert_int_equal(symlinkat("../kept", dirfd_, "t/link"), 0);
	assert_int_equal(symlinkat(dir, dirfd_, "t/d/up"), 0);
	assert_int_equal(remove_tree(dirfd_, "t"), 0);
	assert_false(exists("t"));
	assert_true(exists("kept"));
	/* A link itself goes, not what it names. */
	assert_int_equal(mkdirat(dirfd_, "real", 0700), 0);
	put("real/x", "");
	assert_int_equal(symlinkat("real", dirfd_, "link"), 0);
	assert_int_equal(remove_tree(dirfd_, "link"), 0);
	assert_false(exists("link"));
	assert_true(exists("real/x"));
	assert_int_equal(remove_tree(dirfd_, "kept"), 0);
	assert_false(exists("kept"));
}

/* Deeper than any path, and than there are descriptors. */
static void test_remove_deep(void **state)
{
	int fd = dup(dirfd_);

	for (int i = 0; i < 3000; i++) {
		int sub;

		assert_int_equal(mkdirat(fd, "deep", 0700), 0);
		sub = openat(fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(sub >= 0);
		close(fd);
		fd = sub;
	}
	close(fd);
	assert_int_equal(remove_tree(dirfd_, "deep"), 0);
	assert_false(exists("deep"));
}

/* In a child with mounts of its own; 77: not permitted here. */
static int child_with_mount(void)
{
	char path[128], host[128];

	if (unshare(CLONE_NEWNS) < 0)
		return 77;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	snprintf(host, sizeof(host), "%s/host", dir);
	snprintf(path, sizeof(path), "%s/t/mnt", dir);
	/* The same file system: its device number does not tell. */
	if (mount(host, path, NULL, MS_BIND, NULL) < 0)
		return 77;
	if (remove_tree(dirfd_, "t") != -EBUSY)
		return 1;
	if (!exists("host/precious"))
		return 2;
	if (remove_tree(AT_FDCWD, path) != -EBUSY)
		return 3;
	return exists("host/precious") ? 0 : 4;
}

static void test_remove_stops_at_mounts(void **state)
{
	int status;
	pid_t pid;

	assert_int_equal(mkdirat(dirfd_, "host", 0700), 0);
	assert_int_equal(mkdirat(dirfd_, "t", 0700), 0);
	assert_int_equal(mkdirat(dirfd_, "t/mnt", 0700), 0);
	put("host/precious", "x");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child_with_mount());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_transfers),
		T(test_read),
		T(test_replace),
		T(test_write),
		T(test_mkdir_all),
		T(test_remove),
		T(test_remove_deep),
		T(test_remove_stops_at_mounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

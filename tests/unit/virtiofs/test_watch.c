/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "virtiofs/watch_tree.h"

#define LIMIT 8u

struct fixture {
	char top[64];
	int dir;
	struct evloop *loop;
	struct fs_watch *watch;
	bool ready;
	char warnings[1024];
};

static void on_ready(void *arg)
{
	((struct fixture *)arg)->ready = true;
}

static void on_warn(void *arg, const char *text)
{
	struct fixture *f = arg;
	size_t len = strlen(f->warnings);

	snprintf(f->warnings + len, sizeof(f->warnings) - len, "%s\n", text);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct fs_watch_config config = {
		.limit = LIMIT,
		.ready = on_ready,
		.warn = on_warn,
		.arg = f,
	};
	struct err err;

	assert_non_null(f);
	snprintf(f->top, sizeof(f->top), "/tmp/nacre-watch-XXXXXX");
	assert_non_null(mkdtemp(f->top));
	f->dir = open(f->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(f->dir, "v", 0755), 0);
	assert_int_equal(mkdirat(f->dir, "other", 0755), 0);
	f->loop = evloop_new();
	config.loop = f->loop;
	config.root_fd = open(f->top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	config.proc_fd =
		open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	f->watch = fs_watch_new(&config, &err);
	if (!f->watch)
		fail_msg("%s", err.text);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fs_watch_free(f->watch);
	evloop_free(f->loop);
	close(f->dir);
	assert_int_equal(remove_tree(AT_FDCWD, f->top), 0);
	free(f);
	return 0;
}

/* By another process: its own changes are the guest's. */
static void by_host(const struct fixture *f, const char *script)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (fchdir(f->dir) == 0)
			execl("/bin/sh", "sh", "-ec", script, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static const char *line_of(const struct fs_event *e)
{
	static const char *const kinds[FILE_EVENT_KINDS] = {
		[FILE_EVENT_ROOT] = "root",
		[FILE_EVENT_DIRECTORY] = "directory",
		[FILE_EVENT_FORGET] = "forget",
		[FILE_EVENT_CREATE] = "create",
		[FILE_EVENT_DELETE] = "delete",
		[FILE_EVENT_RENAME] = "rename",
		[FILE_EVENT_MODIFY] = "modify",
		[FILE_EVENT_CLOSE_WRITE] = "close",
		[FILE_EVENT_ATTRIB] = "attrib",
	};
	static char line[640];

	snprintf(line, sizeof(line), "%s%s %u:%s %u:%s", kinds[e->kind],
		 e->directory ? "/" : "", (unsigned)e->dir, e->name,
		 (unsigned)e->to_dir, e->to_name);
	return line;
}

/* All there is; the loop is asked until it has no more to say. */
static char *take(struct fixture *f)
{
	static char all[16384];
	const struct fs_event *e;
	size_t len = 0;

	all[0] = '\0';
	for (unsigned idle = 0; idle < 3;) {
		assert_int_equal(evloop_once(f->loop, 5), 0);
		idle = fs_watch_first(f->watch) ? 0 : idle + 1;
		while ((e = fs_watch_first(f->watch))) {
			len += (size_t)snprintf(all + len, sizeof(all) - len,
						"%s;", line_of(e));
			assert_true(len < sizeof(all));
			fs_watch_drop(f->watch);
		}
	}
	return all;
}

static void starts(struct fixture *f)
{
	fs_watch_add(f->watch, "v");
	assert_string_equal(take(f), "root/ 0:v 1:;");
	assert_true(f->ready);
}

static void test_files(void **state)
{
	struct fixture *f = *state;

	starts(f);
	by_host(f, "echo text >v/a");
	assert_string_equal(take(f), "create 1:a 0:;modify 1:a 0:;"
				     "close 1:a 0:;");
	by_host(f, "echo more >>v/a");
	assert_string_equal(take(f), "modify 1:a 0:;close 1:a 0:;");
	by_host(f, "chmod 600 v/a");
	assert_string_equal(take(f), "attrib 1:a 0:;");
	by_host(f, "ln -s a v/l");
	assert_string_equal(take(f), "create 1:l 0:;");
	by_host(f, "rm v/a");
	assert_string_equal(take(f), "delete 1:a 0:;");
	by_host(f, "chmod 700 v");
	assert_string_equal(take(f), "attrib/ 1: 0:;");
	assert_string_equal(f->warnings, "");
}

/* The kernel's queue holds the longer for it. */
static void test_merged(void **state)
{
	struct fixture *f = *state;
	int bytes;

	starts(f);
	by_host(f, "echo text >v/a");
	assert_int_equal(ioctl(f->watch->fan, FIONREAD, &bytes), 0);
	assert_int_equal(bytes, FAN_EVENT_METADATA_LEN);
	assert_string_equal(take(f), "create 1:a 0:;modify 1:a 0:;"
				     "close 1:a 0:;");
}

static void test_renames(void **state)
{
	struct fixture *f = *state;

	by_host(f, "echo >v/a; echo >other/b");
	starts(f);
	by_host(f, "mv v/a v/c");
	assert_string_equal(take(f), "rename 1:a 1:c;");
	by_host(f, "mv v/c other/c");
	assert_string_equal(take(f), "delete 1:c 0:;");
	by_host(f, "mv other/b v/b");
	assert_string_equal(take(f), "create 1:b 0:;close 1:b 0:;");
}

/* As Kubernetes' kubelet changes a volume. */
static void test_atomic_writer(void **state)
{
	struct fixture *f = *state;

	by_host(f, "mkdir v/..1; echo old >v/..1/k; ln -s ..1 v/..data; "
		   "ln -s ..data/k v/k");
	fs_watch_add(f->watch, "v");
	assert_string_equal(take(f), "root/ 0:v 1:;directory/ 1:..1 2:;");
	by_host(f, "mkdir v/..2");
	assert_string_equal(take(f), "create/ 1:..2 0:;directory/ 1:..2 3:;");
	by_host(f, "echo new >v/..2/k");
	assert_string_equal(take(f), "create 3:k 0:;modify 3:k 0:;"
				     "close 3:k 0:;");
	by_host(f, "ln -s ..2 v/..tmp");
	by_host(f, "mv -T v/..tmp v/..data");
	assert_string_equal(take(f),
			    "create 1:..tmp 0:;rename 1:..tmp 1:..data;");
	by_host(f, "rm -r v/..1");
	assert_string_equal(take(f), "delete 2:k 0:;delete/ 1:..1 0:;"
				     "forget/ 2: 0:;");
}

/* Directories made, moved and filled before they were watched. */
static void test_directories(void **state)
{
	struct fixture *f = *state;

	starts(f);
	by_host(f, "mkdir -p v/d/e; echo >v/d/e/f");
	assert_string_equal(take(f), "create/ 1:d 0:;directory/ 1:d 2:;"
				     "create/ 2:e 0:;directory/ 2:e 3:;"
				     "create 3:f 0:;");
	by_host(f, "mv v/d/e v/g");
	assert_string_equal(take(f), "rename/ 2:e 1:g;");
	by_host(f, "rm v/g/f");
	assert_string_equal(take(f), "delete 3:f 0:;");
	by_host(f, "mv v/g other/g; echo >other/g/x");
	assert_string_equal(take(f), "delete/ 1:g 0:;forget/ 3: 0:;");
	by_host(f, "mv other/g v/g; echo >v/g/x");
	assert_non_null(strstr(take(f), "create/ 1:g 0:;directory/ 1:g 4:;"));
	by_host(f, "rm -r v/d v/g");
	assert_non_null(strstr(take(f), "forget/ 4: 0:;"));
}

/* What this process does is no news, but its directories are known. */
static void test_own(void **state)
{
	struct fixture *f = *state;
	int fd;

	starts(f);
	fd = openat(f->dir, "v/a", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	assert_int_equal(mkdirat(f->dir, "v/d", 0755), 0);
	assert_string_equal(take(f), "directory/ 1:d 2:;");
	by_host(f, "chmod 600 v/a; echo >v/d/b");
	assert_string_equal(take(f), "attrib 1:a 0:;create 2:b 0:;"
				     "modify 2:b 0:;close 2:b 0:;");
	assert_int_equal(renameat(f->dir, "v/d", f->dir, "v/e"), 0);
	assert_int_equal(unlinkat(f->dir, "v/a", 0), 0);
	assert_string_equal(take(f), "");
	by_host(f, "rm -r v/e");
	assert_string_equal(take(f), "delete 2:b 0:;delete/ 1:e 0:;"
				     "forget/ 2: 0:;");
}

static void test_limit(void **state)
{
	struct fixture *f = *state;

	starts(f);
	by_host(f, "for i in 1 2 3 4 5 6 7 8 9 10; do mkdir v/$i; done");
	assert_non_null(strstr(take(f), "directory/ 1:7 8:;"));
	assert_non_null(strstr(f->warnings, "8 directories and files are "));
	assert_null(strstr(strchr(f->warnings, '\n'), "limit"));
	/* Their own names are news all the same. */
	by_host(f, "rmdir v/9; echo >v/10/x; rmdir v/1");
	assert_string_equal(take(f), "delete/ 1:9 0:;delete/ 1:1 0:;"
				     "forget/ 2: 0:;");
	by_host(f, "mkdir v/1");
	assert_string_equal(take(f), "create/ 1:1 0:;directory/ 1:1 9:;");
}

static void test_links(void **state)
{
	struct fixture *f = *state;

	by_host(f, "ln -s ../other v/l; ln -s v w");
	starts(f);
	by_host(f, "echo >other/x; ln -s /etc v/etc");
	assert_string_equal(take(f), "create 1:etc 0:;");
	fs_watch_add(f->watch, "w");
	fs_watch_add(f->watch, "../x");
	fs_watch_add(f->watch, "/etc");
	assert_string_equal(take(f), "");
}

/* The host's script, of which the first directory that it makes is read as it
 * is at the end: the kernel has more events than are read at a time. A little
 * later the directory "v" and those of the list are watched, and no others. */
static void behind(struct fixture *f, const char *first, const char *then,
		   const char *const *paths)
{
	char script[512];
	unsigned n = 1;

	by_host(f, "mkdir v/b");
	fs_watch_add(f->watch, "v");
	assert_string_equal(take(f), "root/ 0:v 1:;directory/ 1:b 2:;");
	snprintf(script, sizeof(script),
		 "%s; i=0; while [ $i -lt 300 ]; do : >v/$i; i=$((i + 1)); "
		 "done; %s",
		 first, then);
	by_host(f, script);
	/* Events that are not taken hold up the kernel's, and no reading. */
	while (!f->watch->first || f->watch->scans)
		assert_int_equal(evloop_once(f->loop, 1000), 0);
	do
		assert_non_null(take(f));
	while (f->watch->unsettled);
	for (; paths[n - 1]; n++) {
		snprintf(script, sizeof(script), "echo >%s/new", paths[n - 1]);
		by_host(f, script);
		assert_non_null(strstr(take(f), ":new 0:;close "));
	}
	assert_int_equal(f->watch->ndirs, n);
	assert_string_equal(f->warnings, "");
}

/* What a directory comes to replace was above it once. */
static void test_replaced_above(void **state)
{
	static const char *const paths[] = {"v/x", "v/x/b", "v/x/b/n", NULL};

	behind(*state, "mkdir v/x",
	       "mkdir v/b/n; mv -T v/b/n v/x; mkdir v/b/n; mv v/b v/x/b",
	       paths);
}

/* Where one goes was below it at times. */
static void test_moved_below(void **state)
{
	static const char *const paths[] = {"v/a", "v/a/b", NULL};

	behind(*state, "mkdir v/a",
	       "mv v/a v/b/a; rmdir v/b/a; mkdir v/a; mv v/b v/a/b", paths);
}

/* Two containers with one volume; one of them goes. */
static void test_twice(void **state)
{
	struct fixture *f = *state;

	starts(f);
	fs_watch_add(f->watch, "./v");
	assert_string_equal(take(f), "root/ 0:./v 2:;");
	by_host(f, "mkdir v/d");
	assert_string_equal(take(f), "create/ 2:d 0:;directory/ 2:d 3:;"
				     "create/ 1:d 0:;directory/ 1:d 4:;");
	fs_watch_remove(f->watch, "./");
	assert_string_equal(take(f), "forget/ 3: 0:;forget/ 2: 0:;");
	by_host(f, "echo >v/d/x");
	assert_non_null(strstr(take(f), "create 4:x 0:;"));
	fs_watch_remove(f->watch, "v");
	assert_string_equal(take(f), "forget/ 4: 0:;forget/ 1: 0:;");
	by_host(f, "echo >v/d/y");
	assert_string_equal(take(f), "");
}

/* Marks that the kernel has of this process. */
static int marks(void)
{
	char line[256];
	int n = 0;

	for (int fd = 0; fd < 64; fd++) {
		FILE *info;

		snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
		info = fopen(line, "re");
		while (info && fgets(line, sizeof(line), info))
			n += !strncmp(line, "fanotify ino:", 13);
		if (info)
			fclose(info);
	}
	return n;
}

/* A volume that is a file, whatever directory it is changed by. */
static void test_file(void **state)
{
	struct fixture *f = *state;

	by_host(f, "echo text >other/a; ln other/a other/b");
	fs_watch_add(f->watch, "other/b");
	assert_string_equal(take(f), "root 0:other/b 1:;");
	by_host(f, "echo more >>other/a");
	assert_string_equal(take(f), "modify 1: 0:;close 1: 0:;");
	by_host(f, "echo more >>other/b");
	assert_string_equal(take(f), "modify 1: 0:;close 1: 0:;");
	by_host(f, "chmod 600 other/a");
	assert_string_equal(take(f), "attrib 1: 0:;");
	by_host(f, "cat other/a >/dev/null; echo >other/c; chmod 700 other");
	assert_string_equal(take(f), "");
	fs_watch_remove(f->watch, "other/");
	assert_string_equal(take(f), "forget 1: 0:;");
	by_host(f, "echo more >>other/a");
	assert_string_equal(take(f), "");
	assert_string_equal(f->warnings, "");
}

static void test_file_own(void **state)
{
	struct fixture *f = *state;
	int fd;

	by_host(f, "echo text >other/a");
	fs_watch_add(f->watch, "other/a");
	assert_string_equal(take(f), "root 0:other/a 1:;");
	fd = openat(f->dir, "other/a", O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fchmod(fd, 0600), 0);
	close(fd);
	assert_string_equal(take(f), "");
}

/* As where a volume is mounted on its own: it stays the same file, which loses
 * its name. */
static void test_file_replaced(void **state)
{
	struct fixture *f = *state;

	by_host(f, "echo old >other/a; echo new >other/b");
	fs_watch_add(f->watch, "other/a");
	assert_string_equal(take(f), "root 0:other/a 1:;");
	by_host(f, "exec 3>>other/a; mv other/b other/a; echo >>other/a; "
		   "echo >&3");
	assert_string_equal(take(f), "attrib 1: 0:;modify 1: 0:;close 1: 0:;");
	by_host(f, "echo more >>other/a; rm other/a");
	assert_string_equal(take(f), "");
	/* Its mark goes, though another has the name. */
	by_host(f, "echo >other/a");
	assert_int_equal(marks(), 1);
	fs_watch_remove(f->watch, "other/a");
	assert_string_equal(take(f), "forget 1: 0:;");
	assert_int_equal(marks(), 0);
}

/* One file as a volume of two containers, and in a third one of theirs. */
static void test_file_twice(void **state)
{
	struct fixture *f = *state;

	by_host(f, "echo text >v/a");
	starts(f);
	fs_watch_add(f->watch, "v/a");
	fs_watch_add(f->watch, "./v/a");
	assert_string_equal(take(f), "root 0:v/a 2:;root 0:./v/a 3:;");
	by_host(f, "echo more >>v/a");
	assert_string_equal(take(f), "modify 1:a 0:;close 1:a 0:;"
				     "modify 3: 0:;close 3: 0:;"
				     "modify 2: 0:;close 2: 0:;");
	assert_int_equal(marks(), 2);
	fs_watch_remove(f->watch, "./");
	assert_string_equal(take(f), "forget 3: 0:;");
	assert_int_equal(marks(), 2);
	by_host(f, "chmod 600 v/a");
	assert_string_equal(take(f), "attrib 1:a 0:;attrib 2: 0:;");
	fs_watch_remove(f->watch, "v/");
	assert_string_equal(take(f), "forget 2: 0:;");
	assert_int_equal(marks(), 1);
	by_host(f, "chmod 644 v/a; mv v/a v/b");
	assert_string_equal(take(f), "attrib 1:a 0:;rename 1:a 1:b;");
}

static void test_file_kinds(void **state)
{
	struct fixture *f = *state;

	by_host(f, "mkfifo other/fifo; echo >other/a; ln -s a other/link; "
		   "ln -s other far");
	fs_watch_add(f->watch, "other/fifo");
	fs_watch_add(f->watch, "other/link");
	fs_watch_add(f->watch, "other/none");
	assert_string_equal(f->warnings, "");
	fs_watch_add(f->watch, "far/a");
	by_host(f, "echo >>other/a; chmod 600 other/fifo");
	assert_string_equal(take(f), "");
}

static void test_file_limit(void **state)
{
	struct fixture *f = *state;

	starts(f);
	by_host(f, "for i in 1 2 3 4 5 6 7 8; do echo >other/$i; done");
	for (char path[] = "other/1"; path[6] <= '8'; path[6]++)
		fs_watch_add(f->watch, path);
	assert_non_null(strstr(take(f), "root 0:other/7 8:;"));
	assert_non_null(strstr(f->warnings, "limit: other/8 and others"));
	fs_watch_remove(f->watch, "other/1");
	fs_watch_add(f->watch, "other/8");
	assert_string_equal(take(f), "forget 2: 0:;root 0:other/8 9:;");
}

/* More files than may wait: they are read as they are taken. */
static void test_pace(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	starts(f);
	by_host(f, "mkdir other/d; i=0; while [ $i -lt 5000 ]; do "
		   ": >other/d/$i; i=$((i + 1)); done");
	/* Made, not moved, for whoever watches. */
	by_host(f, "mkdir v/d; ln other/d/* v/d");
	for (unsigned idle = 0; idle < 5;) {
		assert_int_equal(evloop_once(f->loop, 5), 0);
		idle = fs_watch_first(f->watch) ? 0 : idle + 1;
		for (unsigned i = 0; i < 100 && fs_watch_first(f->watch);
		     i++, fs_watch_drop(f->watch))
			n += fs_watch_first(f->watch)->dir == 2;
	}
	assert_int_equal(n, 5000);
	assert_string_equal(f->warnings, "");
}

/* More than the kernel's queue takes, in a process of its own. */
static void flood(const struct fixture *f)
{
	char name[32];
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	for (unsigned i = 0; pid == 0 && i < 20000; i++) {
		snprintf(name, sizeof(name), "v/%u", i);
		if (mknodat(f->dir, name, S_IFREG | 0600, 0) ||
		    unlinkat(f->dir, name, 0))
			_exit(1);
	}
	if (pid == 0)
		_exit(mkdirat(f->dir, "v/new", 0755) != 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Then each directory may have changed, and is read again. */
static void test_overflow(void **state)
{
	struct fixture *f = *state;
	bool told = false, file_told = false, found = false;
	const struct fs_event *e;

	starts(f);
	by_host(f, "echo >other/a");
	fs_watch_add(f->watch, "other/a");
	assert_string_equal(take(f), "root 0:other/a 2:;");
	flood(f);
	for (unsigned idle = 0; idle < 3;) {
		assert_int_equal(evloop_once(f->loop, 5), 0);
		idle = fs_watch_first(f->watch) ? 0 : idle + 1;
		for (; (e = fs_watch_first(f->watch));
		     fs_watch_drop(f->watch)) {
			told |= !strcmp(line_of(e), "attrib/ 1: 0:");
			file_told |= !strcmp(line_of(e), "attrib 2: 0:");
			found |= !strcmp(line_of(e), "directory/ 1:new 3:");
		}
	}
	assert_non_null(strstr(f->warnings, "are lost"));
	assert_true(told);
	assert_true(file_told);
	assert_true(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(test_files),	   TEST(test_merged),
		TEST(test_renames),	   TEST(test_atomic_writer),
		TEST(test_directories),	   TEST(test_own),
		TEST(test_replaced_above), TEST(test_moved_below),
		TEST(test_limit),	   TEST(test_links),
		TEST(test_twice),	   TEST(test_file),
		TEST(test_file_own),	   TEST(test_file_replaced),
		TEST(test_file_twice),	   TEST(test_file_kinds),
		TEST(test_file_limit),	   TEST(test_pace),
		TEST(test_overflow),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

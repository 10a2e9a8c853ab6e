/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Compares two file systems, case by case:
 *
 *	conform [-v] [-g GROUP] [-p FIRST/STEP] [-s CASE]... DIR_A DIR_B
 *	conform -t [-g GROUP] [-p FIRST/STEP] DIR
 *
 * Prints "not ok" and both traces where they differ, with -v "ok" for the
 * others, "skipped CASES (N)" for each kind of case that was, and at last "N
 * passed, N failed, N skipped". 0 if none failed.
 *
 * Skipped: cases whose name starts with what -s says, and "xattr", "acl" and
 * "open direct" where one of the two has none (a tmpfs of a small kernel),
 * "inode flags" where a new directory has others, and "zero range" and "shift
 * range" where only one of the two can do that.
 *
 * With -t, what all cases do in DIR, a line each: name, tab, trace. Where two
 * kernels have the same file system, these lines are compared.
 *
 * -p 2/5 takes one case in five, and the third (0 is the first) to begin with.
 */

#include "integration/virtiofs/conform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct case_group *const tables[] = {
	conform_open_groups,   conform_names_groups, conform_data_groups,
	conform_ids_groups,    conform_acl_groups,   conform_locks_groups,
	conform_leases_groups, conform_flags_groups, conform_fs_groups,
};

void label(struct trial *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->label, sizeof(t->label), fmt, ap);
	va_end(ap);
}

void note(struct trial *t, const char *fmt, ...)
{
	size_t room = sizeof(t->trace) - t->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->trace + t->len, room, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n + 1 < room) {
		t->len += (size_t)n;
		t->trace[t->len++] = '\n';
		t->trace[t->len] = 0;
	}
}

long ret(struct trial *t, const char *what, long value)
{
	int saved = errno;

	if (value < 0)
		note(t, "%s: %s", what, strerrorname_np(saved));
	else
		note(t, "%s: %ld", what, value);
	errno = saved;
	return value;
}

int fd_ret(struct trial *t, const char *what, int fd)
{
	ret(t, what, fd < 0 ? -1 : 0);
	return fd;
}

static void look_stat(struct trial *t, const char *what, const struct stat *st)
{
	bool dir = S_ISDIR(st->st_mode);

	note(t, "%s: %o links %lu owner %u:%u size %ld rdev %lx", what,
	     st->st_mode, (unsigned long)st->st_nlink, st->st_uid, st->st_gid,
	     dir ? -1 : (long)st->st_size, (unsigned long)st->st_rdev);
}

void look(struct trial *t, const char *path)
{
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW))
		ret(t, path, -1);
	else
		look_stat(t, path, &st);
}

void look_fd(struct trial *t, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		ret(t, "fstat", -1);
	else
		look_stat(t, "fstat", &st);
}

void content(struct trial *t, const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	uint64_t hash = 14695981039346656037ull;
	uint8_t buf[4096];
	size_t total = 0;
	ssize_t n;

	if (fd < 0) {
		ret(t, path, -1);
		return;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (total == 0 && n <= 200)
			note(t, "%s: '%.*s'", path, (int)n, (char *)buf);
		for (ssize_t i = 0; i < n; i++)
			hash = (hash ^ buf[i]) * 1099511628211ull;
		total += (size_t)n;
	}
	if (n < 0)
		ret(t, "read", -1);
	note(t, "%s: %zu bytes, hash %llx", path, total,
	     (unsigned long long)hash);
	close(fd);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void list(struct trial *t, const char *path)
{
	uint64_t hash = 14695981039346656037ull;
	struct dirent **names;
	int n = scandir(path, &names, NULL, by_name);

	if (n < 0) {
		ret(t, path, -1);
		return;
	}
	for (int i = 0; i < n; i++) {
		if (n < 40)
			note(t, "%s/%s type %d", path, names[i]->d_name,
			     names[i]->d_type);
		for (const char *c = names[i]->d_name; *c; c++)
			hash = (hash ^ (uint8_t)*c) * 1099511628211ull;
		hash = (hash ^ names[i]->d_type) * 1099511628211ull;
		free(names[i]);
	}
	note(t, "%s: %d names, hash %llx", path, n, (unsigned long long)hash);
	free(names);
}

const char *kind_name(unsigned kind)
{
	static const char *const names[KINDS] = {
		[KIND_NONE] = "none",
		[KIND_FILE] = "file",
		[KIND_READONLY] = "read-only file",
		[KIND_DIR] = "directory",
		[KIND_FULL_DIR] = "full directory",
		[KIND_LINK_FILE] = "link to file",
		[KIND_LINK_DIR] = "link to directory",
		[KIND_LINK_NONE] = "dangling link",
		[KIND_LINK_LOOP] = "link to itself",
		[KIND_FIFO] = "fifo",
		[KIND_SOCKET] = "socket",
	};

	return names[kind];
}

void put(struct trial *t, const char *name, const char *text, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || fchmod(fd, mode))
		ret(t, "put", -1);
	if (fd >= 0)
		close(fd);
}

static void make_socket(struct trial *t, const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", name);
	ret(t, "bind", bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	close(fd);
}

void make(struct trial *t, const char *name, unsigned kind)
{
	char path[300];
	int r = 0;

	snprintf(path, sizeof(path), "%s.target", name);
	if (kind == KIND_FILE)
		put(t, name, "hello", 0644);
	else if (kind == KIND_READONLY)
		put(t, name, "hello", 0444);
	else if (kind == KIND_DIR || kind == KIND_FULL_DIR)
		r = mkdir(name, 0755);
	else if (kind == KIND_LINK_FILE || kind == KIND_LINK_DIR ||
		 kind == KIND_LINK_NONE)
		r = symlink(path, name);
	else if (kind == KIND_LINK_LOOP)
		r = symlink(name, name);
	else if (kind == KIND_FIFO)
		r = mkfifo(name, 0644);
	else if (kind == KIND_SOCKET)
		make_socket(t, name);
	if (kind == KIND_LINK_FILE)
		put(t, path, "target", 0644);
	if (kind == KIND_LINK_DIR)
		r |= mkdir(path, 0755);
	if (kind == KIND_FULL_DIR) {
		snprintf(path, sizeof(path), "%s/child", name);
		put(t, path, "child", 0644);
	}
	if (r)
		ret(t, "make", -1);
}

int in_child(int (*run)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run(arg));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

void note_child(struct trial *t, const char *what, int result)
{
	const char *name = result > 0 ? strerrorname_np(result) : "got it";

	note(t, "%s: %s", what, result < 0 ? "killed" : name);
}

/* Removes a tree, whatever its modes. */
static void clear(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	struct dirent *d;
	DIR *dir;

	if (fd < 0 && errno == EACCES && !fchmodat(dirfd, name, 0700, 0)) {
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	}
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		unlinkat(dirfd, name, 0);
		return;
	}
	while ((d = readdir(dir))) {
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			clear(fd, d->d_name);
	}
	closedir(dir);
	unlinkat(dirfd, name, AT_REMOVEDIR);
}

static int run_in(const char *base, const struct case_group *g, unsigned i,
		  struct trial *t)
{
	memset(t, 0, sizeof(*t));
	if (chdir(base) || mkdir("case", 0755) || chmod("case", 0755) ||
	    chdir("case")) {
		fprintf(stderr, "conform: %s: %s\n", base, strerror(errno));
		return -1;
	}
	label(t, "%u", i);
	umask(022);
	g->run(t, i);
	if (chdir("..")) {
		fprintf(stderr, "conform: %s: %s\n", base, strerror(errno));
		return -1;
	}
	clear(AT_FDCWD, "case");
	return 0;
}

#define SKIPS_MAX 16u
#define SKIPS_OWN 6u

static const char *skips[SKIPS_MAX];
static unsigned skipped_by[SKIPS_MAX];
static unsigned nskips;

static bool is_skipped(const char *group, const char *case_label)
{
	char name[300];

	snprintf(name, sizeof(name), "%s: %s", group, case_label);
	for (unsigned i = 0; i < nskips; i++) {
		if (strncmp(name, skips[i], strlen(skips[i])) == 0) {
			skipped_by[i]++;
			return true;
		}
	}
	return false;
}

bool have_xattr = true;

static void probe_xattr(const char *dir)
{
	if (getxattr(dir, "user.conform", NULL, 0) < 0 && errno == EOPNOTSUPP)
		have_xattr = false;
}

static bool have_acl = true;

static void probe_acl(const char *dir)
{
	if (getxattr(dir, "system.posix_acl_access", NULL, 0) < 0 &&
	    errno == EOPNOTSUPP)
		have_acl = false;
}

static bool have_direct = true;

/* Of a tmpfs, since Linux 6.6. */
static void probe_direct(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_DIRECT, 0600);

	have_direct &= fd >= 0;
	if (fd >= 0)
		close(fd);
}

/* -1: there are none. Those of a file system's own differ. */
static long flags_of(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	unsigned flags;
	long ret = ioctl(fd, FS_IOC_GETFLAGS, &flags) ? -1 : (long)flags;

	close(fd);
	return ret;
}

/* What fallocate() of a range says. */
static int range_error(const char *dir, int mode)
{
	int fd = open(dir, O_TMPFILE | O_RDWR, 0600);
	int error = 0;

	if (fd < 0 || ftruncate(fd, 65536) || fallocate(fd, mode, 0, 4096))
		error = errno;
	if (fd >= 0)
		close(fd);
	return error;
}

static bool verbose;
static unsigned skipped;
static unsigned passed;
static unsigned failed;

static int compare_case(const struct case_group *g, unsigned i, char **dirs)
{
	static struct trial a;
	static struct trial b;

	if (run_in(dirs[0], g, i, &a) || run_in(dirs[1], g, i, &b))
		return -1;
	if (is_skipped(g->name, a.label)) {
		skipped++;
		return 0;
	}
	if (strcmp(a.trace, b.trace) == 0) {
		passed++;
		if (verbose)
			printf("ok %s: %s\n", g->name, a.label);
		return 0;
	}
	failed++;
	printf("not ok %s: %s\n--- %s\n%s--- %s\n%s", g->name, a.label, dirs[0],
	       a.trace, dirs[1], b.trace);
	return 0;
}

static int trace_case(const struct case_group *g, unsigned i, char **dirs)
{
	static struct trial t;

	if (run_in(dirs[0], g, i, &t))
		return -1;
	for (size_t c = 0; c < t.len; c++) {
		if (t.trace[c] == '\n' || t.trace[c] == '\t')
			t.trace[c] = ';';
	}
	printf("%s: %s\t%s\n", g->name, t.label, t.trace);
	return 0;
}

struct choice {
	const char *group; /* NULL: all */
	unsigned first;
	unsigned step;
};

static bool choose_part(struct choice *choice, const char *text)
{
	return sscanf(text, "%u/%u", &choice->first, &choice->step) == 2 &&
	       choice->first < choice->step;
}

static int run_cases(int (*run)(const struct case_group *g, unsigned i,
				char **dirs),
		     const struct choice *choice, char **dirs)
{
	const struct case_group *g;
	unsigned number = 0;

	for (unsigned n = 0; n < sizeof(tables) / sizeof(tables[0]); n++) {
		for (g = tables[n]; g->name; g++) {
			if (choice->group && strcmp(choice->group, g->name))
				continue;
			for (unsigned i = 0; i < g->count; i++) {
				if (number++ % choice->step == choice->first &&
				    run(g, i, dirs))
					return -1;
			}
		}
	}
	return 0;
}

/* What the two differ in, whoever serves them. */
static void skip_unlike(char **dirs)
{
	if (!have_xattr)
		skips[nskips++] = "xattr";
	if (!have_acl)
		skips[nskips++] = "acl";
	if (!have_direct)
		skips[nskips++] = "open direct";
	if (flags_of(dirs[0]) != flags_of(dirs[1]))
		skips[nskips++] = "inode flags";
	if (range_error(dirs[0], FALLOC_FL_ZERO_RANGE) !=
	    range_error(dirs[1], FALLOC_FL_ZERO_RANGE))
		skips[nskips++] = "zero range";
	if (range_error(dirs[0], FALLOC_FL_COLLAPSE_RANGE) !=
	    range_error(dirs[1], FALLOC_FL_COLLAPSE_RANGE))
		skips[nskips++] = "shift range";
}

int main(int argc, char **argv)
{
	struct choice choice = {.step = 1};
	bool trace = false;
	char *dirs[2];
	int opt;

	while ((opt = getopt(argc, argv, "tvg:p:s:")) >= 0) {
		if (opt == 't')
			trace = true;
		else if (opt == 'v')
			verbose = true;
		else if (opt == 'g')
			choice.group = optarg;
		else if (opt == 'p' && choose_part(&choice, optarg))
			continue;
		else if (opt == 's' && nskips < SKIPS_MAX - SKIPS_OWN)
			skips[nskips++] = optarg;
		else
			return 2;
	}
	if (argc - optind != (trace ? 1 : 2)) {
		fprintf(stderr, "usage: conform [-v] [-g GROUP] "
				"[-p FIRST/STEP] [-s CASE]... DIR DIR\n"
				"       conform -t [-g GROUP] [-p FIRST/STEP] "
				"DIR\n");
		return 2;
	}
	for (int i = 0; i < argc - optind; i++) {
		dirs[i] = realpath(argv[optind + i], NULL);
		if (!dirs[i]) {
			perror(argv[optind + i]);
			return 2;
		}
		probe_xattr(dirs[i]);
		probe_acl(dirs[i]);
		probe_direct(dirs[i]);
	}
	if (trace)
		return run_cases(trace_case, &choice, dirs) ? 2 : 0;
	skip_unlike(dirs);
	if (run_cases(compare_case, &choice, dirs))
		return 2;
	for (unsigned i = 0; i < nskips; i++) {
		if (skipped_by[i])
			printf("skipped %s (%u)\n", skips[i], skipped_by[i]);
	}
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	return failed ? 1 : 0;
}

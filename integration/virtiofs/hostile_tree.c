/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/hostile_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/file.h"
#include "integration/virtiofs/hostile.h"

#define ENTRIES_MAX 4096u
#define XATTR "trusted.canary"

static const char secret[] = TREE_SECRET;

/* What was noted of a file; memcmp compares two. */
struct entry {
	char path[64];
	char xattr[64];
	uint64_t content;
	struct stat st;
};

struct snapshot {
	bool read; /* the guest may: times of access are not noted */
	unsigned n;
	struct entry *entries;
};

static struct snapshot outside_was;
static struct snapshot share_was = {.read = true};
static int share = -1;
static int outside = -1;
static atomic_bool racing;
static atomic_bool lenient; /* the guest undoes what is made */

/* Snapshots. --------------------------------------------------------------- */

/* None of this leaves a trace, such as a time of access. */
static uint64_t content_of(int dir, const char *name, const struct stat *st)
{
	char buf[PATH_MAX];
	uint64_t sum = 5381;
	ssize_t n;
	int fd;

	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(dir, name, buf, sizeof(buf));
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 33 + (uint8_t)buf[i];
	}
	if (!S_ISREG(st->st_mode))
		return sum;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 33 + (uint8_t)buf[i];
	}
	close(fd);
	return sum;
}

static void entry_note(struct entry *entry, int dir, const char *name,
		       const char *path, bool read)
{
	char proc[32 + NAME_MAX];

	memset(entry, 0, sizeof(*entry));
	snprintf(entry->path, sizeof(entry->path), "%s", path);
	if (fstatat(dir, name, &entry->st, AT_SYMLINK_NOFOLLOW))
		link_die(path);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d/%s", dir, name);
	if (lgetxattr(proc, XATTR, entry->xattr, sizeof(entry->xattr)) < 0)
		entry->xattr[0] = 0;
	/* A link's time of access is that of our own look at it. */
	if (read || S_ISLNK(entry->st.st_mode))
		memset(&entry->st.st_atim, 0, sizeof(entry->st.st_atim));
	entry->content = content_of(dir, name, &entry->st);
}

static void snapshot_walk(struct snapshot *s, int dir, const char *prefix)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_NOATIME);
	DIR *stream = fdopendir(fd);
	const struct dirent *d;
	char path[64];

	if (!stream)
		link_die(prefix);
	while ((d = readdir(stream))) {
		int sub = -1;

		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..") ||
		    !strcmp(d->d_name, "proc"))
			continue;
		if (s->n == ENTRIES_MAX)
			link_die("too many files");
		snprintf(path, sizeof(path), "%.30s/%.30s", prefix, d->d_name);
		entry_note(&s->entries[s->n++], dir, d->d_name, path, s->read);
		if (d->d_type == DT_DIR)
			sub = openat(dir, d->d_name,
				     O_RDONLY | O_DIRECTORY | O_NOATIME);
		if (sub >= 0) {
			snapshot_walk(s, sub, path);
			close(sub);
		}
	}
	closedir(stream);
}

static int entry_order(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path,
		      ((const struct entry *)b)->path);
}

static void snapshot_take(struct snapshot *s, int dir)
{
	s->n = 0;
	free(s->entries);
	s->entries = calloc(ENTRIES_MAX, sizeof(s->entries[0]));
	if (!s->entries)
		link_die("memory");
	entry_note(&s->entries[s->n++], dir, ".", "", s->read);
	snapshot_walk(s, dir, "");
	qsort(s->entries, s->n, sizeof(s->entries[0]), entry_order);
}

static void snapshot_compare(const struct snapshot *was, int dir,
			     const char *what)
{
	struct snapshot now = {.read = was->read};

	snapshot_take(&now, dir);
	hostile_check(now.n == was->n, "%s: %u files, were %u", what, now.n,
		      was->n);
	for (unsigned i = 0; i < now.n && i < was->n; i++)
		hostile_check(!memcmp(&now.entries[i], &was->entries[i],
				      sizeof(now.entries[i])),
			      "%s%s is not what it was", what,
			      now.entries[i].path);
	free(now.entries);
}

void tree_check(void)
{
	snapshot_compare(&outside_was, outside, "outside");
}

void tree_share_note(void)
{
	snapshot_take(&share_was, share);
}

void tree_share_check(void)
{
	snapshot_compare(&share_was, share, "share");
}

/* What there is. ----------------------------------------------------------- */

static void must(int ret, const char *what)
{
	if (ret < 0 && errno != EEXIST && !atomic_load(&lenient))
		link_die(what);
}

/* Through no link: the guest may have put one there. */
static void file_make(int dir, const char *name, const char *text)
{
	const struct open_how how = {
		.flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		.mode = 0644,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));

	must(fd, name);
	if (fd < 0)
		return;
	must(write_full(fd, text, strlen(text)), name);
	close(fd);
}

/* As long ago as makes any read of it a change of this time. */
static void old(int dir, const char *name)
{
	const struct timespec times[2] = {
		{.tv_sec = 1000000000},
		{.tv_nsec = UTIME_OMIT},
	};

	must(utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW), name);
}

static void outside_make(void)
{
	static const char *const files[] = {"secret", "victim", "sub/inner",
					    "mounted/inner"};
	static const char *const all[] = {"secret", "victim",  "sub/inner",
					  "sub",    "mounted", "."};
	char path[PATH_MAX];

	must(mkdirat(outside, "sub", 0755), "sub");
	must(mkdirat(outside, "mounted", 0755), "mounted");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		file_make(outside, files[i],
			  i + 1 < ARRAY_SIZE(files) ? secret : "shared");
	must(symlinkat("secret", outside, "link"), "link");
	must(mkfifoat(outside, "fifo", 0600), "fifo");
	must(fchmodat(outside, "secret", 0600, 0), "secret");
	snprintf(path, sizeof(path), "%s/secret", hostile.outside);
	/* Not all file systems have them. */
	if (setxattr(path, XATTR, "as it was", 9, 0) && errno != EOPNOTSUPP)
		link_die(XATTR);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		old(outside, all[i]);
}

struct link {
	const char *name;
	const char *target;
};

static void links_make(void)
{
	static const struct link links[] = {
		{"up", ".."},
		{"rel", "../outside/secret"},
		{"self", "/proc/self/root"},
		{"fd", "/proc/self/fd/3"},
		{"dot", "."},
		{".swap", "../outside"},
		{".file", "../outside/secret"},
	};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		must(symlinkat(links[i].target, share, links[i].name),
		     links[i].name);
	must(symlinkat(hostile.outside, share, "abs"), "abs");
	snprintf(path, sizeof(path), "%s/secret", hostile.outside);
	must(symlinkat(path, share, "sec"), "sec");
}

static void share_make(void)
{
	static const char *const dirs[] = {"d", "swap", "deep"};
	static const char *const files[] = {
		"f",	       "d/f",  "d/victim", "d/sub/f",	  "file",
		"swap/victim", "node", "dev",	   "swap/secret",
	};
	int dir;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		must(mkdirat(share, dirs[i], 0755), dirs[i]);
		dir = openat(share, dirs[i],
			     O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		must(dir, dirs[i]);
		if (dir < 0)
			continue;
		must(mkdirat(dir, "sub", 0755), "sub");
		close(dir);
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		file_make(share, files[i], "of the share");
	file_make(share, "alive", TREE_ALIVE);
	links_make();
	must(mkfifoat(share, "fifo", 0644), "fifo");
	must(mkfifoat(share, ".node", 0644), ".node");
	must(mknodat(share, "sock", S_IFSOCK | 0644, 0), "sock");
	must(mknodat(share, "zero", S_IFCHR | 0666, makedev(1, 5)), "zero");
	must(mknodat(share, ".dev", S_IFCHR | 0666, makedev(1, 5)), ".dev");
	must(mknodat(share, "disk", S_IFBLK | 0666, makedev(7, 0)), "disk");
}

void tree_make(void)
{
	share = open(hostile.share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	outside = open(hostile.outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (share < 0 || outside < 0)
		link_die("share and outside");
	outside_make();
	share_make();
	snapshot_take(&outside_was, outside);
}

void tree_repair(void)
{
	int fd = openat(share, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fdopendir(fd);
	const struct dirent *d;

	if (!stream)
		link_die("share");
	while ((d = readdir(stream))) {
		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0 &&
		    strcmp(d->d_name, "mnt") != 0 &&
		    strcmp(d->d_name, "proc") != 0 &&
		    remove_tree(share, d->d_name))
			link_die(d->d_name);
	}
	closedir(stream);
	share_make();
}

void tree_many(bool there)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < TREE_MANY; i++) {
		int fd;

		snprintf(path, sizeof(path), "d/sub/%u", i);
		if (!there) {
			unlinkat(share, path, 0);
			continue;
		}
		fd = openat(share, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			link_die(path);
		close(fd);
	}
}

/* The host changes its mind. ----------------------------------------------- */

static pthread_t racer;
static atomic_ulong races;

static void *racer_run(void *arg)
{
	static const struct link pairs[] = {
		{"swap", ".swap"},
		{"file", ".file"},
		{"node", ".node"},
		{"dev", ".dev"},
	};

	int deep;

	while (atomic_load(&racing)) {
		for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
			if (renameat2(share, pairs[i].name, share,
				      pairs[i].target, RENAME_EXCHANGE) == 0)
				atomic_fetch_add(&races, 1);
			else
				share_make();
		/* Not by its path: it may be a link by now. */
		deep = openat(share, "deep",
			      O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (deep >= 0 && renameat2(share, "d", deep, "d", 0) == 0 &&
		    renameat2(deep, "d", share, "d", 0) == 0)
			atomic_fetch_add(&races, 1);
		if (deep >= 0)
			close(deep);
	}
	return NULL;
}

void tree_racer_start(void)
{
	atomic_store(&lenient, true);
	atomic_store(&racing, true);
	if (pthread_create(&racer, NULL, racer_run, NULL))
		link_die("pthread_create");
}

void tree_racer_stop(void)
{
	atomic_store(&racing, false);
	pthread_join(racer, NULL);
	atomic_store(&lenient, false);
}

unsigned long tree_races(void)
{
	return atomic_load(&races);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a file system costs, seen by a program in a guest. Prints a line for
 * each figure: NAME VALUE UNIT, where more is better.
 *
 *	fsprobe [-k KIND] [-s MIB] [-n FILES] [-t MS] DIR [TAR]
 *
 * KIND is one of sequential, direct, small and sources, or else it is all of
 * them. The large file has 64 MiB, of the small ones there are 500, and what is
 * repeated takes 700 ms at least, unless told otherwise.
 *
 * DIR is on the file system. "write" makes a file, for which the host's kernel
 * takes new pages, "rewrite" writes to one that is there. "direct" figures go
 * around the guest's page cache, so that each call is a request; before the
 * others but "rewrite" it is emptied, which takes root. TAR is an archive of
 * sources in C: it is unpacked ("unpack", by tar), it is looked at as `git
 * status` does ("status": each file is looked up, then all directories are
 * read), and the files are opened and written that a compiler would
 * ("compile", without the compiling).
 */

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "integration/bench/measure.h"

#define SMALL 4096u
#define LARGE (1u << 20)

static unsigned file_size = 64u << 20;
static unsigned files = 500;
static uint64_t long_enough_ns = 700000000;
static const char *only;
static uint8_t buffer[LARGE] __attribute__((aligned(4096)));
static uint32_t seed;

static void say_rate(const char *name, double count, uint64_t ns,
		     const char *unit)
{
	say(name, count * 1e9 / (double)ns, unit);
}

static uint32_t random_number(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0 || write(fd, "3", 1) != 1)
		die("drop_caches");
	close(fd);
}

static int open_file(const char *name, int flags)
{
	int fd = open(name, flags, 0644);

	if (fd < 0)
		die(name);
	return fd;
}

/* One call at off; dies unless it does all of it. */
typedef ssize_t (*transfer)(int fd, void *buf, size_t len, off_t off);

static ssize_t write_at(int fd, void *buf, size_t len, off_t off)
{
	return pwrite(fd, buf, len, off);
}

static ssize_t read_at(int fd, void *buf, size_t len, off_t off)
{
	return pread(fd, buf, len, off);
}

/* Through the file, again and again until it took long enough. Empties the
 * cache each time, unless it is kept. */
static void through(const char *name, int flags, transfer call, size_t len,
		    bool kept)
{
	uint64_t bytes = 0;
	uint64_t ns = 0;
	uint64_t start;
	int fd;

	while (ns < long_enough_ns) {
		if (!kept)
			drop_caches();
		start = monotonic_ns();
		fd = open_file("data", flags);
		for (off_t off = 0; off < (off_t)file_size; off += (off_t)len) {
			if (call(fd, buffer, len, off) != (ssize_t)len)
				die(name);
		}
		close(fd);
		ns += monotonic_ns() - start;
		bytes += file_size;
	}
	say_rate(name, (double)bytes / 1e6, ns, "MB/s");
}

/* Around the guest's cache: one call after the other, or here and there. */
static void around(const char *name, int flags, transfer call, size_t len,
		   bool scattered)
{
	int fd = open_file("data", flags | O_DIRECT);
	uint64_t start = monotonic_ns();
	uint64_t ns = 0;
	unsigned n = 0;

	seed = 1;
	while (ns < long_enough_ns) {
		unsigned i = scattered ? random_number() : n;
		off_t at = (off_t)(i % (file_size / len) * len);

		if (call(fd, buffer, len, at) != (ssize_t)len)
			die(name);
		n++;
		ns = monotonic_ns() - start;
	}
	close(fd);
	say_rate(name, n, ns, "/s");
}

/* On each of the small files; how long that took. */
static uint64_t each_file(void (*act)(const char *file))
{
	char file[32];
	uint64_t start = monotonic_ns();

	for (unsigned i = 0; i < files; i++) {
		snprintf(file, sizeof(file), "small-%u", i);
		act(file);
	}
	return monotonic_ns() - start;
}

static void create(const char *file)
{
	close(open_file(file, O_WRONLY | O_CREAT | O_EXCL));
}

static void look(const char *file)
{
	struct stat st;

	if (stat(file, &st) < 0)
		die(file);
}

static void read_small(const char *file)
{
	int fd = open_file(file, O_RDONLY);

	if (read(fd, buffer, SMALL) < 0)
		die(file);
	close(fd);
}

static void take_away(const char *file)
{
	if (unlink(file) < 0)
		die(file);
}

/* Sources. --------------------------------------------------------------- */

#define SOURCES_MAX 4096u

static char *files_seen[SOURCES_MAX];
static unsigned nseen;
static char *sources[SOURCES_MAX]; /* those of them that are in C */
static unsigned nsources;

static int note(const char *path, const struct stat *st, int type,
		struct FTW *ftw)
{
	const char *dot = strrchr(path, '.');

	if (type == FTW_F && nseen < SOURCES_MAX) {
		files_seen[nseen] = strdup(path);
		if (dot && (!strcmp(dot, ".c") || !strcmp(dot, ".h")))
			sources[nsources++] = files_seen[nseen];
		nseen++;
	}
	return type == FTW_NS || type == FTW_DNR;
}

static void find_all(void)
{
	if (nftw(".", note, 16, FTW_PHYS) != 0)
		die("nftw");
}

/* The names in a directory and in those below. */
static void read_names(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *d;
	char below[256];

	if (!dir)
		die(path);
	while ((d = readdir(dir))) {
		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		if (snprintf(below, sizeof(below), "%s/%s", path, d->d_name) >=
		    (int)sizeof(below))
			die(path);
		read_names(below);
	}
	closedir(dir);
}

/* What is in the index, and then what is not. */
static void look_at_all(void)
{
	for (unsigned i = 0; i < nseen; i++)
		look(files_seen[i]);
	read_names(".");
}

static void unpack(const char *tar)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("tar", "tar", "xf", tar, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		die("tar");
}

static bool is_header(const char *path)
{
	return path[strlen(path) - 1] == 'h';
}

/* One source with twenty headers, each of which is looked for in a directory
 * that does not have it, and an object. */
static void compile(unsigned at)
{
	unsigned headers = 0;
	struct stat st;
	char name[64];
	int fd;

	read_small(sources[at]);
	for (unsigned i = 1; i < nsources && headers < 20; i++) {
		const char *path = sources[(at + i) % nsources];

		if (!is_header(path))
			continue;
		headers++;
		snprintf(name, sizeof(name), "include/%s", strrchr(path, '/'));
		if (stat(name, &st) == 0)
			die(name);
		read_small(path);
	}
	snprintf(name, sizeof(name), "object-%u.o", at);
	fd = open_file(name, O_WRONLY | O_CREAT | O_TRUNC);
	for (unsigned i = 0; i < 8; i++) {
		if (write(fd, buffer, SMALL) != SMALL)
			die(name);
	}
	close(fd);
}

/* As often as it takes to last long enough. */
static void status(void)
{
	uint64_t ns = 0;
	uint64_t start;
	unsigned n = 0;

	while (ns < long_enough_ns) {
		drop_caches();
		start = monotonic_ns();
		look_at_all();
		ns += monotonic_ns() - start;
		n += nseen;
	}
	say_rate("status", n, ns, "/s");
}

static void work_with(const char *tar)
{
	uint64_t start = monotonic_ns();
	unsigned n = 0;

	unpack(tar);
	start = monotonic_ns() - start;
	find_all();
	say_rate("unpack", nseen, start, "/s");
	status();
	drop_caches();
	start = monotonic_ns();
	for (unsigned i = 0; i < nsources; i++) {
		if (is_header(sources[i]))
			continue;
		compile(i);
		n++;
	}
	say_rate("compile", n, monotonic_ns() - start, "/s");
}

static const struct {
	const char *name;
	transfer call;
	size_t len;
	int flags;
	bool scattered;
} directs[] = {
	{"direct-write-1M", write_at, LARGE, O_WRONLY, false},
	{"direct-write-4k", write_at, SMALL, O_WRONLY, false},
	{"direct-read-1M", read_at, LARGE, O_RDONLY, false},
	{"direct-read-4k", read_at, SMALL, O_RDONLY, false},
	{"random-write-1M", write_at, LARGE, O_WRONLY, true},
	{"random-write-4k", write_at, SMALL, O_WRONLY, true},
	{"random-read-1M", read_at, LARGE, O_RDONLY, true},
	{"random-read-4k", read_at, SMALL, O_RDONLY, true},
};

static void sequential(void)
{
	int anew = O_WRONLY | O_CREAT | O_TRUNC;

	through("write-1M", anew, write_at, LARGE, false);
	through("write-4k", anew, write_at, SMALL, false);
	through("rewrite-1M", O_WRONLY, write_at, LARGE, true);
	through("rewrite-4k", O_WRONLY, write_at, SMALL, true);
	through("read-1M", O_RDONLY, read_at, LARGE, false);
	through("read-4k", O_RDONLY, read_at, SMALL, false);
	take_away("data");
}

static void direct(void)
{
	int fd = open_file("data", O_WRONLY | O_CREAT | O_EXCL);

	if (posix_fallocate(fd, 0, (off_t)file_size) != 0)
		die("data");
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(directs); i++)
		around(directs[i].name, directs[i].flags, directs[i].call,
		       directs[i].len, directs[i].scattered);
	take_away("data");
}

/* All of it, again and again until the fastest took long enough. */
static void small(void)
{
	static const struct {
		const char *name;
		void (*act)(const char *file);
	} acts[] = {
		{"create", create},
		{"stat", look},
		{"open-read", read_small},
		{"unlink", take_away},
	};
	uint64_t ns[ARRAY_SIZE(acts)] = {0};
	uint64_t least = 0;
	unsigned n = 0;

	while (least < long_enough_ns) {
		least = UINT64_MAX;
		for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
			/* What is looked at was not looked up yet. */
			if (acts[i].act == look)
				drop_caches();
			ns[i] += each_file(acts[i].act);
			least = MIN(least, ns[i]);
		}
		n += files;
	}
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
		say_rate(acts[i].name, n, ns[i], "/s");
}

static unsigned number(const char *text, unsigned max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || n < 1 || n > max) {
		fprintf(stderr, "fsprobe: %s is not 1 to %u\n", text, max);
		exit(2);
	}
	return (unsigned)n;
}

static void usage(void)
{
	fprintf(stderr,
		"usage: fsprobe [-k KIND] [-s MIB] [-n FILES] [-t MS] DIR "
		"[TAR]\n");
	exit(2);
}

/* The rest of them is at optind. */
static void parse(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "k:s:n:t:")) >= 0) {
		if (opt == 'k')
			only = optarg;
		else if (opt == 's')
			file_size = number(optarg, 1024) << 20;
		else if (opt == 'n')
			files = number(optarg, 100000);
		else if (opt == 't')
			long_enough_ns = number(optarg, 60000) * 1000000ull;
		else
			usage();
	}
	if (argc - optind < 1 || argc - optind > 2)
		usage();
}

static bool wanted(const char *kind)
{
	return !only || !strcmp(only, kind);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *kind;
		void (*act)(void);
	} parts[] = {
		{"sequential", sequential},
		{"direct", direct},
		{"small", small},
	};
	const char *tar;
	bool any = false;

	parse(argc, argv);
	tar = argv[optind + 1];
	if (chdir(argv[optind]) < 0)
		die(argv[optind]);
	memset(buffer, 0xa5, sizeof(buffer));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (wanted(parts[i].kind)) {
			parts[i].act();
			any = true;
		}
	}
	if (tar && wanted("sources")) {
		work_with(tar);
		any = true;
	}
	if (!any)
		usage();
	return 0;
}

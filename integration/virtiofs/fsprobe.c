/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a file system costs, seen by a program in a guest. Prints a line for
 * each figure: NAME VALUE UNIT, where more is better.
 *
 *	fsprobe DIR
 *
 * DIR is on the file system. "direct" figures go around the guest's page
 * cache, so that each call is a request; before the others it is emptied,
 * which takes root.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SMALL 4096u
#define LARGE (1u << 20)
#define FILE_SIZE (64u << 20)
#define FILES 500u
/* Each figure is of work that takes at least this long. */
#define LONG_ENOUGH_NS 700000000ull

static uint8_t buffer[LARGE] __attribute__((aligned(4096)));
static uint32_t seed;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "fsprobe: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void say(const char *name, double count, uint64_t ns, const char *unit)
{
	printf("%s %.2f %s\n", name, count * 1e9 / (double)ns, unit);
	fflush(stdout);
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

/* Through the file, again and again until it took long enough. */
static void sequential(const char *name, int flags, transfer call, size_t len)
{
	uint64_t bytes = 0;
	uint64_t ns = 0;
	uint64_t start;
	int fd;

	while (ns < LONG_ENOUGH_NS) {
		drop_caches();
		start = now_ns();
		fd = open_file("data", flags);
		for (off_t off = 0; off < (off_t)FILE_SIZE; off += (off_t)len) {
			if (call(fd, buffer, len, off) != (ssize_t)len)
				die(name);
		}
		close(fd);
		ns += now_ns() - start;
		bytes += FILE_SIZE;
	}
	say(name, (double)bytes / 1e6, ns, "MB/s");
}

static void scattered(const char *name, int flags, transfer call, size_t len)
{
	int fd = open_file("data", flags | O_DIRECT);
	uint64_t start = now_ns();
	uint64_t ns = 0;
	unsigned n = 0;

	seed = 1;
	while (ns < LONG_ENOUGH_NS) {
		off_t at = (off_t)(random_number() % (FILE_SIZE / len) * len);

		if (call(fd, buffer, len, at) != (ssize_t)len)
			die(name);
		n++;
		ns = now_ns() - start;
	}
	close(fd);
	say(name, n, ns, "/s");
}

static void each_file(const char *name, void (*act)(const char *file))
{
	char file[32];
	uint64_t start = now_ns();

	for (unsigned i = 0; i < FILES; i++) {
		snprintf(file, sizeof(file), "small-%u", i);
		act(file);
	}
	say(name, FILES, now_ns() - start, "/s");
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

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: fsprobe DIR\n");
		return 2;
	}
	if (chdir(argv[1]) < 0)
		die(argv[1]);
	memset(buffer, 0xa5, sizeof(buffer));
	sequential("write-1M", O_WRONLY | O_CREAT | O_TRUNC, write_at, LARGE);
	sequential("write-4k", O_WRONLY | O_CREAT | O_TRUNC, write_at, SMALL);
	sequential("read-1M", O_RDONLY, read_at, LARGE);
	sequential("read-4k", O_RDONLY, read_at, SMALL);
	scattered("direct-write-1M", O_WRONLY, write_at, LARGE);
	scattered("direct-write-4k", O_WRONLY, write_at, SMALL);
	scattered("direct-read-1M", O_RDONLY, read_at, LARGE);
	scattered("direct-read-4k", O_RDONLY, read_at, SMALL);
	each_file("create", create);
	drop_caches();
	each_file("stat", look);
	each_file("open-read", read_small);
	each_file("unlink", take_away);
	take_away("data");
	return 0;
}

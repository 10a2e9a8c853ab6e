/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Random reads, writes, truncations and mappings of one file, held against a
 * copy in memory:
 *
 *	fsx [-s SEED] [-n OPERATIONS] [-t SECONDS] [-l LENGTH] [-u KIND]...
 *	    [-v] FILE
 *
 * Two descriptors of the file are open at a time, and one shared mapping of it
 * comes and goes, as do private ones. Ends with 1 at the first byte that
 * differs, says which operation it was, and how to run it again.
 *
 * So it does when the file system refuses an operation, but for those of a KIND
 * that may be unsupported there: copy, fallocate or map, which is of shared
 * mappings. It goes on without them.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_SIZE 32u
#define LARGE ((size_t)1 << 20)

static const char *path;
static int fds[2] = {-1, -1};
static uint8_t *model;
static size_t model_size;
static size_t max_len = 256 << 10;
static uint8_t *buf;
static uint8_t *map;
static size_t map_len;
static uint64_t seed;
static uint64_t rng;
static unsigned long op_number;
static bool verbose;

static struct kind {
	const char *name;
	bool may_lack;
	bool lacking;
} copying = {.name = "copy"}, allocation = {.name = "fallocate"},
  mapping = {.name = "map"};

static struct kind *const kinds[] = {&copying, &allocation, &mapping};

static char history[LOG_SIZE][96];

static uint64_t draw(uint64_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % below;
}

static void logged(const char *what, size_t off, size_t len)
{
	char *line = history[op_number % LOG_SIZE];

	snprintf(line, sizeof(history[0]), "%lu: %s %zu+%zu, size %zu",
		 op_number, what, off, len, model_size);
	if (verbose)
		printf("%s\n", line);
}

static void fail(const char *what, size_t at)
{
	fprintf(stderr, "fsx: %s at %zu (errno: %s); last operations:\n", what,
		at, strerror(errno));
	for (unsigned i = 1; i <= LOG_SIZE; i++) {
		const char *line = history[(op_number + i) % LOG_SIZE];

		if (line[0])
			fprintf(stderr, "  %s\n", line);
	}
	fprintf(stderr, "again with: fsx -s %llu -n %lu -l %zu",
		(unsigned long long)seed, op_number + 1, max_len);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i]->may_lack)
			fprintf(stderr, " -u %s", kinds[i]->name);
	}
	fprintf(stderr, " %s\n", path);
	exit(1);
}

/* errno says that there is no such operation here. */
static void lack(struct kind *kind, size_t at)
{
	if (!kind->may_lack)
		fail(kind->name, at);
	kind->lacking = true;
}

static int any_fd(void)
{
	return fds[draw(2)];
}

/* A place: often at a page's edge, where the mistakes are. */
static size_t place(size_t limit)
{
	size_t at = (size_t)draw(limit + 1);

	if (draw(3) == 0)
		at = at / 4096 * 4096;
	return at;
}

static size_t extent(size_t off, size_t limit)
{
	size_t len = (size_t)draw(draw(4) ? 2000 : 40000) + 1;

	return len < limit - off ? len : limit - off;
}

static void compare(const uint8_t *got, size_t off, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (got[i] != model[off + i])
			fail("wrong byte", off + i);
	}
}

static void grow(size_t size)
{
	if (size > model_size) {
		memset(model + model_size, 0, size - model_size);
		model_size = size;
	}
}

static void do_read(void)
{
	size_t off = place(max_len - 1);
	size_t len = extent(off, max_len);
	size_t expect = off < model_size ? model_size - off : 0;
	ssize_t n;

	logged("read", off, len);
	n = pread(any_fd(), buf, len, (off_t)off);
	if (n < 0 || (size_t)n != (expect < len ? expect : len))
		fail("short read", off);
	compare(buf, off, (size_t)n);
}

static void do_write(void)
{
	size_t off = place(max_len - 1);
	size_t len = extent(off, max_len);

	/* What Linux may treat in another way, by whole pages. */
	if (max_len > LARGE && draw(8) == 0) {
		off = (size_t)draw((max_len - LARGE) / 4096 + 1) * 4096;
		len = LARGE;
	}
	logged("write", off, len);
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(draw(256));
	if (pwrite(any_fd(), buf, len, (off_t)off) != (ssize_t)len)
		fail("short write", off);
	grow(off + len);
	memcpy(model + off, buf, len);
}

static void do_truncate(void)
{
	size_t size = place(max_len);

	logged("truncate", size, 0);
	if (ftruncate(any_fd(), (off_t)size))
		fail("truncate", size);
	grow(size);
	model_size = size;
}

/* False: there are no such mappings here. FUSE has none of files that are not
 * cached, before Linux 6.6. */
static bool map_open(void)
{
	if (map || mapping.lacking)
		return !mapping.lacking;
	map_len = max_len;
	map = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0],
		   0);
	if (map != MAP_FAILED)
		return true;
	map = NULL;
	if (errno != ENODEV)
		fail("mmap", 0);
	lack(&mapping, 0);
	return false;
}

static void map_close(void)
{
	if (map && munmap(map, map_len))
		fail("munmap", 0);
	map = NULL;
}

static void do_map_read(void)
{
	size_t off = model_size ? place(model_size - 1) : 0;
	size_t len;

	if (model_size == 0)
		return;
	len = extent(off, model_size);
	if (!map_open())
		return;
	logged("map read", off, len);
	compare(map + off, off, len);
}

static void do_map_write(void)
{
	size_t off = model_size ? place(model_size - 1) : 0;
	size_t len;

	if (model_size == 0)
		return;
	len = extent(off, model_size);
	if (!map_open())
		return;
	logged("map write", off, len);
	for (size_t i = 0; i < len; i++)
		map[off + i] = model[off + i] = (uint8_t)draw(256);
	if (draw(4) == 0 && msync(map, map_len, MS_SYNC))
		fail("msync", off);
	if (draw(4) == 0)
		map_close();
}

/* What is written there is the mapping's alone. */
static void do_map_private(void)
{
	size_t off = model_size ? place(model_size - 1) : 0;
	size_t len;
	uint8_t *own;

	if (model_size == 0)
		return;
	len = extent(off, model_size);
	logged("map private", off, len);
	own = mmap(NULL, max_len, PROT_READ | PROT_WRITE, MAP_PRIVATE, any_fd(),
		   0);
	if (own == MAP_FAILED)
		fail("private mmap", off);
	if (draw(2))
		compare(own + off, off, len);
	for (size_t i = 0; i < len; i++)
		own[off + i] = buf[i] = (uint8_t)draw(256);
	if (memcmp(own + off, buf, len))
		fail("private mapping", off);
	if (pread(any_fd(), buf, len, (off_t)off) != (ssize_t)len)
		fail("short read", off);
	compare(buf, off, len);
	if (munmap(own, max_len))
		fail("munmap", 0);
}

static void do_fallocate(void)
{
	bool punch = draw(2) == 0;
	size_t off = place(max_len - 1);
	size_t len = extent(off, max_len);
	int mode = punch ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0;

	if (allocation.lacking)
		return;
	logged(punch ? "punch" : "allocate", off, len);
	if (fallocate(any_fd(), mode, (off_t)off, (off_t)len)) {
		if (errno != EOPNOTSUPP)
			fail("fallocate", off);
		lack(&allocation, off);
		return;
	}
	if (!punch)
		grow(off + len);
	else if (off < model_size)
		memset(model + off, 0,
		       len < model_size - off ? len : model_size - off);
}

static void do_copy(void)
{
	size_t from = model_size ? place(model_size - 1) : 0;
	size_t to = place(max_len - 1);
	loff_t in = (loff_t)from;
	loff_t out = (loff_t)to;
	size_t len;
	ssize_t n;

	if (copying.lacking || model_size == 0)
		return;
	len = extent(from, model_size);
	len = len < max_len - to ? len : max_len - to;
	/* The same file: the ranges must not overlap. */
	if (from < to + len && to < from + len)
		return;
	logged("copy", from, len);
	n = copy_file_range(fds[0], &in, fds[1], &out, len, 0);
	if (n < 0) {
		if (errno != EOPNOTSUPP && errno != EXDEV && errno != ENOSYS)
			fail("copy_file_range", from);
		lack(&copying, from);
		return;
	}
	grow(to + (size_t)n);
	memcpy(model + to, model + from, (size_t)n);
}

static void do_append(void)
{
	size_t len = extent(model_size, max_len);
	int fd;

	if (model_size == max_len)
		return;
	logged("append", model_size, len);
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)draw(256);
	fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0 || write(fd, buf, len) != (ssize_t)len)
		fail("append", model_size);
	close(fd);
	memcpy(model + model_size, buf, len);
	model_size += len;
}

static void reopen(void)
{
	unsigned which = (unsigned)draw(2);

	logged("reopen", which, 0);
	if (fds[which] >= 0 && close(fds[which]))
		fail("close", 0);
	fds[which] = open(path, O_RDWR);
	if (fds[which] < 0)
		fail("open", 0);
}

static void do_sync(void)
{
	logged("sync", 0, 0);
	if (fsync(any_fd()))
		fail("fsync", 0);
}

static void check_all(void)
{
	struct stat st;
	size_t off = 0;
	ssize_t n;

	logged("check", 0, model_size);
	if (fstat(any_fd(), &st) || (size_t)st.st_size != model_size)
		fail("wrong size", (size_t)st.st_size);
	while (off < model_size) {
		n = pread(any_fd(), buf, max_len, (off_t)off);
		if (n <= 0)
			fail("short read", off);
		compare(buf, off, (size_t)n);
		off += (size_t)n;
	}
}

static void (*const ops[])(void) = {
	do_read,     do_read,	do_read,	do_write,     do_write,
	do_write,    do_write,	do_map_read,	do_map_write, do_map_write,
	do_truncate, do_copy,	do_fallocate,	do_append,    reopen,
	do_sync,     check_all, do_map_private,
};

static unsigned long number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 0);

	if (!*text || *end) {
		fprintf(stderr, "fsx: %s is no number\n", text);
		exit(2);
	}
	return value;
}

static bool may_lack(const char *name)
{
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i]->may_lack = true;
	}
	return false;
}

static void summary(void)
{
	printf("fsx: seed %llu: %lu operations", (unsigned long long)seed,
	       op_number);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i]->lacking)
			printf(", without %s", kinds[i]->name);
	}
	printf(", no difference\n");
}

static void start(void)
{
	model = calloc(1, max_len);
	buf = malloc(max_len);
	fds[0] = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	fds[1] = open(path, O_RDWR);
	if (!model || !buf || fds[0] < 0 || fds[1] < 0) {
		fprintf(stderr, "fsx: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	/* Any seed but 0, which the generator would not leave. */
	rng = seed * 0x9e3779b97f4a7c15ull | 1;
}

int main(int argc, char **argv)
{
	unsigned long count = 10000;
	unsigned long seconds = 0;
	time_t end;
	int opt;

	seed = (uint64_t)time(NULL);
	while ((opt = getopt(argc, argv, "s:n:t:l:u:v")) >= 0) {
		if (opt == 's')
			seed = number(optarg);
		else if (opt == 'n')
			count = number(optarg);
		else if (opt == 't')
			seconds = number(optarg);
		else if (opt == 'l')
			max_len = number(optarg);
		else if (opt == 'u' && may_lack(optarg))
			continue;
		else if (opt == 'v')
			verbose = true;
		else
			return 2;
	}
	if (argc - optind != 1 || max_len < 1) {
		fprintf(stderr, "usage: fsx [-s SEED] [-n OPERATIONS] "
				"[-t SECONDS] [-l LENGTH] [-u KIND]... [-v] "
				"FILE\n");
		return 2;
	}
	path = argv[optind];
	start();
	end = time(NULL) + (time_t)seconds;
	for (; op_number < count; op_number++) {
		if (seconds && time(NULL) >= end)
			break;
		ops[draw(sizeof(ops) / sizeof(ops[0]))]();
	}
	check_all();
	map_close();
	summary();
	return 0;
}

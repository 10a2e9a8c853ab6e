/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What dax.sh does in guests, and on the host to compare. Static: it runs in
 * containers, which have no libraries.
 *
 *	dax sum FILE		maps it and prints a sum of its words
 *	dax speed FILE		MB/s of reads of what is in memory: read(2),
 *				and copies out of a mapping
 *	dax change FILE		writes to it, by write(2) and through a mapping
 *	dax append FROM TO	adds FROM to TO, straight out of a mapping
 *	dax hold FILE		maps it and touches it; "held" is printed, a
 *				line is read, and then its last page is tried:
 *				by the program, and by its kernel
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define CHUNK (1u << 20)
#define ROUNDS 5u

static sigjmp_buf out;
static uint64_t buf[CHUNK / 8];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint8_t *map(const char *path, int flags, int *fd, size_t *size)
{
	int prot = flags == O_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE;
	struct stat st;
	void *at;

	*fd = open(path, flags);
	if (*fd < 0 || fstat(*fd, &st) < 0)
		die(path);
	*size = (size_t)st.st_size;
	at = mmap(NULL, *size, prot, MAP_SHARED, *fd, 0);
	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

static int do_sum(const char *path)
{
	size_t size;
	uint64_t sum = 0, word;
	int fd;
	const uint8_t *at = map(path, O_RDONLY, &fd, &size);

	for (size_t i = 0; i + 8 <= size; i += 8) {
		memcpy(&word, at + i, 8);
		sum = sum * 31 + word;
	}
	printf("%016llx\n", (unsigned long long)sum);
	return 0;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The best of a few rounds, after one that is not counted. */
static double best(int fd, const uint8_t *at, size_t size)
{
	double least = 1e9;

	size -= size % CHUNK;
	for (unsigned round = 0; round <= ROUNDS; round++) {
		double start = now();

		for (size_t i = 0; i < size; i += CHUNK) {
			if (at)
				memcpy(buf, at + i, CHUNK);
			else if (pread(fd, buf, CHUNK, (off_t)i) != CHUNK)
				die("read");
		}
		start = now() - start;
		if (round > 0 && start < least)
			least = start;
	}
	return (double)size / least / 1e6;
}

static int do_speed(const char *path)
{
	size_t size;
	int fd;
	const uint8_t *at = map(path, O_RDONLY, &fd, &size);
	double reads = best(fd, NULL, size);

	printf("read %.0f mapping %.0f\n", reads, best(fd, at, size));
	return 0;
}

/* Byte 10 of each page by the one way, byte 20 by the other. */
static int do_change(const char *path)
{
	size_t size;
	int fd;
	uint8_t *at = map(path, O_RDWR, &fd, &size);

	for (size_t i = 0; i + PAGE <= size; i += PAGE) {
		uint8_t ten = (uint8_t)(i / PAGE + 10);

		at[i + 20] = (uint8_t)(i / PAGE + 20);
		if (pwrite(fd, &ten, 1, (off_t)i + 10) != 1)
			die("write");
		if (at[i + 10] != ten)
			return 1;
	}
	if (msync(at, size, MS_SYNC) < 0 || fsync(fd) < 0)
		die("sync");
	return 0;
}

static int do_append(const char *from, const char *to)
{
	size_t size, done = 0;
	int fd, end;
	const uint8_t *at = map(from, O_RDONLY, &fd, &size);

	end = open(to, O_WRONLY | O_APPEND);
	if (end < 0)
		die(to);
	while (done < size) {
		ssize_t n = write(end, at + done, size - done);

		if (n <= 0)
			die("write");
		done += (size_t)n;
	}
	return 0;
}

static void on_sigbus(int sig)
{
	siglongjmp(out, 1);
}

static int do_hold(const char *path)
{
	struct sigaction action = {.sa_handler = on_sigbus};
	size_t size;
	int fd;
	const volatile uint8_t *at = map(path, O_RDONLY, &fd, &size);
	unsigned sum = 0;
	char line[8];
	ssize_t n;

	for (size_t i = 0; i < size; i += PAGE)
		sum += at[i];
	printf("held %u\n", sum);
	fflush(stdout);
	if (read(0, line, sizeof(line)) <= 0)
		die("stdin");
	sigaction(SIGBUS, &action, NULL);
	if (sigsetjmp(out, 1) == 0)
		printf("page %u, ", at[size - PAGE]);
	else
		printf("SIGBUS, ");
	memset(buf, 'x', PAGE);
	n = pread(fd, buf, PAGE, (off_t)(size - PAGE));
	for (sum = 0; sum < PAGE / 8 && buf[sum] == 0; sum++)
		;
	printf("read %s\n", n < 0	      ? strerror(errno)
			    : n == 0	      ? "nothing"
			    : sum == PAGE / 8 ? "nothing but zeros"
					      : "bytes");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "sum"))
		return do_sum(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "speed"))
		return do_speed(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "change"))
		return do_change(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "append"))
		return do_append(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "hold"))
		return do_hold(argv[2]);
	fprintf(stderr, "usage: dax sum|speed|change|hold FILE\n"
			"       dax append FROM TO\n");
	return 2;
}

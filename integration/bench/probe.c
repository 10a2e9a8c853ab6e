/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a system costs, seen by a program. Static, so that it runs on the host
 * and in containers alike. Prints a line for each figure: NAME VALUE UNIT.
 *
 *	probe hello			prints a line and waits to be killed
 *	probe measure DIR [PEER]	all figures; DIR holds the file "data"
 *	probe serve ADDRESS		the peer of others, on PORT, for ever
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "integration/bench/measure.h"

#define PORT 5201
#define CHUNK (128u << 10)
#define SMALL_FILES 64
#define SMALL_SIZE 4096
/* Each figure is of a run that takes at least this long. */
#define LONG_ENOUGH_NS 300000000ull
#define TALK_ASK 'a'  /* the peer answers each byte */
#define TALK_SINK 's' /* the peer reads all, then says so by a byte */

static uint8_t buffer[CHUNK];
static const char *self;
static const char *dir;
static int pipes[2][2];
static int peer = -1;

/* What is measured, n times. -------------------------------------------- */

static void do_syscall(unsigned n)
{
	while (n--)
		syscall(SYS_getppid);
}

static void do_clock(unsigned n)
{
	while (n--)
		monotonic_ns();
}

static void do_fork_exec(unsigned n)
{
	while (n--) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			execl(self, self, "nothing", (char *)NULL);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0)
			die("fork");
		if (status)
			die("exec");
	}
}

static void do_pipe(unsigned n)
{
	char c = 'x';

	while (n--)
		if (write(pipes[0][1], &c, 1) != 1 ||
		    read(pipes[1][0], &c, 1) != 1)
			die("pipe");
}

static void small_name(char *out, size_t size, unsigned i)
{
	snprintf(out, size, "%s/small%u", dir, i % SMALL_FILES);
}

static void do_small_files(unsigned n)
{
	while (n--) {
		char name[256];
		int fd;

		small_name(name, sizeof(name), n);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, buffer, SMALL_SIZE) != SMALL_SIZE)
			die(name);
		close(fd);
	}
}

static void do_create_files(unsigned n)
{
	while (n--) {
		char name[256];
		int fd;

		snprintf(name, sizeof(name), "%s/new", dir);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, buffer, SMALL_SIZE) != SMALL_SIZE)
			die(name);
		close(fd);
		if (unlink(name) < 0)
			die(name);
	}
}

static void do_ask(unsigned n)
{
	char c = 'x';

	while (n--)
		if (write(peer, &c, 1) != 1 || read(peer, &c, 1) != 1)
			die("peer");
}

/* Nanoseconds for one, of as many as take long enough. */
static double cost(void (*what)(unsigned n))
{
	for (unsigned n = 1;; n *= 2) {
		uint64_t start = monotonic_ns(), ns;

		what(n);
		ns = monotonic_ns() - start;
		if (ns >= LONG_ENOUGH_NS || n >= 1u << 30)
			return (double)ns / n;
	}
}

/* ------------------------------------------------------------------------ */

static void measure_pipe(void)
{
	pid_t child;

	if (pipe(pipes[0]) < 0 || pipe(pipes[1]) < 0)
		die("pipe");
	child = fork();
	if (child == 0) {
		char c;

		close(pipes[0][1]);
		while (read(pipes[0][0], &c, 1) == 1)
			if (write(pipes[1][1], &c, 1) != 1)
				break;
		_exit(0);
	}
	say("pipe-round-trip", cost(do_pipe) / 1000, "us");
	close(pipes[0][1]);
	waitpid(child, NULL, 0);
}

static void measure_small_files(void)
{
	char name[256];

	for (unsigned i = 0; i < SMALL_FILES; i++) {
		int fd;

		small_name(name, sizeof(name), i);
		fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, buffer, SMALL_SIZE) != SMALL_SIZE)
			die(name);
		close(fd);
	}
	say("open-read-close-4k", cost(do_small_files) / 1000, "us");
	for (unsigned i = 0; i < SMALL_FILES; i++) {
		small_name(name, sizeof(name), i);
		unlink(name);
	}
	say("create-write-unlink-4k", cost(do_create_files) / 1000, "us");
}

/* Mega is 10^6, as of networks and disks. */
static double rate(uint64_t bytes, uint64_t ns)
{
	return (double)bytes * 1e3 / (double)(ns ? ns : 1);
}

static void measure_read(const char *name)
{
	char path[256];
	uint64_t bytes = 0, start;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/data", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	start = monotonic_ns();
	while ((n = read(fd, buffer, CHUNK)) > 0)
		bytes += (uint64_t)n;
	if (n < 0 || !bytes)
		die(path);
	say(name, rate(bytes, monotonic_ns() - start), "MB/s");
	close(fd);
}

/* The same amount as there is to read, without waiting for a disk. */
static void measure_write(void)
{
	uint64_t bytes = 0, start;
	char path[256];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/data", dir);
	if (stat(path, &st) < 0)
		die(path);
	snprintf(path, sizeof(path), "%s/written", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	start = monotonic_ns();
	while (bytes < (uint64_t)st.st_size) {
		ssize_t n = write(fd, buffer, CHUNK);

		if (n < 0)
			die(path);
		bytes += (uint64_t)n;
	}
	close(fd);
	say("sequential-write", rate(bytes, monotonic_ns() - start), "MB/s");
	unlink(path);
}

static int call_peer(const char *address, char talk)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || fd < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    write(fd, &talk, 1) != 1)
		die(address);
	return fd;
}

static void measure_network(const char *address)
{
	uint64_t start, bytes = 0;
	char c;

	peer = call_peer(address, TALK_ASK);
	say("tcp-round-trip", cost(do_ask) / 1000, "us");
	close(peer);

	peer = call_peer(address, TALK_SINK);
	start = monotonic_ns();
	while (monotonic_ns() - start < 3 * LONG_ENOUGH_NS) {
		ssize_t n = write(peer, buffer, CHUNK);

		if (n < 0)
			die("send");
		bytes += (uint64_t)n;
	}
	if (shutdown(peer, SHUT_WR) < 0 || read(peer, &c, 1) != 1)
		die("the peer's last word");
	say("tcp-send", rate(bytes, monotonic_ns() - start), "MB/s");
	close(peer);
}

/* The peer. ---------------------------------------------------------------- */

static void answer(int fd)
{
	char c;
	ssize_t n;

	if (read(fd, &c, 1) != 1)
		return;
	if (c == TALK_ASK) {
		while (read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1)
			;
		return;
	}
	while ((n = read(fd, buffer, CHUNK)) > 0)
		;
	if (n == 0 && write(fd, "", 1) != 1)
		die("send");
}

static int serve(const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (inet_pton(AF_INET, address, &at.sin_addr) != 1 || fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, 8) < 0)
		die(address);
	puts("serving");
	fflush(stdout);
	for (;;) {
		int conn = accept(fd, NULL, NULL);

		if (conn < 0)
			die("accept");
		setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		answer(conn);
		close(conn);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	self = argv[0];
	if (!strcmp(mode, "nothing"))
		return 0;
	if (!strcmp(mode, "hello")) {
		puts("hello");
		fflush(stdout);
		for (;;)
			pause();
	}
	if (!strcmp(mode, "serve") && argc == 3)
		return serve(argv[2]);
	if (strcmp(mode, "measure") != 0 || argc < 3) {
		fputs("usage: probe hello | measure DIR [PEER] | "
		      "serve ADDRESS\n",
		      stderr);
		return 2;
	}
	dir = argv[2];
	say("system-call", cost(do_syscall), "ns");
	say("clock-gettime", cost(do_clock), "ns");
	say("fork-exec-wait", cost(do_fork_exec) / 1000, "us");
	measure_pipe();
	measure_small_files();
	measure_read("sequential-read");
	measure_read("read-again");
	measure_write();
	if (argc > 3)
		measure_network(argv[3]);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: stream call ADDRESS
 *        stream answer ADDRESS LINE
 *
 * One stream connection, made or taken: sends stdin to its end and the end
 * with it, and what comes back to stdout. LINE is said on stderr when there is
 * something to call. Runs on either side of a guest. ADDRESS:
 *
 *	tcp:HOST:PORT    tcp:PORT to answer
 *	vsock:CID:PORT   vsock:PORT to answer
 *	unix:PATH
 *	hybrid:PATH:PORT a port of the guest whose vsock calls go to PATH
 */

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define WORDS_MAX 3

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_vm vm;
	struct sockaddr_un un;
};

static void die(const char *what)
{
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void refuse(const char *text)
{
	fprintf(stderr, "stream: %s\n", text);
	exit(2);
}

static unsigned number(const char *text, unsigned max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*end || end == text || v > max)
		refuse(text);
	return (unsigned)v;
}

/* The last word of an address is its port but for "unix". */
static socklen_t parse(char **words, int n, union address *a)
{
	memset(a, 0, sizeof(*a));
	if (strcmp(words[0], "tcp") == 0 && n >= 2) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons((uint16_t)number(words[n - 1], 65535));
		if (n == 3 && inet_pton(AF_INET, words[1], &a->in.sin_addr) < 1)
			refuse(words[1]);
		return sizeof(a->in);
	}
	if (strcmp(words[0], "vsock") == 0 && n >= 2) {
		a->vm.svm_family = AF_VSOCK;
		a->vm.svm_cid =
			n == 3 ? number(words[1], UINT32_MAX) : VMADDR_CID_ANY;
		a->vm.svm_port = number(words[n - 1], UINT32_MAX);
		return sizeof(a->vm);
	}
	if ((strcmp(words[0], "unix") == 0 && n == 2) ||
	    (strcmp(words[0], "hybrid") == 0 && n == 3)) {
		a->un.sun_family = AF_UNIX;
		if (strlen(words[1]) >= sizeof(a->un.sun_path))
			refuse(words[1]);
		memcpy(a->un.sun_path, words[1], strlen(words[1]));
		return sizeof(a->un);
	}
	refuse(words[0]);
	return 0;
}

static void write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			die("write");
		data += n;
		len -= (size_t)n;
	}
}

/* "CONNECT <port>\n", then "OK <port>\n". */
static void ask_for(int fd, const char *port)
{
	char line[32];
	size_t len = 0;

	number(port, UINT32_MAX);
	write_all(fd, line,
		  (size_t)snprintf(line, sizeof(line), "CONNECT %s\n", port));
	do {
		if (read(fd, line + len, 1) != 1)
			die("the guest does not answer");
	} while (line[len++] != '\n' && len < sizeof(line));
	if (memcmp(line, "OK ", 3) != 0)
		refuse("no OK");
}

static int connection(int argc, char **argv, char **words, int n)
{
	int calling = strcmp(argv[1], "call") == 0;
	static const int on = 1;
	union address a;
	socklen_t len = parse(words, n, &a);
	int fd = socket(a.any.sa_family, SOCK_STREAM, 0);
	int conn;

	if (fd < 0)
		die("socket");
	if (calling && argc == 3) {
		if (connect(fd, &a.any, len) < 0)
			die(argv[2]);
		if (n == WORDS_MAX && strcmp(words[0], "hybrid") == 0)
			ask_for(fd, words[2]);
		return fd;
	}
	if (calling || argc != 4 || strcmp(argv[1], "answer") != 0)
		refuse("usage: call ADDRESS, or answer ADDRESS LINE");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &a.any, len) < 0 || listen(fd, 1) < 0)
		die(argv[2]);
	fprintf(stderr, "%s\n", argv[3]);
	conn = accept(fd, NULL, NULL);
	if (conn < 0)
		die("accept");
	close(fd);
	return conn;
}

/* One read's worth. 0: that was all. */
static size_t pass(int from, int to)
{
	static char buf[65536];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n < 0)
		die("read");
	write_all(to, buf, (size_t)n);
	return (size_t)n;
}

/* Our own data goes by a process of its own, so that neither way waits for
 * the other. */
static void exchange(int fd)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		while (pass(STDIN_FILENO, fd) > 0)
			;
		if (shutdown(fd, SHUT_WR) < 0)
			die("shutdown");
		_exit(0);
	}
	while (pass(fd, STDOUT_FILENO) > 0)
		;
}

int main(int argc, char **argv)
{
	char *words[WORDS_MAX] = {NULL};
	char *rest;
	int n = 0;

	if (argc < 3)
		refuse("usage: call ADDRESS, or answer ADDRESS LINE");
	rest = strdup(argv[2]);
	while (rest && n < WORDS_MAX)
		words[n++] = strsep(&rest, ":");
	if (rest || n < 2)
		refuse(argv[2]);
	exchange(connection(argc, argv, words, n));
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: console SOCKET STEP...
 *
 * Plays the engine that owns a container's terminal: listens on SOCKET,
 * receives the terminal's master as runc and crun send it, and does the STEPs:
 *
 *	size COLUMNSxROWS	sets the size
 *	send TEXT		types TEXT
 *	expect TEXT		waits until TEXT was written
 *	end			waits until nobody has the terminal open
 *
 * What is written to the terminal goes to standard output. Exit status 0 when
 * all steps are done, 1 otherwise.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LIMIT 60 /* seconds that all steps may take, without NACRE_LIMIT */

static char seen[1 << 20];
static size_t len, matched;

static void fail(const char *what)
{
	fprintf(stderr, "console: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Whoever sees SOCKET can connect to it. */
static int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s.new", path) >=
	    (int)sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		fail(path);
	}
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, 1) < 0 || rename(addr.sun_path, path) < 0)
		fail(path);
	return fd;
}

static int receive_master(int listener)
{
	char name[128];
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = name, .iov_len = sizeof(name)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int conn = accept(listener, NULL, NULL);
	struct cmsghdr *cmsg;
	int master;

	if (conn < 0 || recvmsg(conn, &msg, MSG_CMSG_CLOEXEC) <= 0)
		fail("receive");
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET ||
	    cmsg->cmsg_type != SCM_RIGHTS) {
		errno = EPROTO;
		fail("no descriptor came");
	}
	memcpy(&master, CMSG_DATA(cmsg), sizeof(master));
	close(conn);
	return master;
}

/* 0: nobody has it open any more. */
static size_t read_more(int master)
{
	ssize_t n;

	if (len == sizeof(seen)) {
		errno = EFBIG;
		fail("output");
	}
	n = read(master, seen + len, sizeof(seen) - len);
	if (n < 0 && errno == EIO)
		n = 0;
	if (n < 0 || write(STDOUT_FILENO, seen + len, (size_t)n) != n)
		fail("read");
	len += (size_t)n;
	return (size_t)n;
}

static void expect(int master, const char *text)
{
	const char *at;

	while (!(
		at = memmem(seen + matched, len - matched, text, strlen(text))))
		if (!read_more(master)) {
			fprintf(stderr, "console: ended before \"%s\"\n", text);
			exit(1);
		}
	matched = (size_t)(at - seen) + strlen(text);
}

static void set_size(int master, const char *text)
{
	struct winsize size = {0};

	if (sscanf(text, "%hux%hu", &size.ws_col, &size.ws_row) != 2 ||
	    ioctl(master, TIOCSWINSZ, &size) < 0)
		fail("size");
}

static int step(int master, char **argv)
{
	if (!strcmp(argv[0], "end")) {
		while (read_more(master))
			;
		return 1;
	}
	if (!argv[1]) {
		errno = EINVAL;
		fail(argv[0]);
	}
	if (!strcmp(argv[0], "size")) {
		set_size(master, argv[1]);
	} else if (!strcmp(argv[0], "expect")) {
		expect(master, argv[1]);
	} else if (!strcmp(argv[0], "send")) {
		if (write(master, argv[1], strlen(argv[1])) < 0)
			fail("send");
	} else {
		errno = EINVAL;
		fail(argv[0]);
	}
	return 2;
}

int main(int argc, char **argv)
{
	const char *limit = getenv("NACRE_LIMIT");
	int master;

	if (argc < 2) {
		fprintf(stderr, "usage: console SOCKET STEP...\n");
		return 1;
	}
	alarm(limit ? (unsigned)atoi(limit) : LIMIT);
	master = receive_master(listen_at(argv[1]));
	for (int i = 2; i < argc;)
		i += step(master, argv + i);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Opens of a file that a process of the host, this one, has a lease on; and, at
 * last, of one that a process of the client has one on:
 *
 *	lease FILE SAME
 *
 * FILE is the host's, SAME is how a client of the server finds it. Prints lines
 * "ok" and "not ok", and ends with 0 if there is none of the latter.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Well below /proc/sys/fs/lease-break-time, which is 45 s: then the kernel
 * changes the lease by itself, and an open goes on. */
#define LIMIT_S 20

static const char *host;
static const char *client;
static sigset_t told;
static unsigned failed;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void verdict(const char *what, bool good)
{
	printf("%s %s\n", good ? "ok" : "not ok", what);
	fflush(stdout);
	failed += !good;
}

/* None is granted of a file that others have open, and the server closes one
 * later than its client did. Nothing tells when. */
static int lease(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	time_t end = time(NULL) + LIMIT_S;
	int fd = open(host, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		die(host);
	while (fcntl(fd, F_SETLEASE, F_WRLCK)) {
		if (errno != EAGAIN || time(NULL) > end)
			die(host);
		nanosleep(&pause, NULL);
	}
	return fd;
}

static void on_alarm(int sig)
{
}

/* Ends with the errno of its open. */
static pid_t open_in_child(const char *path, int flags)
{
	struct sigaction action = {.sa_handler = on_alarm};
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	sigaction(SIGALRM, &action, NULL);
	_exit(open(path, flags) < 0 ? errno : 0);
}

static bool told_within(time_t seconds)
{
	const struct timespec limit = {.tv_sec = seconds};

	return sigtimedwait(&told, NULL, &limit) == SIGIO;
}

/* The kernel says that somebody wants to open the file. */
static bool somebody_waits(void)
{
	return told_within(LIMIT_S);
}

/* How a process ends, and that it does so before the lease does. */
static bool ends(pid_t pid, int status)
{
	time_t end = time(NULL) + LIMIT_S;
	int found;

	if (waitpid(pid, &found, 0) != pid)
		die("waitpid");
	return found == status && time(NULL) < end;
}

static void signalled(const char *what, int sig, int status)
{
	int fd = lease();
	pid_t pid = open_in_child(client, O_RDONLY);
	bool good = somebody_waits();

	kill(pid, sig);
	verdict(what, ends(pid, status) && good);
	close(fd);
}

static void no_wait(void)
{
	int fd = lease();
	pid_t pid = open_in_child(client, O_RDONLY | O_NONBLOCK);
	bool good = somebody_waits();

	verdict("O_NONBLOCK: EAGAIN", ends(pid, W_EXITCODE(EAGAIN, 0)) && good);
	close(fd);
}

static void given_up(void)
{
	int fd = lease();
	pid_t pid = open_in_child(client, O_RDWR);
	bool good = somebody_waits();
	int status;

	if (fcntl(fd, F_SETLEASE, F_UNLCK))
		die("F_UNLCK");
	verdict("given up: opened",
		waitpid(pid, &status, 0) == pid && status == 0 && good);
	close(fd);
}

/* FUSE has no request for it: what the host does is nothing to it. Linux 7.0
 * and later grant none of a file system that says nothing of them. */
static void of_client(void)
{
	int fd = open(client, O_RDONLY | O_CLOEXEC);
	bool refused = fcntl(fd, F_SETLEASE, F_WRLCK) != 0;
	bool good;

	if (fd < 0 || (refused && errno != EINVAL))
		die(client);
	if (refused) {
		verdict("the client's: refused", true);
		close(fd);
		return;
	}
	good = ends(open_in_child(host, O_RDWR | O_NONBLOCK), 0);
	verdict("the client's: not of the host", good && !told_within(0));
	good = ends(open_in_child(client, O_RDWR | O_NONBLOCK),
		    W_EXITCODE(EAGAIN, 0));
	verdict("the client's: of itself", good && told_within(0));
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: lease FILE SAME\n");
		return 2;
	}
	host = argv[1];
	client = argv[2];
	sigemptyset(&told);
	sigaddset(&told, SIGIO);
	sigprocmask(SIG_BLOCK, &told, NULL);
	given_up();
	no_wait();
	signalled("a signal: EINTR", SIGALRM, W_EXITCODE(EINTR, 0));
	signalled("killed: ends", SIGKILL, W_EXITCODE(0, SIGKILL));
	of_client();
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/debug_console.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/signals.h"

/* One direction: from is not read while bytes wait for to. */
struct pipe {
	char buf[4096];
	size_t len, at;
	bool ended;
};

static struct {
	struct evloop *loop;
	struct evsource listener;
	struct evsource peer, terminal; /* .loop NULL: closed */
	struct pipe in, out;
} console;

/* The shell gets SIGHUP when its terminal goes. */
static void end_session(void)
{
	evsource_close(&console.peer);
	evsource_close(&console.terminal);
}

static uint32_t wanted(const struct pipe *read_into, const struct pipe *written)
{
	return (read_into->len || read_into->ended ? 0 : (uint32_t)EPOLLIN) |
	       (written->len ? (uint32_t)EPOLLOUT : 0);
}

static void fill(struct pipe *p, int fd)
{
	ssize_t n;

	if (p->len || p->ended)
		return;
	n = read(fd, p->buf, sizeof(p->buf));
	if (n > 0)
		p->len = (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		p->ended = true; /* of a terminal: EIO */
	p->at = 0;
}

static void spill(struct pipe *p, int fd)
{
	ssize_t n;

	if (!p->len)
		return;
	n = write(fd, p->buf + p->at, p->len);
	if (n > 0) {
		p->at += (size_t)n;
		p->len -= (size_t)n;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		p->len = 0;
		p->ended = true;
	}
}

static void ready(struct evsource *src, uint32_t revents)
{
	struct pipe *in = &console.in, *out = &console.out;

	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		if (src == &console.peer)
			fill(in, src->fd);
		else
			fill(out, src->fd);
	}
	spill(in, console.terminal.fd);
	spill(out, console.peer.fd);
	if ((in->ended && !in->len) || (out->ended && !out->len) ||
	    evsource_modify(&console.peer, wanted(in, out)) < 0 ||
	    evsource_modify(&console.terminal, wanted(out, in)) < 0)
		end_session();
}

static const char *shell(void)
{
	static const char *const shells[] = {"/bin/bash", "/usr/bin/bash",
					     "/bin/sh", "/usr/bin/sh"};

	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		if (access(shells[i], X_OK) == 0)
			return shells[i];
	}
	return NULL;
}

static NORETURN void run(const char *path, int slave)
{
	char *const args[] = {(char *)(uintptr_t)path, NULL};
	static char *const env[] = {
		(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		(char *)(uintptr_t) "HOME=/", (char *)(uintptr_t) "TERM=linux",
		NULL};

	signals_reset();
	if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
		_exit(127);
	for (int fd = 0; fd < 3; fd++) {
		if (dup2(slave, fd) < 0)
			_exit(127);
	}
	if (syscall(SYS_close_range, 3u, ~0u, 0u) < 0 || chdir("/") < 0)
		_exit(127);
	execve(path, args, env);
	_exit(127);
}

/* The master of a terminal that a shell has, or -errno. */
static int start_shell(const char *path)
{
	AUTO_FD int master =
		open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	AUTO_FD int slave = -1;
	int unlocked = 0;
	pid_t pid;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return -errno;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		run(path, slave);
	return pid < 0 ? -errno : steal_fd(&master);
}

static void refuse(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void accept_peer(struct evsource *src, uint32_t revents)
{
	AUTO_FD int fd =
		accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	AUTO_FD int master = -1;
	const char *path = shell();

	if (fd < 0)
		return;
	if (console.peer.loop) {
		refuse(fd, "nacre-agent: the debug console is in use\n");
		return;
	}
	if (!path) {
		refuse(fd, "nacre-agent: this guest has no shell\n");
		return;
	}
	master = start_shell(path);
	if (master < 0) {
		refuse(fd, "nacre-agent: no terminal for a shell\n");
		return;
	}
	memset(&console.in, 0, sizeof(console.in));
	memset(&console.out, 0, sizeof(console.out));
	if (evsource_add(console.loop, &console.peer, fd, EPOLLIN, ready) < 0)
		return;
	(void)steal_fd(&fd);
	if (evsource_add(console.loop, &console.terminal, master, EPOLLIN,
			 ready) < 0) {
		end_session();
		return;
	}
	(void)steal_fd(&master);
	log_warn("debug console: opened");
}

int debug_console_serve(struct evloop *loop, int fd)
{
	int ret =
		evsource_add(loop, &console.listener, fd, EPOLLIN, accept_peer);

	console.loop = loop;
	if (ret < 0)
		close(fd);
	return ret;
}

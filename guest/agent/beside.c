/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/beside.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/signals.h"

static void keep_only(const int *fds, size_t n)
{
	unsigned from = STDERR_FILENO + 1;

	for (size_t i = 0; i <= n; i++) {
		unsigned to = i < n ? (unsigned)fds[i] : ~0u;

		if (from < to && syscall(SYS_close_range, from, to - 1, 0u) < 0)
			_exit(1);
		from = to + 1;
	}
}

static NORETURN void child(int end, const struct beside_work *work)
{
	prctl(PR_SET_NAME, work->name);
	signals_reset();
	if (dup2(end, STDIN_FILENO) < 0)
		_exit(1);
	keep_only(work->fds, work->nfds);
	work->run(work->arg);
	_exit(0);
}

static void ready(struct evsource *src, uint32_t revents)
{
	struct beside *b = container_of(src, struct beside, src);

	b->told(b);
}

int beside_start(struct beside *b, struct evloop *loop,
		 const struct beside_work *work, void (*told)(struct beside *b))
{
	AUTO_FD int theirs = -1;
	int pair[2], ret;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	theirs = pair[1];
	b->told = told;
	ret = evsource_add(loop, &b->src, pair[0], EPOLLIN, ready);
	if (ret < 0) {
		close(pair[0]);
		return ret;
	}
	pid = fork();
	if (pid == 0)
		child(theirs, work);
	if (pid < 0) {
		ret = -errno;
		beside_close(b);
	}
	return ret;
}

int beside_hear(struct beside *b, void *data, size_t len)
{
	ssize_t n;

	/* With MSG_TRUNC it is the length of what was told. Of a process that
	 * ended and had not read all, ECONNRESET comes before what it told. */
	do {
		n = recv(b->src.fd, data, len, MSG_DONTWAIT | MSG_TRUNC);
	} while (n < 0 && errno == ECONNRESET);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	return n == (ssize_t)len ? 0 : -ECHILD;
}

int beside_ask(struct beside *b, const void *data, size_t len)
{
	return send(b->src.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0
		       ? -errno
		       : 0;
}

bool beside_open(const struct beside *b)
{
	return b->src.loop != NULL;
}

void beside_close(struct beside *b)
{
	evsource_close(&b->src);
}

void beside_tell(const void *data, size_t len)
{
	if (write(STDIN_FILENO, data, len) != (ssize_t)len)
		_exit(1);
}

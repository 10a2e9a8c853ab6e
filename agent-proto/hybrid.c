/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent-proto/ttrpc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#define ANSWER_MAX 32 /* "OK 4294967295\n" is far below */

/* Byte by byte: what follows the newline belongs to the connection. */
static int read_answer(int fd, char answer[ANSWER_MAX], int timeout_ms)
{
	int64_t deadline = monotonic_ms() + timeout_ms;
	size_t len = 0;

	while (len + 1 < ANSWER_MAX) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		int64_t left = deadline - monotonic_ms();
		ssize_t n;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&pfd, 1, (int)left) < 0 && errno != EINTR)
			return -errno;
		n = recv(fd, answer + len, 1, MSG_DONTWAIT);
		if (n == 0)
			return -ECONNREFUSED;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0)
			continue;
		if (answer[len++] == '\n') {
			answer[len] = '\0';
			return 0;
		}
	}
	return -EPROTO;
}

int hybrid_vsock_connect(const char *path, uint32_t port, int timeout_ms,
			 struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTO_FD int fd = -1;
	char answer[ANSWER_MAX];
	char ask[32];
	int ret, len;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "vsock socket %s: %s", path,
			       strerror(ENAMETOOLONG));
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "vsock socket");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "vsock socket %s", path);
	len = snprintf(ask, sizeof(ask), "CONNECT %u\n", port);
	ret = write_full(fd, ask, (size_t)len);
	if (!ret)
		ret = read_answer(fd, answer, timeout_ms);
	if (!ret && strncmp(answer, "OK", 2))
		ret = -EPROTO;
	if (ret < 0)
		return err_ret(err, ret, "vsock port %u", port);
	return steal_fd(&fd);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/unix_address.h"

int dial_open(struct dial *dial, const char *dir, unsigned port, int sink)
{
	AUTO_FD int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct sockaddr_un addr = unix_address(dir_fd, "vsock/vsock.sock");
	AUTO_FD int fd = -1;
	char ask[32];
	int len = snprintf(ask, sizeof(ask), "CONNECT %u\n", port);

	dial->fd = -1;
	dial->len = 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (dir_fd < 0 || fd < 0 ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    fd_send(fd, ask, (size_t)len, &sink, sink >= 0 ? 1 : 0, 0) != len)
		return -errno;
	dial->fd = steal_fd(&fd);
	return 0;
}

int dial_answer(struct dial *dial, uint32_t *port)
{
	while (dial->len + 1 < sizeof(dial->answer)) {
		char *at = dial->answer + dial->len;
		ssize_t n = recv(dial->fd, at, 1, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return n < 0 ? -errno : -ECONNREFUSED;
		dial->len++;
		if (*at != '\n')
			continue;
		*at = '\0';
		if (strncmp(dial->answer, "OK", 2) != 0)
			return -EPROTO;
		*port = (uint32_t)strtoul(dial->answer + 2, NULL, 10);
		return 1;
	}
	return -EPROTO;
}

void dial_close(struct dial *dial)
{
	if (dial->fd >= 0)
		close(steal_fd(&dial->fd));
	dial->len = 0;
}

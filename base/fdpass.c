/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdpass.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
};

ssize_t fd_send(int sock, const void *buf, size_t len, const int *fds,
		unsigned nfds, int flags)
{
	union control control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	/* A stream socket drops descriptors that come with no byte. */
	if (nfds > FDPASS_MAX || (nfds > 0 && len == 0))
		return -EINVAL;
	if (nfds > 0) {
		size_t size = nfds * sizeof(int);

		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(&control.align), fds, size);
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(size);
	}
	do
		n = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Collects what came; returns how many there were, capacity or not. */
static unsigned collect(struct msghdr *msg, int *fds, unsigned capacity)
{
	unsigned total = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (total < capacity)
				fds[total] = fd;
			else
				close(fd);
			total++;
		}
	}
	return total;
}

ssize_t fd_recv(int sock, void *buf, size_t len, int *fds, unsigned *nfds,
		int flags)
{
	union control control = {.bytes = {0}};
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	unsigned capacity = *nfds, got;
	ssize_t n;

	*nfds = 0;
	do
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	got = collect(&msg, fds, capacity);
	/* MSG_CTRUNC: the kernel dropped some that had no room at all. */
	if (got > capacity || (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
		fds_close(fds, got < capacity ? got : capacity);
		return -EMSGSIZE;
	}
	*nfds = got;
	return n;
}

void fds_close(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

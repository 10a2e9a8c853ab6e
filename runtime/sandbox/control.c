/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define CONTROL_HEAD offsetof(struct control_message, text)

int control_send(int fd, enum control_type type, const void *text, size_t len)
{
	uint32_t head[2] = {(uint32_t)type,
			    (uint32_t)MIN(len, (size_t)CONTROL_TEXT_MAX)};
	struct iovec iov[2] = {
		{.iov_base = head, .iov_len = sizeof(head)},
		{.iov_base = (void *)(uintptr_t)text, .iov_len = head[1]},
	};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	return 0;
}

int control_receive(int fd, struct control_message *message)
{
	ssize_t n = recv(fd, message, CONTROL_HEAD + CONTROL_TEXT_MAX,
			 MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (n == 0)
		return 0;
	if ((size_t)n < CONTROL_HEAD || message->len > CONTROL_TEXT_MAX ||
	    (size_t)n != CONTROL_HEAD + message->len)
		return -EPROTO;
	message->text[message->len] = '\0';
	return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdpass.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int sock[2], pipes[2];

static int set_up_type(int type)
{
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, sock) < 0)
		return -1;
	return pipe2(pipes, O_CLOEXEC);
}

static int set_up(void **state)
{
	return set_up_type(SOCK_STREAM);
}

static int set_up_packets(void **state)
{
	return set_up_type(SOCK_SEQPACKET);
}

static int tear_down(void **state)
{
	close(sock[0]);
	close(sock[1]);
	fds_close(pipes, 2);
	return 0;
}

/* Whether our write end of the pipe is the only one. */
static bool write_end_closed(void)
{
	struct pollfd p = {.fd = pipes[0], .events = POLLIN};

	close(pipes[1]);
	pipes[1] = -1;
	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

static void test_pass(void **state)
{
	int got[4] = {-1, -1, -1, -1};
	unsigned n = 4;
	char buf[8];

	assert_int_equal(fd_send(sock[0], "abc", 3, pipes, 2, 0), 3);
	assert_int_equal(fd_recv(sock[1], buf, sizeof(buf), got, &n, 0), 3);
	assert_memory_equal(buf, "abc", 3);
	assert_int_equal(n, 2);
	assert_int_equal(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(got[1], "x", 1), 1);
	assert_int_equal(read(pipes[0], buf, 1), 1);
	fds_close(got, n);
	assert_int_equal(got[0], -1);
	assert_true(write_end_closed());
}

static void test_none(void **state)
{
	int got[1];
	unsigned n = 1;
	char buf[8];

	assert_int_equal(fd_send(sock[0], "a", 1, NULL, 0, 0), 1);
	assert_int_equal(fd_recv(sock[1], buf, sizeof(buf), got, &n, 0), 1);
	assert_int_equal(n, 0);
	n = 0;
	assert_int_equal(fd_send(sock[0], "b", 1, NULL, 0, 0), 1);
	assert_int_equal(fd_recv(sock[1], buf, sizeof(buf), NULL, &n, 0), 1);
}

static void test_maximum(void **state)
{
	int many[FDPASS_MAX], got[FDPASS_MAX];
	unsigned n = FDPASS_MAX;
	char c;

	for (unsigned i = 0; i < FDPASS_MAX; i++)
		many[i] = pipes[1];
	assert_int_equal(fd_send(sock[0], "a", 1, many, FDPASS_MAX, 0), 1);
	assert_int_equal(fd_recv(sock[1], &c, 1, got, &n, 0), 1);
	assert_int_equal(n, FDPASS_MAX);
	fds_close(got, n);
	assert_true(write_end_closed());
}

/* Neither the descriptors that fit nor the others may be left open. */
static void test_too_many(void **state)
{
	int many[FDPASS_MAX], got[2] = {-1, -1};
	unsigned n = 2;
	char c;

	for (unsigned i = 0; i < FDPASS_MAX; i++)
		many[i] = pipes[1];
	assert_int_equal(fd_send(sock[0], "a", 1, many, FDPASS_MAX, 0), 1);
	assert_int_equal(fd_recv(sock[1], &c, 1, got, &n, 0), -EMSGSIZE);
	assert_int_equal(n, 0);
	assert_int_equal(got[0], -1);
	assert_true(write_end_closed());
}

/* More than fits in the control buffer: the kernel cuts. */
static void test_control_truncated(void **state)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * FDPASS_MAX * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = &(char){0}, .iov_len = 1};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	int many[2 * FDPASS_MAX], got[FDPASS_MAX];
	unsigned n = FDPASS_MAX;
	char c;

	for (unsigned i = 0; i < 2 * FDPASS_MAX; i++)
		many[i] = pipes[1];
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(many));
	memcpy(CMSG_DATA(&control.align), many, sizeof(many));
	assert_int_equal(sendmsg(sock[0], &msg, 0), 1);
	assert_int_equal(fd_recv(sock[1], &c, 1, got, &n, 0), -EMSGSIZE);
	assert_int_equal(n, 0);
	assert_true(write_end_closed());
}

static void test_long_packet(void **state)
{
	int got[1];
	unsigned n = 1;
	char c;

	assert_int_equal(fd_send(sock[0], "abc", 3, &pipes[1], 1, 0), 3);
	assert_int_equal(fd_recv(sock[1], &c, 1, got, &n, 0), -EMSGSIZE);
	assert_int_equal(n, 0);
	assert_true(write_end_closed());
}

static void test_errors(void **state)
{
	int many[FDPASS_MAX + 1] = {0}, got[1];
	unsigned n = 1;
	char c;

	assert_int_equal(fd_send(sock[0], "a", 1, many, FDPASS_MAX + 1, 0),
			 -EINVAL);
	assert_int_equal(fd_send(sock[0], "", 0, pipes, 1, 0), -EINVAL);
	assert_int_equal(fd_recv(sock[1], &c, 1, got, &n, MSG_DONTWAIT),
			 -EAGAIN);
	assert_int_equal(n, 0);
	n = 1;
	shutdown(sock[0], SHUT_WR);
	assert_int_equal(fd_recv(sock[1], &c, 1, got, &n, 0), 0);
	/* No SIGPIPE. */
	assert_int_equal(fd_send(sock[0], "a", 1, NULL, 0, 0), -EPIPE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pass),
		T(test_none),
		T(test_maximum),
		T(test_too_many),
		T(test_control_truncated),
		T(test_errors),
		cmocka_unit_test_setup_teardown(test_long_packet,
						set_up_packets, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "guest/agent/stdio.h"
#include "guest/agent/stdio_port.h"

static struct evloop *loop;
static struct stdio stdio;
static int child[3], host[3];
static bool over;
/* Whether output goes by splice(), as if the sockets were the kernel's that
 * takes pages: the tests' states. */
static bool copies, splices = true;
static char big[8 << 20];

static void ended(struct stdio *s)
{
	over = true;
}

static void start(const bool *by_splice)
{
	int peers[3], pair[2];

	over = false;
	assert_int_equal(0, stdio_init(&stdio, loop, false, ended, child));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(0, socketpair(AF_UNIX,
					       SOCK_STREAM | SOCK_NONBLOCK, 0,
					       pair));
		peers[i] = pair[0];
		host[i] = pair[1];
	}
	assert_int_equal(0, stdio_set_peers(&stdio, peers));
	assert_int_equal(-1, peers[0]);
	stdio.out.stream.splices = stdio.err.stream.splices = *by_splice;
}

static void stop(void)
{
	stdio_release(&stdio);
	for (int i = 0; i < 3; i++) {
		if (host[i] >= 0)
			close(host[i]);
		if (child[i] >= 0)
			close(child[i]);
	}
}

static void turn(void)
{
	for (int i = 0; i < 20; i++)
		assert_true(evloop_once(loop, 0) >= 0);
}

static void shut(int *fd)
{
	close(steal_fd(fd));
}

static void test_both_ways(void **state)
{
	char got[16] = "";

	start(*state);
	assert_int_equal(3, write(host[0], "in\n", 3));
	assert_int_equal(4, write(child[1], "out\n", 4));
	assert_int_equal(4, write(child[2], "err\n", 4));
	turn();
	assert_int_equal(3, read(child[0], got, sizeof(got)));
	assert_int_equal(4, read(host[1], got, sizeof(got)));
	assert_memory_equal(got, "out\n", 4);
	assert_int_equal(4, read(host[2], got, sizeof(got)));
	assert_memory_equal(got, "err\n", 4);
	/* The end goes each way, after what was sent before it. */
	assert_int_equal(4, write(host[0], "last", 4));
	assert_int_equal(0, shutdown(host[0], SHUT_WR));
	turn();
	assert_int_equal(4, read(child[0], got, sizeof(got)));
	assert_int_equal(0, read(child[0], got, sizeof(got)));
	assert_int_equal(4, write(child[1], "last", 4));
	shut(&child[1]);
	turn();
	assert_int_equal(4, read(host[1], got, sizeof(got)));
	assert_int_equal(0, read(host[1], got, sizeof(got)));
	assert_false(over);
	shut(&child[2]);
	turn();
	assert_true(over);
	stop();
}

/* As much as the sockets and pipes hold, until the writer has to wait. */
static size_t fill_output(void)
{
	size_t in = 0;
	ssize_t n;

	assert_int_equal(0, fcntl(child[1], F_SETFL, O_NONBLOCK));
	for (int i = 0; i < 20; i++) {
		n = write(child[1], big, sizeof(big));
		in += n > 0 ? (size_t)n : 0;
		turn();
	}
	assert_int_equal(-1, write(child[1], big, sizeof(big)));
	assert_int_equal(EAGAIN, errno);
	assert_true(in > STDIO_STREAM_SIZE && in < sizeof(big));
	return in;
}

/* That much comes, little by little, and its end. */
static void drain_output(size_t in)
{
	size_t out = 0;
	ssize_t n;

	for (int i = 0; i < 10000 && out < in; i++) {
		n = read(host[1], big, 10000);
		out += n > 0 ? (size_t)n : 0;
		turn();
	}
	assert_int_equal(in, out);
	assert_int_equal(0, read(host[1], big, 1));
}

static void test_slow_reader(void **state)
{
	size_t in;

	start(*state);
	in = fill_output();
	/* The other stream goes on. */
	assert_int_equal(1, write(child[2], "x", 1));
	turn();
	assert_int_equal(1, read(host[2], big, sizeof(big)));
	shut(&child[1]);
	stdio_process_exited(&stdio);
	assert_int_equal(stdio.out.stream.splices, *(bool *)*state);
	drain_output(in);
	stop();
}

/* Writes all that the pipe takes, until it is as large as it gets. */
static int pipe_size_of(int writer)
{
	assert_int_equal(0, fcntl(writer, F_SETFL, O_NONBLOCK));
	for (int i = 0; i < 4; i++) {
		assert_true(write(writer, big, sizeof(big)) > 0);
		turn();
		while (read(host[1], big, sizeof(big)) > 0)
			turn();
	}
	return fcntl(writer, F_GETPIPE_SZ);
}

/* With one output, whose other end is host[1]. Its writer. */
static int start_output(struct stdio *s, const bool *by_splice)
{
	int peers[3] = {-1, -1, -1}, pair[2], mine[3];

	assert_int_equal(0, stdio_init(s, loop, false, NULL, mine));
	assert_int_equal(
		0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
	peers[1] = pair[0];
	host[1] = pair[1];
	assert_int_equal(0, stdio_set_peers(s, peers));
	s->out.stream.splices = *by_splice;
	close(mine[0]);
	close(mine[2]);
	return mine[1];
}

/* Those that carry much, as long as there are few of them. */
static void test_large_pieces(void **state)
{
	static struct stdio many[STDIO_STREAM_LARGE_MAX + 1];
	unsigned last = ARRAY_SIZE(many) - 1;
	int writers[ARRAY_SIZE(many)];

	for (unsigned i = 0; i <= last; i++) {
		writers[i] = start_output(&many[i], *state);
		assert_int_equal(pipe_size_of(writers[i]),
				 i < last ? STDIO_STREAM_LARGE
					  : STDIO_STREAM_SIZE);
		close(host[1]);
	}
	/* When one ends, another may be. */
	stdio_release(&many[0]);
	close(writers[0]);
	writers[0] = start_output(&many[0], *state);
	assert_int_equal(pipe_size_of(writers[0]), STDIO_STREAM_LARGE);
	shut(&host[1]);
	for (unsigned i = 0; i <= last; i++) {
		stdio_release(&many[i]);
		close(writers[i]);
	}
}

static void test_dead_peers(void **state)
{
	start(*state);
	/* Output that nobody reads does not stop the process. */
	shut(&host[1]);
	assert_int_equal(0, fcntl(child[1], F_SETFL, O_NONBLOCK));
	for (int i = 0; i < 100; i++) {
		assert_true(write(child[1], big, 4096) > 0);
		turn();
	}
	/* A process that closed its input ends the host's stream. */
	shut(&child[0]);
	assert_int_equal(1, write(host[0], "x", 1));
	turn();
	assert_int_equal(0, read(host[0], big, 1));
	stop();
}

/* What waits when it is to end arrives, however slowly it is read. */
static void test_last_pieces(void **state)
{
	size_t in;

	start(*state);
	in = fill_output();
	stdio_process_exited(&stdio);
	while (!stdio.lingered)
		assert_true(evloop_once(loop, 5000) >= 0);
	/* child[1] stays open: a child of the process has it. */
	drain_output(in);
	stop();
}

/* Children that keep the output open do not hold up its end. */
static void test_linger(void **state)
{
	start(*state);
	stdio_process_exited(&stdio);
	assert_int_equal(1, write(child[1], "x", 1));
	while (!over)
		assert_true(evloop_once(loop, 5000) >= 0);
	assert_int_equal(1, read(host[1], big, sizeof(big)));
	assert_int_equal(0, read(host[1], big, sizeof(big)));
	stop();
}

static void test_terminal_has_no_third(void **state)
{
	int peers[3] = {-1, -1, open("/dev/null", O_RDWR | O_CLOEXEC)};

	assert_int_equal(0, stdio_init(&stdio, loop, true, NULL, child));
	assert_int_equal(-EINVAL, stdio_set_peers(&stdio, peers));
	stdio_release(&stdio);
}

/* A caller from a path ending in _PORT; 0: from nowhere. */
static int dial(const struct sockaddr_un *to, unsigned port)
{
	struct sockaddr_un from = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(from.sun_path + 1, sizeof(from.sun_path) - 1,
		       "nacre%d_%u", getpid(), port);
	if (port)
		assert_int_equal(0, bind(fd, (void *)&from, sizeof(from)));
	assert_int_equal(0, connect(fd, (void *)to, sizeof(*to)));
	return fd;
}

static void test_ports(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int nobody, calls[STDIO_PORT_WAITING + 2], taken;
	char c;

	(void)snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "nacre%d",
		       getpid());
	assert_int_equal(-ENOENT, stdio_port_take(7));
	assert_int_equal(0, bind(fd, (void *)&at, sizeof(at)));
	assert_int_equal(0, listen(fd, 100));
	assert_int_equal(0, stdio_port_serve(loop, fd));
	assert_true(stdio_port_serves());
	nobody = dial(&at, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		calls[i] = dial(&at, 100 + i);
		if (i % 2)
			continue;
		turn();
	}
	turn();
	assert_int_equal(0, read(nobody, &c, 1));
	/* The oldest went; each is there once; what nobody called is not. */
	assert_int_equal(-ENOENT, stdio_port_take(100));
	assert_int_equal(-ENOENT, stdio_port_take(7));
	taken = stdio_port_take(110);
	assert_true(taken >= 0);
	assert_int_equal(1, write(calls[10], "x", 1));
	assert_int_equal(1, read(taken, &c, 1));
	assert_int_equal(-ENOENT, stdio_port_take(110));
	close(taken);
	/* Found in the backlog, before the loop saw it. */
	close(nobody);
	nobody = dial(&at, 50);
	taken = stdio_port_take(50);
	assert_true(taken >= 0);
	close(taken);
	close(nobody);
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++)
		close(calls[i]);
}

/* Each by copies, and by pages. */
#define BOTH(test)                                \
	cmocka_unit_test_prestate(test, &copies), \
		cmocka_unit_test_prestate(test, &splices)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_both_ways),
		BOTH(test_slow_reader),
		BOTH(test_large_pieces),
		BOTH(test_dead_peers),
		BOTH(test_last_pieces),
		BOTH(test_linger),
		cmocka_unit_test(test_terminal_has_no_third),
		cmocka_unit_test(test_ports),
	};
	int ret;

	signal(SIGPIPE, SIG_IGN);
	loop = evloop_new();
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return ret;
}

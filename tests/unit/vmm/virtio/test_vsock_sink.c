/* SPDX-License-Identifier: Apache-2.0 */

/* Connections whose caller gave a descriptor for what the guest sends. */

#include "vmm/virtio/vsock_conn.h"

#include <signal.h>

#include "base/cleanup.h"
#include "tests/unit/vmm/virtio/vsock_call.h"

#define BLOCK 65536u
#define BULK (8u << 20)

static uint8_t block[BLOCK];

static uint8_t pattern(size_t i)
{
	return (uint8_t)((i * 2654435761u) >> 13);
}

static void expect_pipe_end(const struct call *c)
{
	char byte;

	assert_int_equal(read(c->sink, &byte, 1), 0);
}

static void expect_pipe_open(const struct call *c)
{
	char byte;

	assert_int_equal(read(c->sink, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

/* The guest was told its credit, perhaps, and then this. */
static struct vsock_packet expect_last(enum vsock_op op)
{
	struct seen s;

	do {
		assert_true(next(&s));
		post_rx(1);
	} while (s.p.op == VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(s.p.op, op);
	return s.p;
}

/* Sends blocks until `total` bytes are on their way. */
static size_t send_blocks(const struct call *c, size_t sent, size_t total)
{
	while (sent < total) {
		for (size_t i = 0; i < BLOCK; i++)
			block[i] = pattern(sent++);
		send_packet(data_packet(PORT, c->port, BLOCK), block);
	}
	return sent;
}

/* Reads once, checks the bytes; how many. */
static size_t read_some(const struct call *c, size_t got)
{
	ssize_t n = read(c->sink, block, BLOCK);

	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(block[i], pattern(got + (size_t)i));
	settle();
	return n > 0 ? (size_t)n : 0;
}

static void test_takes_the_data(void **state)
{
	struct call c = call_pipe();
	struct seen s;

	send_packet(data_packet(PORT, c.port, 5), "hello");
	expect_text(c.sink, "hello");
	expect_open(c.fd);
	/* The other direction is the socket's. */
	assert_int_equal(write(c.fd, "in", 2), 2);
	settle();
	expect(VSOCK_OP_RW, &s);
	assert_memory_equal(s.data, "in", 2);
	send_packet(data_packet(PORT, c.port, 3), "end");
	send_packet(shutdown_packet(PORT, c.port, VSOCK_SHUT_SEND), NULL);
	expect_text(c.sink, "end");
	expect_pipe_end(&c);
	expect_eof(c.fd);
	hang_up(&c);
}

static void test_slow_reader(void **state)
{
	struct call c = call_pipe();
	size_t sent, got = 0;
	uint32_t port;
	int other;

	sent = send_blocks(&c, 0, 4 * BLOCK);
	settle();
	take_credit();
	other = host_calls(&port);
	send_packet(data_packet(PORT, port, 5), "other");
	expect_text(other, "other");
	/* Its end comes after all of it. */
	send_packet(shutdown_packet(PORT, c.port, VSOCK_SHUT_BOTH), NULL);
	settle();
	expect_open(c.fd);
	while (got < sent) {
		size_t n = read_some(&c, got);

		assert_true(n > 0);
		got += n;
	}
	expect_pipe_end(&c);
	expect_eof(c.fd);
	close(other);
	hang_up(&c);
}

static void test_reader_goes_away(void **state)
{
	struct call c = call_pipe();

	close(steal_fd(&c.sink));
	send_packet(data_packet(PORT, c.port, 1), "x");
	assert_int_equal(expect(VSOCK_OP_SHUTDOWN, NULL).flags, VSOCK_SHUT_RCV);
	expect_open(c.fd);
	/* It ends when the guest has ended, too. */
	send_packet(shutdown_packet(PORT, c.port, VSOCK_SHUT_BOTH), NULL);
	expect(VSOCK_OP_RST, NULL);
	expect_eof(c.fd);
	hang_up(&c);
	/* While there is something for it. */
	c = call_pipe();
	send_blocks(&c, 0, 3 * BLOCK);
	settle();
	close(steal_fd(&c.sink));
	settle();
	assert_int_equal(expect_last(VSOCK_OP_SHUTDOWN).flags, VSOCK_SHUT_RCV);
	hang_up(&c);
	expect_last(VSOCK_OP_SHUTDOWN);
	close(host_calls(&c.port));
}

static void test_caller_goes_away(void **state)
{
	struct call c = call_pipe();
	struct vsock_packet p;
	int ends[2];

	expect_pipe_open(&c);
	close(c.fd);
	settle();
	expect_pipe_end(&c);
	close(c.sink);
	expect(VSOCK_OP_SHUTDOWN, NULL);
	/* Or the guest refuses. */
	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	c = (struct call){.fd = dial_with(&ends[1], 1), .sink = ends[0]};
	close(ends[1]);
	p = expect(VSOCK_OP_REQUEST, NULL);
	send_packet(packet(PORT, p.src_port, VSOCK_OP_RST), NULL);
	expect_pipe_end(&c);
	expect_eof(c.fd);
	hang_up(&c);
}

/* The guest ended in order and forgot the connection. */
static void test_orphans(void **state)
{
	struct call c = call_pipe();
	size_t sent = send_blocks(&c, 0, 4 * BLOCK);
	size_t got = 0;

	send_packet(shutdown_packet(PORT, c.port, VSOCK_SHUT_BOTH), NULL);
	send_packet(packet(PORT, c.port, VSOCK_OP_RST), NULL);
	settle();
	expect_open(c.fd);
	while (got < sent)
		got += read_some(&c, got);
	expect_pipe_end(&c);
	expect_eof(c.fd);
	hang_up(&c);
	/* Nobody waits for this one any more. */
	take_credit();
	c = call_pipe();
	send_blocks(&c, 0, 4 * BLOCK);
	send_packet(shutdown_packet(PORT, c.port, VSOCK_SHUT_BOTH), NULL);
	send_packet(packet(PORT, c.port, VSOCK_OP_RST), NULL);
	close(steal_fd(&c.fd));
	settle();
	for (got = 0; got < sent;) {
		size_t n = read_some(&c, got);

		if (!n)
			break;
		got += n;
	}
	assert_true(got < sent);
	expect_pipe_end(&c);
	close(c.sink);
}

static void test_refused(void **state)
{
	int ends[2], fds[2];
	int fd;

	/* Blocks, and would block the other devices. */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fd = dial_with(&ends[1], 1);
	expect_eof(fd);
	expect_nothing();
	close(fd);
	/* One is asked for. */
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	fds[0] = fds[1] = ends[1];
	fd = dial_with(fds, 2);
	expect_eof(fd);
	expect_nothing();
	close(fd);
	/* None of them is left in the device. */
	close(ends[1]);
	assert_int_equal(read(ends[0], &fd, 1), 0);
	close(ends[0]);
}

static void test_null(void **state)
{
	struct call c =
		call_with(open("/dev/null", O_WRONLY | O_NONBLOCK | O_CLOEXEC));

	/* Takes all at once, so that no credit is ever missed. */
	send_blocks(&c, 0, BULK);
	take_credit();
	expect_open(c.fd);
	send_packet(shutdown_packet(PORT, c.port, VSOCK_SHUT_BOTH), NULL);
	expect(VSOCK_OP_RST, NULL);
	expect_eof(c.fd);
	hang_up(&c);
}

/* A guest that keeps to its credit, and a reader that comes now and then. */
static void test_bulk(void **state)
{
	struct call c = call_pipe();
	struct seen s;
	uint32_t alloc = VSOCK_BUF_SIZE, fwd = 0;
	size_t sent = 0, got = 0;

	for (unsigned turn = 0; got < BULK; turn++) {
		assert_true(turn < 10000);
		while (sent < BULK && alloc - ((uint32_t)sent - fwd) >= BLOCK)
			sent = send_blocks(&c, sent, sent + 1);
		while (next(&s)) {
			post_rx(1);
			assert_int_equal(s.p.op, VSOCK_OP_CREDIT_UPDATE);
			assert_true(s.p.buf_alloc >= alloc);
			alloc = s.p.buf_alloc;
			fwd = s.p.fwd_cnt;
			assert_true(fwd <= sent);
		}
		if (turn % 3 == 0)
			got += read_some(&c, got);
	}
	assert_int_equal(alloc, VSOCK_LARGE_SIZE);
	assert_int_equal(fcntl(c.sink, F_GETPIPE_SZ), VSOCK_PIPE_SIZE);
	hang_up(&c);
}

/* Credit that it was given, after the first quarter of a MiB. */
static uint32_t credit_of(const struct call *c)
{
	struct vsock_packet p = packet(PORT, c->port, VSOCK_OP_CREDIT_REQUEST);

	for (size_t sent = 0, got = 0; sent < 6 * BLOCK;) {
		sent = send_blocks(c, sent, sent + 1);
		while (got < sent)
			got += read_some(c, got);
	}
	take_credit();
	send_packet(p, NULL);
	return expect(VSOCK_OP_CREDIT_UPDATE, NULL).buf_alloc;
}

static void test_few_are_large(void **state)
{
	struct call calls[VSOCK_LARGE_MAX + 1];
	unsigned n = ARRAY_SIZE(calls);

	for (unsigned i = 0; i < n; i++) {
		calls[i] = call_pipe();
		assert_int_equal(credit_of(&calls[i]),
				 i + 1 < n ? VSOCK_LARGE_SIZE : VSOCK_BUF_SIZE);
	}
	/* When one ends, another may be. */
	send_packet(packet(PORT, calls[0].port, VSOCK_OP_RST), NULL);
	hang_up(&calls[0]);
	calls[0] = call_pipe();
	assert_int_equal(credit_of(&calls[0]), VSOCK_LARGE_SIZE);
	for (unsigned i = 0; i < n; i++)
		hang_up(&calls[i]);
}

/* A guest that sends no more at a time than it would take. */
static void test_small_window(void **state)
{
	struct call c = call_pipe();
	struct vsock_packet p = data_packet(PORT, c.port, 1024);
	struct seen s;
	uint32_t fwd = 0;

	p.buf_alloc = 4096;
	for (uint32_t sent = 0; sent < 65536; sent += 1024) {
		if (sent - fwd == 4096)
			fail_msg("no credit after %u bytes", sent);
		send_packet(p, block);
		assert_int_equal(read(c.sink, block, BLOCK), 1024);
		while (next(&s)) {
			post_rx(1);
			fwd = s.p.fwd_cnt;
		}
	}
	hang_up(&c);
}

static void send_burst(const struct call *c, unsigned n)
{
	struct vsock_packet p = packet(PORT, c->port, VSOCK_OP_CREDIT_UPDATE);

	for (unsigned i = 0; i < n; i++)
		put_packet(p, NULL);
	test_kick(g.d, TX);
	for (unsigned i = 0; i < n; i++)
		assert_true(tx_done());
}

/* How often it has heard, and wants to hear of the next one that is taken. */
static unsigned heard(void)
{
	test_set_used_event(g.d, TX, (uint16_t)g.used_tx);
	return test_signals(g.d, TX);
}

static void hears_soon(unsigned before)
{
	for (unsigned turns = 0; test_signals(g.d, TX) == before; turns++) {
		assert_true(turns < 100);
		assert_int_equal(evloop_once(g.loop, 1000), 0);
	}
	assert_int_equal(heard(), before + 1);
}

/* In the midst of a stream the guest hears late of what was taken. */
static void test_bursts(void **state)
{
	struct call c = call_pipe();
	unsigned before = heard();

	/* One packet: at once. */
	send_burst(&c, 1);
	assert_int_equal(heard(), ++before);
	/* An eighth of the queue: at its end. */
	send_burst(&c, 16);
	assert_int_equal(test_signals(g.d, TX), before);
	send_burst(&c, 16);
	assert_int_equal(heard(), ++before);
	/* Nothing follows: soon. */
	send_burst(&c, 16);
	assert_int_equal(test_signals(g.d, TX), before);
	hears_soon(before);
	hang_up(&c);
}

/* What waited is not told to the next driver. */
static void test_burst_before_reset(void **state)
{
	struct call c = call_pipe();
	unsigned before = heard();

	send_burst(&c, 16);
	virtio_device_set_status(g.d->dev, 0);
	start_device(RX_BUFFERS);
	assert_int_equal(evloop_once(g.loop, 20), 0);
	assert_int_equal(test_signals(g.d, TX), before);
	hang_up(&c);
	c = call_pipe();
	before = heard();
	send_burst(&c, 16);
	assert_int_equal(test_signals(g.d, TX), before);
	hears_soon(before);
	hang_up(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(test_takes_the_data),
		VSOCK_TEST(test_slow_reader),
		VSOCK_TEST(test_reader_goes_away),
		VSOCK_TEST(test_caller_goes_away),
		VSOCK_TEST(test_orphans),
		VSOCK_TEST(test_refused),
		VSOCK_TEST(test_null),
		VSOCK_TEST(test_bulk),
		VSOCK_TEST(test_few_are_large),
		VSOCK_TEST(test_small_window),
		VSOCK_TEST(test_bursts),
		VSOCK_TEST(test_burst_before_reset),
	};

	signal(SIGPIPE, SIG_IGN);
	return VSOCK_RUN(tests);
}

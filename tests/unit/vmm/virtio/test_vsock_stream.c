/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vsock_stream.h"

#include "tests/unit/vmm/virtio/vsock_guest.h"

#define BULK (8u << 20)

static void test_half_close(void **state)
{
	uint32_t port;
	int fd = host_calls(&port);
	struct vsock_packet p;

	/* The host ends its direction only. */
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	settle();
	expect(VSOCK_OP_RW, NULL);
	p = expect(VSOCK_OP_SHUTDOWN, NULL);
	assert_int_equal(p.flags, VSOCK_SHUT_SEND);
	send_packet(data_packet(PORT, port, 5), "still");
	expect_text(fd, "still");
	/* The guest ends the other one: nothing is left. */
	send_packet(shutdown_packet(PORT, port, VSOCK_SHUT_SEND), NULL);
	settle();
	expect_eof(fd);
	p = expect(VSOCK_OP_SHUTDOWN, NULL);
	assert_int_equal(p.flags, VSOCK_SHUT_BOTH);
	send_packet(packet(PORT, port, VSOCK_OP_RST), NULL);
	settle();
	expect_nothing();
	close(fd);
}

static void test_guest_half_close(void **state)
{
	uint32_t port;
	int fd = host_calls(&port);
	struct seen s;

	send_packet(shutdown_packet(PORT, port, VSOCK_SHUT_SEND), NULL);
	expect_eof(fd);
	assert_int_equal(write(fd, "more", 4), 4);
	settle();
	expect(VSOCK_OP_RW, &s);
	assert_int_equal(s.p.len, 4);
	/* Data after the end is a lie. */
	send_packet(data_packet(PORT, port, 1), "x");
	expect(VSOCK_OP_RST, NULL);
	close(fd);
}

static void test_guest_reads_no_more(void **state)
{
	uint32_t port;
	int fd = host_calls(&port);

	send_packet(shutdown_packet(PORT, port, VSOCK_SHUT_RCV), NULL);
	settle();
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	send_packet(data_packet(PORT, port, 2), "hi");
	expect_text(fd, "hi");
	close(fd);
	settle();
	assert_int_equal(expect(VSOCK_OP_SHUTDOWN, NULL).flags,
			 VSOCK_SHUT_BOTH);
}

/* All that the host wrote before it closed arrives, then the end. */
static void test_host_closes(void **state)
{
	uint32_t port;
	int fd = host_calls(&port);
	uint8_t big[20000];
	struct seen s;
	size_t got = 0;

	memset(big, 7, sizeof(big));
	assert_int_equal(write(fd, big, sizeof(big)), sizeof(big));
	close(fd);
	settle();
	while (got < sizeof(big)) {
		assert_true(next(&s));
		post_rx(1);
		if (s.p.op == VSOCK_OP_SHUTDOWN) {
			assert_int_equal(s.p.flags, VSOCK_SHUT_RCV);
			continue;
		}
		assert_int_equal(s.p.op, VSOCK_OP_RW);
		got += s.p.len;
		settle();
	}
	assert_int_equal(expect(VSOCK_OP_SHUTDOWN, NULL).flags,
			 VSOCK_SHUT_BOTH);
	/* In flight when it closed: ignored. The guest closes, too. */
	send_packet(data_packet(PORT, port, 1), "x");
	expect_nothing();
	send_packet(shutdown_packet(PORT, port, VSOCK_SHUT_BOTH), NULL);
	expect(VSOCK_OP_RST, NULL);
}

static void test_credit_of_guest(void **state)
{
	uint32_t port;
	int fd = host_calls(&port);
	struct vsock_packet p = packet(PORT, port, VSOCK_OP_CREDIT_UPDATE);
	struct seen s;

	p.buf_alloc = 10;
	send_packet(p, NULL);
	assert_int_equal(write(fd, "0123456789abcdef", 16), 16);
	settle();
	expect(VSOCK_OP_RW, &s);
	assert_int_equal(s.p.len, 10);
	expect(VSOCK_OP_CREDIT_REQUEST, NULL);
	settle();
	expect_nothing();
	p.fwd_cnt = 4;
	send_packet(p, NULL);
	settle();
	expect(VSOCK_OP_RW, &s);
	assert_int_equal(s.p.len, 4);
	assert_memory_equal(s.data, "abcd", 4);
	/* A shrunken buffer gives no credit. */
	p.buf_alloc = 3;
	p.fwd_cnt = 7;
	send_packet(p, NULL);
	settle();
	expect(VSOCK_OP_CREDIT_REQUEST, NULL);
	expect_nothing();
	/* An older count that comes late is no lie. */
	p.fwd_cnt = 4;
	send_packet(p, NULL);
	p.fwd_cnt = 14;
	send_packet(p, NULL);
	settle();
	expect(VSOCK_OP_RW, &s);
	assert_int_equal(s.p.len, 2);
	/* The host is asked for its own. */
	p.op = VSOCK_OP_CREDIT_REQUEST;
	send_packet(p, NULL);
	expect(VSOCK_OP_CREDIT_UPDATE, NULL);
	close(fd);
}

static void test_credit_wraps(void **state)
{
	int fd = guest_calls(6000, 70);
	struct vsock_packet p = packet(6000, 71, VSOCK_OP_REQUEST);
	char path[sizeof(g.path) + 12];
	struct seen s;
	int listener;

	close(fd);
	/* A guest that starts to count just below 2^32. */
	snprintf(path, sizeof(path), "%s_71", g.path);
	listener = listen_at(path);
	settle();
	expect(VSOCK_OP_SHUTDOWN, NULL);
	p.fwd_cnt = UINT32_MAX - 1;
	p.buf_alloc = 6;
	send_packet(p, NULL);
	expect(VSOCK_OP_RESPONSE, NULL);
	fd = accept(listener, NULL, NULL);
	assert_int_equal(write(fd, "12345678", 8), 8);
	settle();
	expect(VSOCK_OP_RW, &s);
	assert_int_equal(s.p.len, 6);
	expect(VSOCK_OP_CREDIT_REQUEST, NULL);
	p.op = VSOCK_OP_CREDIT_UPDATE;
	p.fwd_cnt = 1;
	send_packet(p, NULL);
	settle();
	expect(VSOCK_OP_RW, &s);
	assert_int_equal(s.p.len, 2);
	close(fd);
	close(listener);
	unlink(path);
}

/* A guest that sends beyond its credit loses the connection, no more. */
static void test_guest_overruns(void **state)
{
	static uint8_t block[32768];
	/* Its credit, and what the socket takes. */
	const unsigned most = (VSOCK_LARGE_SIZE + (512u << 10)) / sizeof(block);
	uint32_t port;
	int fd = host_calls(&port);
	struct seen s;
	unsigned n;

	for (n = 0; n < most; n++) {
		send_packet(data_packet(PORT, port, sizeof(block)), block);
		if (next(&s) && s.p.op == VSOCK_OP_RST)
			break;
	}
	assert_true(n > 8 && n < most);
	assert_false(faulted());
	close(fd);
	close(host_calls(&port));
}

static void test_guest_takes_too_much(void **state)
{
	uint32_t port;
	int fd = host_calls(&port);
	struct vsock_packet p = packet(PORT, port, VSOCK_OP_CREDIT_UPDATE);

	p.fwd_cnt = 1;
	send_packet(p, NULL);
	expect(VSOCK_OP_RST, NULL);
	expect_eof(fd);
	close(fd);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)((i * 2654435761u) >> 13);
}

/* The guest's data is flushed to a slow host after the guest has closed. */
static void test_orphan(void **state)
{
	static uint8_t block[65536];
	uint32_t port;
	int fd = host_calls(&port);
	size_t total = 0;
	size_t got = 0;

	for (unsigned n = 0; n < 6; n++) {
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = pattern(total++);
		send_packet(data_packet(PORT, port, sizeof(block)), block);
	}
	send_packet(shutdown_packet(PORT, port, VSOCK_SHUT_BOTH), NULL);
	send_packet(packet(PORT, port, VSOCK_OP_RST), NULL);
	while (got < total) {
		ssize_t n = read(fd, block, sizeof(block));

		settle();
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(block[i], pattern(got++));
	}
	expect_eof(fd);
	close(fd);
}

/* The guest takes little at a time and tells its credit now and then. */
static void test_bulk_to_guest(void **state)
{
	static uint8_t block[70000];
	uint32_t port;
	int fd;
	struct vsock_packet p;
	struct seen s;
	size_t sent = 0;
	size_t got = 0;
	uint32_t told = 0;
	unsigned idle = 0;

	start_device(3);
	fd = host_calls(&port);
	p = packet(PORT, port, VSOCK_OP_CREDIT_UPDATE);
	p.buf_alloc = 50000;
	send_packet(p, NULL);
	while (got < BULK && idle < 1000) {
		size_t len = MIN(sizeof(block), BULK - sent);
		ssize_t n;

		for (size_t i = 0; i < len; i++)
			block[i] = pattern(sent + i);
		n = len ? send(fd, block, len, MSG_NOSIGNAL) : 0;
		sent += n > 0 ? (size_t)n : 0;
		settle();
		idle++;
		while (next(&s)) {
			post_rx(1);
			for (uint32_t i = 0; i < s.p.len; i++)
				assert_int_equal(s.data[i], pattern(got++));
			assert_true(got - told <= 50000);
			idle = 0;
			if (got - told < 30000 &&
			    s.p.op != VSOCK_OP_CREDIT_REQUEST)
				continue;
			told = (uint32_t)got;
			p.fwd_cnt = told;
			send_packet(p, NULL);
		}
	}
	assert_int_equal(got, BULK);
	close(fd);
}

/* The guest keeps to the credit that the packets tell it. */
static void test_bulk_to_host(void **state)
{
	static uint8_t block[65536];
	static uint8_t in[100000];
	uint32_t port;
	int fd = host_calls(&port);
	struct seen s;
	uint32_t alloc = 256u << 10;
	uint32_t fwd = 0;
	size_t sent = 0;
	size_t got = 0;
	unsigned idle = 0;

	while (got < BULK && idle++ < 1000) {
		uint32_t credit = alloc - ((uint32_t)sent - fwd);
		uint32_t len = MIN((uint32_t)sizeof(block), credit);
		ssize_t n;

		len = (uint32_t)MIN((size_t)len, BULK - sent);
		for (uint32_t i = 0; i < len; i++)
			block[i] = pattern(sent + i);
		if (len)
			send_packet(data_packet(PORT, port, len), block);
		sent += len;
		while (next(&s)) {
			post_rx(1);
			assert_int_equal(s.p.op, VSOCK_OP_CREDIT_UPDATE);
			alloc = s.p.buf_alloc;
			fwd = s.p.fwd_cnt;
			assert_true(fwd <= sent);
		}
		/* A reader that lets the buffers fill between its turns. */
		if (idle % 3)
			continue;
		n = read(fd, in, sizeof(in));
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(in[i], pattern(got++));
		idle = n > 0 ? 0 : idle;
		settle();
	}
	assert_int_equal(got, BULK);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(test_half_close),
		VSOCK_TEST(test_guest_half_close),
		VSOCK_TEST(test_guest_reads_no_more),
		VSOCK_TEST(test_host_closes),
		VSOCK_TEST(test_credit_of_guest),
		VSOCK_TEST(test_credit_wraps),
		VSOCK_TEST(test_guest_overruns),
		VSOCK_TEST(test_guest_takes_too_much),
		VSOCK_TEST(test_orphan),
		VSOCK_TEST(test_bulk_to_guest),
		VSOCK_TEST(test_bulk_to_host),
	};

	return VSOCK_RUN(tests);
}

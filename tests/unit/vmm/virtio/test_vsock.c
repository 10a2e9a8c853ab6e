/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vsock.h"

#include "tests/unit/vmm/virtio/vsock_guest.h"

static void test_config(void **state)
{
	uint8_t cid[8];
	const uint8_t want[8] = {CID};

	virtio_device_config_read(g.d->dev, 0, cid, 8);
	assert_memory_equal(cid, want, 8);
	assert_null(virtio_vsock_new(2, dup(0), "x", &(struct err){0}));
	assert_null(
		virtio_vsock_new(UINT32_MAX, dup(0), "x", &(struct err){0}));
}

static void test_host_call(void **state)
{
	uint32_t port;
	int fd = host_calls(&port);
	struct seen s;

	assert_true(port >= 1u << 30);
	assert_int_equal(write(fd, "hello", 5), 5);
	settle();
	expect(VSOCK_OP_RW, &s);
	assert_int_equal(s.p.len, 5);
	assert_memory_equal(s.data, "hello", 5);
	assert_true(s.p.buf_alloc >= 64u << 10);
	send_packet(data_packet(PORT, port, 4), "back");
	expect_text(fd, "back");
	/* The guest closes: the host sees the end, the guest a reset. */
	send_packet(shutdown_packet(PORT, port, VSOCK_SHUT_BOTH), NULL);
	expect_eof(fd);
	expect(VSOCK_OP_RST, NULL);
	/* It is forgotten. */
	send_packet(data_packet(PORT, port, 1), "x");
	expect(VSOCK_OP_RST, NULL);
	close(fd);
}

static void test_host_call_refused(void **state)
{
	int fd = connect_to(g.path);
	struct vsock_packet p;

	assert_int_equal(write(fd, "CONNECT 7\n", 10), 10);
	settle();
	p = expect(VSOCK_OP_REQUEST, NULL);
	send_packet(packet(7, p.src_port, VSOCK_OP_RST), NULL);
	expect_eof(fd);
	expect_nothing();
	close(fd);
}

static void test_handshake_bytes(void **state)
{
	static const char line[] = "connect 1024\n";
	int fd = connect_to(g.path);
	struct vsock_packet p;
	struct seen s;

	for (const char *c = line; *c; c++) {
		expect_nothing();
		assert_int_equal(write(fd, c, 1), 1);
		settle();
	}
	p = expect(VSOCK_OP_REQUEST, NULL);
	/* Early data, even a second line, belongs to the guest. */
	assert_int_equal(write(fd, "CONNECT 9\n", 10), 10);
	settle();
	expect_nothing();
	send_packet(packet(PORT, p.src_port, VSOCK_OP_RESPONSE), NULL);
	settle();
	expect(VSOCK_OP_RW, &s);
	assert_int_equal(s.p.len, 10);
	assert_memory_equal(s.data, "CONNECT 9\n", 10);
	close(fd);
}

static void test_handshake_one_write(void **state)
{
	int fd = connect_to(g.path);
	struct vsock_packet p;
	struct seen s;

	assert_int_equal(write(fd, "CONNECT 1024\nabc", 16), 16);
	settle();
	p = expect(VSOCK_OP_REQUEST, NULL);
	send_packet(packet(PORT, p.src_port, VSOCK_OP_RESPONSE), NULL);
	settle();
	expect(VSOCK_OP_RW, &s);
	assert_int_equal(s.p.len, 3);
	close(fd);
}

static void test_handshake_refused(void **state)
{
	static const char *const bad[] = {
		"CONNECT\n",
		"CONNECT \n",
		"CONNECT x\n",
		"CONNECT -1\n",
		"CONNECT 1 \n",
		"CONNECT 4294967296\n",
		"DISCONNECT 1\n",
		"CONNECT 00000000000000000000000001\n",
		"\n",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		int fd = connect_to(g.path);
		char c;

		assert_true(write(fd, bad[i], strlen(bad[i])) > 0);
		settle();
		/* End, or reset where bytes were left unread. */
		assert_true(recv(fd, &c, 1, 0) == 0 || errno == ECONNRESET);
		close(fd);
	}
	expect_nothing();
}

static void test_handshake_timeout(void **state)
{
	int fd = connect_to(g.path);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	unsigned turns = 0;

	assert_int_equal(write(fd, "CONN", 4), 4);
	while (poll(&pfd, 1, 0) == 0 && turns++ < 20)
		evloop_once(g.loop, 2500);
	expect_eof(fd);
	close(fd);
}

static void test_guest_call(void **state)
{
	int fd = guest_calls(5000, 1025);
	struct seen s;

	send_packet(data_packet(5000, 1025, 3), "log");
	expect_text(fd, "log");
	assert_int_equal(write(fd, "ok", 2), 2);
	settle();
	expect(VSOCK_OP_RW, &s);
	assert_int_equal(s.p.src_port, 1025);
	assert_int_equal(s.p.dst_port, 5000);
	assert_int_equal(s.p.fwd_cnt, 3);
	/* Called again while it is open: a protocol error. */
	send_packet(packet(5000, 1025, VSOCK_OP_REQUEST), NULL);
	expect(VSOCK_OP_RST, NULL);
	expect_eof(fd);
	close(fd);
}

static void test_guest_call_absent(void **state)
{
	struct vsock_packet p;

	send_packet(packet(5000, 99, VSOCK_OP_REQUEST), NULL);
	p = expect(VSOCK_OP_RST, NULL);
	assert_int_equal(p.src_port, 99);
	assert_int_equal(p.dst_port, 5000);
	assert_int_equal(p.src_cid, 2);
}

static void test_host_gone_before_response(void **state)
{
	int fd = connect_to(g.path);

	assert_int_equal(write(fd, "CONNECT 1\n", 10), 10);
	settle();
	expect(VSOCK_OP_REQUEST, NULL);
	close(fd);
	settle();
	expect(VSOCK_OP_RST, NULL);
}

static void test_lies_about_addresses(void **state)
{
	struct vsock_packet p = packet(1, 2, VSOCK_OP_RW);

	p.src_cid = CID + 1;
	send_packet(p, NULL);
	p.src_cid = CID | 1ull << 32;
	send_packet(p, NULL);
	expect_nothing();
	p = packet(1, 2, VSOCK_OP_REQUEST);
	p.dst_cid = 77;
	send_packet(p, NULL);
	assert_int_equal(expect(VSOCK_OP_RST, NULL).src_cid, 77);
	p = packet(1, 2, VSOCK_OP_REQUEST);
	p.type = 2;
	send_packet(p, NULL);
	assert_int_equal(expect(VSOCK_OP_RST, NULL).type, 2);
	send_packet(packet(1, 2, VSOCK_OP_RST), NULL);
	expect_nothing();
	for (unsigned op = 0; op < 20; op++) {
		if (op == VSOCK_OP_RST || op == VSOCK_OP_REQUEST)
			continue;
		send_packet(packet(1, 2, op), NULL);
		expect(VSOCK_OP_RST, NULL);
	}
	assert_false(faulted());
}

static void test_unknown_op(void **state)
{
	static const unsigned ops[] = {0, 2, 8, 65535};
	uint32_t port;

	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		int fd = host_calls(&port);

		send_packet(packet(PORT, port, ops[i]), NULL);
		expect(VSOCK_OP_RST, NULL);
		expect_eof(fd);
		close(fd);
	}
}

static void test_bad_length(void **state)
{
	struct vsock_packet p = packet(1, 2, VSOCK_OP_RW);
	struct vsock_header h;
	uint32_t port;
	int fd = host_calls(&port);

	p.len = 100;
	h = vsock_encode(&p);
	memcpy(test_ptr(g.d, g.tx), &h, sizeof(h));
	send_raw(sizeof(h) + 99);
	assert_true(faulted());
	expect_eof(fd);
	close(fd);
	/* A reset makes it whole. */
	start_device(4);
	assert_false(faulted());
	close(host_calls(&port));
	send_raw(sizeof(h) - 1);
	assert_true(faulted());
	start_device(4);
	p.len = 65537;
	h = vsock_encode(&p);
	memcpy(test_ptr(g.d, g.tx), &h, sizeof(h));
	send_raw(100000);
	assert_true(faulted());
}

static void test_small_rx_buffer(void **state)
{
	struct test_seg seg = {g.tx, 44, true};

	start_device(0);
	test_add(g.d, RX, &seg, 1);
	send_packet(packet(1, 2, VSOCK_OP_RW), NULL);
	assert_true(faulted());
}

/* What the guest does not read bounds what it may cause. */
static void test_resets_are_bounded(void **state)
{
	struct seen s;
	unsigned sent = 0;
	unsigned resets = 0;

	start_device(0);
	while (sent < 200) {
		/* What is not taken yet stays where it is. */
		put_packet(packet(sent++, 2, VSOCK_OP_RW), NULL);
		test_kick(g.d, TX);
	}
	while (tx_done())
		;
	assert_int_equal(g.used_tx, 128);
	while (resets < 200) {
		post_rx(8);
		settle();
		while (next(&s)) {
			assert_int_equal(s.p.op, VSOCK_OP_RST);
			assert_int_equal(s.p.dst_port, resets++);
		}
	}
	while (tx_done())
		;
	assert_int_equal(g.used_tx, 200);
	expect_nothing();
}

static void test_connection_limit(void **state)
{
	struct rlimit lim;
	int *fds = calloc(1025, sizeof(*fds));
	struct vsock_packet first = {0};
	struct seen s;
	unsigned requests = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	if (lim.rlim_max < 2200) {
		free(fds);
		skip();
	}
	lim.rlim_cur = lim.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	for (unsigned i = 0; i < 1024; i++) {
		fds[i] = connect_to(g.path);
		assert_int_equal(write(fds[i], "CONNECT 1024\n", 13), 13);
		settle();
		while (next(&s)) {
			post_rx(1);
			if (!requests++)
				first = s.p;
		}
	}
	assert_int_equal(requests, VSOCK_CONNS_MAX);
	/* Closed with its line unread. */
	assert_int_equal(read(fds[1023], &s, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	expect_open(fds[1022]);
	/* Room again. */
	close(fds[1023]);
	send_packet(packet(PORT, first.src_port, VSOCK_OP_RST), NULL);
	expect_eof(fds[0]);
	fds[1023] = connect_to(g.path);
	assert_int_equal(write(fds[1023], "CONNECT 1024\n", 13), 13);
	settle();
	expect(VSOCK_OP_REQUEST, NULL);
	/* A reset of the device closes all of them. */
	virtio_device_set_status(g.d->dev, 0);
	for (unsigned i = 0; i < 1024; i++) {
		expect_eof(fds[i]);
		close(fds[i]);
	}
	free(fds);
}

/* Out of descriptors: the loop does not spin, and calls come in later. */
static void test_no_descriptors(void **state)
{
	int fd = connect_to(g.path);
	struct timespec begin;
	struct timespec now;
	struct rlimit old;
	struct rlimit low;
	unsigned turns = 0;
	int first = dup(0);

	close(first);
	assert_int_equal(write(fd, "CONNECT 1\n", 10), 10);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){(rlim_t)first, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	/* A loop that spins has thousands of turns in that time. */
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		assert_true(evloop_once(g.loop, 10) >= 0);
		clock_gettime(CLOCK_MONOTONIC, &now);
		assert_true(turns++ < 200);
	} while ((now.tv_sec - begin.tv_sec) * 1000 +
			 (now.tv_nsec - begin.tv_nsec) / 1000000 <
		 250);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	turns = 0;
	while (!test_signals(g.d, RX) && turns++ < 10)
		evloop_once(g.loop, 1000);
	assert_int_equal(expect(VSOCK_OP_REQUEST, NULL).dst_port, 1);
	close(fd);
}

/* Ends of the host that linger make room for new connections. */
static void test_lingering_is_recycled(void **state)
{
	struct seen s;

	for (unsigned i = 0; i < 1100; i++) {
		uint32_t port;
		bool end = false;

		close(host_calls(&port));
		settle();
		while (!end && next(&s)) {
			post_rx(1);
			end = s.p.op == VSOCK_OP_SHUTDOWN &&
			      s.p.flags == VSOCK_SHUT_BOTH;
		}
		assert_true(end);
	}
}

static void test_reset(void **state)
{
	uint32_t port;
	int fd = host_calls(&port);
	int waiting = connect_to(g.path);

	settle();
	virtio_device_set_status(g.d->dev, 0);
	expect_eof(fd);
	expect_eof(waiting);
	close(fd);
	close(waiting);
	/* Calls made meanwhile are answered by the next driver. */
	fd = connect_to(g.path);
	assert_int_equal(write(fd, "CONNECT 5\n", 10), 10);
	settle();
	expect_open(fd);
	start_device(8);
	settle();
	assert_int_equal(expect(VSOCK_OP_REQUEST, NULL).dst_port, 5);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(test_config),
		VSOCK_TEST(test_host_call),
		VSOCK_TEST(test_host_call_refused),
		VSOCK_TEST(test_handshake_bytes),
		VSOCK_TEST(test_handshake_one_write),
		VSOCK_TEST(test_handshake_refused),
		VSOCK_TEST(test_handshake_timeout),
		VSOCK_TEST(test_guest_call),
		VSOCK_TEST(test_guest_call_absent),
		VSOCK_TEST(test_host_gone_before_response),
		VSOCK_TEST(test_lies_about_addresses),
		VSOCK_TEST(test_unknown_op),
		VSOCK_TEST(test_bad_length),
		VSOCK_TEST(test_small_rx_buffer),
		VSOCK_TEST(test_resets_are_bounded),
		VSOCK_TEST(test_connection_limit),
		VSOCK_TEST(test_no_descriptors),
		VSOCK_TEST(test_lingering_is_recycled),
		VSOCK_TEST(test_reset),
	};

	return VSOCK_RUN(tests);
}

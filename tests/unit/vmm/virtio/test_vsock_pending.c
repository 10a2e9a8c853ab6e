/* SPDX-License-Identifier: Apache-2.0 */

/* What the host does not take at once: held in guest memory, or copied. */

#include "vmm/virtio/vsock_pending.h"

#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "tests/unit/vmm/virtio/vsock_call.h"

#define BLOCK VSOCK_PAYLOAD_MAX
#define SMALL 100u
#define PIPE_FULL 65536u
/* Packets of it in the credit of a connection that carried little. */
#define CREDIT (VSOCK_BUF_SIZE / VSOCK_HOLD_MIN)
/* Held ones that half of the queue has room for, of two descriptors each. */
#define HELD_MAX (TX_SIZE / 2 / 2)

static uint8_t block[VSOCK_PAYLOAD_MAX];

/* A stream into a pipe of which it is known what is in it. */
struct stream {
	struct call call;
	size_t sent;
	size_t got;
};

static uint8_t pattern(size_t i)
{
	return (uint8_t)((i * 2654435761u) >> 13);
}

static struct stream stream_new(void)
{
	take_credit();
	return (struct stream){.call = call_pipe()};
}

/* The next len bytes of it, without a kick. */
static unsigned put_parted(struct stream *s, uint32_t len, unsigned parts)
{
	for (uint32_t i = 0; i < len; i++)
		block[i] = pattern(s->sent++);
	return put_parts(data_packet(PORT, s->call.port, len), block, parts);
}

static unsigned put(struct stream *s, uint32_t len)
{
	return put_parted(s, len, 1);
}

static unsigned send_len(struct stream *s, uint32_t len)
{
	unsigned head = put(s, len);

	test_kick(g.d, TX);
	while (tx_done())
		;
	return head;
}

/* Reads up to len bytes and lets the device go on; how many there were. */
static size_t read_some(struct stream *s, size_t len)
{
	ssize_t n = read(s->call.sink, block, MIN(len, sizeof(block)));

	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(block[i], pattern(s->got++));
	settle();
	return n > 0 ? (size_t)n : 0;
}

static void read_all(struct stream *s)
{
	while (s->got < s->sent)
		assert_true(read_some(s, BLOCK) > 0);
	assert_int_equal(read_some(s, 1), 0);
}

/* The pipe is full, and n packets of len bytes are pending. */
static struct stream stream_full(unsigned n, uint32_t len)
{
	struct stream s = stream_new();

	send_len(&s, PIPE_FULL);
	while (n--)
		send_len(&s, len);
	return s;
}

static void end(struct stream *s)
{
	hang_up(&s->call);
}

static struct vsock_packet expect_op(enum vsock_op op)
{
	struct seen s;

	do {
		assert_true(next(&s));
		post_rx(1);
	} while (s.p.op == VSOCK_OP_CREDIT_UPDATE && s.p.op != op);
	assert_int_equal(s.p.op, op);
	return s.p;
}

/* It is written from guest memory, when there is room. */
static void test_held(void **state)
{
	struct stream s = stream_full(0, 0);
	unsigned first = send_len(&s, BLOCK);
	unsigned second = send_len(&s, BLOCK);

	settle();
	expect_busy(2);
	/* The guest may change it, for what good that does. */
	payload_of(first)[5] ^= 1;
	assert_int_equal(read_some(&s, PIPE_FULL), PIPE_FULL);
	expect_busy(1);
	assert_true(g.sent[second].busy);
	assert_int_equal(read(s.call.sink, block, BLOCK), BLOCK);
	assert_int_equal(block[4], pattern(s.got + 4));
	assert_int_equal(block[5], pattern(s.got + 5) ^ 1);
	assert_int_equal(block[6], pattern(s.got + 6));
	s.got += BLOCK;
	settle();
	read_all(&s);
	expect_busy(0);
	end(&s);
}

/* Room comes and goes in the midst of segments and packets. */
static void test_short_writes(void **state)
{
	struct stream s = stream_new();
	unsigned busy;

	put_parted(&s, 50001, 3);
	put_parted(&s, 40003, 7);
	put_parted(&s, 60007, 19);
	put_parted(&s, 30011, 2);
	test_kick(g.d, TX);
	/* The first went as a whole, the second in part. */
	expect_busy(3);
	for (busy = 3; s.got < s.sent;) {
		assert_true(read_some(&s, 4099) > 0);
		while (tx_done())
			busy--;
		assert_int_equal(g.nsent, busy);
		/* All of it is in the pipe or was read. */
		assert_true(busy || s.sent - s.got <= PIPE_FULL);
	}
	expect_busy(0);
	end(&s);
}

/* Each write to the sink is a message at its other end. */
static void test_one_write(void **state)
{
	struct stream s = {0};
	int ends[2];
	unsigned n = 0;

	assert_int_equal(
		socketpair(AF_UNIX,
			   SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			   ends),
		0);
	s.call = call_with(ends[1]);
	s.call.sink = ends[0];
	for (; !g.nsent; n++)
		send_len(&s, VSOCK_HOLD_MIN);
	expect_busy(1);
	send_len(&s, VSOCK_HOLD_MIN);
	put(&s, VSOCK_HOLD_MIN);
	put(&s, VSOCK_HOLD_MIN);
	test_kick(g.d, TX);
	expect_busy(4);
	while (--n)
		assert_int_equal(read(ends[0], block, BLOCK), VSOCK_HOLD_MIN);
	settle();
	expect_busy(0);
	assert_int_equal(read(ends[0], block, BLOCK), 4 * VSOCK_HOLD_MIN);
	end(&s);
}

/* Another one's packets do not wait. */
static void test_others_go_on(void **state)
{
	struct stream a = stream_full(3, BLOCK);
	struct stream b = stream_new();

	expect_busy(3);
	for (unsigned i = 0; i < 2 * TX_SIZE; i++) {
		send_len(&b, i % 2 ? SMALL : BLOCK / 2);
		expect_busy(3);
		read_all(&b);
	}
	read_all(&a);
	expect_busy(0);
	end(&a);
	end(&b);
}

/* Small ones are copied, alone or when there are too many of them. */
static void test_small(void **state)
{
	struct stream s = stream_full(1, VSOCK_HOLD_MIN - 1);

	expect_busy(0);
	read_all(&s);
	send_len(&s, PIPE_FULL);
	send_len(&s, SMALL);
	/* Behind what is copied. */
	send_len(&s, BLOCK);
	expect_busy(1);
	/* One among large ones is no reason to copy them. */
	send_len(&s, SMALL);
	send_len(&s, SMALL);
	expect_busy(3);
	send_len(&s, SMALL);
	send_len(&s, SMALL);
	expect_busy(0);
	send_len(&s, BLOCK);
	expect_busy(1);
	read_all(&s);
	expect_busy(0);
	end(&s);
}

/* No more than half of the queue is held, by all together. */
static void test_queue_limit(void **state)
{
	struct stream s[HELD_MAX / CREDIT + 1];
	unsigned n = ARRAY_SIZE(s);

	for (unsigned i = 0; i + 1 < n; i++)
		s[i] = stream_full(CREDIT - 1, VSOCK_HOLD_MIN);
	expect_busy(HELD_MAX - (n - 1));
	s[n - 1] = stream_full(n - 2, VSOCK_HOLD_MIN);
	expect_busy(HELD_MAX - 1);
	/* Two packets are as many too many: both are copied. */
	put(&s[0], VSOCK_HOLD_MIN / 2);
	put(&s[0], VSOCK_HOLD_MIN / 2);
	test_kick(g.d, TX);
	expect_busy(HELD_MAX - 1 - (CREDIT - 1));
	/* Which is room for others. */
	send_len(&s[n - 1], VSOCK_HOLD_MIN);
	expect_busy(HELD_MAX - (CREDIT - 1));
	for (unsigned i = 0; i < n; i++)
		read_all(&s[i]);
	expect_busy(0);
	for (unsigned i = 0; i < n; i++)
		end(&s[i]);
}

/* A direct chain takes a descriptor for each segment. */
static void test_long_chains(void **state)
{
	struct stream s = stream_full(0, 0);

	for (unsigned i = 0; i < 12; i++) {
		put_parted(&s, VSOCK_HOLD_MIN, 15);
		test_kick(g.d, TX);
		expect_busy((i % 9 + 1) % 9);
	}
	read_all(&s);
	expect_busy(0);
	end(&s);
}

/* A driver with few descriptors gets them back at once. */
static void test_small_queue(void **state)
{
	struct stream s;

	for (unsigned size = 2; size <= 32; size *= 2) {
		unsigned held = size < 16 ? 0 : 1;

		test_driver_start(g.d, g.features, (uint16_t)size);
		g.posted = 0;
		post_rx(2);
		s = stream_full(2, BLOCK);
		expect_busy(2 * held);
		read_all(&s);
		expect_busy(0);
		end(&s);
		expect_op(VSOCK_OP_SHUTDOWN);
		start_device(RX_BUFFERS);
	}
}

/* Half of it held, half copied: all of it counts. */
static void test_credit(void **state)
{
	for (unsigned small = 0; small < 2; small++) {
		struct stream s = stream_new();
		unsigned n = 0;

		if (small)
			send_len(&s, PIPE_FULL);
		send_len(&s, small ? SMALL : PIPE_FULL);
		for (; n < CREDIT - small; n++)
			send_len(&s, VSOCK_HOLD_MIN);
		expect_busy(n);
		assert_int_equal(fcntl(s.call.fd, F_GETFD), FD_CLOEXEC);
		send_len(&s, VSOCK_HOLD_MIN - small * (SMALL - 1));
		expect_op(VSOCK_OP_RST);
		expect_busy(0);
		expect_eof(s.call.fd);
		end(&s);
	}
	assert_false(faulted());
}

/* Connections with something pending are counted, whatever it is. */
static void test_connection_limit(void **state)
{
	static struct stream s[VSOCK_BUFS_MAX + 2];
	unsigned i;

	for (i = 0; i < VSOCK_BUFS_MAX; i++)
		s[i] = stream_full(1, i % 3 ? VSOCK_HOLD_MIN : SMALL);
	expect_busy(HELD_MAX);
	s[i] = stream_full(1, VSOCK_HOLD_MIN);
	assert_int_equal(expect_op(VSOCK_OP_RST).src_port, s[i].call.port);
	end(&s[i]);
	/* One that has something has more: it is no other one. */
	send_len(&s[1], VSOCK_HOLD_MIN);
	expect_busy(HELD_MAX - 1);
	expect_nothing();
	read_all(&s[0]);
	read_all(&s[1]);
	expect_busy(HELD_MAX - 1);
	s[i] = stream_full(1, SMALL);
	s[i + 1] = stream_full(1, VSOCK_HOLD_MIN);
	expect_busy(HELD_MAX);
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		read_all(&s[i]);
		end(&s[i]);
	}
	expect_busy(0);
}

/* Of the memory that a queue had, and of the one that starts then. */
static void test_reset(void **state)
{
	struct stream s = stream_full(3, BLOCK);
	static uint8_t before[8u << 20];

	send_len(&s, SMALL);
	expect_busy(4);
	virtio_device_set_status(g.d->dev, 0);
	/* Given back before the queue stopped, and no more. */
	expect_busy(0);
	memcpy(before, g.d->ram, g.d->size);
	s.sent = PIPE_FULL;
	read_all(&s);
	assert_int_equal(read(s.call.sink, block, 1), 0);
	settle();
	assert_memory_equal(before, g.d->ram, g.d->size);
	end(&s);
	start_device(RX_BUFFERS);
	s = stream_full(3, BLOCK);
	expect_busy(3);
	read_all(&s);
	expect_busy(0);
	end(&s);
}

/* A broken packet stops the device. */
static void test_fault(void **state)
{
	struct stream s = stream_full(3, BLOCK);

	expect_busy(3);
	send_raw(VSOCK_HEADER_LEN - 1);
	assert_true(faulted());
	expect_eof(s.call.fd);
	end(&s);
	start_device(RX_BUFFERS);
	s = stream_full(1, BLOCK);
	expect_busy(1);
	end(&s);
}

/* Each way in which a connection ends before its data has gone. */
static void test_ends(void **state)
{
	struct stream s = stream_full(3, BLOCK);

	/* A lie. */
	send_packet(packet(PORT, s.call.port, 77), NULL);
	expect_op(VSOCK_OP_RST);
	expect_busy(0);
	end(&s);
	/* The guest gives it up. */
	s = stream_full(3, BLOCK);
	send_packet(packet(PORT, s.call.port, VSOCK_OP_RST), NULL);
	expect_busy(0);
	expect_eof(s.call.fd);
	end(&s);
	/* The host does. */
	s = stream_full(3, BLOCK);
	expect_busy(3);
	end(&s);
	expect_busy(0);
	expect_op(VSOCK_OP_SHUTDOWN);
	/* Nobody reads. */
	s = stream_full(3, BLOCK);
	close(steal_fd(&s.call.sink));
	settle();
	expect_busy(0);
	assert_int_equal(expect_op(VSOCK_OP_SHUTDOWN).flags, VSOCK_SHUT_RCV);
	/* It took all of it, as far as the guest is concerned. */
	send_len(&s, 1);
	expect_busy(0);
	take_credit();
	send_packet(packet(PORT, s.call.port, VSOCK_OP_CREDIT_REQUEST), NULL);
	assert_int_equal(expect(VSOCK_OP_CREDIT_UPDATE, NULL).fwd_cnt, s.sent);
	end(&s);
	assert_false(faulted());
}

/* The guest ends in order, and may forget it then: all of it arrives. */
static void test_shutdown(void **state)
{
	for (unsigned orphan = 0; orphan < 2; orphan++) {
		struct stream s = stream_full(3, BLOCK);
		struct vsock_packet p =
			shutdown_packet(PORT, s.call.port, VSOCK_SHUT_BOTH);

		send_packet(p, NULL);
		if (orphan)
			send_packet(packet(PORT, s.call.port, VSOCK_OP_RST),
				    NULL);
		settle();
		expect_busy(3);
		expect_open(s.call.fd);
		while (s.got < s.sent)
			assert_true(read_some(&s, 10000) > 0);
		expect_busy(0);
		expect_eof(s.call.fd);
		end(&s);
		if (!orphan)
			expect_op(VSOCK_OP_RST);
	}
	/* Nobody reads what an orphan left. */
	struct stream s = stream_full(3, BLOCK);

	send_packet(shutdown_packet(PORT, s.call.port, VSOCK_SHUT_BOTH), NULL);
	send_packet(packet(PORT, s.call.port, VSOCK_OP_RST), NULL);
	expect_busy(3);
	close(steal_fd(&s.call.sink));
	settle();
	expect_busy(0);
	end(&s);
}

/* Without a pipe, into the caller's socket. */
static void test_socket(void **state)
{
	struct stream s = {0};

	s.call.fd = host_calls(&s.call.port);
	s.call.sink = s.call.fd;
	while (!g.nsent)
		send_len(&s, BLOCK);
	send_len(&s, BLOCK);
	expect_busy(2);
	read_all(&s);
	expect_busy(0);
	close(s.call.fd);
}

/* What the host took is told, and no more. */
static void test_forwarded(void **state)
{
	struct stream s = stream_full(2, BLOCK);
	struct vsock_packet p =
		packet(PORT, s.call.port, VSOCK_OP_CREDIT_REQUEST);

	take_credit();
	send_packet(p, NULL);
	assert_int_equal(expect_op(VSOCK_OP_CREDIT_UPDATE).fwd_cnt, PIPE_FULL);
	assert_int_equal(read_some(&s, 8192), 8192);
	send_packet(p, NULL);
	assert_int_equal(expect_op(VSOCK_OP_CREDIT_UPDATE).fwd_cnt,
			 PIPE_FULL + 8192);
	expect_busy(2);
	read_all(&s);
	end(&s);
}

static void hears_soon(unsigned before)
{
	for (unsigned turns = 0; test_signals(g.d, TX) == before; turns++) {
		assert_true(turns < 10);
		assert_int_equal(evloop_once(g.loop, 1000), 0);
	}
}

/* The guest hears of what is given back later, soon. */
static void test_told(void **state)
{
	struct stream s = stream_full(2, BLOCK);
	unsigned before;

	expect_busy(2);
	test_set_used_event(g.d, TX, (uint16_t)g.used_tx);
	before = test_signals(g.d, TX);
	read_some(&s, PIPE_FULL);
	assert_int_equal(test_signals(g.d, TX), before);
	hears_soon(before);
	expect_busy(1);
	/* What ends, too. */
	test_set_used_event(g.d, TX, (uint16_t)g.used_tx);
	before = test_signals(g.d, TX);
	end(&s);
	hears_soon(before);
	expect_busy(0);
}

/* As a guest would that keeps to its credit: the next packet, if any. */
static void send_random(struct stream *s, uint32_t credit)
{
	static const uint32_t lens[] = {1, 700, 5000, 16384, 40000, BLOCK};
	uint32_t len = MIN(lens[(unsigned)rand() % 6], credit);

	if (len && g.nsent < 64)
		put_parted(s, len, MIN(len, 1 + (unsigned)rand() % 5));
}

static void test_random(void **state)
{
	struct stream s[6];
	uint32_t alloc[6];
	uint32_t fwd[6] = {0};
	struct seen seen;

	srand(7);
	for (unsigned i = 0; i < 6; i++) {
		s[i] = stream_new();
		alloc[i] = VSOCK_BUF_SIZE;
	}
	for (unsigned turn = 0; turn < 5000; turn++) {
		unsigned i = (unsigned)rand() % 6;

		for (unsigned n = (unsigned)rand() % 8; n; n--) {
			uint32_t used = (uint32_t)s[i].sent - fwd[i];

			send_random(&s[i], alloc[i] - used);
		}
		test_kick(g.d, TX);
		i = (unsigned)rand() % 6;
		if (s[i].got < s[i].sent && rand() % 2)
			read_some(&s[i], (unsigned)rand() % BLOCK);
		while (tx_done())
			;
		while (next(&seen)) {
			post_rx(1);
			assert_int_equal(seen.p.op, VSOCK_OP_CREDIT_UPDATE);
			for (i = 0; seen.p.src_port != s[i].call.port; i++)
				;
			alloc[i] = seen.p.buf_alloc;
			fwd[i] = seen.p.fwd_cnt;
		}
	}
	for (unsigned i = 0; i < 6; i++) {
		read_all(&s[i]);
		assert_true(s[i].got > 1u << 20);
	}
	expect_busy(0);
	for (unsigned i = 0; i < 6; i++)
		end(&s[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(test_held),	      VSOCK_TEST(test_short_writes),
		VSOCK_TEST(test_one_write),   VSOCK_TEST(test_others_go_on),
		VSOCK_TEST(test_small),	      VSOCK_TEST(test_queue_limit),
		VSOCK_TEST(test_long_chains), VSOCK_TEST(test_small_queue),
		VSOCK_TEST(test_credit),      VSOCK_TEST(test_connection_limit),
		VSOCK_TEST(test_reset),	      VSOCK_TEST(test_fault),
		VSOCK_TEST(test_ends),	      VSOCK_TEST(test_shutdown),
		VSOCK_TEST(test_socket),      VSOCK_TEST(test_forwarded),
		VSOCK_TEST(test_told),	      VSOCK_TEST(test_random),
	};

	signal(SIGPIPE, SIG_IGN);
	return VSOCK_RUN(tests);
}

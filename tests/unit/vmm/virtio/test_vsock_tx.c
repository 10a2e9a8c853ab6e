/* SPDX-License-Identifier: Apache-2.0 */

/* What writes the packets of the transmit queue become. */

#include "vmm/virtio/vsock_tx.h"

#include "tests/unit/vmm/virtio/vsock_call.h"

#define LEN 64u

/* Each write to the sink is a message at its other end. */
static struct call call_socket(void)
{
	struct call c;
	int ends[2];

	assert_int_equal(
		socketpair(AF_UNIX,
			   SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			   ends),
		0);
	c = call_with(ends[1]);
	c.sink = ends[0];
	return c;
}

/* Of LEN bytes `fill`, published in memory of its own. */
static void put(unsigned slot, struct vsock_packet p, char fill)
{
	struct vsock_header h = vsock_encode(&p);
	uint64_t at = g.tx + 256ul * slot;
	struct test_seg segs[3] = {
		{at, sizeof(h), false},
		{at + sizeof(h), LEN / 2, false},
		{at + sizeof(h) + LEN / 2, LEN / 2, false},
	};

	memcpy(test_ptr(g.d, at), &h, sizeof(h));
	memset(test_ptr(g.d, at + sizeof(h)), fill, LEN);
	test_add(g.d, TX, segs, p.len ? 3 : 1);
}

static void put_data(unsigned slot, const struct call *c, char fill)
{
	put(slot, data_packet(PORT, c->port, LEN), fill);
}

static void kick(unsigned n)
{
	uint32_t head;
	uint32_t first;

	test_kick(g.d, TX);
	assert_true(test_used(g.d, TX, &first, NULL));
	for (unsigned i = 1; i < n; i++) {
		assert_true(test_used(g.d, TX, &head, NULL));
		assert_true(head > first);
	}
	assert_false(test_used(g.d, TX, NULL, NULL));
}

/* A message that has LEN of each of these. */
static void expect_message(const struct call *c, const char *fills)
{
	char got[VSOCK_RUN_MAX * LEN + 1];
	size_t n = strlen(fills);

	assert_int_equal(read(c->sink, got, sizeof(got)), n * LEN);
	for (size_t i = 0; i < n * LEN; i++)
		assert_int_equal(got[i], fills[i / LEN]);
}

static void expect_no_message(const struct call *c)
{
	char byte;

	assert_int_equal(read(c->sink, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

static void test_one_write(void **state)
{
	struct call c = call_socket();

	put_data(0, &c, 'a');
	put_data(1, &c, 'b');
	put_data(2, &c, 'c');
	kick(3);
	expect_message(&c, "abc");
	expect_no_message(&c);
	/* The next turn is another write. */
	put_data(0, &c, 'd');
	kick(1);
	put_data(1, &c, 'e');
	kick(1);
	expect_message(&c, "d");
	expect_message(&c, "e");
	hang_up(&c);
}

static void test_longest(void **state)
{
	struct call c = call_socket();
	char fills[VSOCK_RUN_MAX + 1] = {0};

	for (unsigned i = 0; i < VSOCK_RUN_MAX + 2; i++)
		put_data(i, &c, (char)('a' + i));
	for (unsigned i = 0; i < VSOCK_RUN_MAX; i++)
		fills[i] = (char)('a' + i);
	kick(VSOCK_RUN_MAX + 2);
	expect_message(&c, fills);
	expect_message(&c, (char[]){(char)('a' + VSOCK_RUN_MAX),
				    (char)('b' + VSOCK_RUN_MAX), 0});
	expect_no_message(&c);
	hang_up(&c);
}

/* Connections take turns, and what is no data has its place. */
static void test_order(void **state)
{
	struct call a = call_socket();
	struct call b = call_socket();
	char byte;

	put_data(0, &a, '1');
	put_data(1, &a, '2');
	put_data(2, &b, '3');
	put_data(3, &a, '4');
	put(4, packet(PORT, a.port, VSOCK_OP_CREDIT_UPDATE), 0);
	put_data(5, &a, '5');
	put(6, shutdown_packet(PORT, a.port, VSOCK_SHUT_SEND), 0);
	put_data(7, &b, '6');
	kick(8);
	expect_message(&a, "12");
	expect_message(&a, "4");
	expect_message(&a, "5");
	assert_int_equal(read(a.sink, &byte, 1), 0);
	expect_message(&b, "3");
	expect_message(&b, "6");
	expect_no_message(&b);
	hang_up(&a);
	hang_up(&b);
}

/* Data after the end that the guest told, or with a lie about credit. */
static void test_broken(void **state)
{
	struct call c = call_socket();
	struct vsock_packet liar = data_packet(PORT, c.port, LEN);

	liar.fwd_cnt = 1;
	put_data(0, &c, 'a');
	put(1, liar, 'b');
	kick(2);
	expect(VSOCK_OP_RST, NULL);
	expect_eof(c.fd);
	hang_up(&c);

	c = call_socket();
	put(0, shutdown_packet(PORT, c.port, VSOCK_SHUT_SEND), 0);
	put_data(1, &c, 'a');
	put_data(2, &c, 'b');
	kick(3);
	expect(VSOCK_OP_RST, NULL);
	expect_nothing();
	expect_eof(c.fd);
	hang_up(&c);
	assert_false(faulted());
}

/* The device stops at a broken packet; what came before it is written. */
static void test_fault(void **state)
{
	struct call c = call_socket();
	struct test_seg cut = {g.tx + 4096, VSOCK_HEADER_LEN - 1, false};

	put_data(0, &c, 'a');
	put_data(1, &c, 'b');
	test_add(g.d, TX, &cut, 1);
	test_kick(g.d, TX);
	assert_true(faulted());
	expect_message(&c, "ab");
	hang_up(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(test_one_write), VSOCK_TEST(test_longest),
		VSOCK_TEST(test_order),	    VSOCK_TEST(test_broken),
		VSOCK_TEST(test_fault),
	};

	return VSOCK_RUN(tests);
}

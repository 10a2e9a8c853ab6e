/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_VMM_VIRTIO_VSOCK_GUEST_H
#define TESTS_UNIT_VMM_VIRTIO_VSOCK_GUEST_H

/*
 * A guest with a socket device, for tests: packets in, packets out, and
 * callers and listeners of the host in a directory of its own.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/driver.h"
#include "vmm/virtio/vsock.h"
#include "vmm/virtio/vsock_packet.h"

#define CID 42u
#define RX 0u
#define TX 1u
#define RX_LEN 4096u
#define RX_BUFFERS 64u
#define PORT 1024u
#define TX_SIZE 256u
/* Packets with a payload that are on their way at the same time. */
#define TX_PAYLOADS 96u

/* A packet that the device did not give back yet, by the head of its chain. */
struct sent {
	bool busy;
	unsigned ndescs;
	int payload; /* its index, or -1 */
};

static struct {
	char dir[64];
	char path[80];
	uint64_t features;
	struct evloop *loop;
	struct test_driver *d;
	uint64_t tx;	  /* for what a test puts together itself */
	uint64_t headers; /* of what is sent, by head */
	uint64_t payloads;
	bool payload_busy[TX_PAYLOADS];
	struct sent sent[TX_SIZE];
	bool desc_busy[TX_SIZE];
	unsigned nsent;	  /* that are busy */
	uint64_t rx[256]; /* receive buffers by descriptor */
	uint64_t pool;
	unsigned posted;
	unsigned used_tx;
} g;

struct seen {
	struct vsock_packet p;
	uint8_t data[RX_LEN];
};

static inline int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (void *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 2000), 0);
	return fd;
}

static inline int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (void *)&addr, sizeof(addr)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static inline void post_rx(unsigned n)
{
	while (n--) {
		uint64_t gpa = g.pool + (uint64_t)RX_LEN * g.posted;
		struct test_seg seg = {gpa, RX_LEN, true};

		g.rx[test_add(g.d, RX, &seg, 1)] = gpa;
		g.posted = (g.posted + 1) % RX_BUFFERS;
	}
	test_kick(g.d, RX);
}

static inline void start_device(unsigned buffers)
{
	test_driver_start(g.d, g.features, TX_SIZE);
	g.posted = 0;
	g.used_tx = 0;
	g.nsent = 0;
	memset(g.sent, 0, sizeof(g.sent));
	memset(g.payload_busy, 0, sizeof(g.payload_busy));
	memset(g.desc_busy, 0, sizeof(g.desc_busy));
	if (buffers)
		post_rx(buffers);
}

static inline int setup(void **state)
{
	struct err err;
	int fd;

	(void)state;
	strcpy(g.dir, "/tmp/vsock.XXXXXX");
	assert_non_null(mkdtemp(g.dir));
	snprintf(g.path, sizeof(g.path), "%s/v", g.dir);
	fd = listen_at(g.path);
	g.loop = evloop_new();
	g.d = test_driver_new(8u << 20);
	g.tx = test_alloc(g.d, 128u << 10, 16);
	g.headers = test_alloc(g.d, (size_t)TX_SIZE * 64, 16);
	g.payloads =
		test_alloc(g.d, (size_t)TX_PAYLOADS * VSOCK_PAYLOAD_MAX, 16);
	g.pool = test_alloc(g.d, (size_t)RX_LEN * RX_BUFFERS, 16);
	test_driver_plug(g.d, virtio_vsock_new(CID, fd, g.path, &err), g.loop);
	start_device(RX_BUFFERS);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	test_driver_free(g.d);
	evloop_free(g.loop);
	unlink(g.path);
	rmdir(g.dir);
	return 0;
}

static inline void settle(void)
{
	for (unsigned i = 0; i < 20; i++)
		assert_true(evloop_once(g.loop, 0) >= 0);
}

static inline void send_raw(uint32_t len)
{
	struct test_seg seg = {g.tx, len, false};

	test_add(g.d, TX, &seg, 1);
	test_kick(g.d, TX);
}

static inline int take_payload(void)
{
	for (unsigned i = 0; i < TX_PAYLOADS; i++) {
		if (!g.payload_busy[i]) {
			g.payload_busy[i] = true;
			return (int)i;
		}
	}
	fail_msg("too many packets");
	return -1;
}

static inline bool descs_busy(unsigned head, unsigned n)
{
	while (n--) {
		if (g.desc_busy[(head + n) % g.d->rings[TX].size])
			return true;
	}
	return false;
}

static inline void mark_descs(unsigned head, unsigned n, bool busy)
{
	while (n--)
		g.desc_busy[(head + n) % g.d->rings[TX].size] = busy;
}

/* The head of a chain of n descriptors that the device does not have. */
static inline unsigned take_descs(unsigned n)
{
	struct test_ring *r = &g.d->rings[TX];
	unsigned tries = 0;

	while (descs_busy(r->next_desc, n)) {
		assert_true(tries++ < TX_SIZE);
		r->next_desc = (uint16_t)((r->next_desc + 1) % r->size);
	}
	mark_descs(r->next_desc, n, true);
	return r->next_desc;
}

static inline uint8_t *payload_of(unsigned head)
{
	uint64_t at = (uint64_t)g.sent[head].payload * VSOCK_PAYLOAD_MAX;

	return test_ptr(g.d, g.payloads + at);
}

/* Puts header and payload into memory and publishes them, without a kick. The
 * payload is in `parts` segments. */
static inline unsigned put_parts(struct vsock_packet p, const void *data,
				 uint32_t parts)
{
	struct vsock_header h = vsock_encode(&p);
	unsigned head = take_descs(parts + 1);
	struct sent *sent = &g.sent[head];
	struct test_seg segs[20] = {
		{g.headers + 64ull * head, sizeof(h), false},
	};
	uint32_t done = 0;

	assert_true(parts < ARRAY_SIZE(segs) && parts <= p.len);
	*sent = (struct sent){true, parts + 1, p.len ? take_payload() : -1};
	g.nsent++;
	memcpy(test_ptr(g.d, segs[0].gpa), &h, sizeof(h));
	if (data)
		memcpy(payload_of(head), data, p.len);
	for (uint32_t i = 0; i < parts; i++) {
		uint32_t end = (uint32_t)((uint64_t)p.len * (i + 1) / parts);

		segs[i + 1].gpa = done + g.payloads +
				  (uint64_t)sent->payload * VSOCK_PAYLOAD_MAX;
		segs[i + 1].len = end - done;
		done = end;
	}
	assert_int_equal(test_add(g.d, TX, segs, parts + 1), head);
	return head;
}

static inline unsigned put_packet(struct vsock_packet p, const void *data)
{
	return put_parts(p, data, p.len ? 1 : 0);
}

/* The device gave one back, and it had that one. */
static inline bool tx_done(void)
{
	uint32_t head;

	if (!test_used(g.d, TX, &head, NULL))
		return false;
	assert_true(head < TX_SIZE && g.sent[head].busy);
	g.sent[head].busy = false;
	mark_descs(head, g.sent[head].ndescs, false);
	if (g.sent[head].payload >= 0)
		g.payload_busy[g.sent[head].payload] = false;
	g.used_tx++;
	g.nsent--;
	return true;
}

/* The device has this many. */
static inline void expect_busy(unsigned n)
{
	while (tx_done())
		;
	assert_int_equal(g.nsent, n);
}

/* All but data is given back at once. */
static inline void send_packet(struct vsock_packet p, const void *data)
{
	unsigned head = put_packet(p, data);

	test_kick(g.d, TX);
	while (tx_done())
		;
	assert_true(p.op == VSOCK_OP_RW || !g.sent[head].busy);
}

static inline struct vsock_packet packet(uint32_t guest_port,
					 uint32_t host_port, enum vsock_op op)
{
	return (struct vsock_packet){
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = 1,
		.op = (uint16_t)op,
		.buf_alloc = 1u << 20,
	};
}

/* The next packet for the guest; its buffer is posted again. */
static inline bool next(struct seen *s)
{
	struct vsock_header h;
	uint32_t head;
	uint32_t len;

	if (!test_used(g.d, RX, &head, &len))
		return false;
	assert_true(len >= sizeof(h));
	memcpy(&h, test_ptr(g.d, g.rx[head]), sizeof(h));
	s->p = vsock_decode(&h);
	assert_int_equal(len, sizeof(h) + s->p.len);
	memcpy(s->data, test_ptr(g.d, g.rx[head] + sizeof(h)), s->p.len);
	assert_int_equal(s->p.dst_cid, CID);
	return true;
}

static inline struct vsock_packet expect(enum vsock_op op, struct seen *out)
{
	struct seen s;

	assert_true(next(&s));
	assert_int_equal(s.p.op, op);
	post_rx(1);
	if (out)
		*out = s;
	return s.p;
}

static inline void expect_nothing(void)
{
	struct seen s;

	assert_false(next(&s));
}

static inline bool faulted(void)
{
	return virtio_device_status(g.d->dev) & VIRTIO_NEEDS_RESET;
}

static inline void expect_text(int fd, const char *text)
{
	char buf[64] = {0};

	assert_int_equal(read(fd, buf, sizeof(buf) - 1), strlen(text));
	assert_string_equal(buf, text);
}

static inline void expect_open(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static inline void expect_eof(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
}

/* A call from the host, taken by the guest. Returns the host's socket. */
static inline int host_calls(uint32_t *host_port)
{
	int fd = connect_to(g.path);
	struct vsock_packet p;
	char line[32];

	assert_int_equal(write(fd, "CONNECT 1024\n", 13), 13);
	settle();
	p = expect(VSOCK_OP_REQUEST, NULL);
	assert_int_equal(p.dst_port, PORT);
	send_packet(packet(PORT, p.src_port, VSOCK_OP_RESPONSE), NULL);
	snprintf(line, sizeof(line), "OK %u\n", p.src_port);
	expect_text(fd, line);
	*host_port = p.src_port;
	return fd;
}

/* A call from the guest's port to the host's. Returns the host's socket. */
static inline int guest_calls(uint32_t guest_port, uint32_t host_port)
{
	char path[sizeof(g.path) + 12];
	int listener;
	int fd;

	snprintf(path, sizeof(path), "%s_%u", g.path, host_port);
	listener = listen_at(path);
	send_packet(packet(guest_port, host_port, VSOCK_OP_REQUEST), NULL);
	expect(VSOCK_OP_RESPONSE, NULL);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(fd >= 0);
	close(listener);
	unlink(path);
	return fd;
}

static inline struct vsock_packet data_packet(uint32_t guest_port,
					      uint32_t host_port, uint32_t len)
{
	struct vsock_packet p = packet(guest_port, host_port, VSOCK_OP_RW);

	p.len = len;
	return p;
}

static inline struct vsock_packet
shutdown_packet(uint32_t guest_port, uint32_t host_port, uint32_t flags)
{
	struct vsock_packet p =
		packet(guest_port, host_port, VSOCK_OP_SHUTDOWN);

	p.flags = flags;
	return p;
}

/* Both ways of telling when to kick and to interrupt. */
#define VSOCK_RUN(tests)                               \
	(g.features = VIRTIO_RING_F_INDIRECT_DESC,     \
	 cmocka_run_group_tests(tests, NULL, NULL)) +  \
		(g.features = VIRTIO_RING_F_EVENT_IDX, \
		 cmocka_run_group_tests(tests, NULL, NULL))

#define VSOCK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif

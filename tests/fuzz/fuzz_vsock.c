/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hostile guest against the socket device, with callers and listeners of
 * the host that come and go. The input is a program: each step is one byte of
 * what to do and the bytes it needs. Ports are few, so that packets meet
 * connections.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fdpass.h"
#include "base/log.h"
#include "tests/fuzz/input.h"
#include "tests/unit/vmm/virtio/driver.h"
#include "vmm/virtio/vsock.h"
#include "vmm/virtio/vsock_packet.h"

#define CID 3u
#define CALLERS 4u
#define LISTEN_PORT 7u
#define RX_LEN 2048u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	char path[64];
	int listener;	   /* of the device */
	int port_listener; /* of the host, on LISTEN_PORT */
	struct evloop *loop;
	int callers[CALLERS];
	int blocks;  /* a descriptor that is not non-blocking */
	int sink[2]; /* a pipe that calls may come with */
	uint64_t tx;
	uint64_t rx;
	/* Of the packet that the device sent last. */
	uint32_t last_host_port;
	uint32_t last_guest_port;
	uint16_t last_op;
} f;

static uint8_t take8(struct input *in)
{
	uint8_t v;

	take(in, &v, 1);
	return v;
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	if (bind(fd, (void *)&addr, sizeof(addr)) < 0 || listen(fd, 64) < 0)
		BUG("listen at %s", path);
	return fd;
}

static void set_up(void)
{
	char path[80];

	if (f.loop)
		return;
	signal(SIGPIPE, SIG_IGN);
	log_open(open("/dev/null", O_WRONLY), LOG_TEXT, LOG_ERROR, "fuzz");
	snprintf(f.path, sizeof(f.path), "/tmp/fuzz_vsock.%d", getpid());
	snprintf(path, sizeof(path), "%s_%u", f.path, LISTEN_PORT);
	f.listener = listen_at(f.path);
	f.port_listener = listen_at(path);
	f.blocks = open("/dev/null", O_WRONLY | O_CLOEXEC);
	f.loop = evloop_new();
}

/* Some are refused: they block, or are two. */
static void call_with_sink(int caller, uint8_t kind)
{
	int fds[2] = {kind & 4 ? f.blocks : f.sink[1], f.sink[1]};
	ssize_t n =
		fd_send(caller, "CONNECT 1\n", 10, fds, 1 + (kind >> 3 & 1), 0);

	(void)n; /* the device may have closed it */
}

static void call(unsigned i, struct input *in)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	uint8_t line[32];
	uint8_t kind = take8(in);

	if (f.callers[i] >= 0)
		close(f.callers[i]);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f.path);
	f.callers[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(f.callers[i], (void *)&addr, sizeof(addr)) < 0)
		return;
	take(in, line, sizeof(line));
	if ((kind & 3) == 3)
		call_with_sink(f.callers[i], kind);
	else if (kind & 1)
		send(f.callers[i], "CONNECT 1\n", 10, MSG_NOSIGNAL);
	else
		send(f.callers[i], line, kind >> 3, MSG_NOSIGNAL);
}

static void use_caller(unsigned i, struct input *in)
{
	static uint8_t block[8192];
	uint8_t kind = take8(in);

	if (f.callers[i] < 0)
		return;
	switch (kind % 4) {
	case 0:
		send(f.callers[i], block, 1u + kind * 32u, MSG_NOSIGNAL);
		break;
	case 1:
		recv(f.callers[i], block, 1u + kind * 32u, 0);
		if (f.sink[0] >= 0 && read(f.sink[0], block, kind * 32u) < 0)
			break;
		/* Nobody reads it any more. */
		if (kind >> 2 == 63 && f.sink[0] >= 0)
			close(steal_fd(&f.sink[0]));
		break;
	case 2:
		shutdown(f.callers[i], kind >> 2 & 1);
		break;
	case 3:
		close(f.callers[i]);
		f.callers[i] = -1;
		break;
	}
}

static void take_port_call(unsigned i)
{
	int fd = accept4(f.port_listener, NULL, NULL, SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (f.callers[i] >= 0)
		close(f.callers[i]);
	f.callers[i] = fd;
}

/* In up to four segments, directly or not; they lie at the same place as the
 * last one's, of which the device may have some still. */
static void add_packet(struct test_driver *d, uint32_t len, unsigned shape)
{
	unsigned n = 1 + (shape & 3);
	struct test_seg segs[4];
	uint32_t done = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t end = len * (i + 1) / n;

		segs[i] = (struct test_seg){f.tx + done, end - done, false};
		done = end;
	}
	if (shape & 4 && d->size - d->brk > 32768 + sizeof(segs))
		test_add_indirect(d, 1, segs, n);
	else
		test_add(d, 1, segs, n);
}

static void send_packet(struct test_driver *d, struct input *in)
{
	struct vsock_packet p = {
		.src_cid = CID,
		.dst_cid = 2,
		.type = 1,
		.buf_alloc = 4096,
	};
	struct vsock_header h;
	uint8_t shape = take8(in);
	uint8_t ports = take8(in);
	uint32_t fwd;
	uint16_t extra;

	p.op = shape % 9;
	p.src_port = ports & 3;
	p.dst_port = ports & 4 ? LISTEN_PORT : f.last_host_port;
	p.flags = ports >> 6;
	take(in, &extra, sizeof(extra));
	p.len = p.op == VSOCK_OP_RW ? extra : 0;
	if (ports & 8) {
		take(in, &fwd, sizeof(fwd));
		p.fwd_cnt = fwd;
	}
	if (ports & 16)
		take(in, &p, sizeof(p));
	h = vsock_encode(&p);
	if (ports & 32)
		take(in, &h, sizeof(h));
	memcpy(test_ptr(d, f.tx), &h, sizeof(h));
	extra = (uint16_t)(shape & 0x80 ? extra : p.len);
	add_packet(d, (uint32_t)sizeof(h) + extra, shape >> 4 & 7);
	/* Some wait for those that follow. */
	if (!(p.flags & 1))
		test_kick(d, 1);
}

static void post(struct test_driver *d, struct input *in)
{
	uint8_t kind = take8(in);

	for (unsigned i = 0; i < (kind & 15u); i++) {
		struct test_seg segs[2] = {
			{f.rx, 20 + (kind & 64u), true},
			{f.rx + 20 + (kind & 64u), RX_LEN, true},
		};

		test_add(d, 0, segs, kind & 128 ? 1 : 2);
	}
	test_kick(d, 0);
}

/* Reads what the device said, to learn the host's ports. */
static void drain(struct test_driver *d)
{
	struct vsock_header h;
	uint32_t len;

	while (test_used(d, 1, NULL, NULL))
		;
	while (test_used(d, 0, NULL, &len)) {
		BUG_ON(len < sizeof(h) || len > 20 + 64 + RX_LEN);
		/* The buffers begin at the same place: the newest is seen. */
		memcpy(&h, test_ptr(d, f.rx), sizeof(h));
		if (len - sizeof(h) != le32_get(h.len))
			continue;
		f.last_op = le16_get(h.op);
		f.last_guest_port = le32_get(h.dst_port);
		if (le32_get(h.src_port) != LISTEN_PORT)
			f.last_host_port = le32_get(h.src_port);
	}
}

/* Takes the call that the host made last. */
static void answer(struct test_driver *d)
{
	struct vsock_packet p = {
		.src_cid = CID,
		.dst_cid = 2,
		.type = 1,
		.op = VSOCK_OP_RESPONSE,
		.buf_alloc = 4096,
	};
	struct vsock_header h;

	/* Accepts, then reads the line. */
	evloop_once(f.loop, 0);
	evloop_once(f.loop, 0);
	test_add(d, 0, &(struct test_seg){f.rx, RX_LEN, true}, 1);
	test_kick(d, 0);
	drain(d);
	if (f.last_op != VSOCK_OP_REQUEST)
		return;
	p.src_port = f.last_guest_port;
	p.dst_port = f.last_host_port;
	h = vsock_encode(&p);
	memcpy(test_ptr(d, f.tx), &h, sizeof(h));
	test_add(d, 1, &(struct test_seg){f.tx, sizeof(h), false}, 1);
	test_kick(d, 1);
	f.last_op = 0;
}

static void start(struct test_driver *d)
{
	/* Each start takes memory for rings that is not given back. */
	if (d->size - d->brk < 32768)
		return;
	test_driver_start(d, VIRTIO_RING_F_INDIRECT_DESC, 64);
}

static void step(struct test_driver *d, struct input *in)
{
	uint8_t op = take8(in);
	unsigned i = op >> 6;

	switch (op % 8) {
	case 0:
	case 1:
		send_packet(d, in);
		break;
	case 2:
		post(d, in);
		break;
	case 3:
		call(i, in);
		break;
	case 4:
		use_caller(i, in);
		break;
	case 5:
		take_port_call(i);
		break;
	case 6:
		evloop_once(f.loop, 0);
		drain(d);
		break;
	case 7:
		if (op >> 3 == 31)
			start(d);
		else
			answer(d);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct test_driver *d;
	struct err err;
	unsigned steps = 0;

	set_up();
	d = test_driver_new(1u << 18);
	f.tx = test_alloc(d, 70000, 16);
	f.rx = test_alloc(d, 256 + RX_LEN, 16);
	f.last_host_port = 0;
	for (unsigned i = 0; i < CALLERS; i++)
		f.callers[i] = -1;
	test_driver_plug(d,
			 virtio_vsock_new(CID, dup(f.listener), f.path, &err),
			 f.loop);
	/* As small as can be: it is full soon. */
	if (pipe2(f.sink, O_NONBLOCK | O_CLOEXEC) < 0 ||
	    fcntl(f.sink[1], F_SETPIPE_SZ, 4096) < 0)
		BUG("pipe");
	start(d);
	while (in.left && steps++ < 200)
		step(d, &in);
	evloop_once(f.loop, 0);
	test_driver_free(d);
	for (unsigned i = 0; i < CALLERS; i++) {
		if (f.callers[i] >= 0)
			close(f.callers[i]);
	}
	close(f.sink[1]);
	if (f.sink[0] >= 0)
		close(f.sink[0]);
	/* Calls that nobody took must not fill the backlogs. */
	for (int fd; (fd = accept(f.port_listener, NULL, NULL)) >= 0;)
		close(fd);
	for (int fd; (fd = accept(f.listener, NULL, NULL)) >= 0;)
		close(fd);
	return 0;
}

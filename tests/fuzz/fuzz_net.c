/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hostile guest against the network device: chains of odd shapes, headers
 * of any content, features of any combination. A socket stands for the tap.
 */

#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "tests/fuzz/input.h"
#include "tests/unit/vmm/virtio/driver.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/net_rx.h"

#define SEGS 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct evloop *loop;

static uint16_t take16(struct input *in)
{
	uint16_t v;

	take(in, &v, sizeof(v));
	return v;
}

static void add(struct test_driver *d, unsigned q, uint64_t gpa,
		struct input *in)
{
	struct test_seg segs[SEGS];
	uint16_t shape = take16(in);
	unsigned n = 1 + shape % SEGS;

	for (unsigned i = 0; i < n; i++) {
		uint16_t len = take16(in);

		segs[i].gpa = gpa + i;
		segs[i].len = len & 0x8000 ? len : len % 128u;
		segs[i].write = (q == 0) != !!(shape >> (8 + i) & (len & 1));
	}
	test_add(d, q, segs, n);
	test_kick(d, q);
}

static void wire(int fd, struct input *in)
{
	static uint8_t frame[NET_HEADER_LEN + 70000];
	uint16_t len = take16(in);

	send(fd, frame, len & 1 ? len : len % 2048u, MSG_DONTWAIT);
}

static void drain(struct test_driver *d, int fd)
{
	static uint8_t frame[NET_HEADER_LEN + NET_FRAME_MAX + 1];
	uint32_t len;
	ssize_t n;

	while (test_used(d, 0, NULL, &len))
		BUG_ON(len > SEGS * 65536);
	while (test_used(d, 1, NULL, &len))
		BUG_ON(len);
	while ((n = recv(fd, frame, sizeof(frame), MSG_DONTWAIT)) > 0)
		BUG_ON((size_t)n > NET_HEADER_LEN + NET_FRAME_MAX);
}

static void run(struct test_driver *d, int fd, struct input *in)
{
	uint64_t gpa = test_alloc(d, 70000, 16);
	unsigned steps = 0;

	take(in, test_ptr(d, gpa), 64);
	while (in->left && steps++ < 200) {
		uint16_t op = take16(in);

		switch (op % 5) {
		case 0:
			add(d, 0, gpa, in);
			break;
		case 1:
			take(in, test_ptr(d, gpa), 16);
			add(d, 1, gpa, in);
			break;
		case 2:
			wire(fd, in);
			break;
		case 3:
			evloop_once(loop, 0);
			drain(d, fd);
			break;
		case 4:
			if (op > 65000 && d->size - d->brk > 32768)
				test_driver_start(d, 0, 64);
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_net_config config = {.mtu = 1500};
	struct input in = {data, size};
	struct test_driver *d;
	uint32_t features;
	struct err err;
	int pair[2];

	if (!loop) {
		log_open(open("/dev/null", O_WRONLY), LOG_TEXT, LOG_ERROR,
			 "fuzz");
		loop = evloop_new();
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) < 0)
		BUG("socketpair");
	config.tap_fd = pair[1];
	d = test_driver_new(1u << 18);
	test_driver_plug(d, virtio_net_new(&config, &err), loop);
	take(&in, &features, sizeof(features));
	if (test_negotiate(d, features & d->dev->offered)) {
		test_ring_make(d, 0, 64);
		test_ring_make(d, 1, 64);
		test_driver_ok(d);
		run(d, pair[0], &in);
	}
	test_driver_free(d);
	close(pair[0]);
	return 0;
}

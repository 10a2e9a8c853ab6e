/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/vmm/virtio/net_guest.h"

static void test_config(void **state)
{
	const uint8_t want[12] = {2, 0, 0, 0, 0, 9, 1, 0, 0, 0, 0xdc, 5};
	uint8_t space[12];

	virtio_device_config_read(g.d->dev, 0, space, sizeof(space));
	assert_memory_equal(space, want, sizeof(want));
	assert_true(g.d->dev->offered & F_MTU);
	assert_false(g.d->dev->offered & (1ull << 10)); /* UFO */
}

static void test_bad_descriptors(void **state)
{
	struct vm_net_config config = {.tap_fd = open("/dev/null", O_RDWR)};
	struct err err = {0};
	int pair[2];

	assert_null(virtio_net_new(&config, &err));
	assert_int_equal(fcntl(config.tap_fd, F_GETFD), -1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	config.tap_fd = pair[0];
	assert_null(virtio_net_new(&config, &err));
	assert_int_equal(err.code, EINVAL);
	close(pair[1]);
}

static void test_receive(void **state)
{
	uint64_t a;
	uint64_t b;

	test_driver_start(g.d, F_MAC | F_STATUS, 16);
	a = post(1600);
	b = post(1600);
	wire_send(60);
	wire_send(1514);
	settle();
	expect_rx(a, 60);
	expect_rx(b, 1514);
	assert_true(test_signals(g.d, RX) > 0);
}

/* Segments that split the header, even num_buffers. */
static void test_receive_split(void **state)
{
	static const uint32_t lens[] = {1, 9, 1, 1, 30, 2000};
	struct test_seg segs[ARRAY_SIZE(lens)];
	uint64_t base = test_alloc(g.d, 4096, 16);
	uint64_t at = base;

	test_driver_start(g.d, 0, 16);
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		segs[i] = (struct test_seg){at, lens[i], true};
		at += lens[i];
	}
	test_add(g.d, RX, segs, ARRAY_SIZE(segs));
	wire_send(1000);
	settle();
	expect_rx(base, 1000);
}

static void test_receive_merged(void **state)
{
	uint64_t gpa[64];
	uint32_t used;

	test_driver_start(g.d, F_MRG, 64);
	for (unsigned i = 0; i < 4; i++)
		gpa[i] = post(600);
	wire_send(1300);
	settle();
	for (unsigned i = 0; i < 3; i++)
		assert_true(test_used(g.d, RX, NULL, &used));
	assert_int_equal(used, HDR + 1300 - 1200);
	assert_int_equal(count_at(gpa[0]), 3);
	check_frame((uint8_t *)test_ptr(g.d, gpa[0]) + HDR, 0, 588);
	check_frame(test_ptr(g.d, gpa[1]), 588, 600);
	check_frame(test_ptr(g.d, gpa[2]), 1188, 112);
	/* The fourth was not needed; alone it is too little for the next. */
	wire_send(100);
	settle();
	expect_no_rx();
	post(2000);
	test_kick(g.d, RX);
	settle();
	expect_rx(gpa[3], 100);
	expect_no_rx();
}

/* Frames to be segmented, over many buffers, again and again. */
static void test_receive_large(void **state)
{
	static uint8_t got[HDR + 65536];
	uint64_t ring[64];
	unsigned head = 0;

	test_driver_start(g.d, F_MRG | F_GUEST_CSUM | F_GUEST_TSO4, 64);
	for (unsigned i = 0; i < 64; i++)
		ring[i] = post(1536);
	for (unsigned round = 0; round < 50; round++) {
		size_t len = 65000 - round * 1200;
		size_t total = 0;
		uint16_t count = 0;
		uint32_t used;

		wire_send(len);
		settle();
		for (unsigned n = 0; n == 0 || n < count; n++) {
			struct test_seg seg = {ring[head % 64], 1536, true};

			assert_true(test_used(g.d, RX, NULL, &used));
			if (!n)
				count = count_at(seg.gpa);
			memcpy(got + total, test_ptr(g.d, seg.gpa), used);
			total += used;
			head++;
			test_add(g.d, RX, &seg, 1);
		}
		test_kick(g.d, RX);
		assert_int_equal(total, HDR + len);
		check_frame(got + HDR, 0, len);
	}
}

/* A ring that is smaller than the longest frame still works. */
static void test_short_ring(void **state)
{
	uint64_t gpa;

	test_driver_start(g.d, F_MRG | F_GUEST_CSUM | F_GUEST_TSO4, 4);
	gpa = post(1600);
	for (unsigned i = 0; i < 3; i++)
		post(1600);
	wire_send(1000);
	settle();
	expect_rx(gpa, 1000);
}

static void test_frame_too_long(void **state)
{
	uint64_t gpa;

	test_driver_start(g.d, 0, 16);
	gpa = post(HDR + 1514);
	wire_send(1515);
	settle();
	expect_no_rx();
	wire_send(10); /* no frame */
	settle();
	expect_no_rx();
	wire_send(1514);
	settle();
	expect_rx(gpa, 1514);
	assert_false(faulted());
}

/* Without buffers the loop sleeps, and a kick wakes it. */
static void test_starved(void **state)
{
	struct timespec a;
	struct timespec b;
	uint64_t gpa;

	test_driver_start(g.d, 0, 16);
	wire_send(64);
	wire_send(65);
	settle();
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_true(evloop_once(g.loop, 30) >= 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec -
			    a.tv_nsec >=
		    25000000);
	for (unsigned i = 0; i < 2; i++) {
		gpa = post(1600);
		test_kick(g.d, RX);
		settle();
		expect_rx(gpa, 64 + i);
	}
	gpa = post(1600);
	test_kick(g.d, RX);
	wire_send(66);
	settle();
	expect_rx(gpa, 66);
}

static void test_send(void **state)
{
	test_driver_start(g.d, F_CSUM | F_HOST_TSO4, 16);
	assert_true(tx_passes(0, 0, 0, 60));
	assert_true(tx_passes(1, 0, 0, 1514));
	assert_true(tx_passes(1, 1, 200, 60000));
	/* No offload that was not negotiated, or that there is none of. */
	assert_false(tx_passes(1, 0x81, 200, 60000));
	assert_false(tx_passes(0, 0x80, 0, 60));
	assert_false(tx_passes(1, 4, 200, 60000));
	assert_false(tx_passes(1, 3, 200, 60000));
	assert_false(tx_passes(1, 77, 200, 60000));
	assert_false(tx_passes(0, 1, 200, 60000));
	assert_false(tx_passes(1, 1, 0, 60000));
	assert_false(tx_passes(0, 0, 0, 70000));
	assert_false(faulted());
	test_driver_start(g.d, 0, 16);
	assert_false(tx_passes(1, 0, 0, 60));
	assert_true(tx_passes(0, 0, 0, 60));
}

static void test_send_unknown_flags(void **state)
{
	const uint8_t header[HDR] = {0xfe, [10] = 9};
	uint8_t buf[100];

	test_driver_start(g.d, F_CSUM, 16);
	tx(header, 60);
	test_kick(g.d, TX);
	assert_int_equal(read(g.wire, buf, sizeof(buf)), HDR + 60);
	assert_int_equal(buf[0], 0);
	assert_int_equal(buf[10], 0);
}

/* More than one wake-up may handle: the rest follows by itself. */
static void test_send_many(void **state)
{
	const uint8_t header[HDR] = {0};
	uint8_t buf[100];
	unsigned n;

	test_driver_start(g.d, 0, 256);
	for (n = 0; n < 200; n++)
		tx(header, 60);
	test_kick(g.d, TX);
	assert_int_equal(recv(g.wire, buf, sizeof(buf), 0), HDR + 60);
	for (n = 0; test_used(g.d, TX, NULL, NULL); n++)
		;
	assert_true(n < 200);
	settle();
	for (; test_used(g.d, TX, NULL, NULL); n++)
		;
	assert_int_equal(n, 200);
	for (n = 1; recv(g.wire, buf, sizeof(buf), MSG_DONTWAIT) > 0; n++)
		;
	assert_int_equal(n, 200);
}

static void test_lies(void **state)
{
	const uint8_t header[HDR] = {0};
	struct test_seg seg = {test_alloc(g.d, 64, 16), HDR - 1, false};
	uint64_t gpa;

	test_driver_start(g.d, 0, 16);
	test_add(g.d, TX, &seg, 1);
	test_kick(g.d, TX);
	assert_true(faulted());
	test_driver_start(g.d, 0, 16);
	post(HDR - 1);
	wire_send(60);
	settle();
	assert_true(faulted());
	/* A readable buffer to receive into has no room. */
	test_driver_start(g.d, 0, 16);
	seg.len = 64;
	test_add(g.d, RX, &seg, 1);
	wire_send(60);
	settle();
	assert_true(faulted());
	test_driver_start(g.d, 0, 16);
	gpa = post(1600);
	tx(header, 60);
	test_kick(g.d, TX);
	/* The frames sent meanwhile were not lost. */
	settle();
	expect_rx(gpa, 60);
	assert_false(faulted());
}

static void test_feature_rules(void **state)
{
	static const uint64_t bad[] = {F_GUEST_TSO4, F_HOST_TSO4, 1ull << 9,
				       1ull << 13};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(test_negotiate(g.d, bad[i]));
		test_ring_make(g.d, RX, 16);
		test_ring_make(g.d, TX, 16);
		assert_true(test_driver_ok(g.d) & VIRTIO_NEEDS_RESET);
	}
	test_driver_start(g.d, g.d->dev->offered, 16);
	assert_false(faulted());
}

static void check_tap_gone(unsigned buffers)
{
	uint8_t status;

	test_driver_start(g.d, F_STATUS, 16);
	if (buffers)
		post(1600);
	shutdown(g.wire, SHUT_RDWR);
	settle();
	virtio_device_config_read(g.d->dev, 6, &status, 1);
	assert_int_equal(status, 0);
	assert_int_equal(g.d->config_signals, 1);
	/* Frames go nowhere; the device stays usable. */
	assert_false(tx_passes(0, 0, 0, 60));
	test_driver_start(g.d, F_STATUS, 16);
	assert_false(faulted());
}

static void test_tap_gone(void **state)
{
	check_tap_gone(1);
}

static void test_tap_gone_starved(void **state)
{
	check_tap_gone(0);
}

/* A real tap, in a network namespace of its own. --------------------------- */

static int open_tap(short flags)
{
	struct ifreq ifr = {.ifr_flags = flags, .ifr_name = "t0"};
	int size = HDR;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	if (flags & IFF_VNET_HDR)
		assert_int_equal(ioctl(fd, TUNSETVNETHDRSZ, &size), 0);
	return fd;
}

/* A socket that sees and sends what the interface carries. */
static int open_packet(const char *name)
{
	struct ifreq ifr = {0};
	struct sockaddr_ll addr = {.sll_family = AF_PACKET,
				   .sll_protocol = htobe16(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(ifr.ifr_name, name);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	addr.sll_ifindex = (int)if_nametoindex(name);
	assert_int_equal(bind(fd, (void *)&addr, sizeof(addr)), 0);
	return fd;
}

static void test_real_tap(void **state)
{
	static const uint8_t frame[60] = {2, 0, 0, 0, 0, 9,    2,
					  0, 0, 0, 0, 8, 0x88, 0xb5};
	struct vm_net_config config = {.mtu = 1500};
	struct err err = {0};
	uint64_t tx_gpa;
	uint64_t rx_gpa;
	uint8_t buf[2000];
	ssize_t n;
	int packet;

	if (unshare(CLONE_NEWNET) < 0)
		skip();
	config.tap_fd = open_tap(IFF_TAP | IFF_NO_PI);
	if (config.tap_fd < 0)
		skip();
	assert_null(virtio_net_new(&config, &err));
	assert_int_equal(err.code, EINVAL);

	config.tap_fd = open_tap(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	virtio_device_free(g.d->dev);
	test_driver_plug(g.d, virtio_net_new(&config, &err), g.loop);
	packet = open_packet("t0");
	/* All offloads: the tap accepts them. */
	test_driver_start(g.d, g.d->dev->offered & ~F_MRG, 16);
	rx_gpa = post(HDR + NET_FRAME_MAX);
	tx_gpa = test_alloc(g.d, HDR + sizeof(frame), 16);
	memcpy((uint8_t *)test_ptr(g.d, tx_gpa) + HDR, frame, sizeof(frame));
	test_add(g.d, TX,
		 &(struct test_seg){tx_gpa, HDR + sizeof(frame), false}, 1);
	test_kick(g.d, TX);
	do {
		n = read(packet, buf, sizeof(buf));
		assert_true(n > 0);
	} while (buf[12] != 0x88 || buf[13] != 0xb5);
	assert_int_equal(n, sizeof(frame));
	assert_memory_equal(buf, frame, sizeof(frame));
	/* The kernel's own traffic (router solicitations) may come first. */
	assert_int_equal(write(packet, frame, sizeof(frame)), sizeof(frame));
	for (unsigned i = 0;; i++) {
		assert_true(i < 100);
		evloop_once(g.loop, 100);
		if (!test_used(g.d, RX, NULL, NULL))
			continue;
		assert_int_equal(count_at(rx_gpa), 1);
		if (!memcmp((uint8_t *)test_ptr(g.d, rx_gpa) + HDR, frame,
			    sizeof(frame)))
			break;
		test_add(g.d, RX,
			 &(struct test_seg){rx_gpa, HDR + NET_FRAME_MAX, true},
			 1);
		test_kick(g.d, RX);
	}
	close(packet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(test_config),
		NET_TEST(test_bad_descriptors),
		NET_TEST(test_receive),
		NET_TEST(test_receive_split),
		NET_TEST(test_receive_merged),
		NET_TEST(test_receive_large),
		NET_TEST(test_short_ring),
		NET_TEST(test_frame_too_long),
		NET_TEST(test_starved),
		NET_TEST(test_send),
		NET_TEST(test_send_unknown_flags),
		NET_TEST(test_send_many),
		NET_TEST(test_lies),
		NET_TEST(test_feature_rules),
		NET_TEST(test_tap_gone),
		NET_TEST(test_tap_gone_starved),
		NET_TEST(test_real_tap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

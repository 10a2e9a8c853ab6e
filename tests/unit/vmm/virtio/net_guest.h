/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_VMM_VIRTIO_NET_GUEST_H
#define TESTS_UNIT_VMM_VIRTIO_NET_GUEST_H

/* A guest with a network device, for tests; a socket is its wire. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/driver.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/net_rx.h"

#define RX 0u
#define TX 1u
#define HDR NET_HEADER_LEN

#define F_CSUM (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_MTU (1ull << 3)
#define F_MAC (1ull << 5)
#define F_GUEST_TSO4 (1ull << 7)
#define F_HOST_TSO4 (1ull << 11)
#define F_MRG (1ull << 15)
#define F_STATUS (1ull << 16)

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};

static struct {
	struct evloop *loop;
	struct test_driver *d;
	int wire; /* the other end of what stands for the tap */
} g;

static inline int setup(void **state)
{
	struct vm_net_config config = {.mtu = 1500};
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	g.wire = pair[0];
	config.tap_fd = pair[1];
	memcpy(config.mac, mac, 6);
	g.loop = evloop_new();
	g.d = test_driver_new(4u << 20);
	test_driver_plug(g.d, virtio_net_new(&config, &(struct err){0}),
			 g.loop);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	test_driver_free(g.d);
	evloop_free(g.loop);
	close(g.wire);
	return 0;
}

static inline void settle(void)
{
	for (unsigned i = 0; i < 10; i++)
		assert_true(evloop_once(g.loop, 0) >= 0);
}

static inline bool faulted(void)
{
	return virtio_device_status(g.d->dev) & VIRTIO_NEEDS_RESET;
}

static inline uint64_t post(uint32_t len)
{
	uint64_t gpa = test_alloc(g.d, len, 16);
	struct test_seg seg = {gpa, len, true};

	memset(test_ptr(g.d, gpa), 0xee, len);
	test_add(g.d, RX, &seg, 1);
	return gpa;
}

/* A frame with its header as the tap gives it. */
static inline void wire_send(size_t len)
{
	static uint8_t buf[HDR + 70000];

	for (size_t i = 0; i < len; i++)
		buf[HDR + i] = (uint8_t)(i * 7);
	assert_int_equal(write(g.wire, buf, HDR + len), HDR + len);
}

static inline void check_frame(const uint8_t *p, size_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(p[i], (uint8_t)((from + i) * 7));
}

static inline uint16_t count_at(uint64_t gpa)
{
	const uint8_t *p = test_ptr(g.d, gpa);

	return (uint16_t)(p[10] | p[11] << 8);
}

static inline void expect_rx(uint64_t gpa, size_t len)
{
	uint32_t used;

	assert_true(test_used(g.d, RX, NULL, &used));
	assert_int_equal(used, HDR + len);
	assert_int_equal(count_at(gpa), 1);
	check_frame((uint8_t *)test_ptr(g.d, gpa) + HDR, 0, len);
}

static inline void expect_no_rx(void)
{
	assert_false(test_used(g.d, RX, NULL, NULL));
}

static inline void tx(const uint8_t header[HDR], uint32_t len)
{
	uint64_t gpa = test_alloc(g.d, HDR + len, 16);
	struct test_seg seg = {gpa, HDR + len, false};

	memcpy(test_ptr(g.d, gpa), header, HDR);
	for (uint32_t i = 0; i < len; i++)
		((uint8_t *)test_ptr(g.d, gpa))[HDR + i] = (uint8_t)(i * 7);
	test_add(g.d, TX, &seg, 1);
}

/* Sends and completes; whether the frame came out. */
static inline bool tx_passes(uint8_t flags, uint8_t gso, uint8_t gso_size,
			     uint32_t len)
{
	static uint8_t buf[80000];
	const uint8_t header[HDR] = {flags, gso, 54, 0, gso_size, 0, 34, 0, 16};
	uint32_t used;
	ssize_t n;

	tx(header, len);
	test_kick(g.d, TX);
	assert_true(test_used(g.d, TX, NULL, &used));
	assert_int_equal(used, 0);
	n = recv(g.wire, buf, sizeof(buf), MSG_DONTWAIT);
	if (n <= 0)
		return false;
	assert_int_equal(n, HDR + len);
	assert_int_equal(buf[1], gso);
	check_frame(buf + HDR, 0, len);
	return true;
}

#define NET_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif

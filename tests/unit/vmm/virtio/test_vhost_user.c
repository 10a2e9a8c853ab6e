/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vhost_user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/frontend.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/console.h"

#define UML_PROTOCOL                                           \
	(VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_BACKEND_REQ | \
	 VU_PROTOCOL_F_CONFIG)
#define ANY_FILE ((struct vhost_user_options){.memory_fd = -1})

static struct evloop *loop;
static char out[256];
static size_t out_len;

static void collect(void *arg, const void *data, size_t len)
{
	assert_true(len <= sizeof(out) - out_len);
	memcpy(out + out_len, data, len);
	out_len += len;
}

static struct virtio_device *console(void)
{
	out_len = 0;
	return virtio_console_new(collect, NULL);
}

static void print(struct frontend *fe, const char *text)
{
	struct test_seg seg = {test_alloc_data(&fe->d, text, strlen(text)),
			       (uint32_t)strlen(text), false};

	test_add(&fe->d, 1, &seg, 1);
	fe_kick(fe, 1);
}

static void printed(const char *text)
{
	assert_int_equal(out_len, strlen(text));
	assert_memory_equal(out, text, out_len);
}

static void greets(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);

	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_get(fe, VU_GET_FEATURES) ==
		    (dev->offered | VU_F_PROTOCOL_FEATURES));
	assert_int_equal(fe_get(fe, VU_GET_PROTOCOL_FEATURES),
			 1 << 0 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 13 | 1 << 16);
	assert_int_equal(fe_get(fe, VU_GET_QUEUE_NUM), 2);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	/* Not offered; a legacy driver. */
	assert_false(
		fe_u64(fe, VU_SET_FEATURES, VIRTIO_F_VERSION_1 | 1ull << 40));
	assert_false(fe_u64(fe, VU_SET_FEATURES, 0));
	assert_false(
		fe_u64(fe, VU_SET_PROTOCOL_FEATURES, VU_PROTOCOL_F_INBAND));
	assert_int_equal(fe->closed, 0);
	fe_free(fe);
	virtio_device_free(dev);
}

/* As user-mode Linux does it, with a reset it does not mention. */
static void serves_user_mode_linux(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);
	unsigned round;

	fe_connect(fe, dev,
		   (struct vhost_user_options){.memory_fd = fe->memfd});
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	for (round = 0; round < 3; round++) {
		out_len = 0;
		assert_true(fe_start_rings(fe, 2, 256, true));
		assert_true(virtio_device_running(dev));
		assert_false(fe_called(fe, 1));
		print(fe, "hello");
		printed("hello");
		assert_true(fe_called(fe, 1));
		assert_false(fe_called(fe, 0));
		assert_true(test_used(&fe->d, 1, NULL, NULL));
		/* The guest does not look at its interrupts: not our fault. */
		for (unsigned i = 0; i < 200; i++) {
			out_len = 0;
			print(fe, "x");
		}
		if (round == 1)
			close(fe->call[1]);
		if (round == 1)
			fe->call[1] = -1;
		print(fe, "y");
		printed("xy");
		assert_true(
			fe_u64(fe, VU_SET_FEATURES,
			       VIRTIO_F_VERSION_1 | VU_F_PROTOCOL_FEATURES));
		assert_false(virtio_device_running(dev));
	}
	fe_free(fe);
	virtio_device_free(dev);
}

static void rings_wait_for_each_other(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);

	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(fe_memory(fe));
	test_ring_make(&fe->d, 0, 64);
	test_ring_make(&fe->d, 1, 64);
	assert_true(fe_ring(fe, 0, 0));
	assert_true(fe_ring(fe, 1, 0));
	assert_true(fe_start(fe, 0));
	assert_false(virtio_device_running(dev));
	/* A kick says that the driver is there. */
	fe_kick(fe, 0);
	assert_true(virtio_device_running(dev));
	assert_false(dev->queues[1].started);
	/* A ring may come late, with requests that were not kicked. */
	test_add(&fe->d, 1,
		 &(struct test_seg){test_alloc_data(&fe->d, "late", 4), 4,
				    false},
		 1);
	assert_true(fe_start(fe, 1));
	printed("late");
	fe_free(fe);
	virtio_device_free(dev);
}

static void disabled_rings_stand_still(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);

	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(fe_start_rings(fe, 2, 64, false));
	print(fe, "a");
	assert_true(fe_state(fe, VU_SET_VRING_ENABLE, 1, 0));
	print(fe, "b");
	printed("a");
	assert_true(fe_state(fe, VU_SET_VRING_ENABLE, 1, 1));
	printed("ab");
	print(fe, "c");
	printed("abc");
	assert_false(fe_state(fe, VU_SET_VRING_ENABLE, 1, 2));
	assert_false(fe_state(fe, VU_SET_VRING_ENABLE, 2, 1));
	fe_free(fe);
	virtio_device_free(dev);
}

static void stops_and_goes_on_at_its_index(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);
	uint32_t base;

	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(fe_start_rings(fe, 2, 64, false));
	print(fe, "1");
	print(fe, "2");
	assert_int_equal(fe_get_base(fe, 0), 0);
	base = fe_get_base(fe, 1);
	assert_int_equal(base, 2);
	assert_false(virtio_device_running(dev));
	print(fe, "3");
	printed("12");
	assert_true(fe_ring(fe, 0, 0));
	assert_true(fe_ring(fe, 1, base));
	assert_true(fe_start(fe, 0));
	assert_true(fe_start(fe, 1));
	printed("123");
	assert_true(test_used(&fe->d, 1, NULL, NULL));
	assert_true(test_used(&fe->d, 1, NULL, NULL));
	assert_true(test_used(&fe->d, 1, NULL, NULL));
	assert_false(test_used(&fe->d, 1, NULL, NULL));

	/* The same on another connection: this one breaks. */
	fe_disconnect(fe);
	assert_int_equal(dev->queues[1].size, 256);
	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(fe_memory(fe));
	assert_true(fe_ring(fe, 1, 3));
	assert_true(fe_start(fe, 1));
	print(fe, "4");
	printed("1234");
	assert_true(test_used(&fe->d, 1, NULL, NULL));
	fe_free(fe);
	virtio_device_free(dev);
}

static void memory_may_change_while_it_runs(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);
	int fds[2] = {fe->memfd, memfd_create("more", MFD_CLOEXEC)};
	struct vu_memory m = {
		.count = 2,
		.regions = {{TEST_GPA, FE_SIZE, FE_USER, 4096},
			    {0x100000000, 8192, FE_USER + FE_SIZE, 0}},
	};

	unsigned stopped;

	assert_int_equal(ftruncate(fds[1], 8192), 0);
	assert_int_equal(pwrite(fds[1], "far", 3, 0), 3);
	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(fe_start_rings(fe, 2, 64, false));
	print(fe, "a");
	stopped = dev->stopped_at[1];
	assert_true(fe_send(fe, VU_SET_MEM_TABLE, &m, 8 + 2 * 32, fds, 2));
	/* More of it is no reason to stop. */
	assert_int_equal(dev->stopped_at[1], stopped);
	print(fe, "b");
	test_add(&fe->d, 1, &(struct test_seg){0x100000000, 3, false}, 1);
	fe_kick(fe, 1);
	printed("abfar");
	/* What does not map leaves what there was. */
	m.regions[1].size = 16384;
	assert_false(fe_send(fe, VU_SET_MEM_TABLE, &m, 8 + 2 * 32, fds, 2));
	print(fe, "c");
	printed("abfarc");
	/* Without the rings, the device cannot go on. */
	m.regions[0] = m.regions[1];
	m.regions[0].size = 8192;
	m.count = 1;
	assert_false(fe_send(fe, VU_SET_MEM_TABLE, &m, 8 + 32, &fds[1], 1));
	assert_false(virtio_device_running(dev));
	fe_free(fe);
	close(fds[1]);
	virtio_device_free(dev);
}

static void faults_are_told(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);
	struct vu_header change;
	int errfd = eventfd(0, EFD_NONBLOCK);
	uint64_t count;
	int sv[2];

	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL | VU_PROTOCOL_F_STATUS));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_true(fe_send(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &sv[1], 1));
	assert_true(fe_start_rings(fe, 2, 64, false));
	assert_true(fe_fd(fe, VU_SET_VRING_ERR, 0, errfd));
	assert_true(fe_u64(fe, VU_SET_STATUS, 15));
	assert_int_equal(fe_get(fe, VU_GET_STATUS), 15);
	test_publish(&fe->d, 1, 64);
	fe_kick(fe, 1);
	assert_int_equal(fe_get(fe, VU_GET_STATUS), 15 | VIRTIO_NEEDS_RESET);
	assert_int_equal(read(errfd, &count, 8), 8);
	assert_int_equal(recv(sv[0], &change, 12, MSG_DONTWAIT), 12);
	assert_int_equal(change.request, VU_BACKEND_CONFIG_CHANGE);
	assert_int_equal(change.flags, 1);
	assert_int_equal(change.size, 0);
	/* Kicks do not bring it back; a reset does. */
	fe_kick(fe, 0);
	fe_kick(fe, 1);
	assert_false(virtio_device_running(dev));
	assert_true(fe_u64(fe, VU_SET_STATUS, 0));
	assert_int_equal(fe_get(fe, VU_GET_STATUS), 0);
	assert_true(fe_start_rings(fe, 2, 64, false));
	print(fe, "back");
	printed("back");
	assert_false(fe_u64(fe, VU_SET_STATUS, 256));
	fe_free(fe);
	close(errfd);
	close(sv[0]);
	close(sv[1]);
	virtio_device_free(dev);
}

static void reset_requests(void **state)
{
	static const uint32_t resets[] = {VU_RESET_OWNER, VU_RESET_DEVICE};
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);
	size_t i;

	fe_connect(fe, dev, ANY_FILE);
	for (i = 0; i < ARRAY_SIZE(resets); i++) {
		assert_true(fe_hello(
			fe, 0, UML_PROTOCOL | VU_PROTOCOL_F_RESET_DEVICE));
		assert_true(fe_start_rings(fe, 2, 64, false));
		assert_true(virtio_device_running(dev));
		assert_true(fe_send(fe, resets[i], NULL, 0, NULL, 0));
		assert_false(virtio_device_running(dev));
		print(fe, "x");
		assert_int_equal(out_len, 0);
	}
	fe_free(fe);
	virtio_device_free(dev);
}

/* A ring's kick alone, without a VRING_ENABLE. */
static bool kick_off(struct frontend *fe, unsigned q)
{
	test_ring_make(&fe->d, q, 64);
	if (!fe_ring(fe, q, 0))
		return false;
	if (fe->kick[q] >= 0)
		close(fe->kick[q]);
	fe->kick[q] = eventfd(0, EFD_NONBLOCK);
	return fe_fd(fe, VU_SET_VRING_KICK, q, fe->kick[q]);
}

/* QEMU does so with network devices, each time that they start. */
static void rings_may_be_enabled_before_features(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);

	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_state(fe, VU_SET_VRING_ENABLE, 1, 1));
	for (unsigned round = 0; round < 2; round++) {
		assert_true(fe_hello(
			fe, 0, UML_PROTOCOL | VU_PROTOCOL_F_RESET_DEVICE));
		assert_true(fe_memory(fe));
		assert_true(kick_off(fe, 1));
		out_len = 0;
		print(fe, "early");
		printed("early");
		assert_int_equal(fe_get_base(fe, 1), 1);
	}
	/* A reset disables them. */
	assert_true(fe_send(fe, VU_RESET_DEVICE, NULL, 0, NULL, 0));
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(fe_memory(fe));
	assert_true(kick_off(fe, 1));
	print(fe, "late");
	printed("early");
	assert_false(virtio_device_running(dev));
	/* And who knows nothing of that has them enabled. */
	assert_true(fe_u64(fe, VU_SET_FEATURES, VIRTIO_F_VERSION_1));
	assert_true(kick_off(fe, 1));
	out_len = 0;
	print(fe, "old");
	printed("old");
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(kick_off(fe, 1));
	assert_false(virtio_device_running(dev));
	fe_free(fe);
	virtio_device_free(dev);
}

static void notifies_in_band(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);
	struct test_seg seg;
	uint32_t call[5];
	unsigned i;
	int sv[2];

	fe_connect(
		fe, dev,
		(struct vhost_user_options){.memory_fd = -1, .inband = true});
	assert_true(fe_hello(fe, 0, UML_PROTOCOL | VU_PROTOCOL_F_INBAND));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_true(fe_send(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &sv[1], 1));
	close(sv[1]);
	assert_true(fe_memory(fe));
	test_ring_make(&fe->d, 1, 64);
	assert_true(fe_ring(fe, 1, 0));
	assert_true(fe_state(fe, VU_SET_VRING_ENABLE, 1, 1));
	seg = (struct test_seg){test_alloc_data(&fe->d, "in", 2), 2, false};
	test_add(&fe->d, 1, &seg, 1);
	assert_true(fe_state(fe, VU_VRING_KICK, 1, 0));
	printed("in");
	assert_int_equal(recv(sv[0], call, 20, MSG_DONTWAIT), 20);
	assert_int_equal(call[0], VU_BACKEND_VRING_CALL);
	assert_int_equal(call[1], 1);
	assert_int_equal(call[2], 8);
	assert_int_equal(call[3], 1);
	/* A front-end that does not read loses no call for good. */
	for (i = 0; i < 2000; i++) {
		out_len = 0;
		test_add(&fe->d, 1, &seg, 1);
		assert_true(fe_state(fe, VU_VRING_KICK, 1, 0));
	}
	for (i = 0; recv(sv[0], call, 20, MSG_DONTWAIT) == 20; i++)
		assert_int_equal(call[3], 1);
	assert_true(i < 2000);
	fe_run(fe);
	assert_int_equal(recv(sv[0], call, 20, MSG_DONTWAIT), 20);
	assert_int_equal(call[3], 1);
	fe_free(fe);
	close(sv[0]);
	virtio_device_free(dev);
}

static struct virtio_device *disk(void)
{
	struct virtio_blk_config config = {
		.fd = memfd_create("image", MFD_CLOEXEC)};
	struct virtio_device *dev;
	struct err err;

	assert_int_equal(ftruncate(config.fd, 1 << 20), 0);
	assert_int_equal(pwrite(config.fd, "sector0", 7, 0), 7);
	dev = virtio_blk_new(&config, &err);
	assert_non_null(dev);
	return dev;
}

static void config_has_the_size_asked_for(void **state)
{
	struct virtio_device *dev = disk();
	struct frontend *fe = fe_new(loop);
	struct vu_config c = {0};
	uint32_t size;

	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	for (size = 0; size <= 256; size++) {
		c.size = size;
		fe_raw(fe, VU_GET_CONFIG, 1, 12 + size, &c, NULL, 0);
		memset(&c, 0xff, sizeof(c));
		assert_int_equal(fe_reply(fe, VU_GET_CONFIG, &c, sizeof(c)),
				 12 + size);
		assert_int_equal(c.size, size);
		assert_int_equal(c.offset, 0);
		if (size >= 2) /* 2048 sectors */
			assert_int_equal(c.bytes[1], 8);
		if (size > 60)
			assert_int_equal(c.bytes[size - 1], 0);
	}
	/* Read-only here. */
	c = (struct vu_config){.size = 8};
	assert_true(fe_send(fe, VU_SET_CONFIG, &c, 12 + 8, NULL, 0));
	c.flags = 1;
	assert_false(fe_send(fe, VU_SET_CONFIG, &c, 12 + 8, NULL, 0));
	c.flags = 0;
	assert_false(fe_send(fe, VU_SET_CONFIG, &c, 12 + 9, NULL, 0));
	c.offset = UINT32_MAX;
	assert_false(fe_send(fe, VU_SET_CONFIG, &c, 12 + 8, NULL, 0));
	assert_int_equal(fe->closed, 0);
	/* A broken GET_CONFIG has no reply that could say so. */
	fe_raw(fe, VU_GET_CONFIG, 9, 12 + 9, &c, NULL, 0);
	assert_int_equal(fe->closed, 1);
	fe_free(fe);
	virtio_device_free(dev);
}

/* The disk completes on its own thread. */
static void calls_from_other_threads(void **state)
{
	struct virtio_device *dev = disk();
	struct frontend *fe = fe_new(loop);
	uint64_t head = test_alloc(&fe->d, 16, 16);
	uint64_t data = test_alloc(&fe->d, 513, 16);
	struct test_seg segs[] = {
		{head, 16, false}, {data, 512, true}, {data + 512, 1, true}};
	uint64_t eight;
	unsigned i;

	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(fe_start_rings(fe, 1, 256, true));
	for (i = 0; i < 100; i++) {
		test_add(&fe->d, 0, segs, 3);
		fe_kick(fe, 0);
		assert_int_equal(recv(fe->call[0], &eight, 8, MSG_WAITALL), 8);
		assert_true(test_used(&fe->d, 0, NULL, NULL));
	}
	assert_memory_equal(test_ptr(&fe->d, data), "sector0", 8);
	/* Stopped in the middle: what was taken was completed. */
	for (i = 0; i < 50; i++)
		test_add(&fe->d, 0, segs, 3);
	fe_kick(fe, 0);
	i = fe_get_base(fe, 0) - 100;
	while (i-- > 0)
		assert_true(test_used(&fe->d, 0, NULL, NULL));
	assert_false(test_used(&fe->d, 0, NULL, NULL));
	fe_free(fe);
	virtio_device_free(dev);
}

static void a_lost_front_end_resets_the_device(void **state)
{
	struct virtio_device *dev = disk();
	struct frontend *fe = fe_new(loop);

	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(fe_start_rings(fe, 1, 256, true));
	assert_true(virtio_device_running(dev));
	shutdown(fe->sock, SHUT_RDWR);
	fe_run(fe);
	assert_int_equal(fe->closed, 1);
	assert_false(virtio_device_running(dev));
	fe_free(fe);
	virtio_device_free(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greets),
		cmocka_unit_test(serves_user_mode_linux),
		cmocka_unit_test(rings_wait_for_each_other),
		cmocka_unit_test(disabled_rings_stand_still),
		cmocka_unit_test(stops_and_goes_on_at_its_index),
		cmocka_unit_test(memory_may_change_while_it_runs),
		cmocka_unit_test(faults_are_told),
		cmocka_unit_test(reset_requests),
		cmocka_unit_test(rings_may_be_enabled_before_features),
		cmocka_unit_test(notifies_in_band),
		cmocka_unit_test(config_has_the_size_asked_for),
		cmocka_unit_test(calls_from_other_threads),
		cmocka_unit_test(a_lost_front_end_resets_the_device),
	};
	int rc;

	loop = evloop_new();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vhost_user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "tests/unit/vmm/virtio/frontend.h"
#include "vmm/virtio/console.h"

/* A front-end that breaks the rules: refused, or cut off. */

#define UML_PROTOCOL                                           \
	(VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_BACKEND_REQ | \
	 VU_PROTOCOL_F_CONFIG)
#define ANY_FILE ((struct vhost_user_options){.memory_fd = -1})

static struct evloop *loop;

static void no_output(void *arg, const void *data, size_t len)
{
	fail_msg("output of a device that never runs");
}

static struct virtio_device *console(void)
{
	return virtio_console_new(no_output, NULL);
}

static void memory_is_checked(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);
	int fds[2] = {fe->memfd, fe->memfd};
	int other = memfd_create("other", MFD_CLOEXEC);
	struct vu_memory m;

	assert_int_equal(ftruncate(other, FE_SIZE), 0);
	fe_connect(fe, dev,
		   (struct vhost_user_options){.memory_fd = fe->memfd});
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
#define TABLE(n, ...) \
	(m = (struct vu_memory){.count = n, .regions = {__VA_ARGS__}}, &m)
#define SEND(table, nfds) \
	fe_send(fe, VU_SET_MEM_TABLE, table, 8 + 2 * 32, fds, nfds)
	assert_true(
		SEND(TABLE(2, {0, 4096, 0, 0}, {4096, 4096, 4096, 4096}), 2));
	assert_false(SEND(TABLE(0, {0, 4096, 0, 0}), 0));
	assert_false(SEND(TABLE(3, {0, 4096, 0, 0}), 2));
	assert_false(SEND(TABLE(UINT32_MAX, {0, 4096, 0, 0}), 2));
	assert_false(SEND(TABLE(1, {0, 4096, 0, 0}), 2));
	assert_false(SEND(TABLE(2, {0, 4096, 0, 0}, {4096, 4096, 4096, 0}), 1));
	assert_false(SEND(TABLE(1, {0, 0, 0, 0}), 1));
	/* Overlaps, in either address space; wraps. */
	assert_false(SEND(TABLE(2, {0, 8192, 0, 0}, {4096, 4096, 8192, 0}), 2));
	assert_false(SEND(TABLE(2, {0, 8192, 0, 0}, {8192, 4096, 4096, 0}), 2));
	assert_false(SEND(TABLE(1, {UINT64_MAX - 4095, 8192, 0, 0}), 1));
	assert_false(SEND(TABLE(1, {0, 8192, UINT64_MAX - 4095, 0}), 1));
	/* Not in the file, not in pages. */
	assert_false(SEND(TABLE(1, {0, FE_SIZE + 8192, 0, 0}), 1));
	assert_false(SEND(TABLE(1, {0, FE_SIZE, 0, 8192}), 1));
	assert_false(SEND(TABLE(1, {0, 8192, 0, UINT64_MAX - 4095}), 1));
	assert_false(SEND(TABLE(1, {0, 100, 0, 0}), 1));
	/* Another file than ours. */
	fds[0] = other;
	assert_false(SEND(TABLE(1, {0, 4096, 0, 0}), 1));
	fds[0] = fe->kick[0] = eventfd(0, 0);
	assert_false(SEND(TABLE(1, {0, 4096, 0, 0}), 1));
#undef SEND
#undef TABLE
	assert_int_equal(fe->closed, 0);
	fe_free(fe);
	close(other);
	virtio_device_free(dev);
}

/* Nothing is touched: it takes no huge page that somebody has set aside. */
static void huge_pages_are_mapped_whole(void **state)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	struct vu_memory m = {.count = 1};
	struct virtio_device *dev;
	struct frontend *fe;
	struct stat st;
	uint64_t page;

	if (fd < 0)
		skip();
	assert_int_equal(fstat(fd, &st), 0);
	page = (uint64_t)st.st_blksize;
	assert_int_equal(ftruncate(fd, 2 * (off_t)page), 0);
	dev = console();
	fe = fe_new(loop);
	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
#define SEND(bytes, at)                                                       \
	(m.regions[0] = (struct vu_region){0, bytes, 0, at},                  \
	 fe_send(fe, VU_SET_MEM_TABLE, &m, 8 + sizeof(struct vu_region), &fd, \
		 1))
	assert_false(SEND(4096, 0));
	assert_false(SEND(page + 4096, 0));
	assert_false(SEND(page, 4096));
	assert_true(SEND(page, page));
#undef SEND
	assert_int_equal(fe->closed, 0);
	fe_free(fe);
	close(fd);
	virtio_device_free(dev);
}

/* The device is the next one's. */
static void memory_may_be_cut_short(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);

	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(fe_start_rings(fe, 2, 64, false));
	assert_true(virtio_device_running(dev));
	assert_int_equal(ftruncate(fe->memfd, 0), 0);
	fe_kick(fe, 1);
	assert_true(virtio_device_status(dev) & VIRTIO_NEEDS_RESET);
	fe_kick(fe, 1);
	assert_int_equal(fe->closed, 0);
	fe_free(fe);
	fe = fe_new(loop);
	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(fe_start_rings(fe, 2, 64, false));
	fe_kick(fe, 1);
	assert_false(virtio_device_status(dev) & VIRTIO_NEEDS_RESET);
	assert_true(virtio_device_running(dev));
	fe_free(fe);
	virtio_device_free(dev);
}

static void ring_registers_are_checked(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);
	struct vu_vring_addr addr = {.index = 0, .desc = FE_USER - 16};
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	fe_connect(fe, dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, UML_PROTOCOL));
	assert_true(fe_memory(fe));
	test_ring_make(&fe->d, 0, 64);
	assert_false(fe_state(fe, VU_SET_VRING_NUM, 0, 0));
	assert_false(fe_state(fe, VU_SET_VRING_NUM, 0, 48));
	assert_false(fe_state(fe, VU_SET_VRING_NUM, 0, 512));
	assert_false(fe_state(fe, VU_SET_VRING_NUM, 0, 0x10040));
	assert_false(fe_state(fe, VU_SET_VRING_NUM, 2, 64));
	assert_false(fe_state(fe, VU_SET_VRING_NUM, UINT32_MAX, 64));
	assert_false(fe_state(fe, VU_SET_VRING_BASE, 0, 0x10000));
	assert_false(fe_state(fe, VU_SET_VRING_BASE, 2, 0));
	assert_false(
		fe_send(fe, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0));
	addr.desc = FE_USER;
	addr.flags = 1;
	assert_false(
		fe_send(fe, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0));
	assert_false(fe_fd(fe, VU_SET_VRING_KICK, 2, fe->memfd));
	assert_false(fe_fd(fe, VU_SET_VRING_KICK, 0, fe->memfd));
	assert_false(fe_fd(fe, VU_SET_VRING_KICK, 0, pipes[0]));
	assert_false(fe_fd(fe, VU_SET_VRING_KICK, 0, -1));
	assert_false(fe_fd(fe, VU_SET_VRING_KICK, 0 | 1 << 8, -1));
	assert_false(fe_fd(fe, VU_SET_VRING_KICK, 0 | 1 << 9, pipes[0]));
	assert_false(fe_fd(fe, VU_SET_VRING_CALL, 0, pipes[1]));
	assert_false(fe_fd(fe, VU_SET_VRING_CALL, 0, fe->memfd));
	assert_false(fe_fd(fe, VU_SET_VRING_ERR, 0, pipes[1]));
	assert_true(fe_fd(fe, VU_SET_VRING_CALL, 0 | 1 << 8, -1));
	assert_false(fe_fd(fe, VU_SET_BACKEND_REQ_FD, 0, fe->sock));
	/* Ring 0 begins one byte before the end of memory. */
	fe->d.rings[0].used = TEST_GPA + FE_SIZE - 4;
	assert_true(fe_ring(fe, 0, 0));
	fe->kick[0] = -1;
	assert_false(fe_start(fe, 0));
	assert_false(virtio_device_running(dev));
	assert_int_equal(fe->closed, 0);
	fe_free(fe);
	close(pipes[0]);
	close(pipes[1]);
	virtio_device_free(dev);
}

struct bad {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};

static void broken_messages_end_the_connection(void **state)
{
	static const struct bad bad[] = {
		{VU_GET_FEATURES, 0, 0},
		{VU_GET_FEATURES, 2, 0},
		{VU_GET_FEATURES, 3, 0},
		{VU_GET_FEATURES, 5, 0},
		{VU_GET_FEATURES, 1, 513},
		{VU_GET_FEATURES, 1, UINT32_MAX},
		{VU_GET_FEATURES, 1, 8},
		{VU_SET_FEATURES, 1, 0},
		{VU_SET_FEATURES, 1, 7},
		{VU_SET_FEATURES, 1, 9},
		{VU_SET_VRING_NUM, 1, 4},
		{VU_SET_VRING_ADDR, 1, 39},
		{VU_SET_MEM_TABLE, 1, 7},
		{VU_SET_MEM_TABLE, 1, 265},
		{VU_GET_VRING_BASE, 1, 0},
		{VU_GET_CONFIG, 1, 12},
		{VU_GET_STATUS, 1, 0},
		{VU_RESET_DEVICE, 1, 0},
		{VU_VRING_KICK, 1, 8},
		{0, 1, 0},
		{6, 1, 16},
		{41, 1, 0},
		{1000, 1, 0},
		{UINT32_MAX, 1, 0},
		{VU_SET_BACKEND_REQ_FD, 1, 0},
	};
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);
	uint8_t byte;
	ssize_t n;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		fe_connect(fe, dev, ANY_FILE);
		fe_raw(fe, bad[i].request, bad[i].flags, bad[i].size, NULL,
		       NULL, 0);
		assert_int_equal(fe->closed, i + 1);
		/* Reset rather than ended, when some was not read. */
		n = recv(fe->sock, &byte, 1, MSG_DONTWAIT);
		assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
		fe_disconnect(fe);
	}
	fe_free(fe);
	virtio_device_free(dev);
}

static void descriptors_are_counted(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);
	int fds[9];
	unsigned i;

	for (i = 0; i < 9; i++)
		fds[i] = fe->memfd;
	fe_connect(fe, dev, ANY_FILE);
	fe_raw(fe, VU_SET_OWNER, 1, 0, NULL, fds, 9);
	assert_int_equal(fe->closed, 1);
	fe_disconnect(fe);
	fe_connect(fe, dev, ANY_FILE);
	fe_raw(fe, VU_SET_OWNER, 1, 0, NULL, fds, 1);
	assert_int_equal(fe->closed, 2);
	fe_disconnect(fe);
	fe_free(fe);
	virtio_device_free(dev);
}

static void messages_come_in_pieces(void **state)
{
	struct virtio_device *dev = console();
	struct frontend *fe = fe_new(loop);
	const uint32_t message[5] = {VU_SET_FEATURES, 1, 8, 0, 1};
	unsigned i;

	fe_connect(fe, dev, ANY_FILE);
	for (i = 0; i < sizeof(message); i++) {
		assert_int_equal(fe->vu != NULL, 1);
		assert_int_equal(
			send(fe->sock, (const char *)message + i, 1, 0), 1);
		fe_run(fe);
	}
	assert_true(fe_get(fe, VU_GET_FEATURES) & VIRTIO_F_VERSION_1);
	/* And end in the middle. */
	assert_int_equal(send(fe->sock, message, 14, 0), 14);
	fe_run(fe);
	assert_int_equal(fe->closed, 0);
	assert_int_equal(shutdown(fe->sock, SHUT_RDWR), 0);
	fe_run(fe);
	assert_int_equal(fe->closed, 1);
	fe_free(fe);
	virtio_device_free(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_checked),
		cmocka_unit_test(huge_pages_are_mapped_whole),
		cmocka_unit_test(memory_may_be_cut_short),
		cmocka_unit_test(ring_registers_are_checked),
		cmocka_unit_test(broken_messages_end_the_connection),
		cmocka_unit_test(descriptors_are_counted),
		cmocka_unit_test(messages_come_in_pieces),
	};
	int rc;

	loop = evloop_new();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return rc;
}

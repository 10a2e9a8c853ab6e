/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/blk.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/driver.h"

#define SECTORS 64u
#define SECTOR 512u

#define F_RO (1ull << 5)
#define F_FLUSH (1ull << 9)
#define F_DISCARD (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)
#define F_ALL (F_FLUSH | F_DISCARD | F_WRITE_ZEROES)

enum {
	T_IN = 0,
	T_OUT = 1,
	T_FLUSH = 4,
	T_ID = 8,
	T_DISCARD = 11,
	T_WZ = 13
};
enum {
	OK = 0,
	IOERR = 1,
	UNSUPP = 2
};

/* Sector n is full of the byte n + 1, and there is half a sector more. */
static int make_image(void)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	uint8_t sector[SECTOR];
	unsigned i;

	assert_true(fd >= 0);
	for (i = 0; i < SECTORS; i++) {
		memset(sector, (int)i + 1, sizeof(sector));
		assert_int_equal(write(fd, sector, SECTOR), SECTOR);
	}
	assert_int_equal(write(fd, sector, SECTOR / 2), SECTOR / 2);
	return fd;
}

static struct test_driver *started(int fd, bool readonly, uint64_t features)
{
	struct virtio_blk_config config = {
		.fd = fd, .readonly = readonly, .serial = "disk-1"};
	struct test_driver *d = test_driver_new(4 << 20);
	struct err err;

	test_driver_plug(d, virtio_blk_new(&config, &err), NULL);
	test_driver_start(d, features, 64);
	return d;
}

static uint64_t header(struct test_driver *d, uint32_t type, uint64_t sector)
{
	uint8_t bytes[16] = {0};
	uint32_t type_le = htole32(type);
	uint64_t sector_le = htole64(sector);

	memcpy(bytes, &type_le, 4);
	memcpy(bytes + 8, &sector_le, 8);
	return test_alloc_data(d, bytes, sizeof(bytes));
}

/* Returns the status byte; 255 when the device did not write it. */
static unsigned request(struct test_driver *d, uint32_t type, uint64_t sector,
			uint64_t data, uint32_t data_len, bool write,
			uint32_t *used)
{
	uint64_t status = test_alloc_data(d, "\xff", 1);
	struct test_seg segs[3] = {{header(d, type, sector), 16, false}};
	unsigned n = 1;

	if (data_len > 0)
		segs[n++] = (struct test_seg){data, data_len, write};
	segs[n++] = (struct test_seg){status, 1, true};
	test_add(d, 0, segs, n);
	test_kick(d, 0);
	test_wait_used(d, 0, NULL, used);
	return *(uint8_t *)test_ptr(d, status);
}

static void reads_and_writes(void **state)
{
	int fd = make_image();
	struct test_driver *d = started(dup(fd), false, F_ALL);
	uint64_t buf = test_alloc(d, 4 * SECTOR, 1);
	uint8_t *p = test_ptr(d, buf);
	uint8_t back[SECTOR];
	uint32_t used;

	assert_int_equal(request(d, T_IN, 2, buf, 2 * SECTOR, true, &used), OK);
	assert_int_equal(used, 2 * SECTOR + 1);
	assert_int_equal(p[0], 3);
	assert_int_equal(p[SECTOR], 4);
	memset(p, 0xaa, SECTOR);
	assert_int_equal(request(d, T_OUT, 63, buf, SECTOR, false, &used), OK);
	assert_int_equal(used, 1);
	assert_int_equal(pread(fd, back, SECTOR, 63 * SECTOR), SECTOR);
	assert_memory_equal(back, p, SECTOR);
	assert_int_equal(request(d, T_FLUSH, 0, 0, 0, false, &used), OK);
	test_driver_free(d);
	close(fd);
}

static void segments_are_cut_anywhere(void **state)
{
	struct test_driver *d = started(make_image(), false, F_ALL);
	uint64_t head = header(d, T_IN, 5);
	uint64_t buf = test_alloc(d, SECTOR + 1, 1);
	/* A header in two, 512 bytes and the status byte in three. */
	struct test_seg segs[] = {{head, 3, false},
				  {head + 3, 13, false},
				  {buf, 100, true},
				  {buf + 100, 411, true},
				  {buf + 511, 2, true}};
	uint8_t *p = test_ptr(d, buf);
	uint32_t used;

	p[SECTOR] = 0xff;
	test_add(d, 0, segs, 5);
	test_kick(d, 0);
	test_wait_used(d, 0, NULL, &used);
	assert_int_equal(used, SECTOR + 1);
	assert_int_equal(p[0], 6);
	assert_int_equal(p[SECTOR - 1], 6);
	assert_int_equal(p[SECTOR], OK);
	test_driver_free(d);
}

/* Invariant 10 ---------------------------------------------------------- */

static void stays_inside_the_image(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{SECTORS, SECTOR},
		{SECTORS - 1, 2 * SECTOR},
		{UINT64_MAX, SECTOR},
		{UINT64_MAX / SECTOR, SECTOR},
		{UINT64_MAX / 512 + 1, SECTOR},
		{0, SECTOR - 1},
		{0, SECTOR + 1},
		{0, (SECTORS + 1) * SECTOR},
		{SECTORS + 1, 512},
	};
	int fd = make_image();
	struct test_driver *d = started(dup(fd), false, F_ALL);
	uint64_t buf = test_alloc(d, (SECTORS + 2) * SECTOR, 1);
	uint32_t used;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(request(d, T_IN, bad[i].sector, buf,
					 bad[i].len, true, &used),
				 IOERR);
		assert_int_equal(used, 1);
		assert_int_equal(request(d, T_OUT, bad[i].sector, buf,
					 bad[i].len, false, &used),
				 IOERR);
	}
	/* The half sector at the end is not part of the disk. */
	assert_int_equal(lseek(fd, 0, SEEK_END), SECTORS * SECTOR + 256);
	assert_int_equal(virtio_device_status(d->dev) & VIRTIO_NEEDS_RESET, 0);
	test_driver_free(d);
	close(fd);
}

static void readonly_is_enforced(void **state)
{
	int fd = make_image();
	struct test_driver *d = started(dup(fd), true, F_RO | F_FLUSH);
	uint64_t buf = test_alloc(d, SECTOR, 1);
	uint8_t back[SECTOR];
	uint32_t used;

	assert_int_equal(request(d, T_OUT, 0, buf, SECTOR, false, &used),
			 IOERR);
	assert_int_equal(request(d, T_DISCARD, 0, buf, 16, false, &used),
			 UNSUPP);
	assert_int_equal(request(d, T_WZ, 0, buf, 16, false, &used), UNSUPP);
	assert_int_equal(pread(fd, back, SECTOR, 0), SECTOR);
	assert_int_equal(back[0], 1);
	assert_int_equal(request(d, T_IN, 0, buf, SECTOR, true, &used), OK);
	assert_int_equal(request(d, T_FLUSH, 0, 0, 0, false, &used), OK);
	/* Also when the driver does not acknowledge RO. */
	test_driver_start(d, 0, 64);
	assert_int_equal(request(d, T_OUT, 0, buf, SECTOR, false, &used),
			 IOERR);
	assert_false(test_negotiate(d, F_DISCARD));
	test_driver_free(d);
	close(fd);
}

static void a_shorter_image_is_an_error(void **state)
{
	int fd = make_image();
	struct test_driver *d = started(dup(fd), false, F_ALL);
	uint64_t buf = test_alloc(d, 4 * SECTOR, 1);
	uint32_t used;

	assert_int_equal(ftruncate(fd, 10 * SECTOR), 0);
	assert_int_equal(request(d, T_IN, 8, buf, 4 * SECTOR, true, &used),
			 IOERR);
	assert_int_equal(request(d, T_IN, 8, buf, 2 * SECTOR, true, &used), OK);
	test_driver_free(d);
	close(fd);
}

static void tells_its_serial(void **state)
{
	struct test_driver *d = started(make_image(), false, F_ALL);
	uint64_t buf = test_alloc_data(d, "xxxxxxxxxxxxxxxxxxxxxxxx", 24);
	uint32_t used;

	assert_int_equal(request(d, T_ID, 0, buf, 24, true, &used), OK);
	assert_int_equal(used, 21);
	assert_memory_equal(test_ptr(d, buf),
			    "disk-1\0\0\0\0\0\0\0\0\0\0\0\0"
			    "\0\0xxxx",
			    24);
	buf = test_alloc_data(d, "xxxxxxxx", 8);
	assert_int_equal(request(d, T_ID, 0, buf, 4, true, &used), OK);
	assert_memory_equal(test_ptr(d, buf), "diskxxxx", 8);
	test_driver_free(d);
}

static void unknown_requests_are_completed(void **state)
{
	struct test_driver *d = started(make_image(), false, 0);
	uint64_t buf = test_alloc(d, SECTOR, 1);
	uint32_t used;

	assert_int_equal(request(d, 2, 0, buf, SECTOR, true, &used), UNSUPP);
	assert_int_equal(used, 1);
	assert_int_equal(request(d, UINT32_MAX, 0, 0, 0, true, &used), UNSUPP);
	/* Offered, but not negotiated. */
	assert_int_equal(request(d, T_DISCARD, 0, buf, 16, false, &used),
			 UNSUPP);
	test_driver_free(d);
}

static uint64_t range(struct test_driver *d, uint64_t sector, uint32_t sectors,
		      uint32_t flags)
{
	uint8_t bytes[16];
	uint64_t sector_le = htole64(sector);
	uint32_t sectors_le = htole32(sectors);
	uint32_t flags_le = htole32(flags);

	memcpy(bytes, &sector_le, 8);
	memcpy(bytes + 8, &sectors_le, 4);
	memcpy(bytes + 12, &flags_le, 4);
	return test_alloc_data(d, bytes, 16);
}

static void discards_and_zeroes(void **state)
{
	int fd = make_image();
	struct test_driver *d = started(dup(fd), false, F_ALL);
	uint8_t back[3 * SECTOR];
	uint32_t used;

	assert_int_equal(
		request(d, T_WZ, 0, range(d, 1, 1, 0), 16, false, &used), OK);
	assert_int_equal(
		request(d, T_WZ, 0, range(d, 8, 8, 1), 16, false, &used), OK);
	assert_int_equal(
		request(d, T_DISCARD, 0, range(d, 16, 8, 0), 16, false, &used),
		OK);
	assert_int_equal(pread(fd, back, sizeof(back), 0), sizeof(back));
	assert_int_equal(back[SECTOR - 1], 1);
	assert_int_equal(back[SECTOR], 0);
	assert_int_equal(back[2 * SECTOR - 1], 0);
	assert_int_equal(back[2 * SECTOR], 3);
	assert_int_equal(pread(fd, back, 1, 16 * SECTOR - 1), 1);
	assert_int_equal(back[0], 0);
	assert_int_equal(pread(fd, back, 1, 24 * SECTOR), 1);
	assert_int_equal(back[0], 25);
	/* Outside, too long, flags that are reserved, half a range. */
	assert_int_equal(
		request(d, T_WZ, 0, range(d, SECTORS, 1, 0), 16, false, &used),
		IOERR);
	assert_int_equal(request(d, T_WZ, 0, range(d, UINT64_MAX, 2, 0), 16,
				 false, &used),
			 IOERR);
	assert_int_equal(request(d, T_WZ, 0, range(d, 0, UINT32_MAX, 0), 16,
				 false, &used),
			 IOERR);
	assert_int_equal(
		request(d, T_WZ, 0, range(d, 0, 1, 2), 16, false, &used),
		UNSUPP);
	assert_int_equal(
		request(d, T_DISCARD, 0, range(d, 0, 1, 1), 16, false, &used),
		UNSUPP);
	assert_int_equal(
		request(d, T_WZ, 0, range(d, 0, 1, 0), 15, false, &used),
		IOERR);
	assert_int_equal(lseek(fd, 0, SEEK_END), SECTORS * SECTOR + 256);
	test_driver_free(d);
	close(fd);
}

/* Invariants 7 and 14: no place for header or status is a fault. --------- */

static void wait_fault(struct test_driver *d)
{
	pthread_mutex_lock(&test_lock);
	while (d->config_signals == 0)
		pthread_cond_wait(&test_signalled, &test_lock);
	pthread_mutex_unlock(&test_lock);
	assert_true(virtio_device_status(d->dev) & VIRTIO_NEEDS_RESET);
	assert_false(test_used(d, 0, NULL, NULL));
}

static void malformed_requests_are_faults(void **state)
{
	unsigned i;

	for (i = 0; i < 4; i++) {
		struct test_driver *d = started(make_image(), false, F_ALL);
		uint64_t head = header(d, T_IN, 0);
		struct test_seg segs[2] = {{head, 15, false},
					   {test_alloc(d, 8, 1), 1, true}};

		if (i == 1)
			segs[0].len = 16; /* and no status */
		if (i == 2)
			segs[0].write = true; /* no header */
		if (i == 3)
			test_publish(d, 0, 64); /* no such descriptor */
		else
			test_add(d, 0, segs, i == 0 ? 2 : 1);
		test_kick(d, 0);
		wait_fault(d);
		/* A reset brings it back. */
		test_driver_start(d, F_ALL, 64);
		assert_int_equal(request(d, T_FLUSH, 0, 0, 0, false, NULL), OK);
		test_driver_free(d);
	}
}

static void reset_drains(void **state)
{
	struct test_driver *d = started(make_image(), false, F_ALL);
	uint64_t buf = test_alloc(d, SECTORS * SECTOR, 1);
	uint64_t status = test_alloc(d, 1, 1);
	struct test_seg segs[3] = {{header(d, T_IN, 0), 16, false},
				   {buf, SECTORS * SECTOR, true},
				   {status, 1, true}};
	unsigned round;
	unsigned i;

	for (round = 0; round < 20; round++) {
		d->brk = status + 1 - TEST_GPA;
		test_driver_start(d, F_ALL, 64);
		for (i = 0; i < 20; i++)
			test_add(d, 0, segs, 3);
		test_kick(d, 0);
		virtio_device_set_status(d->dev, 0);
		/* Nothing touches the buffers from here on: TSan looks. */
		memset(test_ptr(d, buf), 0x55, SECTORS * SECTOR);
	}
	test_driver_free(d);
}

static void config_space(void **state)
{
	struct test_driver *d = started(make_image(), false, F_ALL);
	uint64_t capacity;
	uint32_t seg_max;

	virtio_device_config_read(d->dev, 0, &capacity, 8);
	assert_int_equal(le64toh(capacity), SECTORS);
	virtio_device_config_read(d->dev, 12, &seg_max, 4);
	assert_int_equal(le32toh(seg_max), 126);
	test_driver_free(d);
}

static void refuses_bad_images(void **state)
{
	struct virtio_blk_config config = {.fd = memfd_create("small", 0)};
	struct err err;
	int pipes[2];

	assert_null(virtio_blk_new(&config, &err));
	assert_int_equal(err.code, EINVAL);
	assert_int_equal(pipe(pipes), 0);
	config.fd = pipes[0];
	config.readonly = true;
	assert_null(virtio_blk_new(&config, &err));
	assert_int_equal(err.code, EINVAL);
	assert_int_equal(fcntl(pipes[0], F_GETFD), -1);
	close(pipes[1]);
	config.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	config.readonly = false;
	assert_null(virtio_blk_new(&config, &err));
	assert_int_equal(err.code, EACCES);
	config.fd = make_image();
	config.serial = "a serial number too long";
	assert_null(virtio_blk_new(&config, &err));
	assert_int_equal(err.code, EINVAL);
}

static int refuse(void *arg, const char *name)
{
	assert_string_equal(name, "blk");
	return -EPERM;
}

static void thread_that_may_not_work(void **state)
{
	struct virtio_blk_config config = {.fd = make_image(),
					   .thread_started = refuse};
	struct test_driver *d = test_driver_new(1 << 20);
	struct err err;

	test_driver_plug(d, virtio_blk_new(&config, &err), NULL);
	assert_true(test_negotiate(d, 0));
	test_ring_make(d, 0, 64);
	assert_true(test_driver_ok(d) & VIRTIO_NEEDS_RESET);
	test_driver_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(segments_are_cut_anywhere),
		cmocka_unit_test(stays_inside_the_image),
		cmocka_unit_test(readonly_is_enforced),
		cmocka_unit_test(a_shorter_image_is_an_error),
		cmocka_unit_test(tells_its_serial),
		cmocka_unit_test(unknown_requests_are_completed),
		cmocka_unit_test(discards_and_zeroes),
		cmocka_unit_test(malformed_requests_are_faults),
		cmocka_unit_test(reset_drains),
		cmocka_unit_test(config_space),
		cmocka_unit_test(refuses_bad_images),
		cmocka_unit_test(thread_that_may_not_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

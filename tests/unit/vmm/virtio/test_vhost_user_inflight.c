/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vhost_user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "tests/unit/vmm/virtio/frontend.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/inflight.h"

/* Requests that outlive the device which had them. */

#define PROTOCOL (VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_INFLIGHT_SHMFD)
#define OPTIONS ((struct vhost_user_options){.memory_fd = -1, .inflight = true})
#define RING 64
#define TX 1

static struct evloop *loop;
static char out[256];
static size_t out_len;

static void collect(void *arg, const void *data, size_t len)
{
	assert_true(len <= sizeof(out) - out_len);
	memcpy(out + out_len, data, len);
	out_len += len;
}

static void printed(const char *text)
{
	assert_int_equal(out_len, strlen(text));
	assert_memory_equal(out, text, out_len);
}

struct rig {
	struct virtio_device *dev;
	struct frontend *fe;
	struct vu_inflight shape;
	int fd;
	uint8_t *memory;
};

/* The reply to GET_INFLIGHT_FD, or -1: there is none. */
static int get_fd(struct frontend *fe, struct vu_inflight *shape)
{
	uint8_t buf[256];
	unsigned nfds = 1;
	int fd = -1;
	ssize_t n;

	fe_raw(fe, VU_GET_INFLIGHT_FD, 1, sizeof(*shape), shape, NULL, 0);
	n = fd_recv(fe->sock, buf, sizeof(buf), &fd, &nfds, MSG_DONTWAIT);
	if (n <= 0)
		return -1;
	assert_int_equal(n, sizeof(struct vu_header) + sizeof(*shape));
	assert_int_equal(nfds, 1);
	memcpy(shape, buf + sizeof(struct vu_header), sizeof(*shape));
	return fd;
}

static bool set_fd(struct frontend *fe, const struct vu_inflight *shape, int fd)
{
	return fe_send(fe, VU_SET_INFLIGHT_FD, shape, sizeof(*shape), &fd,
		       fd >= 0 ? 1 : 0);
}

static void connect_console(struct rig *r)
{
	r->dev = virtio_console_new(collect, NULL);
	fe_connect(r->fe, r->dev, OPTIONS);
	assert_true(fe_hello(r->fe, 0, PROTOCOL));
}

static struct rig make_rig(void)
{
	struct rig r = {
		.fe = fe_new(loop),
		.shape = {.num_queues = 2, .queue_size = RING},
	};

	out_len = 0;
	connect_console(&r);
	r.fd = get_fd(r.fe, &r.shape);
	assert_true(r.fd >= 0);
	assert_true(r.shape.mmap_size >= 2 * inflight_len(RING));
	r.memory = mmap(NULL, r.shape.mmap_size, PROT_READ | PROT_WRITE,
			MAP_SHARED, r.fd, (off_t)r.shape.mmap_offset);
	assert_true(r.memory != MAP_FAILED);
	assert_true(set_fd(r.fe, &r.shape, r.fd));
	assert_true(fe_start_rings(r.fe, 2, RING, false));
	return r;
}

static void free_rig(struct rig *r)
{
	fe_free(r->fe);
	virtio_device_free(r->dev);
	munmap(r->memory, r->shape.mmap_size);
	close(r->fd);
}

static struct inflight_map *map_of(struct rig *r, unsigned q)
{
	return (void *)(r->memory + q * (r->shape.mmap_size / 2));
}

static uint16_t add(struct rig *r, const char *text)
{
	struct test_seg seg = {test_alloc_data(&r->fe->d, text, strlen(text)),
			       (uint32_t)strlen(text), false};

	return test_add(&r->fe->d, TX, &seg, 1);
}

static void print(struct rig *r, const char *text)
{
	add(r, text);
	fe_kick(r->fe, TX);
}

static void note(struct rig *r, uint16_t head, uint64_t counter)
{
	map_of(r, TX)->desc[head].counter = counter;
	map_of(r, TX)->desc[head].inflight = 1;
}

/* As if the device had been killed: another one takes over. */
static bool take_over(struct rig *r)
{
	fe_disconnect(r->fe);
	virtio_device_free(r->dev);
	connect_console(r);
	assert_true(set_fd(r->fe, &r->shape, r->fd));
	assert_true(fe_memory(r->fe));
	/* The map knows better. */
	assert_true(fe_ring(r->fe, TX, 0));
	return fe_start(r->fe, TX);
}

static unsigned inflight_count(struct rig *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RING; i++)
		n += map_of(r, TX)->desc[i].inflight;
	return n;
}

static void notes_follow_the_ring(void **state)
{
	struct rig r = make_rig();
	struct inflight_map *map = map_of(&r, TX);

	assert_int_equal(fcntl(r.fd, F_GET_SEALS) & F_SEAL_SHRINK,
			 F_SEAL_SHRINK);
	assert_int_equal(map->version, 1);
	assert_int_equal(map->desc_num, RING);
	for (uint16_t i = 1; i <= 200; i++) {
		out_len = 0;
		print(&r, "x");
		assert_int_equal(map->used_idx, i);
		assert_int_equal(inflight_count(&r), 0);
	}
	assert_int_equal(map->desc[0].counter % RING, 0);
	assert_true(map->desc[7].counter > 0);
	free_rig(&r);
}

static void the_next_one_goes_on(void **state)
{
	struct rig r = make_rig();
	uint16_t y;
	uint16_t z;

	print(&r, "x");
	y = add(&r, "y");
	z = add(&r, "z");
	add(&r, "w");
	/* It had y and z, in that order of the ring but not of its own. */
	note(&r, y, 8);
	note(&r, z, 7);
	out_len = 0;
	assert_true(take_over(&r));
	printed("zyw");
	assert_int_equal(inflight_count(&r), 0);
	assert_int_equal(map_of(&r, TX)->used_idx, 4);
	print(&r, "!");
	printed("zyw!");
	/* Later than all that was. */
	assert_int_equal(map_of(&r, TX)->desc[4].counter, 10);
	assert_int_equal(fe_get_base(r.fe, TX), 5);
	free_rig(&r);
}

static void what_was_completed_is_not_done_again(void **state)
{
	struct rig r = make_rig();
	struct inflight_map *map = map_of(&r, TX);

	print(&r, "a");
	print(&r, "b");
	/* Killed before it could note that b's completion is out. */
	note(&r, 1, 1);
	map->used_idx = 1;
	map->last_batch_head = 1;
	assert_true(take_over(&r));
	printed("ab");
	assert_int_equal(map->used_idx, 2);
	assert_int_equal(inflight_count(&r), 0);
	print(&r, "c");
	printed("abc");
	free_rig(&r);
}

static void a_stop_keeps_the_notes(void **state)
{
	struct rig r = make_rig();
	uint16_t head;

	print(&r, "1");
	assert_int_equal(fe_get_base(r.fe, TX), 1);
	head = add(&r, "2");
	note(&r, head, 40);
	assert_true(fe_ring(r.fe, TX, 1));
	assert_true(fe_start(r.fe, TX));
	printed("12");
	/* A driver that begins again: the map is fresh, too. */
	assert_int_equal(fe_get_base(r.fe, 0), 0);
	assert_int_equal(fe_get_base(r.fe, TX), 2);
	memset(r.memory, 0, r.shape.mmap_size);
	out_len = 0;
	assert_true(fe_start_rings(r.fe, 2, RING, false));
	print(&r, "new");
	printed("new");
	assert_int_equal(map_of(&r, TX)->used_idx, 1);
	free_rig(&r);
}

static void broken_maps_start_no_ring(void **state)
{
	static const struct inflight_map bad[] = {
		{.version = 7, .desc_num = RING},
		{.version = 1, .desc_num = RING / 2},
		{.version = 1, .desc_num = 0},
		{.version = 1, .desc_num = RING, .used_idx = 2},
		{.version = 1, .desc_num = RING, .used_idx = 0x8000},
		{.version = 1, .desc_num = RING, .last_batch_head = RING},
		{.version = 1, .desc_num = RING, .last_batch_head = 0xffff},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig r = make_rig();

		print(&r, "x");
		memcpy(map_of(&r, TX), &bad[i], sizeof(bad[i]));
		assert_false(take_over(&r));
		assert_false(virtio_device_running(r.dev));
		free_rig(&r);
	}
}

/* Everything in flight, of a ring that has nothing: the device faults. */
static void maps_that_lie_fault_the_device(void **state)
{
	struct rig r = make_rig();

	print(&r, "x");
	for (uint16_t i = 0; i < RING; i++)
		note(&r, i, UINT64_MAX - i);
	assert_true(take_over(&r));
	assert_false(virtio_device_running(r.dev));
	free_rig(&r);

	/* A loop of batches ends. */
	r = make_rig();
	for (unsigned i = 0; i < 3; i++)
		print(&r, "x");
	map_of(&r, TX)->used_idx = 0;
	map_of(&r, TX)->last_batch_head = 1;
	map_of(&r, TX)->desc[1].next = 1;
	assert_true(take_over(&r));
	assert_true(virtio_device_running(r.dev));
	free_rig(&r);
}

static void memory_is_checked(void **state)
{
	struct rig r = make_rig();
	int loose = memfd_create("loose", MFD_CLOEXEC);
	int event = eventfd(0, EFD_CLOEXEC);
	int huge = memfd_create("huge",
				MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
	struct vu_inflight s;
	size_t stride = r.shape.mmap_size / 2;

	assert_int_equal(ftruncate(loose, (off_t)r.shape.mmap_size), 0);
#define WITH(field, v) ((s = r.shape), (s.field = (v)), &s)
	assert_false(set_fd(r.fe, &r.shape, loose));
	assert_false(set_fd(r.fe, &r.shape, event));
	assert_false(set_fd(r.fe, &r.shape, r.fe->sock));
	assert_false(set_fd(r.fe, &r.shape, -1));
	/* Where no huge page is to be had, it cannot be mapped. */
	if (huge >= 0) {
		assert_int_equal(ftruncate(huge, 1 << 30), 0);
		assert_int_equal(fcntl(huge, F_ADD_SEALS, F_SEAL_SHRINK), 0);
		assert_false(set_fd(r.fe, &r.shape, huge));
		close(huge);
	}
	assert_false(set_fd(r.fe, WITH(mmap_size, stride), r.fd));
	assert_false(set_fd(r.fe, WITH(mmap_size, UINT64_MAX), r.fd));
	assert_false(set_fd(r.fe, WITH(mmap_offset, 4096), r.fd));
	assert_false(set_fd(r.fe, WITH(mmap_offset, 8), r.fd));
	assert_false(set_fd(r.fe, WITH(mmap_offset, UINT64_MAX - 4095), r.fd));
	assert_false(set_fd(r.fe, WITH(num_queues, 0), r.fd));
	assert_false(set_fd(r.fe, WITH(num_queues, 3), r.fd));
	assert_false(set_fd(r.fe, WITH(queue_size, 0), r.fd));
	assert_false(set_fd(r.fe, WITH(queue_size, 2048), r.fd));
	/* It runs as before; one of fewer rings is enough. */
	print(&r, "x");
	printed("x");
	assert_true(set_fd(r.fe, WITH(num_queues, 1), r.fd));
	print(&r, "y");
	printed("xy");
	assert_int_equal(map_of(&r, TX)->used_idx, 1);
#undef WITH
	assert_int_equal(r.fe->closed, 0);
	/* No reply that could say so. */
	assert_int_equal(
		get_fd(r.fe, &(struct vu_inflight){.num_queues = 3,
						   .queue_size = RING}),
		-1);
	assert_int_equal(r.fe->closed, 1);
	close(loose);
	close(event);
	free_rig(&r);
}

static void only_where_it_is_offered(void **state)
{
	struct virtio_device *dev = virtio_console_new(collect, NULL);
	struct frontend *fe = fe_new(loop);

	fe_connect(fe, dev, (struct vhost_user_options){.memory_fd = -1});
	assert_false(fe_get(fe, VU_GET_PROTOCOL_FEATURES) &
		     VU_PROTOCOL_F_INFLIGHT_SHMFD);
	fe_disconnect(fe);
	fe_connect(fe, dev, OPTIONS);
	assert_true(fe_get(fe, VU_GET_PROTOCOL_FEATURES) &
		    VU_PROTOCOL_F_INFLIGHT_SHMFD);
	/* Nor before it is agreed on. */
	assert_int_equal(get_fd(fe, &(struct vu_inflight){.num_queues = 1,
							  .queue_size = RING}),
			 -1);
	fe_free(fe);
	virtio_device_free(dev);
}

/* A disk on a thread of its own: notes and ring agree at each stop. */
static void a_disk_that_is_stopped_at_work(void **state)
{
	struct virtio_blk_config config = {
		.fd = memfd_create("image", MFD_CLOEXEC)};
	struct vu_inflight shape = {.num_queues = 1, .queue_size = 256};
	struct frontend *fe = fe_new(loop);
	struct virtio_device *dev;
	struct inflight_map *map;
	struct test_seg segs[3];
	struct err err;
	uint64_t head;
	unsigned base;
	int fd;

	assert_int_equal(ftruncate(config.fd, 1 << 20), 0);
	dev = virtio_blk_new(&config, &err);
	assert_non_null(dev);
	fe_connect(fe, dev, OPTIONS);
	assert_true(fe_hello(fe, 0, PROTOCOL));
	fd = get_fd(fe, &shape);
	map = mmap(NULL, shape.mmap_size, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	assert_true(set_fd(fe, &shape, fd));
	assert_true(fe_start_rings(fe, 1, 256, false));
	head = test_alloc(&fe->d, 16 + 513, 16);
	segs[0] = (struct test_seg){head, 16, false};
	segs[1] = (struct test_seg){head + 16, 512, true};
	segs[2] = (struct test_seg){head + 528, 1, true};
	for (unsigned i = 0; i < 60; i++)
		test_add(&fe->d, 0, segs, 3);
	fe_kick(fe, 0);
	base = fe_get_base(fe, 0); /* it goes on until this is answered */
	assert_int_equal(base, map->used_idx);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(map->desc[i].inflight, 0);
	munmap(map, shape.mmap_size);
	close(fd);
	fe_free(fe);
	virtio_device_free(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notes_follow_the_ring),
		cmocka_unit_test(the_next_one_goes_on),
		cmocka_unit_test(what_was_completed_is_not_done_again),
		cmocka_unit_test(a_stop_keeps_the_notes),
		cmocka_unit_test(broken_maps_start_no_ring),
		cmocka_unit_test(maps_that_lie_fault_the_device),
		cmocka_unit_test(memory_is_checked),
		cmocka_unit_test(only_where_it_is_offered),
		cmocka_unit_test(a_disk_that_is_stopped_at_work),
	};
	int rc;

	loop = evloop_new();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return rc;
}

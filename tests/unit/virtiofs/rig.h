/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_VIRTIOFS_RIG_H
#define TESTS_UNIT_VIRTIOFS_RIG_H

/* A virtio-fs device on a fresh directory, and the guest's side of its queues,
 * one request at a time or more. */

#include <stdatomic.h>
#include <sys/eventfd.h>

#include "tests/unit/virtiofs/client.h"
#include "tests/unit/vmm/virtio/driver.h"

#define FEATURES (VIRTIO_RING_F_INDIRECT_DESC | VIRTIO_RING_F_EVENT_IDX)
#define HIPRIO 0u
#define REQUEST 1u

struct rig {
	struct test_driver *d;
	struct evloop *loop;
	char path[64];
	atomic_uint started;
	int start_result;
	uint64_t unique;
};

static inline int on_thread(void *arg, const char *name)
{
	struct rig *rig = arg;

	assert_true(name[0] == 'f' && name[1] == 's');
	atomic_fetch_add(&rig->started, 1);
	return rig->start_result;
}

static inline void rig_open_for(struct rig *rig, unsigned workers,
				unsigned queues, bool vcpus)
{
	struct virtiofs_config config = {
		.proc_fd = -1,
		.tag = "nacre",
		.workers = workers,
		.request_queues = queues,
		.vcpus = vcpus,
		.thread_started = on_thread,
		.arg = rig,
	};
	struct virtio_device *dev;
	struct err err;

	memset(rig, 0, sizeof(*rig));
	snprintf(rig->path, sizeof(rig->path), "/tmp/nacre-fsdev-XXXXXX");
	assert_non_null(mkdtemp(rig->path));
	config.root_fd = open(rig->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	dev = virtiofs_device_new(&config, &err);
	if (!dev)
		fail_msg("%s", err.text);
	rig->loop = evloop_new();
	rig->d = test_driver_new(8 << 20);
	test_driver_plug(rig->d, dev, rig->loop);
}

static inline void rig_open(struct rig *rig, unsigned workers, unsigned queues)
{
	rig_open_for(rig, workers, queues, false);
}

/* Kicks of REQUEST by a descriptor, once the device has taken it. */
static int kick_fd = -1;
static bool kick_taken;

static inline int take(struct virtio_device *dev, unsigned q)
{
	assert_int_equal(q, REQUEST);
	assert_false(kick_taken);
	kick_taken = true;
	return kick_fd;
}

static inline void back(struct virtio_device *dev, unsigned q)
{
	assert_int_equal(q, REQUEST);
	assert_true(kick_taken);
	kick_taken = false;
}

static const struct virtio_transport_ops fd_transport = {
	.signal_queue = test_signal_queue,
	.signal_config = test_signal_config,
	.kick_take = take,
	.kick_back = back,
};

static inline void kick_by_fd(struct rig *rig)
{
	kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(kick_fd >= 0);
	rig->d->dev->transport = &fd_transport;
}

static inline void kick(struct rig *rig)
{
	if (kick_taken)
		assert_int_equal(eventfd_write(kick_fd, 1), 0);
	else
		test_kick(rig->d, REQUEST);
}

static inline void rig_close(struct rig *rig)
{
	test_driver_free(rig->d);
	assert_false(kick_taken);
	if (kick_fd >= 0)
		close(kick_fd);
	kick_fd = -1;
	evloop_free(rig->loop);
	assert_int_equal(remove_tree(AT_FDCWD, rig->path), 0);
}

struct sent {
	uint16_t head;
	uint64_t out;
};

/* A request with room for out_len bytes of reply, in fresh guest memory. */
static inline struct sent send(struct rig *rig, unsigned q, uint32_t opcode,
			       uint64_t node, const void *arg, size_t len,
			       uint32_t out_len)
{
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + len),
		.opcode = opcode,
		.unique = ++rig->unique,
		.nodeid = node,
		.uid = getuid(),
		.gid = getgid(),
	};
	uint64_t in = test_alloc(rig->d, sizeof(head) + len, 8);
	uint64_t out = out_len ? test_alloc(rig->d, out_len, 8) : 0;
	struct test_seg segs[] = {
		{in, sizeof(head), false},
		{in + sizeof(head), (uint32_t)len, false},
		{out, out_len, true},
	};
	struct sent sent = {.out = out};

	memcpy(test_ptr(rig->d, in), &head, sizeof(head));
	memcpy((char *)test_ptr(rig->d, in) + sizeof(head), arg, len);
	sent.head = test_add_indirect(rig->d, q, segs, out_len ? 3 : 2);
	return sent;
}

static inline void wait_used(struct rig *rig, unsigned q, uint32_t *head,
			     uint32_t *len)
{
	while (!test_used(rig->d, q, head, len))
		assert_true(evloop_once(rig->loop, 1) >= 0);
}

static inline int reply(struct rig *rig, struct sent sent, const void **body)
{
	const struct fuse_out_header *out = test_ptr(rig->d, sent.out);

	if (body)
		*body = out + 1;
	return out->error;
}

/* As EVENT_IDX has it: the device asked for it (virtio 1.2, 2.7.10.1). */
static inline bool asks_for_kick(struct rig *rig, unsigned q)
{
	struct test_ring *r = &rig->d->rings[q];
	uint16_t event = test_get16(rig->d, r->used + 4 + 8ull * r->size);

	return (uint16_t)(r->avail_idx - event - 1) < 1;
}

static inline int call(struct rig *rig, unsigned q, uint32_t opcode,
		       uint64_t node, const void *arg, size_t len,
		       const void **body)
{
	struct sent sent = send(rig, q, opcode, node, arg, len, 4096);
	uint32_t head;
	uint32_t used;

	test_kick(rig->d, q);
	wait_used(rig, q, &head, &used);
	assert_int_equal(head, sent.head);
	assert_true(used >= sizeof(struct fuse_out_header));
	return reply(rig, sent, body);
}

static inline void session(struct rig *rig)
{
	struct fuse_init_in in = {.major = 7, .minor = 38};

	assert_int_equal(
		call(rig, REQUEST, FUSE_INIT, 0, &in, sizeof(in), NULL), 0);
}

#endif

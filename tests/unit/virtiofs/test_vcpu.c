/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "virtiofs/device.h"

/* Requests that the thread of a vCPU serves in the midst of its notification.
 */

/* This thread is the vCPU's from now on; not one of a device before. */
static void vcpu_open(struct rig *rig, unsigned workers)
{
	rig_open_for(rig, workers, 1, true);
	/* The pool has only what is left to it. */
	fs_device_of(rig->d->dev)->vcpus.alone = true;
	assert_int_equal(virtio_device_vcpu_started(rig->d->dev, 0), 0);
	test_driver_start(rig->d, FEATURES, 64);
}

/* Nobody looks at the ring: the next request has to be notified of. */
static bool is_unattended(struct rig *rig)
{
	struct test_ring *r = &rig->d->rings[REQUEST];

	return test_get16(rig->d, r->used + 4 + 8ull * r->size) == r->avail_idx;
}

static bool is_asleep(const char *task)
{
	char path[64];
	char *text;
	size_t len;
	bool asleep;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", task);
	assert_int_equal(file_read(AT_FDCWD, path, 4096, &text, &len), 0);
	asleep = strstr(text, ") S ") != NULL;
	free(text);
	return asleep;
}

static bool others_sleep(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *d;
	bool all = true;

	assert_non_null(dir);
	while (all && (d = readdir(dir))) {
		if (d->d_name[0] != '.' && atoi(d->d_name) != gettid())
			all = is_asleep(d->d_name);
	}
	closedir(dir);
	return all;
}

/* Where other tests want the processor, nobody looks for requests: that ends.
 */
#define LIMIT_NS 60000000000u

/* Whoever served the last one may look for the next one for a while, and
 * whoever was called once too often is about to look. */
static void become_unattended(struct rig *rig)
{
	const struct fs_pool *pool = &fs_device_of(rig->d->dev)->pool;
	eventfd_t calls;
	bool quiet = false;

	for (unsigned turns = 0; !quiet; turns++) {
		assert_true(turns < 10000);
		assert_true(evloop_once(rig->loop, 1) >= 0);
		if (!is_unattended(rig))
			continue;
		/* Nobody wakes for what is taken back. */
		eventfd_read(pool->call_fd[0], &calls);
		quiet = others_sleep() && is_unattended(rig);
	}
}

static bool kick_now(struct rig *rig)
{
	return virtio_device_kick_now(rig->d->dev, REQUEST);
}

/* Of a request that was left to the pool. */
static int left(struct rig *rig, struct sent sent)
{
	uint32_t head;
	uint32_t len;

	wait_used(rig, REQUEST, &head, &len);
	assert_int_equal(head, sent.head);
	return reply(rig, sent, NULL);
}

/* True: the reply is there when the kick returns. */
static bool is_served_now(struct rig *rig, struct sent sent)
{
	unsigned signals = test_signals(rig->d, REQUEST);
	uint32_t head;

	test_set_used_event(rig->d, REQUEST, rig->d->rings[REQUEST].used_idx);
	assert_true(kick_now(rig));
	if (!test_used(rig->d, REQUEST, &head, NULL)) {
		left(rig, sent);
		return false;
	}
	assert_int_equal(head, sent.head);
	assert_true(test_signals(rig->d, REQUEST) > signals);
	assert_true(is_unattended(rig));
	return true;
}

/* One that may be sent again: on a busy machine, what should be brief takes too
 * long now and then, and the pool has the next ones. */
static int at_once(struct rig *rig, uint32_t opcode, uint64_t node,
		   const void *arg, size_t len, const void **body)
{
	uint64_t end = monotonic_ns() + LIMIT_NS;
	size_t brk = rig->d->brk;
	struct sent sent;

	do {
		assert_true(monotonic_ns() < end);
		rig->d->brk = brk;
		become_unattended(rig);
		sent = send(rig, REQUEST, opcode, node, arg, len, 4096);
	} while (!is_served_now(rig, sent));
	return reply(rig, sent, body);
}

static void test_at_once(void **state)
{
	struct fuse_setattr_in setattr = {.valid = FATTR_MODE, .mode = 0600};
	struct fuse_getattr_in getattr = {0};
	struct {
		struct fuse_create_in in;
		char name[8];
	} create = {{.flags = O_RDWR, .mode = 0644}, "file"};
	const struct fuse_entry_out *entry;
	struct fuse_fsync_in fsync_in = {0};
	const void *body;
	struct rig rig;
	uint64_t node;

	vcpu_open(&rig, 1);
	session(&rig);
	assert_int_equal(
		at_once(&rig, FUSE_GETATTR, 1, &getattr, sizeof(getattr), NULL),
		0);
	assert_int_equal(at_once(&rig, FUSE_LOOKUP, 1, "file", 5, NULL),
			 -ENOENT);
	assert_int_equal(at_once(&rig, FUSE_CREATE, 1, &create,
				 sizeof(create.in) + 5, &body),
			 0);
	entry = body;
	node = entry->nodeid;
	fsync_in.fh =
		((const struct fuse_open_out *)(const void *)(entry + 1))->fh;
	/* What may take long is for the pool, and the vCPU goes on. */
	for (unsigned i = 0; i < 3; i++) {
		struct sent sent;

		become_unattended(&rig);
		sent = send(&rig, REQUEST, FUSE_FSYNC, node, &fsync_in,
			    sizeof(fsync_in), 256);
		assert_true(kick_now(&rig));
		assert_int_equal(left(&rig, sent), 0);
	}
	assert_int_equal(at_once(&rig, FUSE_SETATTR, node, &setattr,
				 sizeof(setattr), NULL),
			 0);
	rig_close(&rig);
}

#define LARGE (200u << 10)

static const char large[LARGE] = {[0] = 'f', [LARGE - 1] = 'l'};

/* A file of that, and what reads it. */
static void open_large(struct rig *rig, uint64_t *node, uint64_t *fh)
{
	struct fuse_open_in open_in = {.flags = O_RDONLY};
	const struct fuse_entry_out *entry;
	const void *body;
	char path[80];

	snprintf(path, sizeof(path), "%s/large", rig->path);
	assert_int_equal(
		file_replace(AT_FDCWD, path, large, sizeof(large), 0644), 0);
	assert_int_equal(at_once(rig, FUSE_LOOKUP, 1, "large", 6, &body), 0);
	entry = body;
	*node = entry->nodeid;
	assert_int_equal(at_once(rig, FUSE_OPEN, *node, &open_in,
				 sizeof(open_in), &body),
			 0);
	*fh = ((const struct fuse_open_out *)body)->fh;
}

static struct sent send_large(struct rig *rig, uint64_t node, uint64_t fh)
{
	struct fuse_read_in read_in = {.fh = fh, .size = LARGE};

	return send(rig, REQUEST, FUSE_READ, node, &read_in, sizeof(read_in),
		    sizeof(struct fuse_out_header) + LARGE);
}

/* Of which the pool would get every byte, if another vCPU were there. */
static void test_large(void **state)
{
	const void *body;
	struct sent sent;
	struct rig rig;
	uint64_t node;
	uint64_t fh;
	uint32_t head;

	vcpu_open(&rig, 1);
	session(&rig);
	open_large(&rig, &node, &fh);
	become_unattended(&rig);
	sent = send_large(&rig, node, fh);
	assert_true(kick_now(&rig));
	assert_true(test_used(rig.d, REQUEST, &head, NULL));
	assert_int_equal(head, sent.head);
	assert_int_equal(reply(&rig, sent, &body), 0);
	assert_memory_equal(body, large, LARGE);
	rig_close(&rig);
}

/* The loop's queue as well, once the loop knows it. */
static void test_forget(void **state)
{
	struct fuse_forget_in forget = {.nlookup = 1};
	struct fuse_getattr_in getattr = {0};
	struct sent sent;
	struct rig rig;

	vcpu_open(&rig, 1);
	session(&rig);
	for (unsigned i = 0; i < 2; i++) {
		const struct fuse_entry_out *entry;
		const void *body;
		uint64_t node;

		assert_int_equal(call(&rig, REQUEST, FUSE_MKDIR, 1, &(struct {
					 struct fuse_mkdir_in in;
					 char name[2];
				 }){{.mode = 0755}, {(char)('a' + i)}},
				      sizeof(struct fuse_mkdir_in) + 2, &body),
				 0);
		entry = body;
		node = entry->nodeid;
		send(&rig, HIPRIO, FUSE_FORGET, node, &forget, sizeof(forget),
		     0);
		assert_int_equal(virtio_device_kick_now(rig.d->dev, HIPRIO),
				 i > 0);
		if (i == 0)
			test_kick(rig.d, HIPRIO);
		assert_true(test_used(rig.d, HIPRIO, NULL, NULL));
		assert_int_equal(call(&rig, REQUEST, FUSE_GETATTR, node,
				      &getattr, sizeof(getattr), NULL),
				 -ESTALE);
	}
	/* Which is for nothing else. */
	sent = send(&rig, HIPRIO, FUSE_GETATTR, 1, &getattr, sizeof(getattr),
		    256);
	assert_true(virtio_device_kick_now(rig.d->dev, HIPRIO));
	assert_true(test_used(rig.d, HIPRIO, NULL, NULL));
	assert_int_equal(reply(&rig, sent, NULL), -EOPNOTSUPP);
	rig_close(&rig);
}

/* Where it is not for this thread, the notification goes the usual way. */
static void test_usual_way(void **state)
{
	struct fuse_init_in in = {.major = 7, .minor = 38};
	struct rig rig;

	rig_open(&rig, 1, 1);
	assert_int_equal(rig.d->dev->direct, 0);
	rig_close(&rig);
	/* Nobody but the loop serves. */
	rig_open_for(&rig, 0, 1, true);
	assert_int_equal(rig.d->dev->direct, 0);
	rig_close(&rig);

	vcpu_open(&rig, 1);
	assert_int_equal(rig.d->dev->direct, 1u << REQUEST | 1u << HIPRIO);
	/* The loop did not see the queues start. */
	assert_false(virtio_device_kick_now(rig.d->dev, HIPRIO));
	send(&rig, REQUEST, FUSE_INIT, 0, &in, sizeof(in), 256);
	assert_false(kick_now(&rig));
	test_kick(rig.d, REQUEST);
	wait_used(&rig, REQUEST, NULL, NULL);
	/* Nor does it serve a device that was reset. */
	virtio_device_set_status(rig.d->dev, 0);
	assert_false(kick_now(&rig));
	rig_close(&rig);
}

static void *kick_from_elsewhere(void *arg)
{
	assert_false(kick_now(arg));
	return NULL;
}

static void test_other_thread(void **state)
{
	struct rig rig;
	pthread_t id;

	vcpu_open(&rig, 1);
	session(&rig);
	assert_int_equal(pthread_create(&id, NULL, kick_from_elsewhere, &rig),
			 0);
	assert_int_equal(pthread_join(id, NULL), 0);
	rig_close(&rig);
}

/* More than it does at a time: the pool goes on. */
static void test_many(void **state)
{
	struct fuse_getattr_in getattr = {0};
	struct rig rig;
	unsigned now = 0;

	vcpu_open(&rig, 1);
	session(&rig);
	become_unattended(&rig);
	for (unsigned i = 0; i < 40; i++)
		send(&rig, REQUEST, FUSE_GETATTR, 1, &getattr, sizeof(getattr),
		     256);
	assert_true(kick_now(&rig));
	while (test_used(rig.d, REQUEST, NULL, NULL))
		now++;
	assert_true(now > 0);
	for (; now < 40; now++)
		wait_used(&rig, REQUEST, NULL, NULL);
	rig_close(&rig);
}

/* No reply is missed when what is for the pool and what is not alternate, and
 * the driver kicks when it has to and no more. */
static void test_alternately(void **state)
{
	struct fuse_getattr_in getattr = {0};
	struct fuse_fsync_in fsync_in = {0};
	unsigned kicks = 0;
	struct rig rig;

	vcpu_open(&rig, 1);
	session(&rig);
	for (unsigned i = 0; i < 3000; i++) {
		bool slow = i % 5 == 0;
		struct sent sent;

		if (slow)
			sent = send(&rig, REQUEST, FUSE_FSYNC, 1, &fsync_in,
				    sizeof(fsync_in), 256);
		else
			sent = send(&rig, REQUEST, FUSE_GETATTR, 1, &getattr,
				    sizeof(getattr), 256);
		if (asks_for_kick(&rig, REQUEST)) {
			assert_true(kick_now(&rig));
			kicks++;
		}
		assert_int_equal(left(&rig, sent), slow ? -EBADF : 0);
	}
	assert_true(kicks > 0);
	rig_close(&rig);
}

/* One that is notified of: whether somebody looks for the next one then. */
static bool is_hot_after(struct rig *rig, struct sent sent)
{
	assert_true(kick_now(rig));
	assert_int_equal(left(rig, sent), 0);
	for (unsigned n = 0; n < 1000; n++) {
		if (!is_unattended(rig))
			return true;
	}
	return false;
}

/* Requests that are some time apart. */
static void become_hot(uint64_t apart_ns)
{
	uint64_t end = monotonic_ns() + LIMIT_NS;
	struct fuse_getattr_in getattr = {0};
	struct rig rig;
	bool hot = false;
	uint64_t next;
	size_t brk;

	vcpu_open(&rig, 1);
	session(&rig);
	fs_device_of(rig.d->dev)->vcpus.alone = false;
	brk = rig.d->brk;
	while (!hot && monotonic_ns() < end) {
		next = monotonic_ns() + apart_ns;
		while (monotonic_ns() < next)
			;
		rig.d->brk = brk;
		hot = is_hot_after(&rig, send(&rig, REQUEST, FUSE_GETATTR, 1,
					      &getattr, sizeof(getattr), 256));
	}
	assert_true(hot);
	rig_close(&rig);
}

/* Requests that come soon after each other call a thread that looks for them:
 * then nobody has to notify of one. */
static void test_hot(void **state)
{
	become_hot(0);
}

/* The exits of a guest take more time than it needs without them. */
static void test_hot_apart(void **state)
{
	become_hot(2ull * fs_spin_longest());
}

/* Whoever looks takes a large one as it comes, and goes on looking. */
static void test_hot_large(void **state)
{
	uint64_t end = monotonic_ns() + LIMIT_NS;
	struct rig rig;
	bool hot = false;
	uint64_t node;
	uint64_t fh;
	size_t brk;

	vcpu_open(&rig, 1);
	session(&rig);
	open_large(&rig, &node, &fh);
	fs_device_of(rig.d->dev)->vcpus.alone = false;
	brk = rig.d->brk;
	while (!hot && monotonic_ns() < end) {
		rig.d->brk = brk;
		hot = is_hot_after(&rig, send_large(&rig, node, fh));
	}
	assert_true(hot);
	rig_close(&rig);
}

static void test_fault(void **state)
{
	struct rig rig;
	struct test_seg seg;

	vcpu_open(&rig, 1);
	session(&rig);
	seg = (struct test_seg){test_alloc(rig.d, 8, 8), 8, false};
	test_add(rig.d, REQUEST, &seg, 1);
	assert_true(kick_now(&rig));
	assert_true(virtio_device_status(rig.d->dev) & VIRTIO_NEEDS_RESET);
	assert_false(kick_now(&rig));
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_usual_way),
		cmocka_unit_test(test_other_thread),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_alternately),
		cmocka_unit_test(test_hot),
		cmocka_unit_test(test_hot_apart),
		cmocka_unit_test(test_hot_large),
		cmocka_unit_test(test_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

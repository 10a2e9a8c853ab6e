/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/rig.h"

#include <signal.h>
#include <time.h>

#include "base/bytes.h"
#include "tests/unit/descriptors.h"

static void test_config_space(void **state)
{
	struct rig rig;
	char tag[36];
	le32 queues;

	rig_open(&rig, 0, 3);
	assert_int_equal(rig.d->dev->ops->id, 26);
	assert_int_equal(rig.d->dev->nqueues, 4);
	virtio_device_config_read(rig.d->dev, 0, tag, sizeof(tag));
	assert_string_equal(tag, "nacre");
	assert_int_equal(tag[35], 0);
	virtio_device_config_read(rig.d->dev, 36, &queues, sizeof(queues));
	assert_int_equal(le32_get(queues), 3);
	rig_close(&rig);
}

static void test_bad_config(void **state)
{
	struct virtiofs_config config = {
		.root_fd = -1, .proc_fd = -1, .tag = ""};
	struct err err;

	assert_null(virtiofs_device_new(&config, &err));
	config.tag = "1234567890123456789012345678901234567";
	assert_null(virtiofs_device_new(&config, &err));
	config.tag = "t";
	config.workers = 17;
	assert_null(virtiofs_device_new(&config, &err));
	config.workers = 1;
	config.request_queues = 5;
	assert_null(virtiofs_device_new(&config, &err));
	config.request_queues = 1;
	assert_null(virtiofs_device_new(&config, &err));
	assert_int_equal(err.code, EBADF);
}

static void files_work(unsigned workers, unsigned queues)
{
	struct {
		struct fuse_create_in in;
		char name[8];
	} create = {{.flags = O_RDWR, .mode = 0644}, "file"};
	struct {
		struct fuse_write_in in;
		char data[8];
	} write_in = {{.size = 5}, "hello"};
	struct fuse_read_in read_in = {.size = 100};
	const struct fuse_entry_out *entry;
	const void *body;
	struct rig rig;
	uint64_t node;
	unsigned q = queues;

	rig_open(&rig, workers, queues);
	test_driver_start(rig.d, FEATURES, 64);
	/* And one that serves while they wait. */
	assert_int_equal(atomic_load(&rig.started), workers ? workers + 1 : 0);
	session(&rig);
	assert_int_equal(call(&rig, q, FUSE_CREATE, 1, &create,
			      sizeof(create.in) + 5, &body),
			 0);
	entry = body;
	node = entry->nodeid;
	read_in.fh = write_in.in.fh =
		((const struct fuse_open_out *)(const void *)(entry + 1))->fh;
	assert_int_equal(call(&rig, q, FUSE_WRITE, node, &write_in,
			      sizeof(write_in.in) + 5, NULL),
			 0);
	assert_int_equal(call(&rig, REQUEST, FUSE_READ, node, &read_in,
			      sizeof(read_in), &body),
			 0);
	assert_memory_equal(body, "hello", 5);
	assert_true(test_signals(rig.d, REQUEST) > 0);
	rig_close(&rig);
}

static void test_inline(void **state)
{
	files_work(0, 1);
}

static void test_workers(void **state)
{
	files_work(1, 1);
	files_work(4, 4);
}

/* Each of more requests than there are tasks comes back exactly once. */
static void many(unsigned workers)
{
	struct fuse_getattr_in getattr = {0};
	bool seen[512] = {false};
	struct sent sent;
	struct rig rig;
	uint32_t head;
	uint32_t len;

	rig_open(&rig, workers, 1);
	test_driver_start(rig.d, FEATURES, 512);
	session(&rig);
	for (unsigned i = 0; i < 500; i++)
		sent = send(&rig, REQUEST, FUSE_GETATTR, 1, &getattr,
			    sizeof(getattr), 256);
	test_kick(rig.d, REQUEST);
	for (unsigned i = 0; i < 500; i++) {
		wait_used(&rig, REQUEST, &head, &len);
		assert_int_equal(len, sizeof(struct fuse_out_header) +
					      sizeof(struct fuse_attr_out));
		assert_false(seen[head]);
		seen[head] = true;
	}
	assert_int_equal(reply(&rig, sent, NULL), 0);
	assert_int_equal(virtio_device_status(rig.d->dev) & VIRTIO_NEEDS_RESET,
			 0);
	rig_close(&rig);
}

static void test_many(void **state)
{
	many(0);
	many(1);
	many(3);
}

static void test_forget_on_hiprio(void **state)
{
	struct fuse_forget_in forget = {.nlookup = 1};
	struct fuse_getattr_in getattr = {0};
	const struct fuse_entry_out *entry;
	const void *body;
	struct sent sent;
	struct rig rig;
	uint64_t node;
	uint32_t head;
	uint32_t len;

	rig_open(&rig, 1, 1);
	test_driver_start(rig.d, FEATURES, 64);
	session(&rig);
	{
		char path[80];

		snprintf(path, sizeof(path), "%s/f", rig.path);
		close(open(path, O_WRONLY | O_CREAT, 0644));
	}
	assert_int_equal(call(&rig, REQUEST, FUSE_LOOKUP, 1, "f", 2, &body), 0);
	entry = body;
	node = entry->nodeid;
	sent = send(&rig, HIPRIO, FUSE_FORGET, node, &forget, sizeof(forget),
		    0);
	test_kick(rig.d, HIPRIO);
	/* On the loop: done by now. */
	assert_true(test_used(rig.d, HIPRIO, &head, &len));
	assert_int_equal(head, sent.head);
	assert_int_equal(len, 0);
	assert_int_equal(call(&rig, REQUEST, FUSE_GETATTR, node, &getattr,
			      sizeof(getattr), NULL),
			 -ESTALE);
	rig_close(&rig);
}

/* Of large files, the workers let go. */
static void test_forget_of_large(void **state)
{
	struct fuse_forget_in forget = {.nlookup = 1};
	const struct fuse_entry_out *entry;
	const void *body;
	struct rig rig;
	char path[80];
	unsigned before;
	int fd;

	rig_open(&rig, 1, 1);
	test_driver_start(rig.d, FEATURES, 64);
	session(&rig);
	before = descriptors();
	snprintf(path, sizeof(path), "%s/f", rig.path);
	for (unsigned i = 0; i < 100; i++) {
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_int_equal(ftruncate(fd, 64 << 20), 0);
		close(fd);
		assert_int_equal(
			call(&rig, REQUEST, FUSE_LOOKUP, 1, "f", 2, &body), 0);
		entry = body;
		assert_int_equal(unlink(path), 0);
		send(&rig, HIPRIO, FUSE_FORGET, entry->nodeid, &forget,
		     sizeof(forget), 0);
		test_kick(rig.d, HIPRIO);
		assert_true(test_used(rig.d, HIPRIO, NULL, NULL));
	}
	while (descriptors() != before)
		assert_true(evloop_once(rig.loop, 1) >= 0);
	rig_close(&rig);
}

/* A lease on a new file "f", and an open of it that a worker waits with. */
static int wait_with_lease(struct rig *rig, struct sent *sent, uint64_t *node)
{
	struct fuse_open_in open_in = {.flags = O_RDONLY};
	const struct fuse_entry_out *entry;
	const struct timespec now = {0};
	const void *body;
	char path[80];
	sigset_t set;
	int fd;

	snprintf(path, sizeof(path), "%s/f", rig->path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(call(rig, REQUEST, FUSE_LOOKUP, 1, "f", 2, &body), 0);
	entry = body;
	*node = entry->nodeid;
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	*sent = send(rig, REQUEST, FUSE_OPEN, *node, &open_in, sizeof(open_in),
		     256);
	test_kick(rig->d, REQUEST);
	/* The kernel tells whose lease it is of who wants to open the file. */
	while (sigtimedwait(&set, NULL, &now) != SIGIO)
		assert_true(evloop_once(rig->loop, 1) >= 0);
	return fd;
}

/* What may wait, or copies gigabytes, is not for the loop, where there is
 * somebody else. */
static void test_others_on_hiprio(void **state)
{
	struct fuse_init_in init = {.major = 7, .minor = 38};
	struct fuse_open_in open_in = {.flags = O_RDONLY};
	struct fuse_getattr_in getattr = {0};
	time_t end = time(NULL) + 20;
	struct sent waits;
	struct rig rig;
	uint64_t node;
	int fd;

	rig_open(&rig, 1, 1);
	test_driver_start(rig.d, FEATURES, 64);
	assert_int_equal(
		call(&rig, HIPRIO, FUSE_INIT, 0, &init, sizeof(init), NULL),
		-EOPNOTSUPP);
	session(&rig);
	fd = wait_with_lease(&rig, &waits, &node);
	assert_int_equal(call(&rig, HIPRIO, FUSE_OPEN, node, &open_in,
			      sizeof(open_in), NULL),
			 -EOPNOTSUPP);
	assert_int_equal(call(&rig, HIPRIO, FUSE_SYNCFS, 1, &(uint64_t){0},
			      sizeof(struct fuse_syncfs_in), NULL),
			 -EOPNOTSUPP);
	assert_int_equal(
		call(&rig, HIPRIO, 4711, 1, &getattr, sizeof(getattr), NULL),
		-EOPNOTSUPP);
	assert_true(time(NULL) < end);
	close(fd);
	rig_close(&rig);
	/* It has all there is. */
	rig_open(&rig, 0, 1);
	test_driver_start(rig.d, FEATURES, 64);
	session(&rig);
	assert_int_equal(call(&rig, HIPRIO, FUSE_GETATTR, 1, &getattr,
			      sizeof(getattr), NULL),
			 0);
	rig_close(&rig);
}

/* A request of less than a header, or without room for an answer. */
static void faults(unsigned workers, unsigned q, bool no_room)
{
	struct fuse_getattr_in getattr = {0};
	struct test_seg seg;
	struct rig rig;

	rig_open(&rig, workers, 1);
	test_driver_start(rig.d, FEATURES, 64);
	session(&rig);
	if (no_room) {
		send(&rig, q, FUSE_GETATTR, 1, &getattr, sizeof(getattr), 0);
	} else {
		seg = (struct test_seg){test_alloc(rig.d, 39, 8), 39, false};
		test_add(rig.d, q, &seg, 1);
	}
	test_kick(rig.d, q);
	while (!(virtio_device_status(rig.d->dev) & VIRTIO_NEEDS_RESET))
		assert_true(evloop_once(rig.loop, 1) >= 0);
	/* And works again after a reset. */
	test_driver_start(rig.d, FEATURES, 64);
	session(&rig);
	assert_int_equal(
		call(&rig, q, FUSE_GETATTR, 1, &getattr, sizeof(getattr), NULL),
		q == HIPRIO ? -EOPNOTSUPP : 0);
	rig_close(&rig);
}

static void test_faults(void **state)
{
	faults(0, REQUEST, false);
	faults(0, REQUEST, true);
	faults(2, REQUEST, false);
	faults(2, REQUEST, true);
	faults(2, HIPRIO, false);
	faults(2, HIPRIO, true);
}

/* Requests in flight when the driver resets; the session ends with it. */
static void test_reset(void **state)
{
	struct fuse_getattr_in getattr = {0};
	const struct fuse_entry_out *entry;
	const void *body;
	struct rig rig;
	uint64_t node;

	rig_open(&rig, 2, 2);
	for (unsigned round = 0; round < 20; round++) {
		rig.d->brk = 0;
		test_driver_start(rig.d, FEATURES, 64);
		session(&rig);
		assert_int_equal(call(&rig, REQUEST, FUSE_SYMLINK, 1,
				      round ? "x\0y" : "s\0t", 4, &body),
				 round > 1 ? -EEXIST : 0);
		for (unsigned i = 0; i < 40; i++)
			send(&rig, 1 + i % 2, FUSE_GETATTR, 1, &getattr,
			     sizeof(getattr), 256);
		test_kick(rig.d, 1);
		test_kick(rig.d, 2);
	}
	virtio_device_set_status(rig.d->dev, 0);
	assert_int_equal(atomic_load(&rig.started), 3);
	rig.d->brk = 0;
	test_driver_start(rig.d, FEATURES, 64);
	session(&rig);
	assert_int_equal(call(&rig, REQUEST, FUSE_LOOKUP, 1, "s", 2, &body), 0);
	entry = body;
	node = entry->nodeid;
	test_driver_start(rig.d, FEATURES, 64);
	assert_int_equal(call(&rig, REQUEST, FUSE_GETATTR, node, &getattr,
			      sizeof(getattr), NULL),
			 -EIO);
	session(&rig);
	assert_int_equal(call(&rig, REQUEST, FUSE_GETATTR, node, &getattr,
			      sizeof(getattr), NULL),
			 -ESTALE);
	rig_close(&rig);
}

static uint64_t create_file(struct rig *rig, uint64_t *fh)
{
	struct {
		struct fuse_create_in in;
		char name[8];
	} create = {{.flags = O_RDWR, .mode = 0644}, "file"};
	const struct fuse_entry_out *entry;
	const struct fuse_open_out *open_out;
	const void *body;

	assert_int_equal(call(rig, REQUEST, FUSE_CREATE, 1, &create,
			      sizeof(create.in) + 5, &body),
			 0);
	entry = body;
	open_out = (const void *)(entry + 1);
	*fh = open_out->fh;
	return entry->nodeid;
}

static int read_file(struct rig *rig, uint64_t node, uint64_t fh)
{
	struct fuse_read_in in = {.fh = fh, .size = 100};

	return call(rig, REQUEST, FUSE_READ, node, &in, sizeof(in), NULL);
}

/* A machine that is paused, with requests in flight; and one that never goes
 * on. */
static void stops(unsigned workers)
{
	struct fuse_getattr_in getattr = {0};
	struct rig rig;
	uint64_t node;
	uint64_t fh;

	rig_open(&rig, workers, 1);
	test_driver_start(rig.d, FEATURES, 64);
	session(&rig);
	node = create_file(&rig, &fh);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 40; i++)
			send(&rig, REQUEST, i % 2 ? FUSE_GETATTR : FUSE_STATFS,
			     node, &getattr, sizeof(getattr), 256);
		test_kick(rig.d, REQUEST);
		virtio_device_stop(rig.d->dev);
		assert_false(virtio_device_running(rig.d->dev));
		test_driver_resume(rig.d, FEATURES, 64);
		assert_int_equal(read_file(&rig, node, fh), 0);
	}
	virtio_device_stop(rig.d->dev);
	virtio_device_set_status(rig.d->dev, 0);
	test_driver_resume(rig.d, FEATURES, 64);
	assert_int_equal(read_file(&rig, node, fh), -EIO);
	session(&rig);
	assert_int_equal(read_file(&rig, node, fh), -ESTALE);
	virtio_device_stop(rig.d->dev);
	rig_close(&rig);
}

static void test_stop(void **state)
{
	stops(0);
	stops(2);
}

static void test_interrupt(void **state)
{
	struct fuse_getattr_in getattr = {0};
	struct fuse_interrupt_in in;
	struct sent waits;
	struct rig rig;
	uint64_t node;
	uint32_t head;
	int fd;

	rig_open(&rig, 1, 1);
	test_driver_start(rig.d, FEATURES, 64);
	session(&rig);
	fd = wait_with_lease(&rig, &waits, &node);
	in.unique = rig.unique;
	/* The loop goes on. */
	assert_int_equal(call(&rig, REQUEST, FUSE_GETATTR, 1, &getattr,
			      sizeof(getattr), NULL),
			 0);
	assert_false(test_used(rig.d, REQUEST, NULL, NULL));
	send(&rig, HIPRIO, FUSE_INTERRUPT, 0, &in, sizeof(in), 0);
	test_kick(rig.d, HIPRIO);
	wait_used(&rig, REQUEST, &head, NULL);
	assert_int_equal(head, waits.head);
	assert_int_equal(reply(&rig, waits, NULL), -EINTR);
	close(fd);
	rig_close(&rig);
}

/* Neither a reset nor a stop nor the end of the device waits for the host,
 * which would take 45 s. */
static void test_reset_of_waits(void **state)
{
	time_t end = time(NULL) + 20;
	struct sent sent;
	struct rig rig;
	uint64_t node;
	int fd;

	rig_open(&rig, 1, 1);
	for (unsigned i = 0; i < 3; i++) {
		test_driver_start(rig.d, FEATURES, 64);
		session(&rig);
		fd = wait_with_lease(&rig, &sent, &node);
		if (i == 0)
			virtio_device_set_status(rig.d->dev, 0);
		else if (i == 1)
			virtio_device_stop(rig.d->dev);
		else
			rig_close(&rig);
		close(fd);
	}
	assert_true(time(NULL) < end);
}

static void test_start_refused(void **state)
{
	struct rig rig;

	rig_open(&rig, 3, 1);
	rig.start_result = -EPERM;
	assert_true(test_negotiate(rig.d, FEATURES));
	for (unsigned q = 0; q < rig.d->dev->nqueues; q++)
		test_ring_make(rig.d, q, 64);
	assert_true(test_driver_ok(rig.d) & VIRTIO_NEEDS_RESET);
	/* Later it may be better. */
	rig.start_result = 0;
	test_driver_start(rig.d, FEATURES, 64);
	session(&rig);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_space),
		cmocka_unit_test(test_bad_config),
		cmocka_unit_test(test_inline),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_forget_on_hiprio),
		cmocka_unit_test(test_forget_of_large),
		cmocka_unit_test(test_others_on_hiprio),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_reset_of_waits),
		cmocka_unit_test(test_start_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

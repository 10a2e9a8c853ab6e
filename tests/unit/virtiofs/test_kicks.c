/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "tests/unit/virtiofs/rig.h"

/* What a driver notifies of, and no more. */

/*
 * A driver that kicks no more than it has to, sooner and later after each
 * reply, is never left waiting: what it does not kick for, somebody looks for.
 */
static void no_kick_is_missed(unsigned workers, bool by_fd)
{
	struct fuse_getattr_in getattr = {0};
	volatile unsigned spun = 0;
	unsigned kicks = 0;
	struct sent sent;
	struct rig rig;

	rig_open(&rig, workers, 1);
	if (by_fd)
		kick_by_fd(&rig);
	test_driver_start(rig.d, FEATURES, 64);
	session(&rig);
	assert_int_equal(kick_taken, by_fd);
	for (unsigned i = 0; i < 3000; i++) {
		unsigned turns = 0;

		for (unsigned n = i % 64 * 500; n > 0; n--)
			spun++;
		/* What waits for nothing, and what a worker does. */
		if (i % 3 == 0)
			sent = send(&rig, REQUEST, FUSE_GETATTR, 1, &getattr,
				    sizeof(getattr), 256);
		else
			sent = send(&rig, REQUEST, FUSE_STATFS, 1, &getattr, 1,
				    256);
		if (asks_for_kick(&rig, REQUEST)) {
			kick(&rig);
			kicks++;
		}
		while (!test_used(rig.d, REQUEST, NULL, NULL)) {
			assert_true(evloop_once(rig.loop, 1) >= 0);
			assert_true(turns++ < 10000);
		}
		assert_int_equal(reply(&rig, sent, NULL), 0);
	}
	assert_true(kicks > 0);
	rig_close(&rig);
}

static void test_kicks(void **state)
{
	no_kick_is_missed(0, false);
	no_kick_is_missed(1, false);
	no_kick_is_missed(3, false);
	no_kick_is_missed(1, true);
	no_kick_is_missed(3, true);
}

/*
 * The same with several requests at a time, of both kinds: whoever passes the
 * lead on has somebody look at what is left.
 */
static void several(unsigned workers)
{
	struct fuse_getattr_in getattr = {0};
	unsigned sent = 0;
	unsigned got = 0;
	struct rig rig;

	rig_open(&rig, workers, 1);
	kick_by_fd(&rig);
	test_driver_start(rig.d, FEATURES, 64);
	session(&rig);
	while (got < 4000) {
		unsigned turns = 0;

		/* Fewer and more than there are threads. */
		while (sent < 4000 && sent - got < 1 + sent / 16 % 12) {
			send(&rig, REQUEST,
			     sent % 5 < 2 ? FUSE_GETATTR : FUSE_STATFS, 1,
			     &getattr, sizeof(getattr), 256);
			sent++;
			if (asks_for_kick(&rig, REQUEST))
				kick(&rig);
		}
		while (!test_used(rig.d, REQUEST, NULL, NULL)) {
			assert_true(evloop_once(rig.loop, 1) >= 0);
			assert_true(turns++ < 10000);
		}
		got++;
	}
	rig_close(&rig);
}

static void test_several(void **state)
{
	several(1);
	several(3);
}

/* While requests are in work, and kicks come. */
static void test_reset_gives_back(void **state)
{
	struct fuse_getattr_in getattr = {0};
	struct rig rig;

	rig_open(&rig, 2, 1);
	kick_by_fd(&rig);
	for (unsigned round = 0; round < 40; round++) {
		rig.d->brk = 0;
		test_driver_start(rig.d, FEATURES, 64);
		session(&rig);
		assert_true(kick_taken);
		for (unsigned i = 0; i < 30; i++) {
			send(&rig, REQUEST, i % 2 ? FUSE_GETATTR : FUSE_STATFS,
			     1, &getattr, sizeof(getattr), 256);
			kick(&rig);
		}
		virtio_device_set_status(rig.d->dev, 0);
		assert_false(kick_taken);
	}
	rig_close(&rig);
}

/* The device asks for a kick by the next request, and no other. */
static bool all_are_taken(struct rig *rig)
{
	struct test_ring *r = &rig->d->rings[REQUEST];

	return test_get16(rig->d, r->used + 4 + 8ull * r->size) == r->avail_idx;
}

static struct sent make_dir(struct rig *rig, unsigned q, const char *name)
{
	struct {
		struct fuse_mkdir_in in;
		char name[8];
	} args = {.in = {.mode = 0755}};

	snprintf(args.name, sizeof(args.name), "%s", name);
	return send(rig, q, FUSE_MKDIR, 1, &args,
		    sizeof(args.in) + strlen(name) + 1, 256);
}

/* The next request, which waits for the lease: a thread has it. */
static void taken(struct rig *rig, uint64_t node)
{
	struct fuse_open_in in = {.flags = O_RDONLY};

	send(rig, REQUEST, FUSE_OPEN, node, &in, sizeof(in), 256);
	test_kick(rig->d, REQUEST);
	while (!all_are_taken(rig))
		assert_true(evloop_once(rig->loop, 1) >= 0);
}

static uint64_t leased_file(struct rig *rig, const char *name, int *fd)
{
	const struct fuse_entry_out *entry;
	const void *body;
	char path[80];

	snprintf(path, sizeof(path), "%s/%s", rig->path, name);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(call(rig, REQUEST + 1, FUSE_LOOKUP, 1, name,
			      strlen(name) + 1, &body),
			 0);
	assert_int_equal(fcntl(*fd, F_SETLEASE, F_WRLCK), 0);
	entry = body;
	return entry->nodeid;
}

/* Both threads are in one queue, which has enough for them for long, of what
 * waits. True: the other one had its turn meanwhile. */
static bool has_turn(struct rig *rig, const char *file, const char *dir)
{
	struct fuse_getattr_in getattr = {0};
	struct sent late;
	unsigned left;
	int fd;
	uint64_t node = leased_file(rig, file, &fd);

	taken(rig, node);
	taken(rig, node);
	for (left = 2; left < 900; left++) {
		if (left == 600)
			late = make_dir(rig, REQUEST, dir);
		else
			send(rig, REQUEST, FUSE_STATFS, 1, &getattr, 1, 256);
	}
	test_kick(rig->d, REQUEST);
	make_dir(rig, REQUEST + 1, dir);
	test_kick(rig->d, REQUEST + 1);
	close(fd);
	for (; left > 0; left--)
		wait_used(rig, REQUEST, NULL, NULL);
	wait_used(rig, REQUEST + 1, NULL, NULL);
	return reply(rig, late, NULL) == -EEXIST;
}

static void test_two_queues(void **state)
{
	struct rig rig;
	char file[8];
	char dir[8];
	bool turn = false;

	/* Of the lease. */
	signal(SIGIO, SIG_IGN);
	rig_open(&rig, 1, 2);
	test_driver_start(rig.d, FEATURES, 1024);
	session(&rig);
	/* The thread whose turn it is may not get a processor for so long. */
	for (unsigned i = 0; i < 5 && !turn; i++) {
		snprintf(file, sizeof(file), "f%u", i);
		snprintf(dir, sizeof(dir), "d%u", i);
		turn = has_turn(&rig, file, dir);
	}
	assert_true(turn);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kicks),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_reset_gives_back),
		cmocka_unit_test(test_two_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

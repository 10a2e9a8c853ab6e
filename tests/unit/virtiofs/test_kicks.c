/* SPDX-License-Identifier: Apache-2.0 */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kicks),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_reset_gives_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

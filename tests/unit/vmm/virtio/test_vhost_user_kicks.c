/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vhost_user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/eventfd.h>

#include "tests/unit/vmm/virtio/frontend.h"

#define ANY_FILE ((struct vhost_user_options){.memory_fd = -1})

static struct evloop *loop;

/* A device that waits for kicks itself, or would. */
struct taker {
	struct virtio_device dev;
	int fd[2];
	unsigned kicks;
	unsigned lost;
};

static int taker_activate(struct virtio_device *dev)
{
	return 0;
}

static void taker_kick(struct virtio_device *dev, unsigned q)
{
	struct taker *t = container_of(dev, struct taker, dev);

	t->kicks++;
	if (t->fd[q] < 0)
		t->fd[q] = dev->transport->kick_take(dev, q);
}

static void taker_kick_lost(struct virtio_device *dev, unsigned q)
{
	struct taker *t = container_of(dev, struct taker, dev);

	t->lost++;
	t->fd[q] = -1;
}

static void taker_reset(struct virtio_device *dev)
{
	struct taker *t = container_of(dev, struct taker, dev);

	for (unsigned q = 0; q < 2; q++) {
		if (t->fd[q] >= 0)
			dev->transport->kick_back(dev, q);
		t->fd[q] = -1;
	}
}

static void taker_destroy(struct virtio_device *dev)
{
	virtio_device_release(dev);
}

static const struct virtio_device_ops taker_ops = {
	.name = "taker",
	.id = VIRTIO_ID_RNG,
	.activate = taker_activate,
	.kick = taker_kick,
	.kick_lost = taker_kick_lost,
	.reset = taker_reset,
	.destroy = taker_destroy,
};

static void kicks_may_be_taken(void **state)
{
	struct taker t = {.fd = {-1, -1}};
	struct frontend *fe = fe_new(loop);
	uint64_t count;
	unsigned kicks;

	virtio_device_init(&t.dev, &taker_ops, 0, 2, 64);
	fe_connect(fe, &t.dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, VU_PROTOCOL_F_REPLY_ACK));
	assert_true(fe_start_rings(fe, 2, 64, false));
	assert_true(t.fd[0] >= 0 && t.fd[1] >= 0);
	kicks = t.kicks;
	fe_kick(fe, 0);
	fe_kick(fe, 1);
	assert_int_equal(t.kicks, kicks);
	assert_int_equal(read(t.fd[0], &count, sizeof(count)), sizeof(count));

	/* Another descriptor, which is taken like the first one. */
	assert_int_equal(t.lost, 0);
	close(fe->kick[0]);
	fe->kick[0] = eventfd(0, EFD_NONBLOCK);
	assert_true(fe_fd(fe, VU_SET_VRING_KICK, 0, fe->kick[0]));
	assert_int_equal(t.lost, 1);
	assert_true(t.fd[0] >= 0);
	kicks = t.kicks;
	fe_kick(fe, 0);
	assert_int_equal(t.kicks, kicks);
	assert_int_equal(read(t.fd[0], &count, sizeof(count)), sizeof(count));

	/* A kick that was for the device before it stopped starts nothing while
	 * rings are set up anew. */
	fe_kick(fe, 1);
	assert_true(fe_state(fe, VU_SET_VRING_NUM, 0, 64));
	fe_run(fe);
	assert_false(virtio_device_running(&t.dev));
	assert_int_equal(t.fd[1], -1);
	fe_kick(fe, 1);
	assert_true(virtio_device_running(&t.dev));
	assert_true(t.fd[1] >= 0);
	fe_free(fe);
	virtio_device_free(&t.dev);
}

static struct frontend *taken(struct taker *t)
{
	struct frontend *fe = fe_new(loop);

	*t = (struct taker){.fd = {-1, -1}};
	virtio_device_init(&t->dev, &taker_ops, 0, 2, 64);
	fe_connect(fe, &t->dev, ANY_FILE);
	assert_true(fe_hello(fe, 0, VU_PROTOCOL_F_REPLY_ACK));
	assert_true(fe_start_rings(fe, 2, 64, false));
	assert_true(t->fd[0] >= 0 && t->fd[1] >= 0);
	return fe;
}

/* Whose last kick may be that of before, one ring goes on without the other. */
static void other_rings_go_on(void **state)
{
	struct taker t;
	struct frontend *fe = taken(&t);
	unsigned kicks = t.kicks;

	assert_true(fe_state(fe, VU_SET_VRING_ENABLE, 0, 0));
	assert_true(virtio_device_running(&t.dev));
	assert_true(t.kicks > kicks);
	assert_int_equal(t.fd[0], -1);
	assert_true(t.fd[1] >= 0);
	assert_true(fe_state(fe, VU_SET_VRING_ENABLE, 0, 1));
	assert_true(t.fd[0] >= 0);
	kicks = t.kicks;
	fe_get_base(fe, 1);
	assert_true(t.kicks > kicks);
	assert_true(t.fd[0] >= 0);
	assert_int_equal(t.fd[1], -1);
	fe_get_base(fe, 0);
	assert_false(virtio_device_running(&t.dev));
	fe_free(fe);
	virtio_device_free(&t.dev);
}

/* A peer that has descriptors wait for it waits alone. */
static void nobody_is_held_up(void **state)
{
	struct taker t;
	struct frontend *fe = taken(&t);
	const uint64_t full = UINT64_MAX - 1;

	alarm(30);
	fe_called(fe, 0);
	assert_int_equal(fcntl(fe->call[0], F_SETFL, 0), 0);
	assert_int_equal(write(fe->call[0], &full, sizeof(full)), sizeof(full));
	t.dev.transport->signal_queue(&t.dev, 0);
	t.dev.transport->signal_queue(&t.dev, 0);
	assert_int_equal(fcntl(fe->kick[0], F_SETFL, 0), 0);
	fe_disconnect(fe);
	assert_int_equal(t.fd[0], -1);
	alarm(0);
	fe_free(fe);
	virtio_device_free(&t.dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kicks_may_be_taken),
		cmocka_unit_test(other_rings_go_on),
		cmocka_unit_test(nobody_is_held_up),
	};
	int rc;

	loop = evloop_new();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return rc;
}

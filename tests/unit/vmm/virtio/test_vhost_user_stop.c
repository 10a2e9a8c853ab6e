/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vhost_user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/frontend.h"

/*
 * What ends a driver, and what stops one that goes on: with a device that tells
 * the two apart.
 */

#define ANY_FILE \
	((struct vhost_user_options){.memory_fd = -1, .inflight = true})

static struct evloop *loop;

struct keeper {
	struct virtio_device dev;
	unsigned activations;
	unsigned stops;
	unsigned resets;
};

static struct keeper *keeper_of(struct virtio_device *dev)
{
	return container_of(dev, struct keeper, dev);
}

static int keeper_activate(struct virtio_device *dev)
{
	keeper_of(dev)->activations++;
	return 0;
}

static void keeper_kick(struct virtio_device *dev, unsigned q)
{
}

static void keeper_stop(struct virtio_device *dev)
{
	keeper_of(dev)->stops++;
}

static void keeper_reset(struct virtio_device *dev)
{
	keeper_of(dev)->resets++;
}

static void keeper_destroy(struct virtio_device *dev)
{
	virtio_device_release(dev);
}

static const struct virtio_device_ops keeper_ops = {
	.name = "keeper",
	.id = VIRTIO_ID_RNG,
	.activate = keeper_activate,
	.kick = keeper_kick,
	.reset = keeper_reset,
	.stop = keeper_stop,
	.destroy = keeper_destroy,
};

static struct frontend *started(struct keeper *k)
{
	struct frontend *fe = fe_new(loop);

	*k = (struct keeper){0};
	virtio_device_init(&k->dev, &keeper_ops, 0, 2, 64);
	fe_connect(fe, &k->dev, ANY_FILE);
	assert_true(fe_hello(fe, 0,
			     VU_PROTOCOL_F_REPLY_ACK |
				     VU_PROTOCOL_F_RESET_DEVICE |
				     VU_PROTOCOL_F_INFLIGHT_SHMFD));
	assert_true(fe_start_rings(fe, 2, 64, false));
	assert_int_equal(k->activations, 1);
	return fe;
}

static void ended(struct keeper *k, struct frontend *fe)
{
	fe_free(fe);
	virtio_device_free(&k->dev);
	assert_int_equal(k->resets, 1);
}

/* As Cloud Hypervisor pauses a machine. */
static void rings_are_disabled(void **state)
{
	struct keeper k;
	struct frontend *fe = started(&k);

	for (unsigned i = 0; i < 3; i++) {
		assert_true(fe_state(fe, VU_SET_VRING_ENABLE, 0, 0));
		assert_true(fe_state(fe, VU_SET_VRING_ENABLE, 1, 0));
		assert_false(virtio_device_running(&k.dev));
		assert_true(fe_state(fe, VU_SET_VRING_ENABLE, 0, 1));
		assert_true(fe_state(fe, VU_SET_VRING_ENABLE, 1, 1));
		assert_true(virtio_device_running(&k.dev));
	}
	assert_true(k.stops >= 3);
	assert_int_equal(k.resets, 0);
	ended(&k, fe);
}

/* As QEMU does, which tells a device with STATUS of a reset then. */
static void rings_are_set_up_again(void **state)
{
	struct keeper k;
	struct frontend *fe = started(&k);
	uint32_t base[2];

	assert_false(fe_get(fe, VU_GET_PROTOCOL_FEATURES) &
		     VU_PROTOCOL_F_STATUS);
	for (unsigned q = 0; q < 2; q++)
		assert_true(fe_state(fe, VU_SET_VRING_ENABLE, q, 0));
	for (unsigned q = 0; q < 2; q++)
		base[q] = fe_get_base(fe, q);
	assert_false(virtio_device_running(&k.dev));
	assert_true(fe_u64(fe, VU_SET_FEATURES,
			   VIRTIO_F_VERSION_1 | VU_F_PROTOCOL_FEATURES));
	assert_true(fe_memory(fe));
	for (unsigned q = 0; q < 2; q++)
		assert_true(fe_ring(fe, q, base[q]) && fe_start(fe, q));
	assert_true(virtio_device_running(&k.dev));
	assert_int_equal(k.resets, 0);
	ended(&k, fe);
}

/* Under rings that run. */
static void memory_is_another(void **state)
{
	struct vu_memory m = {
		.count = 1,
		.regions = {{TEST_GPA, FE_SIZE - 4096, FE_USER, 4096}},
	};
	struct keeper k;
	struct frontend *fe = started(&k);

	assert_true(
		fe_send(fe, VU_SET_MEM_TABLE, &m, 8 + 2 * 32, &fe->memfd, 1));
	assert_int_equal(k.stops, 1);
	assert_int_equal(k.activations, 2);
	assert_int_equal(k.resets, 0);
	/* A table without the rings in it. */
	m.regions[0].gpa += 1u << 30;
	m.regions[0].user += 1u << 30;
	assert_false(
		fe_send(fe, VU_SET_MEM_TABLE, &m, 8 + 2 * 32, &fe->memfd, 1));
	assert_false(virtio_device_running(&k.dev));
	assert_int_equal(k.resets, 0);
	ended(&k, fe);
}

/* A driver's end, whether its rings run or were stopped. */
static void drivers_end(void **state)
{
	static const uint32_t ends[] = {VU_RESET_OWNER, VU_RESET_DEVICE};
	struct keeper k;

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(ends); i++) {
		struct frontend *fe = started(&k);

		if (i % 2)
			fe_get_base(fe, 0);
		if (i % 2)
			fe_get_base(fe, 1);
		assert_true(fe_send(fe, ends[i / 2], NULL, 0, NULL, 0));
		assert_int_equal(k.resets, 1);
		ended(&k, fe);
	}
}

static void connections_end(void **state)
{
	struct keeper k;
	struct frontend *fe = started(&k);

	fe_get_base(fe, 0);
	fe_get_base(fe, 1);
	assert_int_equal(k.resets, 0);
	fe_disconnect(fe);
	assert_int_equal(k.resets, 1);
	ended(&k, fe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rings_are_disabled),
		cmocka_unit_test(rings_are_set_up_again),
		cmocka_unit_test(memory_is_another),
		cmocka_unit_test(drivers_end),
		cmocka_unit_test(connections_end),
	};
	int rc;

	loop = evloop_new();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/device.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/driver.h"

#define FEATURE (1ull << 5)
#define OTHER_FEATURE (1ull << 6)

/* Answers each request by its own length; counts its callbacks. */
struct echo {
	struct virtio_device dev;
	unsigned activations;
	unsigned resets;
	unsigned kicks;
	unsigned destroyed;
	int activate_result;
	pthread_t activated_on;
	uint8_t config[6];
};

static struct virtq_chain chain;
static struct echo echo;

static struct echo *to_echo(struct virtio_device *dev)
{
	return container_of(dev, struct echo, dev);
}

/* No lock is held across a callback. Only where one thread uses the device. */
static void lock_is_free(struct virtio_device *dev)
{
	if (dev->loop)
		return;
	assert_int_equal(pthread_mutex_trylock(&dev->lock), 0);
	pthread_mutex_unlock(&dev->lock);
}

static int echo_activate(struct virtio_device *dev)
{
	struct echo *e = to_echo(dev);

	e->activations++;
	e->activated_on = pthread_self();
	lock_is_free(dev);
	return e->activate_result;
}

static void echo_kick(struct virtio_device *dev, unsigned q)
{
	int rc;

	to_echo(dev)->kicks++;
	lock_is_free(dev);
	while ((rc = virtq_pop(&dev->queues[q], &chain)) > 0)
		virtq_push(&dev->queues[q], chain.head,
			   (uint32_t)chain.write_len);
	if (rc < 0)
		vdev_fault(dev, "queue %u: broken", q);
	virtio_device_signal(dev, q);
}

static void echo_reset(struct virtio_device *dev)
{
	struct echo *e = to_echo(dev);

	e->resets++;
	lock_is_free(dev);
	/* Queues may still be used to give things back. */
	assert_true(dev->queues[0].started);
}

static void echo_config_read(struct virtio_device *dev, size_t off, void *dst,
			     size_t len)
{
	assert_true(off < sizeof(to_echo(dev)->config));
	assert_true(len <= sizeof(to_echo(dev)->config) - off);
	memcpy(dst, to_echo(dev)->config + off, len);
}

static void echo_config_write(struct virtio_device *dev, size_t off,
			      const void *src, size_t len)
{
	assert_true(off < sizeof(to_echo(dev)->config));
	assert_true(len <= sizeof(to_echo(dev)->config) - off);
	memcpy(to_echo(dev)->config + off, src, len);
}

static void echo_destroy(struct virtio_device *dev)
{
	to_echo(dev)->destroyed++;
	virtio_device_release(dev);
}

static const struct virtio_device_ops echo_ops = {
	.name = "echo",
	.id = 42,
	.config_len = 6,
	.activate = echo_activate,
	.kick = echo_kick,
	.reset = echo_reset,
	.config_read = echo_config_read,
	.config_write = echo_config_write,
	.destroy = echo_destroy,
};

static struct test_driver *plugged(struct evloop *loop)
{
	struct test_driver *d = test_driver_new(1 << 20);

	memset(&echo, 0, sizeof(echo));
	virtio_device_init(&echo.dev, &echo_ops,
			   FEATURE | VIRTIO_RING_F_INDIRECT_DESC, 2, 64);
	memcpy(echo.config, "config", 6);
	test_driver_plug(d, &echo.dev, loop);
	return d;
}

/* Invariant 2 ----------------------------------------------------------- */

static void status_bits_only_advance(void **state)
{
	struct test_driver *d = plugged(NULL);
	struct virtio_device *dev = d->dev;

	virtio_device_set_status(dev, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	assert_int_equal(virtio_device_status(dev), 3);
	virtio_device_set_status(dev, VIRTIO_ACKNOWLEDGE);
	assert_int_equal(virtio_device_status(dev), 3);
	virtio_device_set_status(dev, VIRTIO_DRIVER | VIRTIO_FAILED);
	assert_int_equal(virtio_device_status(dev), 3);
	/* NEEDS_RESET is ours to set; DRIVER_OK wants FEATURES_OK. */
	virtio_device_set_status(dev, 3 | VIRTIO_NEEDS_RESET);
	assert_int_equal(virtio_device_status(dev), 3);
	virtio_device_set_status(dev, 3 | VIRTIO_DRIVER_OK);
	assert_int_equal(virtio_device_status(dev), 3);
	assert_int_equal(echo.activations, 0);
	virtio_device_set_status(dev, 0);
	assert_int_equal(virtio_device_status(dev), 0);
	/* It was never active. */
	assert_int_equal(echo.resets, 0);
	test_driver_free(d);
	assert_int_equal(echo.destroyed, 1);
}

static void features_are_a_subset(void **state)
{
	struct test_driver *d = plugged(NULL);

	assert_false(test_negotiate(d, OTHER_FEATURE));
	assert_false(test_negotiate(d, FEATURE | 1ull << 40));
	assert_true(test_negotiate(d, FEATURE));
	assert_true(virtio_has(d->dev, FEATURE));
	/* Frozen by FEATURES_OK. */
	virtio_device_set_features(d->dev, 0, (uint32_t)OTHER_FEATURE);
	assert_true(virtio_has(d->dev, FEATURE));
	assert_false(virtio_has(d->dev, OTHER_FEATURE));
	virtio_device_set_status(d->dev, 0);
	assert_false(virtio_has(d->dev, FEATURE));
	/* A legacy driver: no VERSION_1. */
	virtio_device_set_features(d->dev, 0, (uint32_t)FEATURE);
	virtio_device_set_features(d->dev, 7, 1);
	virtio_device_set_status(d->dev, 3 | VIRTIO_FEATURES_OK);
	assert_int_equal(virtio_device_status(d->dev), 3);
	test_driver_free(d);
}

/* Invariant 1 ----------------------------------------------------------- */

static void queues_freeze_at_driver_ok(void **state)
{
	struct test_driver *d = plugged(NULL);

	assert_int_equal(d->dev->queues[0].size, 64);
	assert_true(virtio_device_queue_open(d->dev, 1));
	assert_false(virtio_device_queue_open(d->dev, 2));
	test_driver_start(d, 0, 16);
	assert_int_equal(d->dev->queues[0].size, 16);
	assert_false(virtio_device_queue_open(d->dev, 0));
	/* Nor after a fault. */
	vdev_fault(d->dev, "test");
	assert_false(virtio_device_queue_open(d->dev, 0));
	virtio_device_set_status(d->dev, 0);
	assert_true(virtio_device_queue_open(d->dev, 0));
	assert_int_equal(d->dev->queues[0].size, 64);
	assert_int_equal(d->dev->queues[0].desc_gpa, 0);
	assert_false(d->dev->queues[0].enabled);
	test_driver_free(d);
}

static void bad_rings_are_a_fault(void **state)
{
	struct test_driver *d = plugged(NULL);

	assert_true(test_negotiate(d, 0));
	test_ring_make(d, 0, 64);
	test_ring_make(d, 1, 128); /* above queue_max */
	assert_true(test_driver_ok(d) & VIRTIO_NEEDS_RESET);
	assert_int_equal(echo.activations, 0);
	assert_int_equal(d->config_signals, 1);
	assert_true(test_negotiate(d, 0));
	test_ring_make(d, 0, 64);
	d->dev->queues[0].used_gpa = 3;
	assert_true(test_driver_ok(d) & VIRTIO_NEEDS_RESET);
	assert_int_equal(echo.activations, 0);
	/* And it works after a reset. */
	test_driver_start(d, 0, 64);
	assert_int_equal(echo.activations, 1);
	assert_int_equal(echo.resets, 0);
	test_driver_free(d);
	assert_int_equal(echo.resets, 1);
}

static void failed_activation(void **state)
{
	struct test_driver *d = plugged(NULL);

	echo.activate_result = -ENOMEM;
	assert_true(test_negotiate(d, 0));
	test_ring_make(d, 0, 64);
	assert_true(test_driver_ok(d) & VIRTIO_NEEDS_RESET);
	test_kick(d, 0);
	assert_int_equal(echo.kicks, 0);
	virtio_device_set_status(d->dev, 0);
	assert_int_equal(echo.resets, 0);
	test_driver_free(d);
}

static void activates_once(void **state)
{
	struct test_driver *d = plugged(NULL);

	test_driver_start(d, 0, 64);
	test_driver_ok(d);
	test_driver_ok(d);
	assert_int_equal(echo.activations, 1);
	assert_true(virtio_device_running(d->dev));
	test_driver_free(d);
}

/* Kicks and faults: invariant 14 ---------------------------------------- */

static void kicks_reach_an_active_device(void **state)
{
	struct test_driver *d = plugged(NULL);
	struct test_seg seg;
	uint32_t len;

	test_kick(d, 0);
	assert_int_equal(echo.kicks, 0);
	assert_true(test_negotiate(d, 0));
	test_ring_make(d, 1, 64); /* queue 0 stays off */
	test_driver_ok(d);
	test_kick(d, 0);
	test_kick(d, 2);
	test_kick(d, UINT32_MAX);
	assert_int_equal(echo.kicks, 0);
	seg = (struct test_seg){test_alloc(d, 100, 1), 100, true};
	test_add(d, 1, &seg, 1);
	test_kick(d, 1);
	assert_int_equal(echo.kicks, 1);
	assert_true(test_used(d, 1, NULL, &len));
	assert_int_equal(len, 100);
	assert_int_equal(test_signals(d, 1), 1);
	/* The fake device wants queue 0 at reset. */
	d->dev->queues[0].started = true;
	test_driver_free(d);
}

static void fault_stops_the_device(void **state)
{
	struct test_driver *d = plugged(NULL);

	test_driver_start(d, 0, 64);
	test_publish(d, 0, 64); /* no such head */
	test_kick(d, 0);
	assert_int_equal(echo.kicks, 1);
	assert_true(virtio_device_status(d->dev) & VIRTIO_NEEDS_RESET);
	assert_false(virtio_device_running(d->dev));
	assert_int_equal(d->config_signals, 1);
	test_kick(d, 0);
	test_kick(d, 1);
	assert_int_equal(echo.kicks, 1);
	/* A second fault says nothing new. */
	vdev_fault(d->dev, "again");
	assert_int_equal(d->config_signals, 1);
	/* Only a reset helps. */
	test_driver_ok(d);
	assert_true(virtio_device_status(d->dev) & VIRTIO_NEEDS_RESET);
	test_driver_start(d, 0, 64);
	assert_int_equal(echo.resets, 1);
	test_kick(d, 0);
	assert_int_equal(echo.kicks, 2);
	test_driver_free(d);
}

/* Invariant 11 ---------------------------------------------------------- */

static void config_is_bounded(void **state)
{
	struct test_driver *d = plugged(NULL);
	uint8_t buf[8];

	virtio_device_config_read(d->dev, 0, buf, 6);
	assert_memory_equal(buf, "config", 6);
	memset(buf, 0xff, 8);
	virtio_device_config_read(d->dev, 4, buf, 4);
	assert_memory_equal(buf, "ig\0\0", 4);
	memset(buf, 0xff, 8);
	virtio_device_config_read(d->dev, 6, buf, 4);
	assert_memory_equal(buf, "\0\0\0\0", 4);
	memset(buf, 0xff, 8);
	virtio_device_config_read(d->dev, UINT64_MAX - 1, buf, 8);
	assert_memory_equal(buf, "\0\0\0\0\0\0\0\0", 8);
	virtio_device_config_write(d->dev, 4, "abcd", 4);
	virtio_device_config_write(d->dev, 6, "a", 1);
	virtio_device_config_write(d->dev, UINT64_MAX, "ab", 2);
	virtio_device_config_write(d->dev, 0, "", 0);
	assert_memory_equal(echo.config, "config", 6);
	virtio_device_config_write(d->dev, 4, "ab", 2);
	assert_memory_equal(echo.config, "confab", 6);
	test_driver_free(d);
}

/* Threads --------------------------------------------------------------- */

static void *run_loop(void *arg)
{
	assert_int_equal(evloop_run(arg), 0);
	return NULL;
}

static sem_t loop_runs;

static void say_it_runs(struct evpost *post)
{
	sem_post(&loop_runs);
}

/* Before the loop runs, evloop_call is a plain call. */
static pthread_t start_loop(struct evloop *loop)
{
	static struct evpost post = {.run = say_it_runs};
	pthread_t thread;

	sem_init(&loop_runs, 0, 0);
	evloop_post(loop, &post);
	assert_int_equal(pthread_create(&thread, NULL, run_loop, loop), 0);
	sem_wait(&loop_runs);
	return thread;
}

static void *fault_it(void *arg)
{
	unsigned i;

	for (i = 0; i < 1000; i++)
		vdev_fault(arg, "worker %u", i);
	return NULL;
}

static void *poke_status(void *arg)
{
	struct test_driver *d = arg;
	unsigned i;

	/* Two vCPUs that fight over one device. */
	for (i = 0; i < 200; i++) {
		test_negotiate(d, FEATURE);
		test_driver_ok(d);
		pthread_mutex_lock(&d->dev->lock);
		virtio_device_queue_open(d->dev, 0);
		pthread_mutex_unlock(&d->dev->lock);
		virtio_device_set_status(d->dev, 0);
	}
	return NULL;
}

static void works_from_any_thread(void **state)
{
	struct evloop *loop = evloop_new();
	struct test_driver *d = plugged(loop);
	pthread_t loop_thread;
	pthread_t faulter;

	assert_non_null(loop);
	loop_thread = start_loop(loop);
	test_driver_start(d, 0, 64);
	assert_int_equal(pthread_equal(echo.activated_on, pthread_self()), 0);
	assert_int_equal(pthread_create(&faulter, NULL, fault_it, d->dev), 0);
	/* Both are overtaken by faults at any point. */
	virtio_device_set_status(d->dev, 0);
	test_negotiate(d, 0);
	test_ring_make(d, 0, 64);
	test_driver_ok(d);
	pthread_join(faulter, NULL);
	virtio_device_set_status(d->dev, 0);
	evloop_stop(loop);
	pthread_join(loop_thread, NULL);
	test_driver_free(d);
	evloop_free(loop);
}

static void racing_status_writes(void **state)
{
	struct evloop *loop = evloop_new();
	struct test_driver *d = plugged(loop);
	pthread_t loop_thread;
	pthread_t other;

	assert_non_null(loop);
	loop_thread = start_loop(loop);
	echo.activate_result = -EBUSY;
	assert_int_equal(pthread_create(&other, NULL, poke_status, d), 0);
	poke_status(d);
	pthread_join(other, NULL);
	echo.activate_result = 0;
	test_driver_start(d, FEATURE, 64);
	assert_true(virtio_device_running(d->dev));
	evloop_stop(loop);
	pthread_join(loop_thread, NULL);
	test_driver_free(d);
	evloop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_bits_only_advance),
		cmocka_unit_test(features_are_a_subset),
		cmocka_unit_test(queues_freeze_at_driver_ok),
		cmocka_unit_test(bad_rings_are_a_fault),
		cmocka_unit_test(failed_activation),
		cmocka_unit_test(activates_once),
		cmocka_unit_test(kicks_reach_an_active_device),
		cmocka_unit_test(fault_stops_the_device),
		cmocka_unit_test(config_is_bounded),
		cmocka_unit_test(works_from_any_thread),
		cmocka_unit_test(racing_status_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

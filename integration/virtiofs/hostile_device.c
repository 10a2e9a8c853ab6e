/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/hostile_device.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/evloop.h"
#include "vmm/core/guestmem.h"
#include "vmm/virtio/device.h"

#define VCPUS 3u
#define FEATURES                                            \
	(VIRTIO_F_VERSION_1 | VIRTIO_RING_F_INDIRECT_DESC | \
	 VIRTIO_RING_F_EVENT_IDX)

/* What there is of one: its notifications, in the order that it likes. */
struct vcpu {
	unsigned index;
	pthread_t thread;
	int wake;	    /* eventfd */
	atomic_uint queues; /* to notify of, a bit for each */
};

/* On the loop: the way of a notification that no vCPU's thread serves. */
struct kick_source {
	struct evsource src;
	unsigned queue;
};

static struct virtio_device *dev;
static struct guestmem mem;
static struct evloop *loop;
static pthread_t loop_thread;
static const struct device_ring *rings;
static struct kick_source kicks[LINK_QUEUES];
static struct vcpu vcpus[VCPUS];
static unsigned next_vcpu;

static void tell(int fd)
{
	if (eventfd_write(fd, 1) && errno != EAGAIN)
		link_die("eventfd");
}

/* The transport. ----------------------------------------------------------- */

static void signal_queue(struct virtio_device *device, unsigned q)
{
	tell(rings[q].call);
}

static void signal_config(struct virtio_device *device)
{
	for (unsigned q = 0; q < LINK_QUEUES; q++)
		tell(rings[q].err);
}

static void on_kick(struct evsource *src, uint32_t revents)
{
	struct kick_source *k = container_of(src, struct kick_source, src);
	eventfd_t count;

	(void)!eventfd_read(src->fd, &count);
	virtio_device_kick(dev, k->queue);
}

static void listen_to(unsigned q)
{
	if (evsource_add(loop, &kicks[q].src, rings[q].kick, EPOLLIN, on_kick))
		link_die("event loop");
}

static int kick_take(struct virtio_device *device, unsigned q)
{
	evsource_del(&kicks[q].src);
	return rings[q].kick;
}

static void kick_back(struct virtio_device *device, unsigned q)
{
	listen_to(q);
}

static const struct virtio_transport_ops transport = {
	.signal_queue = signal_queue,
	.signal_config = signal_config,
	.kick_take = kick_take,
	.kick_back = kick_back,
};

/* Threads. ----------------------------------------------------------------- */

static void *vcpu_run(void *arg)
{
	struct vcpu *v = arg;
	eventfd_t count;
	unsigned queues;

	if (virtio_device_vcpu_started(dev, v->index))
		link_die("vCPU");
	for (;;) {
		if (eventfd_read(v->wake, &count))
			link_die("vCPU");
		queues = atomic_exchange(&v->queues, 0);
		for (unsigned q = 0; q < LINK_QUEUES; q++) {
			if (queues & (1u << q) &&
			    !virtio_device_kick_now(dev, q))
				tell(rings[q].kick);
		}
	}
	return NULL;
}

static void *loop_run(void *arg)
{
	if (evloop_run(loop))
		link_die("event loop");
	return NULL;
}

static void threads_start(void)
{
	if (pthread_create(&loop_thread, NULL, loop_run, NULL))
		link_die("pthread_create");
	for (unsigned i = 0; i < VCPUS; i++) {
		vcpus[i].index = i;
		vcpus[i].wake = eventfd(0, EFD_CLOEXEC);
		if (vcpus[i].wake < 0 ||
		    pthread_create(&vcpus[i].thread, NULL, vcpu_run, &vcpus[i]))
			link_die("pthread_create");
	}
}

/* The driver. -------------------------------------------------------------- */

void device_make(const struct virtiofs_config *config, uint8_t *memory,
		 size_t size, const struct device_ring *where)
{
	struct err err;

	rings = where;
	loop = evloop_new();
	dev = virtiofs_device_new(config, &err);
	if (!loop || !dev) {
		fprintf(stderr, "hostile: %s\n", dev ? "loop" : err.text);
		exit(1);
	}
	guestmem_init(&mem);
	if (guestmem_add_borrowed(&mem, 0, memory, size))
		link_die("guest memory");
	dev->loop = loop;
	dev->mem = &mem;
	dev->transport = &transport;
	for (unsigned q = 0; q < LINK_QUEUES; q++) {
		kicks[q].queue = q;
		listen_to(q);
	}
	threads_start();
}

void device_reset(void)
{
	virtio_device_set_status(dev, 0);
}

void device_start(void)
{
	uint8_t status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER;

	virtio_device_set_status(dev, status);
	virtio_device_set_features(dev, 0, (uint32_t)FEATURES);
	virtio_device_set_features(dev, 1, (uint32_t)(FEATURES >> 32));
	status |= VIRTIO_FEATURES_OK;
	virtio_device_set_status(dev, status);
	pthread_mutex_lock(&dev->lock);
	for (unsigned q = 0; q < LINK_QUEUES; q++) {
		struct virtq *vq = &dev->queues[q];

		if (!virtio_device_queue_open(dev, q))
			link_die("queue");
		vq->size = LINK_RING;
		vq->desc_gpa = rings[q].desc;
		vq->avail_gpa = rings[q].avail;
		vq->used_gpa = rings[q].used;
		vq->enabled = true;
	}
	pthread_mutex_unlock(&dev->lock);
	virtio_device_set_status(dev, status | VIRTIO_DRIVER_OK);
	if (virtio_device_status(dev) != (status | VIRTIO_DRIVER_OK))
		link_die("the device does not start");
}

void device_kick(unsigned queue)
{
	struct vcpu *v = &vcpus[next_vcpu++ % VCPUS];

	atomic_fetch_or(&v->queues, 1u << queue);
	tell(v->wake);
}

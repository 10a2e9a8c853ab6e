/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/device.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"

/* Lines of one device in the log, per window, that its guest can cause. */
#define FAULT_LINES 5u

void virtio_device_init(struct virtio_device *dev,
			const struct virtio_device_ops *ops, uint64_t offered,
			unsigned nqueues, uint16_t queue_max)
{
	unsigned i;

	BUG_ON(nqueues > VIRTIO_QUEUES_MAX);
	BUG_ON(queue_max == 0 || queue_max > VIRTQ_SIZE_MAX ||
	       (queue_max & (queue_max - 1)) != 0);
	BUG_ON(ops->config_len != 0 && !ops->config_read);
	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	dev->offered = offered | VIRTIO_F_VERSION_1;
	dev->nqueues = nqueues;
	for (i = 0; i < nqueues; i++) {
		dev->queue_max[i] = queue_max;
		dev->queues[i].size = queue_max;
	}
	pthread_mutex_init(&dev->lock, NULL);
	pthread_mutex_init(&dev->config_lock, NULL);
}

void virtio_device_release(struct virtio_device *dev)
{
	pthread_mutex_destroy(&dev->config_lock);
	pthread_mutex_destroy(&dev->lock);
}

/* Status and activation. ------------------------------------------------ */

struct status_write {
	struct virtio_device *dev;
	uint8_t status;
};

static void stop_queues(struct virtio_device *dev)
{
	unsigned i;

	for (i = 0; i < dev->nqueues; i++) {
		dev->stopped_at[i] = virtq_position(&dev->queues[i]);
		virtq_stop(&dev->queues[i]);
		dev->queues[i].size = dev->queue_max[i];
	}
}

/* `active` changes on the loop alone, so the loop may act on what it read. */
static bool is_active(struct virtio_device *dev)
{
	bool active;

	pthread_mutex_lock(&dev->lock);
	active = dev->active;
	pthread_mutex_unlock(&dev->lock);
	return active;
}

static void set_active(struct virtio_device *dev, bool active)
{
	pthread_mutex_lock(&dev->lock);
	dev->active = active;
	pthread_mutex_unlock(&dev->lock);
}

static void kick_again(struct evsource *src, uint32_t revents)
{
	struct virtio_device *dev =
		container_of(src, struct virtio_device, again);
	uint32_t queues = dev->again_queues;
	uint64_t count;
	unsigned q;

	(void)!read(src->fd, &count, sizeof(count));
	dev->again_queues = 0;
	for (q = 0; q < dev->nqueues; q++) {
		if (queues & (1u << q))
			virtio_device_kick(dev, q);
	}
}

static void stop_again(struct virtio_device *dev)
{
	dev->again_queues = 0;
	if (dev->again.loop)
		evsource_close(&dev->again);
}

/* No timer, which may be as coarse as the kernel's tick. */
static int start_again(struct virtio_device *dev)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int rc;

	if (fd < 0)
		return -errno;
	rc = evsource_add(dev->loop, &dev->again, fd, EPOLLIN, kick_again);
	if (rc < 0)
		close(fd);
	return rc;
}

static int call_activate(struct virtio_device *dev)
{
	int rc;

	if (dev->loop) {
		rc = start_again(dev);
		if (rc < 0)
			return rc;
	}
	rc = dev->ops->activate(dev);
	if (rc < 0)
		stop_again(dev);
	return rc;
}

static void clear(struct virtio_device *dev)
{
	stop_again(dev);
	pthread_mutex_lock(&dev->lock);
	dev->active = false;
	dev->status = 0;
	dev->features = 0;
	stop_queues(dev);
	pthread_mutex_unlock(&dev->lock);
}

static void reset_on_loop(void *arg)
{
	struct virtio_device *dev = arg;

	if (is_active(dev) || dev->kept)
		dev->ops->reset(dev);
	dev->kept = false;
	clear(dev);
}

static void stop_on_loop(void *arg)
{
	struct virtio_device *dev = arg;

	if (is_active(dev)) {
		dev->ops->stop(dev);
		dev->kept = true;
	}
	clear(dev);
}

/* DRIVER_OK is set: no register changes under these checks any more. */
static int start_queues(struct virtio_device *dev)
{
	unsigned i;

	for (i = 0; i < dev->nqueues; i++) {
		struct virtq *q = &dev->queues[i];

		if (!q->enabled)
			continue;
		if (q->size > dev->queue_max[i] ||
		    virtq_start(q, dev->mem, dev->features) < 0) {
			vdev_fault(dev, "queue %u: bad ring registers", i);
			return -EINVAL;
		}
	}
	return 0;
}

static void activate(struct virtio_device *dev)
{
	int rc;

	if (start_queues(dev) < 0)
		return;
	rc = call_activate(dev);
	if (rc < 0) {
		vdev_fault(dev, "cannot start: %s", strerror(-rc));
		return;
	}
	set_active(dev, true);
}

/* What of `status` the driver may set now, beyond what is set (2.1, 3.1). */
static uint8_t allowed_bits(const struct virtio_device *dev, uint8_t status)
{
	/* Set by the device, cleared by a reset, never by the driver. */
	uint8_t bits = status & (uint8_t)~VIRTIO_NEEDS_RESET;

	if (!(bits & VIRTIO_DRIVER) || (dev->features & ~dev->offered) ||
	    !(dev->features & VIRTIO_F_VERSION_1))
		bits &= (uint8_t)~VIRTIO_FEATURES_OK;
	if (!(bits & VIRTIO_FEATURES_OK))
		bits &= (uint8_t)~VIRTIO_DRIVER_OK;
	return bits;
}

static void advance_on_loop(void *arg)
{
	const struct status_write *w = arg;
	struct virtio_device *dev = w->dev;
	uint8_t old;
	uint8_t now;

	pthread_mutex_lock(&dev->lock);
	old = dev->status;
	/* A write that would take a bit away is ignored as a whole. */
	if (old & ~w->status & ~VIRTIO_NEEDS_RESET)
		now = old;
	else
		now = old | allowed_bits(dev, w->status);
	dev->status = now;
	pthread_mutex_unlock(&dev->lock);

	if ((now & ~old & VIRTIO_DRIVER_OK) && !(now & VIRTIO_NEEDS_RESET))
		activate(dev);
}

static void on_loop(struct virtio_device *dev, void (*fn)(void *arg), void *arg)
{
	if (dev->loop)
		evloop_call(dev->loop, fn, arg);
	else
		fn(arg); /* not plugged yet: one thread knows it */
}

void virtio_device_set_status(struct virtio_device *dev, uint8_t status)
{
	struct status_write w = {.dev = dev, .status = status};

	if (status == 0)
		on_loop(dev, reset_on_loop, dev);
	else
		on_loop(dev, advance_on_loop, &w);
}

void virtio_device_stop(struct virtio_device *dev)
{
	on_loop(dev, dev->ops->stop ? stop_on_loop : reset_on_loop, dev);
}

uint8_t virtio_device_status(struct virtio_device *dev)
{
	uint8_t status;

	pthread_mutex_lock(&dev->lock);
	status = dev->status;
	pthread_mutex_unlock(&dev->lock);
	return status;
}

void virtio_device_free(struct virtio_device *dev)
{
	if (is_active(dev) || dev->kept)
		reset_on_loop(dev);
	dev->ops->destroy(dev);
}

/* Registers. ------------------------------------------------------------ */

void virtio_device_set_features(struct virtio_device *dev, unsigned sel,
				uint32_t value)
{
	unsigned shift = sel * 32;

	if (sel > 1)
		return;
	pthread_mutex_lock(&dev->lock);
	if (!(dev->status & VIRTIO_FEATURES_OK)) {
		dev->features &= ~((uint64_t)UINT32_MAX << shift);
		dev->features |= (uint64_t)value << shift;
	}
	pthread_mutex_unlock(&dev->lock);
}

bool virtio_device_queue_open(struct virtio_device *dev, unsigned q)
{
	return q < dev->nqueues && !(dev->status & VIRTIO_DRIVER_OK);
}

/* How much of [off, off+len) lies in the config space. */
static size_t config_part(const struct virtio_device *dev, uint64_t off,
			  size_t len)
{
	if (off >= dev->ops->config_len)
		return 0;
	return MIN(len, dev->ops->config_len - (size_t)off);
}

void virtio_device_config_read(struct virtio_device *dev, uint64_t off,
			       void *dst, size_t len)
{
	size_t part = config_part(dev, off, len);

	memset(dst, 0, len);
	if (part == 0)
		return;
	pthread_mutex_lock(&dev->config_lock);
	dev->ops->config_read(dev, (size_t)off, dst, part);
	pthread_mutex_unlock(&dev->config_lock);
}

void virtio_device_config_write(struct virtio_device *dev, uint64_t off,
				const void *src, size_t len)
{
	/* Half a write is no write. */
	if (!dev->ops->config_write || len == 0 ||
	    config_part(dev, off, len) != len)
		return;
	pthread_mutex_lock(&dev->config_lock);
	dev->ops->config_write(dev, (size_t)off, src, len);
	pthread_mutex_unlock(&dev->config_lock);
}

bool virtio_device_running(struct virtio_device *dev)
{
	bool running;

	pthread_mutex_lock(&dev->lock);
	running = dev->active && !(dev->status & VIRTIO_NEEDS_RESET);
	pthread_mutex_unlock(&dev->lock);
	return running;
}

void virtio_device_kick(struct virtio_device *dev, unsigned q)
{
	if (q >= dev->nqueues || !virtio_device_running(dev))
		return;
	if (dev->queues[q].started)
		dev->ops->kick(dev, q);
}

static _Thread_local int this_vcpu = -1;

int virtio_device_vcpu_started(struct virtio_device *dev, unsigned vcpu)
{
	this_vcpu = (int)vcpu;
	return dev->direct ? dev->ops->vcpu_started(dev, vcpu) : 0;
}

bool virtio_device_kick_now(struct virtio_device *dev, unsigned q)
{
	return this_vcpu >= 0 && (dev->direct & (1u << q)) &&
	       dev->ops->kick_now(dev, q, (unsigned)this_vcpu);
}

void virtio_device_kick_lost(struct virtio_device *dev, unsigned q)
{
	if (q < dev->nqueues && dev->ops->kick_lost && is_active(dev))
		dev->ops->kick_lost(dev, q);
}

int virtio_device_start_queue(struct virtio_device *dev, unsigned q,
			      const struct virtq *regs)
{
	struct virtq *vq = &dev->queues[q];

	if (q >= dev->nqueues || vq->started || !virtio_device_running(dev) ||
	    regs->size > dev->queue_max[q])
		return -EINVAL;
	pthread_mutex_lock(&dev->lock);
	*vq = *regs;
	vq->enabled = true;
	pthread_mutex_unlock(&dev->lock);
	return virtq_start(vq, dev->mem, dev->features);
}

/* Device side. ---------------------------------------------------------- */

void virtio_device_kick_again(struct virtio_device *dev, unsigned q)
{
	const uint64_t one = 1;

	BUG_ON(q >= dev->nqueues || !dev->again.loop);
	if (!dev->again_queues)
		(void)!write(dev->again.fd, &one, sizeof(one));
	dev->again_queues |= 1u << q;
}

void virtio_device_signal(struct virtio_device *dev, unsigned q)
{
	if (virtq_wants_signal(&dev->queues[q]))
		dev->transport->signal_queue(dev, q);
}

void vdev_fault(struct virtio_device *dev, const char *fmt, ...)
{
	char text[256];
	bool first;
	bool log;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	pthread_mutex_lock(&dev->lock);
	first = !(dev->status & VIRTIO_NEEDS_RESET);
	dev->status |= VIRTIO_NEEDS_RESET;
	log = first && log_allowed(&dev->faults, FAULT_LINES);
	pthread_mutex_unlock(&dev->lock);

	if (log)
		log_warn("virtio-%s: %s; needs a reset", dev->ops->name, text);
	if (first && dev->transport)
		dev->transport->signal_config(dev);
}

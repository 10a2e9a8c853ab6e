/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "vmm/virtio/vhost_user_internal.h"

/* The split ring's descriptor table is what the index wraps in. */
#define INDEX_MAX UINT16_MAX

void vu_rings_init(struct vhost_user *vu)
{
	unsigned i;

	for (i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		vu->rings[i].vu = vu;
		vu->rings[i].kick.fd = -1;
		vu->rings[i].call_fd = -1;
		vu->rings[i].err_fd = -1;
	}
}

static unsigned index_of(const struct vu_ring *ring)
{
	return (unsigned)(ring - ring->vu->rings);
}

static void drop_kick(struct vu_ring *ring)
{
	int fd = ring->kick.fd;

	if (!ring->kick.loop)
		return;
	virtio_device_kick_lost(ring->vu->dev, index_of(ring));
	evsource_del(&ring->kick);
	close(fd);
	ring->kick.fd = -1;
}

void vu_rings_reset(struct vhost_user *vu)
{
	unsigned i;

	for (i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		struct vu_ring *ring = &vu->rings[i];

		drop_kick(ring);
		ring->size = 0;
		ring->base = 0;
		ring->addr_set = false;
		ring->started = false;
		ring->disabled = false;
	}
}

void vu_rings_enable(struct vhost_user *vu, bool on)
{
	unsigned i;

	for (i = 0; i < VIRTIO_QUEUES_MAX; i++)
		vu->rings[i].enabled = on;
}

void vu_rings_release(struct vhost_user *vu)
{
	unsigned i;

	for (i = 0; i < VIRTIO_QUEUES_MAX; i++)
		drop_kick(&vu->rings[i]);
}

/* Starting and stopping. ------------------------------------------------ */

static bool ready(const struct vu_ring *ring)
{
	return ring->addr_set && ring->size > 0 && ring->started &&
	       ring->enabled;
}

/* Being set up: what comes next may make it ready. */
static bool coming(const struct vu_ring *ring)
{
	return ring->addr_set && !ready(ring) && !ring->disabled;
}

/* The registers a driver would have written. */
static int registers(const struct vu_ring *ring, struct virtq *regs)
{
	struct vhost_user *vu = ring->vu;

	memset(regs, 0, sizeof(*regs));
	regs->size = ring->size;
	regs->resume = true;
	regs->base = ring->base;
	regs->map = vu_inflight_map(vu, index_of(ring));
	regs->track = regs->map ? &vu->rings[index_of(ring)].track : NULL;
	regs->enabled = true;
	if (vu_to_gpa(vu, ring->addr.desc, &regs->desc_gpa) < 0 ||
	    vu_to_gpa(vu, ring->addr.avail, &regs->avail_gpa) < 0 ||
	    vu_to_gpa(vu, ring->addr.used, &regs->used_gpa) < 0)
		return -EFAULT;
	return 0;
}

void vu_stop(struct vhost_user *vu)
{
	struct virtio_device *dev = vu->dev;
	unsigned i;
	bool was[VIRTIO_QUEUES_MAX] = {false};

	if (!vu->running)
		return;
	for (i = 0; i < dev->nqueues; i++)
		was[i] = dev->queues[i].started;
	virtio_device_stop(dev);
	vu->running = false;
	for (i = 0; i < dev->nqueues; i++) {
		if (was[i])
			vu->rings[i].base = dev->stopped_at[i];
	}
}

static int negotiate(struct vhost_user *vu)
{
	struct virtio_device *dev = vu->dev;
	uint8_t status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER;

	virtio_device_set_status(dev, status);
	virtio_device_set_features(dev, 0,
				   (uint32_t)vu->features &
					   ~(uint32_t)VU_F_PROTOCOL_FEATURES);
	virtio_device_set_features(dev, 1, (uint32_t)(vu->features >> 32));
	status |= VIRTIO_FEATURES_OK;
	virtio_device_set_status(dev, status);
	return virtio_device_status(dev) == status ? 0 : -EPROTO;
}

static void write_registers(struct virtio_device *dev, unsigned q,
			    const struct virtq *regs)
{
	pthread_mutex_lock(&dev->lock);
	if (virtio_device_queue_open(dev, q))
		dev->queues[q] = *regs;
	pthread_mutex_unlock(&dev->lock);
}

static int activate(struct vhost_user *vu)
{
	struct virtio_device *dev = vu->dev;
	struct virtq regs;
	unsigned i;
	int rc;

	rc = negotiate(vu);
	for (i = 0; rc == 0 && i < dev->nqueues; i++) {
		if (!ready(&vu->rings[i]))
			continue;
		rc = registers(&vu->rings[i], &regs);
		if (rc == 0)
			write_registers(dev, i, &regs);
	}
	if (rc == 0) {
		virtio_device_set_status(
			dev, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER |
				     VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
		if (!virtio_device_running(dev))
			rc = -EINVAL;
	}
	if (rc < 0)
		virtio_device_stop(dev);
	else
		vu->running = true;
	return rc;
}

/* A ring that became ready after the device had been started. */
static int start_late(struct vu_ring *ring)
{
	struct virtq regs;
	int rc;

	rc = registers(ring, &regs);
	if (rc < 0)
		return rc;
	return virtio_device_start_queue(ring->vu->dev, index_of(ring), &regs);
}

/* Before the first kick: nothing was taken yet. */
static void say_taken_over(const struct vu_ring *ring)
{
	unsigned n = inflight_waiting(&ring->track);

	if (ring->vu->dev->queues[index_of(ring)].track && n > 0)
		log_info("vhost-user %s: ring %u: %u requests taken over",
			 ring->vu->dev->ops->name, index_of(ring), n);
}

int vu_start_ready(struct vhost_user *vu, bool now)
{
	struct virtio_device *dev = vu->dev;
	bool was[VIRTIO_QUEUES_MAX];
	bool any = false;
	unsigned i;
	int rc;

	if (!vu->features_set || vu->mem.count == 0)
		return 0;
	for (i = 0; i < dev->nqueues; i++) {
		if (!now && !vu->running && coming(&vu->rings[i]))
			return 0;
		any |= ready(&vu->rings[i]);
		was[i] = dev->queues[i].started;
	}
	if (!any)
		return 0;
	if (!vu->running) {
		rc = activate(vu);
		if (rc < 0)
			return rc;
	}
	for (i = 0; i < dev->nqueues; i++) {
		if (!ready(&vu->rings[i]))
			continue;
		if (!dev->queues[i].started && virtio_device_running(dev)) {
			rc = start_late(&vu->rings[i]);
			if (rc < 0)
				return rc;
		}
		if (!was[i])
			say_taken_over(&vu->rings[i]);
		/* Kicks from before, or for another device, are lost. */
		virtio_device_kick(dev, i);
	}
	return 0;
}

/* Those that are ready, whatever becomes of the others. */
static void go_on(struct vhost_user *vu)
{
	int rc = vu_start_ready(vu, true);

	if (rc < 0 && log_allowed(&vu->refused, 5))
		log_warn("vhost-user %s: rings do not start: %s",
			 vu->dev->ops->name, strerror(-rc));
}

/* Kicks. ---------------------------------------------------------------- */

static void kicked(struct vu_ring *ring)
{
	struct vhost_user *vu = ring->vu;
	unsigned q = index_of(ring);

	if (!ready(ring))
		return;
	if (vu->running && vu->dev->queues[q].started) {
		virtio_device_kick(vu->dev, q);
		return;
	}
	if (vu->running && !virtio_device_running(vu->dev))
		return; /* at fault */
	go_on(vu);
}

/* By descriptor; those in band come by the loop in any case. */
int vu_kick_take(struct virtio_device *dev, unsigned q)
{
	struct evsource *kick = &vu_of(dev)->rings[q].kick;

	return evsource_modify(kick, EPOLLET) < 0 ? -1 : kick->fd;
}

/*
 * What was written before is for the device that stopped, unless there is
 * something in the ring: it must not start another one, whose rings are still
 * being set up.
 */
void vu_kick_back(struct virtio_device *dev, unsigned q)
{
	struct evsource *kick = &vu_of(dev)->rings[q].kick;
	uint64_t count;
	struct iovec iov = {&count, sizeof(count)};

	/* What is no eventfd was ready once, and is so once more. O_NONBLOCK
	 * is the peer's to clear: it has the same description. */
	if (!virtq_pending(&dev->queues[q]))
		(void)!preadv2(kick->fd, &iov, 1, -1, RWF_NOWAIT);
	BUG_ON(evsource_modify(kick, EPOLLIN | EPOLLET) < 0);
}

static void kick_ready(struct evsource *src, uint32_t revents)
{
	kicked(container_of(src, struct vu_ring, kick));
}

/* Requests. ------------------------------------------------------------- */

static struct vu_ring *ring_at(struct vhost_user *vu, uint32_t index)
{
	return index < vu->dev->nqueues ? &vu->rings[index] : NULL;
}

/*
 * A register of a ring that runs: user-mode Linux resets a device without a
 * word and sets its rings up anew. Nothing starts before the ring is kicked
 * off again.
 */
static void about_to_change(struct vu_ring *ring)
{
	if (!ring->vu->dev->queues[index_of(ring)].started)
		return;
	vu_stop(ring->vu);
	ring->started = false;
}

int vu_set_vring_num(struct vhost_user *vu, struct vu_msg *msg)
{
	struct vu_ring *ring = ring_at(vu, msg->payload.state.index);
	uint32_t num = msg->payload.state.num;

	if (!ring || num == 0 || (num & (num - 1)) != 0 ||
	    num > vu->dev->queue_max[msg->payload.state.index])
		return -EINVAL;
	about_to_change(ring);
	ring->size = (uint16_t)num;
	return 0;
}

int vu_set_vring_addr(struct vhost_user *vu, struct vu_msg *msg)
{
	const struct vu_vring_addr *addr = &msg->payload.addr;
	struct vu_ring *ring = ring_at(vu, addr->index);
	uint64_t gpa;

	/* flags: bit 0 is dirty logging, which was not offered. */
	if (!ring || addr->flags != 0)
		return -EINVAL;
	if (vu_to_gpa(vu, addr->desc, &gpa) < 0 ||
	    vu_to_gpa(vu, addr->avail, &gpa) < 0 ||
	    vu_to_gpa(vu, addr->used, &gpa) < 0)
		return -EFAULT;
	about_to_change(ring);
	ring->addr = *addr;
	ring->addr_set = true;
	ring->disabled = false;
	return 0;
}

int vu_set_vring_base(struct vhost_user *vu, struct vu_msg *msg)
{
	struct vu_ring *ring = ring_at(vu, msg->payload.state.index);

	if (!ring || msg->payload.state.num > INDEX_MAX)
		return -EINVAL;
	about_to_change(ring);
	ring->base = (uint16_t)msg->payload.state.num;
	return 0;
}

int vu_get_vring_base(struct vhost_user *vu, struct vu_msg *msg)
{
	struct vu_ring *ring = ring_at(vu, msg->payload.state.index);
	bool running = vu->running;

	if (!ring)
		return -EINVAL;
	vu_stop(vu);
	ring->started = false;
	ring->addr_set = false;
	drop_kick(ring);
	if (running)
		go_on(vu);
	msg->payload.state.num = ring->base;
	msg->header.size = sizeof(msg->payload.state);
	return 0;
}

int vu_set_vring_kick(struct vhost_user *vu, struct vu_msg *msg)
{
	struct vu_ring *ring;
	AUTO_FD int fd = -1;
	int rc;

	rc = vu_vring_fd(vu, msg, &ring, &fd);
	if (rc < 0)
		return rc;
	/* No descriptor asks for polling, which nobody does for us. */
	if (fd < 0)
		return -EOPNOTSUPP;
	rc = vu_check_event_fd(fd);
	if (rc < 0)
		return rc;
	drop_kick(ring);
	/* Each write is an edge, so that nobody has to read the count; and what
	 * is no eventfd is not ready for ever. */
	rc = evsource_add(vu->loop, &ring->kick, fd, EPOLLIN | EPOLLET,
			  kick_ready);
	if (rc < 0)
		return rc;
	steal_fd(&fd);
	ring->started = true;
	return vu_start_ready(vu, false);
}

int vu_set_vring_enable(struct vhost_user *vu, struct vu_msg *msg)
{
	struct vu_ring *ring = ring_at(vu, msg->payload.state.index);
	uint32_t on = msg->payload.state.num;
	bool started;

	if (!ring || on > 1)
		return -EINVAL;
	if (on) {
		ring->enabled = true;
		ring->disabled = false;
		return vu_start_ready(vu, false);
	}
	/* The front-end may free the ring as soon as we answer. The others
	 * may have had their last kick. */
	started = vu->dev->queues[index_of(ring)].started;
	if (started)
		vu_stop(vu);
	ring->enabled = false;
	ring->disabled = true;
	if (started)
		go_on(vu);
	return 0;
}

int vu_vring_kick(struct vhost_user *vu, struct vu_msg *msg)
{
	struct vu_ring *ring = ring_at(vu, msg->payload.state.index);

	if (!ring)
		return -EINVAL;
	ring->started = true;
	kicked(ring);
	return 0;
}

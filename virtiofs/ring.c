/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/ring.h"

#include <errno.h>

static struct virtq *queue_of(const struct fs_ring *ring)
{
	return &ring->dev->queues[ring->q];
}

/* What is done with the lock is shorter than to sleep would be. */
void fs_ring_init(struct fs_ring *ring, struct virtio_device *dev, unsigned q)
{
	pthread_mutexattr_t attr;

	ring->dev = dev;
	ring->q = q;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&ring->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_cond_init(&ring->left, NULL);
}

void fs_ring_release(struct fs_ring *ring)
{
	pthread_cond_destroy(&ring->left);
	pthread_mutex_destroy(&ring->lock);
}

void fs_ring_open(struct fs_ring *ring, unsigned all)
{
	pthread_mutex_lock(&ring->lock);
	ring->all = all;
	ring->open = !ring->broken;
	pthread_mutex_unlock(&ring->lock);
}

void fs_ring_break(struct fs_ring *ring)
{
	pthread_mutex_lock(&ring->lock);
	ring->open = false;
	ring->broken = true;
	pthread_mutex_unlock(&ring->lock);
}

void fs_ring_drain(struct fs_ring *ring)
{
	pthread_mutex_lock(&ring->lock);
	ring->open = false;
	while (ring->busy)
		pthread_cond_wait(&ring->left, &ring->lock);
	pthread_mutex_unlock(&ring->lock);
}

void fs_ring_reset(struct fs_ring *ring)
{
	pthread_mutex_lock(&ring->lock);
	ring->led = false;
	ring->broken = false;
	pthread_mutex_unlock(&ring->lock);
}

/* The transport has locks of its own. */
static void tell_driver(struct fs_ring *ring)
{
	ring->dev->transport->signal_queue(ring->dev, ring->q);
}

/* With the lock, as the functions below: unless somebody leads. */
static bool take_lead(struct fs_ring *ring)
{
	if (ring->led || !ring->open)
		return false;
	ring->led = true;
	virtq_disable_kick(queue_of(ring));
	return true;
}

static void leave(struct fs_ring *ring)
{
	if (--ring->busy == 0 && !ring->open)
		pthread_cond_broadcast(&ring->left);
}

enum fs_ring_entry fs_ring_enter(struct fs_ring *ring)
{
	enum fs_ring_entry entry = FS_RING_CLOSED;

	pthread_mutex_lock(&ring->lock);
	if (ring->open)
		entry = take_lead(ring) ? FS_RING_ENTERED : FS_RING_LED;
	ring->busy += entry == FS_RING_ENTERED;
	pthread_mutex_unlock(&ring->lock);
	return entry;
}

int fs_ring_pop(struct fs_ring *ring, struct virtq_chain *chain)
{
	int ret = -ECANCELED;

	pthread_mutex_lock(&ring->lock);
	if (ring->open)
		ret = virtq_pop(queue_of(ring), chain);
	pthread_mutex_unlock(&ring->lock);
	return ret;
}

bool fs_ring_pending(const struct fs_ring *ring)
{
	return virtq_pending(queue_of(ring));
}

void fs_ring_push(struct fs_ring *ring, uint16_t head, uint32_t len,
		  bool signal)
{
	struct virtq *q = queue_of(ring);

	pthread_mutex_lock(&ring->lock);
	virtq_push(q, head, len);
	signal = signal && virtq_wants_signal(q);
	pthread_mutex_unlock(&ring->lock);
	if (signal)
		tell_driver(ring);
}

void fs_ring_signal(struct fs_ring *ring)
{
	bool wants;

	pthread_mutex_lock(&ring->lock);
	wants = virtq_wants_signal(queue_of(ring));
	pthread_mutex_unlock(&ring->lock);
	if (wants)
		tell_driver(ring);
}

bool fs_ring_pass(struct fs_ring *ring)
{
	struct virtq *q = queue_of(ring);
	bool more = false;
	bool wants;

	pthread_mutex_lock(&ring->lock);
	ring->led = false;
	wants = virtq_wants_signal(q);
	if (ring->open && ring->busy != ring->all)
		more = virtq_enable_kick(q);
	pthread_mutex_unlock(&ring->lock);
	if (wants)
		tell_driver(ring);
	return more;
}

/*
 * Kicks are off before the driver knows of the reply and sends another
 * request: the caller will look for that. Who does not lead looks once more
 * before it leaves: until then it counted as one who would.
 */
bool fs_ring_finish(struct fs_ring *ring, uint16_t head, uint32_t len)
{
	struct virtq *q = queue_of(ring);
	bool leads;
	bool wants;

	pthread_mutex_lock(&ring->lock);
	leads = take_lead(ring);
	virtq_push(q, head, len);
	wants = virtq_wants_signal(q);
	pthread_mutex_unlock(&ring->lock);
	if (wants)
		tell_driver(ring);
	if (leads)
		return true;
	/* Not before the driver was told: who resets the device waits. */
	pthread_mutex_lock(&ring->lock);
	leads = take_lead(ring);
	if (!leads)
		leave(ring);
	pthread_mutex_unlock(&ring->lock);
	return leads;
}

bool fs_ring_rest(struct fs_ring *ring)
{
	struct virtq *q = queue_of(ring);
	bool more;

	pthread_mutex_lock(&ring->lock);
	more = ring->open && virtq_enable_kick(q);
	if (more) {
		virtq_disable_kick(q);
	} else {
		ring->led = false;
		leave(ring);
	}
	pthread_mutex_unlock(&ring->lock);
	return more;
}

void fs_ring_leave(struct fs_ring *ring)
{
	pthread_mutex_lock(&ring->lock);
	leave(ring);
	pthread_mutex_unlock(&ring->lock);
}

/* Kicks stay off: who is called leads next. */
void fs_ring_abandon(struct fs_ring *ring, bool unpop)
{
	pthread_mutex_lock(&ring->lock);
	if (unpop)
		virtq_unpop(queue_of(ring));
	ring->led = false;
	leave(ring);
	pthread_mutex_unlock(&ring->lock);
}

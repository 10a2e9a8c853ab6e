/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/virtio/device.h"

#define QUEUE_SIZE 256u
/* 5.4.6: the device may write less than the buffer holds, but a byte. */
#define REQUEST_BYTES_MAX (64u << 10)
/* Per wake-up of the loop. */
#define KICK_BYTES_MAX (256u << 10)

struct rng {
	struct virtio_device dev;
	struct virtq_chain chain;
};

static struct rng *to_rng(struct virtio_device *dev)
{
	return container_of(dev, struct rng, dev);
}

static int rng_activate(struct virtio_device *dev)
{
	return 0;
}

static void rng_reset(struct virtio_device *dev)
{
	/* Every request ends within its kick. */
}

static int fill(void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = getrandom((uint8_t *)buf + done, len - done, 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

/* Bytes written, or -errno. */
static ssize_t serve(const struct virtq_chain *chain)
{
	size_t left = MIN(chain->write_len, (size_t)REQUEST_BYTES_MAX);
	size_t done = 0;
	unsigned i;

	for (i = 0; i < chain->nwrite && left > 0; i++) {
		size_t part = MIN(chain->iov[i].iov_len, left);
		int rc = fill(chain->iov[i].iov_base, part);

		if (rc < 0)
			return rc;
		done += part;
		left -= part;
	}
	return (ssize_t)done;
}

static void rng_kick(struct virtio_device *dev, unsigned q)
{
	struct rng *rng = to_rng(dev);
	struct virtq *vq = &dev->queues[q];
	size_t budget = KICK_BYTES_MAX;
	ssize_t n;
	int rc;

	virtq_disable_kick(vq);
	do {
		while ((rc = virtq_pop(vq, &rng->chain)) > 0) {
			if (rng->chain.nread > 0) {
				vdev_fault(dev, "request with data");
				return;
			}
			n = serve(&rng->chain);
			if (n < 0) {
				vdev_fault(dev, "getrandom: %s",
					   strerror((int)-n));
				return;
			}
			virtq_push(vq, rng->chain.head, (uint32_t)n);
			if (budget <= (size_t)n) {
				virtio_device_signal(dev, q);
				virtio_device_kick_again(dev, q);
				return;
			}
			budget -= (size_t)n;
		}
		if (rc < 0) {
			vdev_fault(dev, "queue %u: broken ring", q);
			return;
		}
		virtio_device_signal(dev, q);
	} while (virtq_enable_kick(vq));
}

static void rng_destroy(struct virtio_device *dev)
{
	virtio_device_release(dev);
	free(to_rng(dev));
}

static const struct virtio_device_ops rng_ops = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.activate = rng_activate,
	.kick = rng_kick,
	.reset = rng_reset,
	.destroy = rng_destroy,
};

struct virtio_device *virtio_rng_new(void)
{
	struct rng *rng = calloc(1, sizeof(*rng));

	if (!rng)
		return NULL;
	virtio_device_init(&rng->dev, &rng_ops,
			   VIRTIO_RING_F_INDIRECT_DESC |
				   VIRTIO_RING_F_EVENT_IDX,
			   1, QUEUE_SIZE);
	return &rng->dev;
}

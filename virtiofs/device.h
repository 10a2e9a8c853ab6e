/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_DEVICE_H
#define VIRTIOFS_DEVICE_H

/* The inside of the virtio device, for those who serve its queues. */

#include <stdatomic.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/evloop.h"
#include "virtiofs/pool.h"
#include "virtiofs/ring.h"
#include "virtiofs/server.h"
#include "virtiofs/spin.h"
#include "virtiofs/vcpu.h"
#include "virtiofs/virtiofs.h"
#include "vmm/virtio/device.h"

#define FS_QUEUE_HIPRIO 0u
#define FS_DEVICE_QUEUES_MAX (1u + VIRTIOFS_QUEUES_MAX)

/* virtio 1.2, 5.11.4 */
struct virtio_fs_config_space {
	char tag[VIRTIOFS_TAG_MAX]; /* not terminated when it is full */
	le32 num_request_queues;
};

/*
 * Queue 0 is for what must not wait behind other requests (FORGET), and is
 * handled on the loop; so are the others when there are no workers. Otherwise
 * the threads of the pool serve those, and wait for their kicks, and queue 0
 * takes nothing that has a reply: that may wait, as the loop must not. Where
 * the device is in the process of the vCPUs, their threads serve what is soon
 * done.
 */
struct virtiofs_device {
	struct virtio_device dev;
	struct virtiofs *fs;
	struct virtio_fs_config_space space;
	struct fs_pool pool;
	struct fs_thread *thread;  /* of the loop */
	struct virtq_chain *chain; /* that it works on */
	struct fs_spin spin;	   /* of the loop */
	struct evtimer dax_check;  /* while there is a DAX window */
	struct fs_ring rings[FS_DEVICE_QUEUES_MAX];
	unsigned opened; /* rings, a bit for each; of the loop */
	struct fs_vcpus vcpus;
	/* A thread of the pool is called because requests come soon after each
	 * other. */
	atomic_bool hot;
};

static inline struct virtiofs_device *fs_device_of(struct virtio_device *dev)
{
	return container_of(dev, struct virtiofs_device, dev);
}

/* One from the ring; 0: there is none; -errno: that is the end. */
int fs_device_pop(struct virtiofs_device *fsdev, struct fs_ring *ring,
		  struct virtq_chain *chain) MUST_CHECK;
/* The most bytes that one moves while it leads. */
size_t fs_device_quick_max(const struct virtiofs_device *fsdev);

/* virtiofs_begin, of what was popped; -errno: it holds no request, the end. */
int fs_device_begin(struct virtiofs_device *fsdev, const struct fs_ring *ring,
		    struct fs_thread *thread,
		    const struct virtq_chain *chain) MUST_CHECK;
/* One of the pool's threads looks at the ring. */
void fs_device_call_pool(struct virtiofs_device *fsdev,
			 const struct fs_ring *ring);

#endif

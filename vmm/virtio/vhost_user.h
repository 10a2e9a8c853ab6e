/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VHOST_USER_H
#define VMM_VIRTIO_VHOST_USER_H

/*
 * The device side of vhost-user as a transport: one connection serves one
 * device to a front-end (QEMU, Cloud Hypervisor, user-mode Linux), which
 * shares its guest's memory and its rings with us. The front-end is a peer
 * like any other: nothing it sends is trusted.
 *
 * Rings may be stopped and started again at any time, as those of a machine are
 * that is paused. The device is stopped for it, or reset where it has no such
 * thing, with nothing left in flight, and goes on at the ring's next index.
 */

#include <stdbool.h>

#include "base/err.h"
#include "base/evloop.h"
#include "vmm/virtio/device.h"

struct vhost_user;

struct vhost_user_options {
	/* Borrowed; guest memory may only be this very file. -1: any file. */
	int memory_fd;
	/* Offer notifications as messages instead of by descriptor. Costs a
	 * round trip each where the front-end wants replies. */
	bool inband;
	/* Offer to note requests in memory that the front-end keeps, so that
	 * the next of us goes on with them when this one is killed. */
	bool inflight;
	/* Do not offer the configuration space: the front-end has its own. */
	bool no_config;
	/*
	 * The front-end went away or broke the protocol: the device is reset,
	 * the connection closed. May free the vhost_user, and serve the
	 * device on another connection. May be NULL.
	 */
	void (*closed)(struct vhost_user *vu, void *arg);
	void *arg;
};

/*
 * Serves dev (borrowed, in no vm, not active) on the loop. conn_fd: a
 * connected stream socket, taken in every case. options: NULL is memory of
 * any file and nothing else. NULL: err.
 */
struct vhost_user *vhost_user_new(struct evloop *loop,
				  struct virtio_device *dev, int conn_fd,
				  const struct vhost_user_options *options,
				  struct err *err);
/* On the loop. The device is reset and belongs to no transport after it. */
void vhost_user_free(struct vhost_user *vu);

#endif

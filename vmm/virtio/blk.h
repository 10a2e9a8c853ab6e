/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_BLK_H
#define VMM_VIRTIO_BLK_H

/*
 * Block device (virtio 1.2, 5.2) on a raw image: a regular file or a block
 * device. Never another format: the guest writes the first sectors, so what
 * an image looks like says nothing about what it is.
 */

#include <stdbool.h>

#include "base/err.h"

#define VIRTIO_BLK_SERIAL_MAX 20u

struct virtio_device;

struct virtio_blk_config {
	int fd; /* taken in every case */
	bool readonly;
	const char *serial; /* up to VIRTIO_BLK_SERIAL_MAX bytes; may be NULL */
	/* On the device's thread before it works, as in struct vm_callbacks:
	 * a negative return keeps the device from starting. May be NULL. */
	int (*thread_started)(void *arg, const char *name);
	void *arg;
};

/* NULL: err. Freed by virtio_device_free. */
struct virtio_device *virtio_blk_new(const struct virtio_blk_config *config,
				     struct err *err);

#endif

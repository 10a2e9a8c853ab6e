/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_CONSOLE_H
#define VMM_VIRTIO_CONSOLE_H

/* Console device (virtio 1.2, 5.3): a single port, no multiport. */

#include <stddef.h>

struct virtio_device;

/*
 * output(arg, ...) gets what the guest writes, on the loop. NULL: out of
 * memory. Freed by virtio_device_free.
 */
struct virtio_device *
virtio_console_new(void (*output)(void *arg, const void *data, size_t len),
		   void *arg);
/*
 * On the loop: bytes for the guest to read. Returns how many were taken; the
 * rest finds no place until the guest has read more.
 */
size_t virtio_console_input(struct virtio_device *dev, const void *data,
			    size_t len);

#endif

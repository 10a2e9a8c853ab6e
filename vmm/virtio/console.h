/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_CONSOLE_H
#define VMM_VIRTIO_CONSOLE_H

/* Console device (virtio 1.2, 5.3): a single port, output only. */

#include <stddef.h>

struct virtio_device;

/*
 * output(arg, ...) gets what the guest writes, on the loop. NULL: out of
 * memory. Freed by virtio_device_free.
 */
struct virtio_device *
virtio_console_new(void (*output)(void *arg, const void *data, size_t len),
		   void *arg);

#endif

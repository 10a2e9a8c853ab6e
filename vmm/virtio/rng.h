/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_RNG_H
#define VMM_VIRTIO_RNG_H

/* Entropy device (virtio 1.2, 5.4), from getrandom(2). */

struct virtio_device;

/* NULL: out of memory. Freed by virtio_device_free. */
struct virtio_device *virtio_rng_new(void);

#endif

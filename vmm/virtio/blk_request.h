/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_BLK_REQUEST_H
#define VMM_VIRTIO_BLK_REQUEST_H

/* One request of a block device, carried out on its image. */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/queue.h"

#define BLK_SECTOR 512u
/* One range a request; 5.2.6.2 asks drivers to keep to these. */
#define BLK_RANGES_MAX 1u
#define BLK_DISCARD_SECTORS_MAX (1u << 22)
/* Written out where the file system cannot do it: bounds one request. */
#define BLK_ZERO_SECTORS_MAX (1u << 16)

struct blk_image {
	int fd;
	uint64_t sectors;
	bool readonly;
	/* Negotiated; never with readonly. */
	bool may_discard;
	bool may_zero;
	/* FLUSH was not negotiated: each write is on disk when it completes
	 * (5.2.6.2). */
	bool write_through;
	char serial[VIRTIO_BLK_SERIAL_MAX]; /* zero-padded */
};

/*
 * Carries out the request and writes its status byte. *used gets the bytes
 * written. -EPROTO: no header or no status byte, the device is to fault.
 * Trims chain->iov.
 */
int blk_execute(const struct blk_image *image, struct virtq_chain *chain,
		uint32_t *used) MUST_CHECK;

#endif

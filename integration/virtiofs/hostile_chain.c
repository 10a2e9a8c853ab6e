/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/virtio_ring.h>

#include "integration/virtiofs/hostile_link.h"

void link_chain(unsigned queue, unsigned slot, const struct link_seg *segs,
		unsigned n)
{
	uint16_t at = (uint16_t)(slot * LINK_SEGS);

	for (unsigned i = 0; i < n; i++) {
		struct vring_desc *desc = &link_desc(queue)[at + i];

		desc->addr = link_address(segs[i].at);
		desc->len = segs[i].len;
		desc->flags = segs[i].writable ? VRING_DESC_F_WRITE : 0;
		if (i + 1u < n)
			desc->flags |= VRING_DESC_F_NEXT;
		desc->next = (uint16_t)(at + i + 1);
	}
	link_push(queue, at, 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_NET_H
#define VMM_VIRTIO_NET_H

/*
 * Network device (virtio 1.2, 5.1) on a tap: one queue pair, checksum and
 * segmentation offloads passed through to the kernel, mergeable receive
 * buffers. Frames go between the tap and guest memory without a copy here.
 *
 * The tap must have IFF_NO_PI and IFF_VNET_HDR with a header of 12 bytes. A
 * datagram socket whose peer speaks that header may stand for it.
 *
 * System calls after activation: readv, writev, ioctl(TUNSETOFFLOAD) at
 * activation and reset, and those of the event loop.
 */

#include "base/err.h"
#include "vmm/virtio/device.h"
#include "vmm/vmm.h"

/* Takes the descriptor of the tap in every case. */
struct virtio_device *virtio_net_new(const struct vm_net_config *config,
				     struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_PCI_INTERNAL_H
#define VMM_VIRTIO_PCI_INTERNAL_H

/* Shared by pci.c (the function) and pci_common.c (the register block). */

#include <stdatomic.h>

#include "vmm/pci/msix.h"
#include "vmm/virtio/pci.h"

struct virtio_pci_kick {
	struct evsource src;
	struct virtio_pci *vp;
	unsigned queue;
	int eventfd;
};

struct virtio_pci {
	/* The device points at this; container_of leads back here. */
	struct virtio_transport_ops transport;
	struct virtio_device *dev;
	struct pci_host *host; /* borrowed */
	struct pci_function fn;
	struct iodev bar;
	struct iodev ports; /* of notifications, where the machine has ports */
	struct msix msix;
	unsigned msix_cap;
	unsigned window_cap;
	struct virtio_pci_kick kicks[VIRTIO_QUEUES_MAX];

	_Atomic uint8_t isr;
	_Atomic uint16_t config_vector;
	_Atomic uint16_t queue_vector[VIRTIO_QUEUES_MAX];

	/* Guarded by dev->lock. */
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint16_t queue_select;
};

#define VIRTIO_PCI_COMMON_SIZE 0x40u

void virtio_pci_common_reset(struct virtio_pci *vp);
/* Accesses to the common configuration: only the widths of its fields. */
uint64_t virtio_pci_common_read(struct virtio_pci *vp, uint64_t off,
				unsigned len);
void virtio_pci_common_write(struct virtio_pci *vp, uint64_t off, unsigned len,
			     uint64_t value);

#endif

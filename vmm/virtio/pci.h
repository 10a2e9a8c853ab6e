/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_PCI_H
#define VMM_VIRTIO_PCI_H

/*
 * Virtio over PCI (virtio 1.2, 4.1), modern devices only: one 64-bit BAR with
 * each structure on a page of its own, MSI-X with a vector per queue and one
 * for the configuration, and a doorbell per queue.
 *
 *	0x0000 common configuration    0x3000 notification, 4 bytes a queue
 *	0x1000 ISR status              0x4000 MSI-X table
 *	0x2000 device configuration    0x5000 MSI-X pending bits
 *
 * A device's memory window is a BAR of its own, number 2, above 4 GiB. Where
 * there are ports, devices are notified by them: BAR 4. What the guest wrote,
 * and where, is then known without its instruction being decoded.
 */

#include "base/err.h"
#include "vmm/pci/host.h"
#include "vmm/virtio/device.h"

#define VIRTIO_PCI_VENDOR 0x1af4u
#define VIRTIO_PCI_DEVICE_BASE 0x1040u
#define VIRTIO_PCI_BAR_SIZE 0x8000u
#define VIRTIO_PCI_NO_VECTOR 0xffffu

/*
 * Plugs dev into the host bridge; dev->loop and dev->mem are set already.
 * Before the vCPUs run. NULL: err. The device stays the caller's.
 */
struct virtio_pci *virtio_pci_new(struct virtio_device *dev,
				  struct pci_host *host, struct err *err);
/* After the vCPUs are gone. The device may still be signalled: in vain. */
void virtio_pci_free(struct virtio_pci *vp);

/* For tests: the function that config accesses go to. */
struct pci_function *virtio_pci_function(struct virtio_pci *vp);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_PCI_H
#define INTEGRATION_VIRTIOFS_HOSTILE_PCI_H

/*
 * The virtio-fs device of the guest that this program is root of (virtio 1.2,
 * 4.1), taken from the kernel: its registers and its configuration space, by
 * sysfs. There is one. What sysfs refuses is the end of the program.
 */

#include <stddef.h>
#include <stdint.h>

#define PCI_BARS 6u

/* Offsets into the common structure (virtio 1.2, 4.1.4.3). */
enum pci_register {
	PCI_DEVICE_FEATURE_SELECT = 0x00,
	PCI_DEVICE_FEATURE = 0x04,
	PCI_DRIVER_FEATURE_SELECT = 0x08,
	PCI_DRIVER_FEATURE = 0x0c,
	PCI_CONFIG_VECTOR = 0x10,
	PCI_NUM_QUEUES = 0x12,
	PCI_STATUS = 0x14,
	PCI_QUEUE_SELECT = 0x16,
	PCI_QUEUE_SIZE = 0x18,
	PCI_QUEUE_VECTOR = 0x1a,
	PCI_QUEUE_ENABLE = 0x1c,
	PCI_QUEUE_NOTIFY_OFF = 0x1e,
	PCI_QUEUE_DESC = 0x20,
	PCI_QUEUE_DRIVER = 0x28,
	PCI_QUEUE_DEVICE = 0x30,
};

/* An address range; ports of the machine, or memory that is mapped at at. */
struct pci_bar {
	uint64_t address; /* 0: there is none */
	uint64_t size;
	volatile uint8_t *at; /* NULL: ports, or not mapped */
	int ports;	      /* descriptor; -1: none */
};

extern struct pci_bar pci_bars[PCI_BARS];

/* Unbinds it, and maps what it has. */
void pci_take(void);

/* Of the common structure; width in bytes: 1, 2, 4 or 8. */
uint64_t pci_read(unsigned reg, unsigned width);
void pci_write(unsigned reg, unsigned width, uint64_t value);
/* Tells of queue; value is what is written. */
void pci_notify(unsigned queue, uint32_t value, unsigned width);
/* At any offset of a BAR, by one access. */
uint64_t pci_bar_read(unsigned bar, uint64_t at, unsigned width);
void pci_bar_write(unsigned bar, uint64_t at, unsigned width, uint64_t value);
/* Of configuration space, 256 bytes. */
void pci_config_read(unsigned at, void *bytes, size_t len);
void pci_config_write(unsigned at, const void *bytes, size_t len);
/* Where the capability of that kind is (virtio 1.2, 4.1.4); 0: none. */
unsigned pci_capability(uint8_t type);

#endif

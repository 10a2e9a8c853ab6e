/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PCI_MSIX_H
#define VMM_PCI_MSIX_H

/*
 * MSI-X (PCI Local Bus 3.0, 6.8.2): the vector table, the pending bits, and
 * an eventfd per vector that the machine turns into the message. A vector
 * that is masked gathers at most one pending interrupt, which its unmasking
 * sends.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/log.h"
#include "vmm/pci/host.h"

#define MSIX_VECTORS_MAX 32u
#define MSIX_ENTRY_SIZE 16u
#define MSIX_CONTROL_ENABLE 0x8000u
#define MSIX_CONTROL_MASK 0x4000u

struct msix_vector {
	uint32_t address_low;
	uint32_t address_high;
	uint32_t data;
	bool masked;
	bool pending;
	int eventfd;
	struct msi_route route; /* as the machine has it */
};

struct msix {
	struct pci_host *host; /* borrowed */
	unsigned count;

	pthread_mutex_t lock; /* guards the rest */
	struct log_limit log;
	bool enabled;
	bool masked;
	struct msix_vector vectors[MSIX_VECTORS_MAX];
};

/* Makes the eventfds and their GSIs. Released in every case by
 * msix_release. */
int msix_init(struct msix *msix, struct pci_host *host, unsigned count,
	      struct err *err) MUST_CHECK;
void msix_release(struct msix *msix);

/* Accesses to the table and the pending bits, by offset within each. */
uint64_t msix_table_read(struct msix *msix, uint64_t off, unsigned len);
void msix_table_write(struct msix *msix, uint64_t off, unsigned len,
		      uint64_t value);
uint64_t msix_pending_read(struct msix *msix, uint64_t off, unsigned len);
/* The message control word of the capability was written. */
void msix_control(struct msix *msix, uint16_t control);

/* From any thread. A vector that is not there is ignored. */
void msix_signal(struct msix *msix, unsigned vector);

#endif

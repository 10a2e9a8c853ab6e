/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PCI_HOST_H
#define VMM_PCI_HOST_H

/*
 * The PCI host bridge: bus 0 with up to 31 functions beside the bridge itself
 * (device 0), reached by memory-mapped configuration (ECAM). It hands out BAR
 * addresses, and stands between functions and the machine for interrupts and
 * doorbells.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "vmm/core/iobus.h"
#include "vmm/pci/function.h"

#define PCI_DEVICES 32u

/* Where a GSI leads: a message, or nowhere. */
struct msi_route {
	uint32_t gsi;
	bool valid;
	uint32_t address_low;
	uint32_t address_high;
	uint32_t data;
};

struct pci_host;

/* What the machine does for PCI. */
struct pci_host_ops {
	/* Before the vCPUs run: a GSI that fires when eventfd is written. */
	int (*gsi_add)(struct pci_host *host, int eventfd, uint32_t *gsi);
	/* From any thread: changes routes, all at once. 0 or -errno. */
	int (*routes_set)(struct pci_host *host, const struct msi_route *routes,
			  unsigned n);
	/* Before the vCPUs run: a guest's write to an address, or to a port,
	 * writes eventfd. */
	int (*doorbell_add)(struct pci_host *host, uint64_t at, bool port,
			    int eventfd);
	/*
	 * May be NULL. Before the vCPUs run: lets the guest read the whole of
	 * configuration space without exits, writes still come out; and from
	 * any thread, takes it away again, so that reads come out too.
	 */
	int (*config_map)(struct pci_host *host, uint64_t gpa,
			  const void *space, uint64_t size);
	int (*config_unmap)(struct pci_host *host);
	/*
	 * May be NULL: there is no memory behind BARs. Before the vCPUs run:
	 * the guest sees size bytes from memory on at gpa, whatever is mapped
	 * there at the time.
	 */
	int (*memory_map)(struct pci_host *host, uint64_t gpa, void *memory,
			  uint64_t size);
};

struct pci_host {
	const struct pci_host_ops *ops;
	struct iobus *mmio;  /* borrowed */
	struct iobus *ports; /* borrowed; NULL: the machine has none */
	uint64_t port_next;
	uint64_t port_end;
	struct iodev ecam;
	uint8_t *space; /* configuration space as the guest reads it */
	atomic_bool mapped;
	struct pci_function bridge;
	struct pci_function *functions[PCI_DEVICES]; /* borrowed */
	uint64_t window_next;
	uint64_t window_end;
	/* Above RAM; what was taken of it is [high_base, high_next). */
	uint64_t high_base;
	uint64_t high_next;
	uint64_t high_end;
};

struct pci_window {
	uint64_t ecam;
	uint64_t base;
	uint64_t size;
};

int pci_host_init(struct pci_host *host, const struct pci_host_ops *ops,
		  struct iobus *mmio, const struct pci_window *window,
		  struct err *err) MUST_CHECK;
/* After the functions were released. */
void pci_host_release(struct pci_host *host);

/* An address for a BAR, naturally aligned; 0: the window is full. */
uint64_t pci_host_window_take(struct pci_host *host, uint64_t size);
/* The addresses above 4 GiB that BARs may have: none before this is called. */
void pci_host_set_high(struct pci_host *host, uint64_t base, uint64_t end);
/* The same from there, for memory BARs. */
uint64_t pci_host_high_take(struct pci_host *host, uint64_t size);
/* The ports that BARs may have, and who answers there: none before this. */
void pci_host_set_ports(struct pci_host *host, struct iobus *ports,
			uint16_t base, uint16_t size);
/* The same from there, for ports; 0 as well when there are none. */
uint16_t pci_host_ports_take(struct pci_host *host, uint16_t size);
/*
 * Gives the function the lowest free device number and maps bar at its BAR 0's
 * address. Nothing is kept on failure. The function's page moves into the
 * host's configuration space. -ENOSPC: the bus is full.
 */
int pci_host_plug(struct pci_host *host, struct pci_function *fn,
		  struct iodev *bar) MUST_CHECK;
/* From any thread: reads of some function's registers have effects now. */
void pci_host_trap_reads(struct pci_host *host);

#endif

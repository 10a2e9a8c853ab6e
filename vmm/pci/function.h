/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PCI_FUNCTION_H
#define VMM_PCI_FUNCTION_H

/*
 * The configuration space of one PCI function (conventional, 256 bytes): what
 * reads back, which bits may be written, up to two 64-bit memory BARs (numbers
 * 0 and 2) and a list of capabilities. A BAR's address is the machine's choice:
 * a driver may ask for its size, but writing another address has no effect.
 *
 * What a read returns stands in a page, so that the machine may let the guest
 * read it without an exit; writes always come here. Nothing secret is in it,
 * and nothing is believed that is read from it: the guest cannot write it.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define PCI_CONFIG_SIZE 256u
#define PCI_CONFIG_PAGE 4096u
#define PCI_BARS 3u
#define PCI_COMMAND 0x04u
#define PCI_COMMAND_IO 0x0001u
#define PCI_COMMAND_MEMORY 0x0002u

struct pci_function;

/*
 * Both are called without the lock, after the access passed the checks of
 * width and alignment.
 */
struct pci_function_ops {
	/* A read that has an effect: true when *value holds the answer. Only
	 * called while the guest does not read the page itself. */
	bool (*config_read)(struct pci_function *fn, unsigned off, unsigned len,
			    uint32_t *value);
	/* The writable bits of [off, off+len) were stored. */
	void (*config_written)(struct pci_function *fn, unsigned off,
			       unsigned len);
};

struct pci_id {
	uint16_t vendor;
	uint16_t device;
	uint16_t subsystem;
	uint32_t class; /* base class, subclass, interface */
	uint8_t revision;
};

struct pci_bar {
	uint64_t base;
	uint64_t size;	/* 0: no BAR */
	uint64_t flags; /* the low bits of the register */
};

struct pci_function {
	const struct pci_function_ops *ops; /* NULL: plain registers */
	struct pci_bar bars[PCI_BARS];	    /* each takes two numbers */
	unsigned caps_end;		    /* while capabilities are added */
	unsigned last_cap;

	pthread_mutex_t lock; /* guards the rest */
	uint8_t *config;      /* PCI_CONFIG_PAGE bytes, page-aligned */
	uint8_t writable[PCI_CONFIG_SIZE];
};

/* 0 or -ENOMEM. */
int pci_function_init(struct pci_function *fn, const struct pci_id *id,
		      const struct pci_function_ops *ops) MUST_CHECK;
void pci_function_release(struct pci_function *fn);

/* Before the guest runs: BAR 0, registers; size is a power of two. */
void pci_function_set_bar(struct pci_function *fn, uint64_t base,
			  uint64_t size);
/* The same for BAR 2, which is memory that may be prefetched. */
void pci_function_set_memory_bar(struct pci_function *fn, uint64_t base,
				 uint64_t size);
/* The same for BAR 4, which is ports. */
void pci_function_set_port_bar(struct pci_function *fn, uint16_t base,
			       uint16_t size);
/*
 * Before the guest runs: appends a capability. body: len bytes after id and
 * next; writable: a mask of as many, or NULL. Its offset, 4-aligned.
 */
unsigned pci_function_add_cap(struct pci_function *fn, uint8_t id,
			      const void *body, const void *writable,
			      size_t len);

/* Any off and len; what is not there reads as zero or ones (see body). */
uint32_t pci_function_read(struct pci_function *fn, unsigned off, unsigned len);
void pci_function_write(struct pci_function *fn, unsigned off, unsigned len,
			uint32_t value);
/* The stored registers, without effects. off + len <= PCI_CONFIG_SIZE. */
uint32_t pci_function_peek(struct pci_function *fn, unsigned off, unsigned len);
/* Whether the driver lets the function answer at its memory, or ports. */
bool pci_function_decodes(struct pci_function *fn);
bool pci_function_decodes_ports(struct pci_function *fn);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_VMM_PCI_FAKE_HOST_H
#define TESTS_UNIT_VMM_PCI_FAKE_HOST_H

/* A host bridge without a machine: it remembers routes and doorbells. */

#include <string.h>

#include "vmm/pci/host.h"

#define FAKE_ECAM 0xe8000000u
#define FAKE_WINDOW 0xc0000000u
#define FAKE_GSIS 64u

struct fake_host {
	struct pci_host pci;
	struct iobus mmio;
	unsigned ngsis;
	int eventfds[FAKE_GSIS];
	struct msi_route routes[FAKE_GSIS];
	unsigned commits;
	unsigned doorbells;
	uint64_t doorbell_gpas[FAKE_GSIS];
	bool doorbell_ports[FAKE_GSIS];
	const uint8_t *space; /* what the guest reads itself */
	uint64_t memory_gpa;  /* of a device's window */
	void *memory;
	uint64_t memory_size;
	int fail; /* what the next call returns */
};

static inline struct fake_host *fake_of(struct pci_host *host)
{
	return container_of(host, struct fake_host, pci);
}

static inline int fake_gsi_add(struct pci_host *host, int eventfd,
			       uint32_t *gsi)
{
	struct fake_host *f = fake_of(host);

	if (f->fail)
		return f->fail;
	BUG_ON(f->ngsis == FAKE_GSIS);
	f->eventfds[f->ngsis] = eventfd;
	*gsi = f->ngsis++;
	return 0;
}

static inline int fake_routes_set(struct pci_host *host,
				  const struct msi_route *routes, unsigned n)
{
	struct fake_host *f = fake_of(host);
	unsigned i;

	f->commits++;
	for (i = 0; i < n; i++) {
		BUG_ON(routes[i].gsi >= f->ngsis);
		f->routes[routes[i].gsi] = routes[i];
	}
	return f->fail;
}

static inline int fake_doorbell_add(struct pci_host *host, uint64_t at,
				    bool port, int eventfd)
{
	struct fake_host *f = fake_of(host);

	if (f->fail)
		return f->fail;
	f->doorbell_ports[f->doorbells] = port;
	f->doorbell_gpas[f->doorbells++] = at;
	return 0;
}

static inline int fake_config_map(struct pci_host *host, uint64_t gpa,
				  const void *space, uint64_t size)
{
	BUG_ON(gpa != FAKE_ECAM || size != 1u << 20);
	fake_of(host)->space = space;
	return 0;
}

static inline int fake_config_unmap(struct pci_host *host)
{
	fake_of(host)->space = NULL;
	return 0;
}

static inline int fake_memory_map(struct pci_host *host, uint64_t gpa,
				  void *memory, uint64_t size)
{
	struct fake_host *f = fake_of(host);

	f->memory_gpa = gpa;
	f->memory = memory;
	f->memory_size = size;
	return f->fail;
}

static const struct pci_host_ops fake_host_ops = {
	.config_map = fake_config_map,
	.config_unmap = fake_config_unmap,
	.gsi_add = fake_gsi_add,
	.routes_set = fake_routes_set,
	.doorbell_add = fake_doorbell_add,
	.memory_map = fake_memory_map,
};

static inline int fake_host_init(struct fake_host *f)
{
	const struct pci_window window = {
		.ecam = FAKE_ECAM,
		.base = FAKE_WINDOW,
		.size = 0x1000000,
	};
	struct err err;

	memset(f, 0, sizeof(*f));
	return pci_host_init(&f->pci, &fake_host_ops, &f->mmio, &window, &err);
}

/* The guest's accesses. */
static inline uint64_t fake_load(struct fake_host *f, uint64_t gpa,
				 unsigned len)
{
	uint64_t value = 0;

	/* As the machine does it: from memory while it is mapped. */
	if (f->space && gpa >= FAKE_ECAM &&
	    gpa - FAKE_ECAM <= (1u << 20) - len) {
		memcpy(&value, f->space + (gpa - FAKE_ECAM), len);
		return value;
	}
	iobus_read(&f->mmio, gpa, &value, len);
	return value;
}

static inline void fake_store(struct fake_host *f, uint64_t gpa, unsigned len,
			      uint64_t value)
{
	iobus_write(&f->mmio, gpa, &value, len);
}

static inline uint64_t fake_config(unsigned device, unsigned off)
{
	return FAKE_ECAM + ((uint64_t)device << 15) + off;
}

#endif

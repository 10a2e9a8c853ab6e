/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/pci/function.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/err.h"

/* PCI Local Bus 3.0, chapter 6. */
enum {
	REG_VENDOR = 0x00,
	REG_DEVICE = 0x02,
	REG_STATUS = 0x06,
	REG_REVISION = 0x08,
	REG_CLASS = 0x09,
	REG_BAR = 0x10,
	REG_SUBVENDOR = 0x2c,
	REG_SUBSYSTEM = 0x2e,
	REG_CAPABILITIES = 0x34,
	REG_INTERRUPT_LINE = 0x3c,
	FIRST_CAP = 0x40,
};

#define STATUS_CAP_LIST 0x10u
/* Memory space, bus master, parity, SERR, INTx disable. */
#define COMMAND_WRITABLE 0x0546u
#define BAR_PORTS 0x1u
#define BAR_MEMORY64 0x4u
#define BAR_PREFETCHABLE 0x8u

static void store(uint8_t *at, uint64_t value, unsigned len)
{
	le64 wire = le64_make(value);

	memcpy(at, &wire, len);
}

int pci_function_init(struct pci_function *fn, const struct pci_id *id,
		      const struct pci_function_ops *ops)
{
	void *page = mmap(NULL, PCI_CONFIG_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(fn, 0, sizeof(*fn));
	if (page == MAP_FAILED)
		return -ENOMEM;
	fn->config = page;
	fn->ops = ops;
	fn->caps_end = FIRST_CAP;
	store(fn->config + REG_VENDOR, id->vendor, 2);
	store(fn->config + REG_DEVICE, id->device, 2);
	fn->config[REG_REVISION] = id->revision;
	store(fn->config + REG_CLASS, id->class, 3);
	store(fn->config + REG_SUBVENDOR, id->vendor, 2);
	store(fn->config + REG_SUBSYSTEM, id->subsystem, 2);
	store(fn->writable + PCI_COMMAND, COMMAND_WRITABLE, 2);
	fn->writable[REG_INTERRUPT_LINE] = 0xff;
	pthread_mutex_init(&fn->lock, NULL);
	return 0;
}

void pci_function_release(struct pci_function *fn)
{
	if (!fn->config)
		return;
	munmap(fn->config, PCI_CONFIG_PAGE);
	fn->config = NULL;
	pthread_mutex_destroy(&fn->lock);
}

static void set_bar(struct pci_function *fn, unsigned i, uint64_t base,
		    uint64_t size, uint64_t flags)
{
	BUG_ON(size < 16 || (size & (size - 1)) || (base & (size - 1)));
	fn->bars[i] = (struct pci_bar){base, size, flags};
	store(fn->config + REG_BAR + i * 8, base | flags, 8);
	/* As firmware leaves it: the address is set, so it is decoded. */
	fn->config[PCI_COMMAND] |=
		(uint8_t)(flags & BAR_PORTS ? PCI_COMMAND_IO
					    : PCI_COMMAND_MEMORY);
}

void pci_function_set_bar(struct pci_function *fn, uint64_t base, uint64_t size)
{
	set_bar(fn, 0, base, size, BAR_MEMORY64);
}

void pci_function_set_memory_bar(struct pci_function *fn, uint64_t base,
				 uint64_t size)
{
	set_bar(fn, 1, base, size, BAR_MEMORY64 | BAR_PREFETCHABLE);
}

void pci_function_set_port_bar(struct pci_function *fn, uint16_t base,
			       uint16_t size)
{
	set_bar(fn, 2, base, size, BAR_PORTS);
	fn->writable[PCI_COMMAND] |= PCI_COMMAND_IO;
}

unsigned pci_function_add_cap(struct pci_function *fn, uint8_t id,
			      const void *body, const void *writable,
			      size_t len)
{
	unsigned at = fn->caps_end;

	BUG_ON(len > PCI_CONFIG_SIZE || at + 2 + len > PCI_CONFIG_SIZE);
	fn->config[at] = id;
	memcpy(fn->config + at + 2, body, len);
	if (writable)
		memcpy(fn->writable + at + 2, writable, len);
	if (fn->last_cap)
		fn->config[fn->last_cap + 1] = (uint8_t)at;
	else
		fn->config[REG_CAPABILITIES] = (uint8_t)at;
	fn->config[REG_STATUS] |= STATUS_CAP_LIST;
	fn->last_cap = at;
	fn->caps_end = (unsigned)((at + 2 + len + 3) & ~(size_t)3);
	return at;
}

static bool access_ok(unsigned off, unsigned len)
{
	return (len == 1 || len == 2 || len == 4) && off % len == 0;
}

uint32_t pci_function_peek(struct pci_function *fn, unsigned off, unsigned len)
{
	le32 wire = {0};

	BUG_ON(!access_ok(off, len) || off + len > PCI_CONFIG_SIZE);
	pthread_mutex_lock(&fn->lock);
	memcpy(&wire, fn->config + off, len);
	pthread_mutex_unlock(&fn->lock);
	return le32_get(wire);
}

uint32_t pci_function_read(struct pci_function *fn, unsigned off, unsigned len)
{
	uint32_t value = 0;

	if (!access_ok(off, len))
		return UINT32_MAX;
	/* A function without a PCI Express capability has nothing above. */
	if (off >= PCI_CONFIG_SIZE)
		return 0;
	if (fn->ops && fn->ops->config_read &&
	    fn->ops->config_read(fn, off, len, &value))
		return value;
	return pci_function_peek(fn, off, len);
}

/*
 * Sizing writes all ones to a half, reads the mask, and writes the address
 * back. Whatever else is written, the half reads as the address.
 */
static void write_bar(struct pci_function *fn, unsigned off, unsigned len,
		      uint32_t value)
{
	const struct pci_bar *bar = &fn->bars[(off - REG_BAR) / 8];
	uint64_t now = bar->base;

	if (len != 4 || !bar->size)
		return;
	/* Ports have one register, and no BAR comes after them. */
	if ((bar->flags & BAR_PORTS) && off % 8 != 0)
		return;
	if (value == UINT32_MAX)
		now = ~(bar->size - 1);
	now |= bar->flags;
	store(fn->config + off, now >> (off % 8 == 0 ? 0 : 32), 4);
}

void pci_function_write(struct pci_function *fn, unsigned off, unsigned len,
			uint32_t value)
{
	le32 wire = le32_make(value);
	uint8_t bytes[4];
	unsigned i;

	if (!access_ok(off, len) || off >= PCI_CONFIG_SIZE)
		return;
	memcpy(bytes, &wire, sizeof(bytes));
	pthread_mutex_lock(&fn->lock);
	if (off >= REG_BAR && off < REG_BAR + PCI_BARS * 8) {
		write_bar(fn, off, len, value);
	} else {
		for (i = 0; i < len; i++) {
			uint8_t mask = fn->writable[off + i];
			uint8_t *at = &fn->config[off + i];

			*at = (uint8_t)((*at & ~mask) | (bytes[i] & mask));
		}
	}
	pthread_mutex_unlock(&fn->lock);
	if (fn->ops && fn->ops->config_written)
		fn->ops->config_written(fn, off, len);
}

bool pci_function_decodes(struct pci_function *fn)
{
	return (pci_function_peek(fn, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY) !=
	       0;
}

bool pci_function_decodes_ports(struct pci_function *fn)
{
	return (pci_function_peek(fn, PCI_COMMAND, 2) & PCI_COMMAND_IO) != 0;
}

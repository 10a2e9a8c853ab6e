/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/pci/host.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"

/* ECAM: 20 bits for one bus: device 5, function 3, register 12. */
#define ECAM_BUS_SIZE (1u << 20)
#define DEVICE_SPACE (8 * PCI_CONFIG_PAGE)

static const struct pci_id bridge_id = {
	.vendor = 0x1b36, /* generic PCI Express host bridge */
	.device = 0x0008,
	.class = 0x060000,
};

static struct pci_function *function_at(struct pci_host *host, uint64_t off)
{
	if ((off >> 12) & 7) /* functions 1 to 7 */
		return NULL;
	return host->functions[(off >> 15) % PCI_DEVICES];
}

static uint64_t ecam_read(struct iodev *io, uint64_t off, unsigned len)
{
	struct pci_host *host = container_of(io, struct pci_host, ecam);
	struct pci_function *fn = function_at(host, off);

	if (!fn || len > 4)
		return UINT64_MAX;
	return pci_function_read(fn, (unsigned)(off & 0xfff), len);
}

static void ecam_write(struct iodev *io, uint64_t off, unsigned len,
		       uint64_t value)
{
	struct pci_host *host = container_of(io, struct pci_host, ecam);
	struct pci_function *fn = function_at(host, off);

	if (fn && len <= 4)
		pci_function_write(fn, (unsigned)(off & 0xfff), len,
				   (uint32_t)value);
}

static const struct iodev_ops ecam_ops = {
	.read = ecam_read,
	.write = ecam_write,
};

/*
 * Nobody on the bus: all ones. Each device's eight functions are the same
 * few pages, until pci_host_plug puts a function's own page over the first.
 * One range and not a page each, as KVM may take a clock tick for a slot.
 */
static int make_space(struct pci_host *host)
{
	uint8_t ones[DEVICE_SPACE];
	AUTO_FD int fd = memfd_create("pci-absent", MFD_CLOEXEC);
	void *space;
	unsigned i;
	int ret;

	if (fd < 0)
		return -errno;
	memset(ones, 0xff, sizeof(ones));
	ret = write_full(fd, ones, sizeof(ones));
	if (ret < 0)
		return ret;
	space = mmap(NULL, ECAM_BUS_SIZE, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (space == MAP_FAILED)
		return -errno;
	host->space = space;
	for (i = 0; i < PCI_DEVICES; i++)
		if (mmap(host->space + i * DEVICE_SPACE, DEVICE_SPACE,
			 PROT_READ, MAP_SHARED | MAP_FIXED, fd,
			 0) == MAP_FAILED)
			return -errno;
	return 0;
}

static int place(struct pci_host *host, struct pci_function *fn,
		 unsigned device)
{
	void *page = mremap(fn->config, PCI_CONFIG_PAGE, PCI_CONFIG_PAGE,
			    MREMAP_MAYMOVE | MREMAP_FIXED,
			    host->space + device * DEVICE_SPACE);

	if (page == MAP_FAILED)
		return -errno;
	fn->config = page;
	host->functions[device] = fn;
	return 0;
}

static int map_space(struct pci_host *host)
{
	int ret;

	if (!host->ops->config_map)
		return 0;
	ret = host->ops->config_map(host, host->ecam.base, host->space,
				    ECAM_BUS_SIZE);
	atomic_store(&host->mapped, ret == 0);
	return ret;
}

int pci_host_init(struct pci_host *host, const struct pci_host_ops *ops,
		  struct iobus *mmio, const struct pci_window *window,
		  struct err *err)
{
	int ret;

	memset(host, 0, sizeof(*host));
	host->ops = ops;
	host->mmio = mmio;
	host->window_next = window->base;
	host->window_end = window->base + window->size;
	host->ecam.ops = &ecam_ops;
	ret = pci_function_init(&host->bridge, &bridge_id, NULL);
	if (ret == 0)
		ret = make_space(host);
	if (ret == 0)
		ret = place(host, &host->bridge, 0);
	if (ret == 0)
		ret = iobus_add(mmio, &host->ecam, window->ecam, ECAM_BUS_SIZE);
	if (ret == 0)
		ret = map_space(host);
	if (ret < 0)
		return err_ret(err, ret, "PCI configuration space");
	return 0;
}

void pci_host_release(struct pci_host *host)
{
	if (!host->ops)
		return;
	pci_function_release(&host->bridge);
	if (host->space)
		munmap(host->space, ECAM_BUS_SIZE);
	host->space = NULL;
}

static uint64_t take(uint64_t *next, uint64_t end, uint64_t size)
{
	uint64_t base = (*next + size - 1) & ~(size - 1);

	if (base < *next || base >= end || size > end - base)
		return 0;
	*next = base + size;
	return base;
}

uint64_t pci_host_window_take(struct pci_host *host, uint64_t size)
{
	return take(&host->window_next, host->window_end, size);
}

void pci_host_set_high(struct pci_host *host, uint64_t base, uint64_t end)
{
	host->high_base = base;
	host->high_next = base;
	host->high_end = end;
}

uint64_t pci_host_high_take(struct pci_host *host, uint64_t size)
{
	return take(&host->high_next, host->high_end, size);
}

void pci_host_set_ports(struct pci_host *host, struct iobus *ports,
			uint16_t base, uint16_t size)
{
	host->ports = ports;
	host->port_next = base;
	host->port_end = (uint64_t)base + size;
}

uint16_t pci_host_ports_take(struct pci_host *host, uint16_t size)
{
	return (uint16_t)take(&host->port_next, host->port_end, size);
}

int pci_host_plug(struct pci_host *host, struct pci_function *fn,
		  struct iodev *bar)
{
	unsigned i = 1;
	int ret;

	while (i < PCI_DEVICES && host->functions[i])
		i++;
	if (i == PCI_DEVICES)
		return -ENOSPC;
	ret = iobus_add(host->mmio, bar, fn->bars[0].base, fn->bars[0].size);
	if (ret < 0)
		return ret;
	ret = place(host, fn, i);
	if (ret < 0) {
		iobus_del(host->mmio, bar);
		return ret;
	}
	return 0;
}

void pci_host_trap_reads(struct pci_host *host)
{
	int ret;

	if (!atomic_exchange(&host->mapped, false))
		return;
	ret = host->ops->config_unmap(host);
	if (ret < 0)
		log_error("PCI: cannot trap reads: %s", strerror(-ret));
}

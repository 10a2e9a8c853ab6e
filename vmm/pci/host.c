/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/pci/host.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

/* ECAM: 20 bits for one bus: device 5, function 3, register 12. */
#define ECAM_BUS_SIZE (1u << 20)

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

static int map_config(struct pci_host *host, struct pci_function *fn)
{
	uint64_t gpa = host->ecam.base + ((uint64_t)fn->device << 15);
	int ret;

	if (!host->ops->config_map)
		return 0;
	ret = host->ops->config_map(host, fn->device, gpa, fn->config);
	fn->mapped = ret == 0;
	return ret;
}

static int unmap_config(struct pci_host *host, struct pci_function *fn)
{
	bool mapped;

	pthread_mutex_lock(&fn->lock);
	mapped = fn->mapped;
	fn->mapped = false;
	pthread_mutex_unlock(&fn->lock);
	return mapped ? host->ops->config_unmap(host, fn->device) : 0;
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
		ret = iobus_add(mmio, &host->ecam, window->ecam, ECAM_BUS_SIZE);
	if (ret == 0)
		ret = map_config(host, &host->bridge);
	if (ret < 0)
		return err_ret(err, ret, "PCI configuration space");
	host->functions[0] = &host->bridge;
	return 0;
}

void pci_host_release(struct pci_host *host)
{
	if (host->ops)
		pci_function_release(&host->bridge);
}

uint64_t pci_host_window_take(struct pci_host *host, uint64_t size)
{
	uint64_t base = (host->window_next + size - 1) & ~(size - 1);

	if (base >= host->window_end || size > host->window_end - base)
		return 0;
	host->window_next = base + size;
	return base;
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
	fn->device = i;
	ret = map_config(host, fn);
	if (ret < 0)
		return ret;
	ret = iobus_add(host->mmio, bar, fn->bar_base, fn->bar_size);
	if (ret < 0) {
		BUG_ON(unmap_config(host, fn) < 0);
		return ret;
	}
	host->functions[i] = fn;
	return 0;
}

void pci_host_trap_reads(struct pci_host *host, struct pci_function *fn)
{
	int ret = unmap_config(host, fn);

	if (ret < 0)
		log_error("PCI device %u: cannot trap reads: %s", fn->device,
			  strerror(-ret));
}

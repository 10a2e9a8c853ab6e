/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "vmm/machine/kvm.h"

static struct kvm_machine *of_host(struct pci_host *host)
{
	return container_of(host, struct kvm_machine, pci);
}

static int gsi_add(struct pci_host *host, int eventfd, uint32_t *gsi)
{
	struct kvm_machine *kvm = of_host(host);
	struct kvm_irqfd irqfd = {.fd = (uint32_t)eventfd};
	int ret = 0;

	pthread_mutex_lock(&kvm->route_lock);
	if (kvm->ngsis == KVM_GSIS_MAX) {
		ret = -ENOSPC;
	} else {
		irqfd.gsi = kvm->ngsis;
		if (ioctl(kvm->vm_fd, KVM_IRQFD, &irqfd) < 0)
			ret = -errno;
		else
			*gsi = kvm->ngsis++;
	}
	pthread_mutex_unlock(&kvm->route_lock);
	return ret;
}

/*
 * A message that is none to an interrupt controller leads nowhere: outside
 * the local APICs' range, or with bits that KVM refuses in its x2APIC format
 * (it would refuse the whole table for it).
 */
static bool route_ok(const struct msi_route *route)
{
	return route->valid && (route->address_low >> 20) == 0xfeeu &&
	       (route->address_high & 0xffu) == 0;
}

static int commit(struct kvm_machine *kvm)
{
	AUTO_FREE struct kvm_irq_routing *table = NULL;
	uint32_t i;

	table = calloc(1,
		       sizeof(*table) + kvm->ngsis * sizeof(table->entries[0]));
	if (!table)
		return -ENOMEM;
	for (i = 0; i < kvm->ngsis; i++) {
		const struct msi_route *route = &kvm->routes[i];

		if (!route_ok(route))
			continue;
		table->entries[table->nr++] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi.address_lo = route->address_low,
			.u.msi.address_hi = route->address_high,
			.u.msi.data = route->data,
		};
	}
	return ioctl(kvm->vm_fd, KVM_SET_GSI_ROUTING, table) < 0 ? -errno : 0;
}

static int routes_set(struct pci_host *host, const struct msi_route *routes,
		      unsigned n)
{
	struct kvm_machine *kvm = of_host(host);
	unsigned i;
	int ret;

	pthread_mutex_lock(&kvm->route_lock);
	for (i = 0; i < n; i++) {
		BUG_ON(routes[i].gsi >= kvm->ngsis);
		kvm->routes[routes[i].gsi] = routes[i];
	}
	ret = commit(kvm);
	pthread_mutex_unlock(&kvm->route_lock);
	return ret;
}

static int doorbell_add(struct pci_host *host, uint64_t at, bool port,
			int eventfd)
{
	struct kvm_machine *kvm = of_host(host);
	struct kvm_ioeventfd bell = {
		.addr = at,
		.len = kvm->doorbell_len,
		.fd = eventfd,
		.flags = port ? KVM_IOEVENTFD_FLAG_PIO : 0,
	};

	return ioctl(kvm->vm_fd, KVM_IOEVENTFD, &bell) < 0 ? -errno : 0;
}

/*
 * A driver reads configuration space hundreds of times while it looks for its
 * device: from memory that is a load, otherwise an exit to here.
 */
static int config_map(struct pci_host *host, uint64_t gpa, const void *space,
		      uint64_t size)
{
	struct kvm_machine *kvm = of_host(host);
	struct kvm_userspace_memory_region slot = {
		.slot = KVM_CONFIG_SLOT,
		.flags = KVM_MEM_READONLY,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)space,
	};

	if (!kvm->readonly_memory)
		return 0;
	if (ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return -errno;
	return 0;
}

static int config_unmap(struct pci_host *host)
{
	struct kvm_machine *kvm = of_host(host);
	struct kvm_userspace_memory_region slot = {
		.slot = KVM_CONFIG_SLOT,
		.flags = KVM_MEM_READONLY,
	};

	if (!kvm->readonly_memory)
		return 0;
	if (ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return -errno;
	return 0;
}

const struct pci_host_ops kvm_pci_ops = {
	.config_map = config_map,
	.config_unmap = config_unmap,
	.gsi_add = gsi_add,
	.routes_set = routes_set,
	.doorbell_add = doorbell_add,
	.memory_map = kvm_window_map,
};

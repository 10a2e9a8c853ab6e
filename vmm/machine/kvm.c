/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/boot/layout.h"

static const struct pci_window pci_window = {
	.ecam = LAYOUT_ECAM,
	.base = LAYOUT_PCI_WINDOW,
	.size = LAYOUT_PCI_WINDOW_SIZE,
};

static int enable_cap(struct kvm_machine *kvm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = {.cap = cap, .args = {arg}};

	return ioctl(kvm->vm_fd, KVM_ENABLE_CAP, &enable) < 0 ? -errno : 0;
}

static bool has_cap(struct kvm_machine *kvm, unsigned long cap)
{
	return ioctl(kvm->kvm_fd, KVM_CHECK_EXTENSION, cap) > 0;
}

static int create_vm(struct kvm_machine *kvm, struct err *err)
{
	struct vm_config *config = &kvm->machine.vm->config;
	uint64_t identity = LAYOUT_KVM_IDENTITY;
	int ret;

	if (config->device_fd > 0)
		kvm->kvm_fd = steal_fd(&config->device_fd);
	else
		kvm->kvm_fd = kvm_open(err);
	if (kvm->kvm_fd < 0)
		return kvm->kvm_fd;
	do
		kvm->vm_fd = ioctl(kvm->kvm_fd, KVM_CREATE_VM, 0);
	while (kvm->vm_fd < 0 && errno == EINTR);
	if (kvm->vm_fd < 0)
		return err_sys(err, "KVM_CREATE_VM");
	if (ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return err_sys(err, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, (unsigned long)LAYOUT_KVM_TSS) <
	    0)
		return err_sys(err, "KVM_SET_TSS_ADDR");
	/* Local APICs in the kernel and nothing else: all GSIs are messages,
	 * and no end of interrupt comes out to us. */
	ret = enable_cap(kvm, KVM_CAP_SPLIT_IRQCHIP, 0);
	if (ret < 0)
		return err_ret(err, ret, "KVM_CAP_SPLIT_IRQCHIP");
	if (has_cap(kvm, KVM_CAP_X2APIC_API)) {
		ret = enable_cap(
			kvm, KVM_CAP_X2APIC_API,
			KVM_X2APIC_API_USE_32BIT_IDS |
				KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
		if (ret < 0)
			return err_ret(err, ret, "KVM_CAP_X2APIC_API");
	}
	/* Counters are masked in CPUID; this takes their registers away. */
	if (has_cap(kvm, KVM_CAP_PMU_CAPABILITY)) {
		ret = enable_cap(kvm, KVM_CAP_PMU_CAPABILITY,
				 KVM_PMU_CAP_DISABLE);
		if (ret < 0)
			return err_ret(err, ret, "KVM_CAP_PMU_CAPABILITY");
	}
	kvm->doorbell_len = has_cap(kvm, KVM_CAP_IOEVENTFD_ANY_LENGTH) ? 0 : 2;
	kvm->readonly_memory = has_cap(kvm, KVM_CAP_READONLY_MEM);
	return 0;
}

static int add_memory(struct kvm_machine *kvm, uint64_t gpa, uint64_t size,
		      struct err *err)
{
	struct guestmem *mem = &kvm->machine.vm->mem;
	struct kvm_userspace_memory_region slot = {
		.slot = mem->count,
		.guest_phys_addr = gpa,
		.memory_size = size,
	};
	int ret = guestmem_add_private(mem, gpa, size,
				       kvm->machine.vm->config.huge_pages, err);

	if (ret < 0)
		return ret;
	slot.userspace_addr = (uintptr_t)mem->regions[slot.slot].host;
	if (ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return err_sys(err, "KVM_SET_USER_MEMORY_REGION 0x%llx",
			       (unsigned long long)gpa);
	return 0;
}

static int create_memory(struct kvm_machine *kvm, struct err *err)
{
	uint64_t size = kvm->machine.vm->config.memory;
	uint64_t low = MIN(size, (uint64_t)LAYOUT_RAM_LOW_MAX);
	int ret = add_memory(kvm, 0, low, err);

	if (ret == 0 && size > low)
		ret = add_memory(kvm, LAYOUT_RAM_HIGH, size - low, err);
	return ret;
}

static void power_requested(struct power *power, enum power_request request)
{
	struct kvm_machine *kvm =
		container_of(power, struct kvm_machine, power);

	atomic_store(&kvm->ended, true);
	if (request == POWER_REQUEST_OFF)
		vm_exited(kvm->machine.vm, VM_EXIT_SHUTDOWN,
			  "the guest powered off");
	else
		vm_exited(kvm->machine.vm, VM_EXIT_RESET,
			  "the guest asked for a reset");
}

static void serial_output(void *arg, const void *data, size_t len)
{
	vm_console_output(arg, data, len);
}

static int create_platform(struct kvm_machine *kvm, struct err *err)
{
	struct vm *vm = kvm->machine.vm;
	int ret;

	power_init(&kvm->power, power_requested);
	ret = iobus_add(&kvm->pio, &kvm->power.acpi, POWER_BASE, POWER_PORTS);
	if (ret == 0)
		ret = iobus_add(&kvm->pio, &kvm->power.i8042, I8042_BASE, 1);
	if (ret < 0)
		return err_ret(err, ret, "power registers");
	ret = pci_host_init(&kvm->pci, &kvm_pci_ops, &kvm->mmio, &pci_window,
			    err);
	if (ret < 0)
		return ret;
	pci_host_set_ports(&kvm->pci, &kvm->pio, LAYOUT_PCI_PORTS,
			   LAYOUT_PCI_PORTS_SIZE);
	if (!vm->config.serial)
		return 0;
	ret = serial_init(&kvm->serial, vm->config.loop, serial_output, vm,
			  err);
	if (ret < 0)
		return ret;
	kvm->has_serial = true;
	ret = iobus_add(&kvm->pio, &kvm->serial.io, SERIAL_BASE, SERIAL_PORTS);
	if (ret < 0)
		return err_ret(err, ret, "serial port");
	return 0;
}

static void kvm_destroy(struct machine *m)
{
	struct kvm_machine *kvm = kvm_of(m);
	unsigned i;

	kvm_vcpus_release(kvm);
	for (i = 0; i < kvm->ndevices; i++)
		virtio_pci_free(kvm->devices[i]);
	if (kvm->has_serial)
		serial_release(&kvm->serial);
	pci_host_release(&kvm->pci);
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	if (kvm->kvm_fd >= 0)
		close(kvm->kvm_fd);
	pthread_cond_destroy(&kvm->changed);
	pthread_mutex_destroy(&kvm->route_lock);
	pthread_mutex_destroy(&kvm->run_lock);
	free(kvm);
}

/* Above RAM, and below what the processor and its tables of pages reach. */
static void create_high_window(struct kvm_machine *kvm)
{
	uint64_t memory = kvm->machine.vm->config.memory;
	uint64_t base = LAYOUT_RAM_HIGH;

	if (memory > LAYOUT_RAM_LOW_MAX)
		base += memory - LAYOUT_RAM_LOW_MAX;
	base += LAYOUT_PCI_HIGH_UNIT - 1;
	base -= base % LAYOUT_PCI_HIGH_UNIT;
	pci_host_set_high(&kvm->pci, base, 1ull << kvm->address_bits);
}

static struct machine *kvm_create(struct vm *vm, struct err *err)
{
	struct kvm_machine *kvm = calloc(1, sizeof(*kvm));

	if (!kvm) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	kvm->machine.ops = &kvm_machine_ops;
	kvm->machine.vm = vm;
	kvm->kvm_fd = kvm->vm_fd = -1;
	pthread_mutex_init(&kvm->run_lock, NULL);
	pthread_mutex_init(&kvm->route_lock, NULL);
	pthread_cond_init(&kvm->changed, NULL);
	if (create_vm(kvm, err) < 0 || create_memory(kvm, err) < 0 ||
	    create_platform(kvm, err) < 0 || kvm_vcpus_create(kvm, err) < 0) {
		kvm_destroy(&kvm->machine);
		return NULL;
	}
	create_high_window(kvm);
	/* More machines are none of the sandbox's business. */
	close(steal_fd(&kvm->kvm_fd));
	return &kvm->machine;
}

static int kvm_plug(struct machine *m, struct virtio_device *dev,
		    struct err *err)
{
	struct kvm_machine *kvm = kvm_of(m);
	struct virtio_pci *vp;

	BUG_ON(kvm->ndevices == VM_DEVICES_MAX);
	vp = virtio_pci_new(dev, &kvm->pci, err);
	if (!vp)
		return -err->code;
	kvm->devices[kvm->ndevices++] = vp;
	return 0;
}

static int kvm_start(struct machine *m, struct err *err)
{
	struct kvm_machine *kvm = kvm_of(m);
	struct vm *vm = m->vm;
	AUTO_FREE char *cmdline = kvm_cmdline(vm);
	const struct boot_config boot = {
		.mem = &vm->mem,
		.kernel_fd = vm->config.kernel_fd,
		.initramfs_fd = vm->config.initramfs_fd,
		.cmdline = cmdline,
		.vcpus = kvm->nvcpus,
		.serial = vm->config.serial,
		.pci_high_base = kvm->pci.high_base,
		.pci_high_size = kvm->pci.high_next - kvm->pci.high_base,
	};
	struct boot_entry entry;
	int ret;

	if (!cmdline)
		return err_set(err, ENOMEM, "command line: out of memory");
	log_debug("kernel command line: %s", cmdline);
	ret = boot_load(&boot, &entry, err);
	if (ret == 0)
		ret = kvm_cpu_enter_at(&kvm->vcpus[0], &entry, err);
	if (ret == 0)
		ret = kvm_vcpus_start(kvm, err);
	return ret;
}

static int kvm_pause(struct machine *m, struct err *err)
{
	kvm_vcpus_pause(kvm_of(m));
	return 0;
}

static int kvm_resume(struct machine *m, struct err *err)
{
	kvm_vcpus_resume(kvm_of(m));
	return 0;
}

static void kvm_stop(struct machine *m)
{
	kvm_vcpus_stop(kvm_of(m));
}

const struct machine_ops kvm_machine_ops = {
	.name = "kvm",
	.probe = kvm_probe,
	.open_device = kvm_open,
	.create = kvm_create,
	.plug = kvm_plug,
	.start = kvm_start,
	.pause = kvm_pause,
	.resume = kvm_resume,
	.stop = kvm_stop,
	.destroy = kvm_destroy,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/ioctl.h>

#include "vmm/machine/kvm.h"
#include "vmm/virtio/device.h"

int kvm_window_map(struct pci_host *host, uint64_t gpa, void *memory,
		   uint64_t size)
{
	struct kvm_machine *kvm = container_of(host, struct kvm_machine, pci);
	struct kvm_userspace_memory_region slot = {
		.slot = KVM_WINDOW_SLOT,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};
	/* There is one; a second is refused here. */
	int ret = guestmem_set_window(&kvm->machine.vm->mem, gpa, memory, size);

	if (ret < 0)
		return ret;
	if (ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return -errno;
	return 0;
}

/* Faults. -------------------------------------------------------------------
 *
 * KVM does not say which address it was; that would not help either, as the
 * page is gone from under the guest. A program that touches it is to have
 * SIGBUS, as it would on the host. A stack-segment fault is that to a program
 * of Linux and of the BSDs, at the instruction that is to blame; a machine
 * check would be the processor's own way, but the guest's kernel may be built
 * without, and goes down for one of its own accesses.
 *
 * A kernel that copies from or to a program expects faults, whatever their
 * vector is, and makes an error of one: read(2) and write(2) fail then, with
 * EFAULT, or are short. It says that it does so where SMAP is on. For its other
 * accesses the device finds something to put there.
 */

#define VECTOR_SS 12u
#define CR0_PE 1u
#define CR4_SMAP (1u << 21)
#define RFLAGS_AC (1u << 18)

/* Lines per window of time; each fault is one of the guest's own making. */
#define FAULT_LINES 5u

enum kvm_accessor kvm_accessor_of(const struct kvm_sregs *sregs,
				  const struct kvm_regs *regs)
{
	if (!(sregs->cr0 & CR0_PE))
		return KVM_ACCESSOR_KERNEL;
	if (sregs->ss.dpl == 3)
		return KVM_ACCESSOR_PROGRAM;
	return (sregs->cr4 & CR4_SMAP) && (regs->rflags & RFLAGS_AC)
		       ? KVM_ACCESSOR_COPY
		       : KVM_ACCESSOR_KERNEL;
}

static enum kvm_accessor accessor(const struct kvm_vcpu *vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0)
		return KVM_ACCESSOR_KERNEL;
	return kvm_accessor_of(&sregs, &regs);
}

/* False: the vCPU is in the middle of another exception. */
static bool inject(const struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu_events events;

	if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) < 0 ||
	    events.exception.injected || events.exception.pending ||
	    events.nmi.injected)
		return false;
	events.exception.injected = 1;
	events.exception.nr = VECTOR_SS;
	events.exception.has_error_code = 1;
	events.exception.error_code = 0;
	events.flags = 0; /* the rest is as it is */
	return ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) == 0;
}

struct fault {
	struct vm *vm;
	bool again;
};

static void fault_on_loop(void *arg)
{
	struct fault *fault = arg;
	unsigned i;

	for (i = 0; i < fault->vm->ndevices; i++) {
		struct virtio_device *dev = fault->vm->devices[i];

		if (dev->window && dev->ops->window_fault(dev))
			fault->again = true;
	}
}

bool kvm_window_fault(struct kvm_vcpu *vcpu)
{
	struct fault fault = {.vm = vcpu->kvm->machine.vm};
	enum kvm_accessor who;

	if (!fault.vm->mem.window.size)
		return false;
	who = accessor(vcpu);
	if (who != KVM_ACCESSOR_KERNEL && inject(vcpu)) {
		if (log_allowed(&vcpu->faults, FAULT_LINES))
			log_warn("vCPU %u: no page behind a mapped file: "
				 "%s for the guest's program",
				 vcpu->id,
				 who == KVM_ACCESSOR_PROGRAM ? "SIGBUS"
							     : "EFAULT");
		return true;
	}
	evloop_call(fault.vm->config.loop, fault_on_loop, &fault);
	return fault.again;
}

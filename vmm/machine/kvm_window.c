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
 * without, and goes down for one of its own accesses. For those the device
 * finds something to put there.
 */

#define VECTOR_SS 12u
#define CR0_PE 1u

/* Lines per window of time; each fault is one of the guest's own making. */
#define FAULT_LINES 5u

static bool in_program(const struct kvm_vcpu *vcpu)
{
	struct kvm_sregs sregs;

	return ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) == 0 &&
	       (sregs.cr0 & CR0_PE) && sregs.ss.dpl == 3;
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

	if (!fault.vm->mem.window.size)
		return false;
	if (in_program(vcpu) && inject(vcpu)) {
		if (log_allowed(&vcpu->faults, FAULT_LINES))
			log_warn("vCPU %u: no page behind a mapped file: "
				 "SIGBUS for the guest's program",
				 vcpu->id);
		return true;
	}
	evloop_call(fault.vm->config.loop, fault_on_loop, &fault);
	return fault.again;
}

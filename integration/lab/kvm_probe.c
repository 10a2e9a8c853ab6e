/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a few instructions in a virtual machine and says whether /dev/kvm is
 * one that boots kernels: some hosts offer a /dev/kvm that interprets guest
 * kernel code and does not know popcnt.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PORT 0x10

static const uint8_t code[] = {
	0xb8, 0xff, 0x01,	/* mov $0x1ff, %ax */
	0xf3, 0x0f, 0xb8, 0xc0, /* popcnt %ax, %ax */
	0xe6, PORT,		/* out %al, $PORT */
	0xf4,			/* hlt */
};

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int run(int vcpu, const struct kvm_run *state)
{
	const uint8_t *data;

	if (ioctl(vcpu, KVM_RUN, 0))
		return fail("KVM_RUN");
	data = (const uint8_t *)state + state->io.data_offset;
	if (state->exit_reason != KVM_EXIT_IO || state->io.port != PORT ||
	    *data != 9) {
		fprintf(stderr, "exit %u in place of out 9\n",
			state->exit_reason);
		return 1;
	}
	if (ioctl(vcpu, KVM_RUN, 0))
		return fail("KVM_RUN");
	if (state->exit_reason != KVM_EXIT_HLT) {
		fprintf(stderr, "exit %u in place of hlt\n",
			state->exit_reason);
		return 1;
	}
	return 0;
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct kvm_userspace_memory_region slot = {.memory_size = 4096};
	struct kvm_regs regs = {.rflags = 2};
	struct kvm_sregs sregs;
	int vm, vcpu, size;
	void *ram, *state;

	if (kvm < 0)
		return fail("/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return fail("KVM_CREATE_VM");
	ram = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		return fail("mmap");
	memcpy(ram, code, sizeof(code));
	slot.userspace_addr = (uintptr_t)ram;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot))
		return fail("KVM_SET_USER_MEMORY_REGION");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0 || ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return fail("KVM_CREATE_VCPU");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) ||
	    ioctl(vcpu, KVM_SET_REGS, &regs))
		return fail("KVM_SET_REGS");
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size <= 0)
		return fail("KVM_GET_VCPU_MMAP_SIZE");
	state = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
		     vcpu, 0);
	if (state == MAP_FAILED)
		return fail("mmap of the vCPU");
	return run(vcpu, state);
}

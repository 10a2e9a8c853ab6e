/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_MACHINE_KVM_H
#define VMM_MACHINE_KVM_H

/*
 * The kvm machine (x86-64), shared by its files:
 *
 *	kvm.c		the machine: creation, memory, start, life cycle
 *	kvm_probe.c	whether this host has what it takes
 *	kvm_cpu.c	CPUID, registers, MSRs
 *	kvm_vcpu.c	the vCPU threads
 *	kvm_irq.c	irqfd, ioeventfd, MSI routes
 *	kvm_window.c	memory windows of devices, and faults there
 *	kvm_cmdline.c	kernel parameters that this platform wants
 *
 * System calls after vm_start, for seccomp filters:
 *
 *	on the loop	ioctl KVM_SET_REGS (vm_start), KVM_KVMCLOCK_CTRL
 *			(vm_resume); pread64, fstat, sendfile of kernel and
 *			initramfs, lseek of guest memory;
 *			clone3, mmap, mprotect, munmap, madvise, rt_sigprocmask,
 *			tgkill, futex, poll, read and write of eventfds, close
 *	vCPU threads	ioctl KVM_RUN, KVM_SET_GSI_ROUTING, KVM_GET_REGS,
 *			KVM_SET_USER_MEMORY_REGION (a driver that uses the
 *			configuration window of virtio-pci), KVM_GET_SREGS,
 *			KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS;
 *			before thread_started: rt_sigprocmask, prctl
 *			PR_SET_NAME, set_robust_list, rseq; always: futex,
 *			write (eventfds, log), rt_sigreturn, madvise, munmap,
 *			exit, clock_gettime
 */

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/log.h"
#include "vmm/boot/boot.h"
#include "vmm/core/iobus.h"
#include "vmm/core/vm.h"
#include "vmm/hw/power.h"
#include "vmm/hw/serial.h"
#include "vmm/pci/host.h"
#include "vmm/virtio/pci.h"

#define KVM_EXITS_MAX 40u
/* The memory slot of PCI configuration space. */
#define KVM_CONFIG_SLOT GUESTMEM_REGIONS_MAX
/* Of a device's window. */
#define KVM_WINDOW_SLOT (KVM_CONFIG_SLOT + 1)
/* One vector per queue and one per device. */
#define KVM_GSIS_MAX (VM_DEVICES_MAX * (VIRTIO_QUEUES_MAX + 1))

struct kvm_machine;

struct kvm_vcpu {
	struct kvm_machine *kvm;
	unsigned id;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	bool started; /* the thread is to be joined */
	uint64_t exits[KVM_EXITS_MAX];
	struct log_limit faults;
};

enum kvm_wanted {
	KVM_WANT_RUN,
	KVM_WANT_PAUSE,
	KVM_WANT_STOP,
};

struct kvm_machine {
	struct machine machine;
	int kvm_fd;
	int vm_fd;
	struct iobus pio;
	struct iobus mmio;
	bool has_serial;
	struct serial serial;
	struct power power;
	atomic_bool ended; /* the guest ended itself */
	struct pci_host pci;
	unsigned ndevices;
	struct virtio_pci *devices[VM_DEVICES_MAX];

	unsigned nvcpus;
	struct kvm_vcpu *vcpus;
	unsigned address_bits; /* of the guest's physical addresses */

	pthread_mutex_t run_lock; /* guards the three below */
	enum kvm_wanted wanted;
	unsigned active; /* vCPU threads that are not parked */
	unsigned alive;	 /* vCPU threads that are not over */
	pthread_cond_t changed;

	uint32_t doorbell_len;	    /* of ioeventfds: 0, any width */
	bool readonly_memory;	    /* slots that the guest may only read */
	pthread_mutex_t route_lock; /* guards ngsis and routes */
	uint32_t ngsis;
	struct msi_route routes[KVM_GSIS_MAX];
};

static inline struct kvm_machine *kvm_of(struct machine *m)
{
	return container_of(m, struct kvm_machine, machine);
}

/* kvm_probe.c. An open /dev/kvm with all that the machine needs, or -errno. */
int kvm_open(struct err *err) MUST_CHECK;
int kvm_probe(struct err *err) MUST_CHECK;
/* text: of /proc/cpuinfo. Whether the processor can run guests itself. */
bool kvm_cpuinfo_has_virt(const char *text);

/* kvm_cpu.c. */
int kvm_cpu_init(struct kvm_vcpu *vcpu, struct err *err) MUST_CHECK;
int kvm_cpu_enter_at(struct kvm_vcpu *vcpu, const struct boot_entry *entry,
		     struct err *err) MUST_CHECK;

/* kvm_vcpu.c. All on the loop. */
int kvm_vcpus_create(struct kvm_machine *kvm, struct err *err) MUST_CHECK;
int kvm_vcpus_start(struct kvm_machine *kvm, struct err *err) MUST_CHECK;
/* Returns when all are parked. */
void kvm_vcpus_pause(struct kvm_machine *kvm);
void kvm_vcpus_resume(struct kvm_machine *kvm);
/* Does not wait. */
void kvm_vcpus_stop(struct kvm_machine *kvm);
/* Stops, waits for the threads and closes all. */
void kvm_vcpus_release(struct kvm_machine *kvm);

/* kvm_irq.c. */
extern const struct pci_host_ops kvm_pci_ops;

/* kvm_window.c. */
int kvm_window_map(struct pci_host *host, uint64_t gpa, void *memory,
		   uint64_t size) MUST_CHECK;
/*
 * On the vCPU's thread, after KVM_RUN ended with EFAULT: the guest found no
 * memory at some address. True: it may try again.
 */
bool kvm_window_fault(struct kvm_vcpu *vcpu);

/* Whose access it was that found no page. */
enum kvm_accessor {
	KVM_ACCESSOR_PROGRAM,
	KVM_ACCESSOR_COPY, /* the kernel's, from or to a program */
	KVM_ACCESSOR_KERNEL,
};
enum kvm_accessor kvm_accessor_of(const struct kvm_sregs *sregs,
				  const struct kvm_regs *regs);

/* kvm_cmdline.c: the whole command line; NULL: out of memory. Caller frees. */
char *kvm_cmdline(const struct vm *vm);

#endif

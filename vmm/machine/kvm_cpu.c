/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "vmm/boot/layout.h"
#include "vmm/machine/kvm.h"

/*
 * What a vCPU looks like: CPUID as KVM supports it, less what a guest has no
 * business with, plus its own APIC id and the topology: one package, a core
 * per vCPU.
 */

#define CPUID_ENTRIES_MAX 256u
#define LEAF_FEATURES 0x1u
#define LEAF_CACHES 0x4u
#define LEAF_PERF 0xau
#define LEAF_TOPOLOGY 0xbu
#define LEAF_TOPOLOGY_V2 0x1fu
#define LEAF_KVM 0x40000000u
#define LEAF_KVM_TIMING 0x40000010u
#define LEAF_AMD_FEATURES 0x80000001u
#define LEAF_AMD_SIZES 0x80000008u
#define LEAF_AMD_CACHES 0x8000001du
#define LEAF_AMD_TOPOLOGY 0x8000001eu
#define LEAF_AMD_PERF 0x80000022u

#define ECX1_VMX (1u << 5)
#define ECX1_PDCM (1u << 15)
#define ECX1_X2APIC (1u << 21)
#define ECX1_TSC_DEADLINE (1u << 24)
#define ECX1_HYPERVISOR (1u << 31)
#define EDX1_HTT (1u << 28)
#define ECX81_CMP_LEGACY (1u << 1)
#define ECX81_SVM (1u << 2)
#define ECX81_PERFCTR (1u << 23 | 1u << 24 | 1u << 28)

#define ADDRESS_BITS_MAX 46u /* what four levels of page tables map */
#define ADDRESS_BITS_MIN 36u /* of processors that do not say */

#define APIC_BUS_KHZ 1000000u /* KVM's APIC timer counts nanoseconds */

#define MSR_MISC_ENABLE 0x1a0u
#define MISC_ENABLE_FAST_STRING 1u
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MTRR_ENABLE_WB (1u << 11 | 6u)

/* Bits that hold 0..n-1. */
static uint32_t id_bits(unsigned n)
{
	return n > 1 ? 32u - (uint32_t)__builtin_clz(n - 1) : 0;
}

static void edit_features(struct kvm_cpuid_entry2 *e, const struct kvm_vcpu *v)
{
	unsigned n = v->kvm->nvcpus;

	e->ecx &= ~(ECX1_VMX | ECX1_PDCM);
	e->ecx |= ECX1_X2APIC | ECX1_TSC_DEADLINE | ECX1_HYPERVISOR;
	e->ebx = (e->ebx & 0xffffu) | (uint32_t)v->id << 24;
	if (n > 1) {
		e->edx |= EDX1_HTT;
		e->ebx |= (1u << id_bits(n)) << 16;
	} else {
		e->edx &= ~EDX1_HTT;
		e->ebx |= 1u << 16;
	}
}

/* Cores that share a cache less one (bits 14 to 25), cores in the package
 * less one (bits 26 to 31). Levels 1 and 2 belong to a core. */
static void edit_caches(struct kvm_cpuid_entry2 *e, unsigned n)
{
	uint32_t level = e->eax >> 5 & 7;
	uint32_t cores = (1u << id_bits(n)) - 1;

	if ((e->eax & 0x1f) == 0)
		return;
	e->eax &= 0x3fffu;
	if (level >= 3)
		e->eax |= cores << 14;
	if (e->function == LEAF_CACHES)
		e->eax |= (cores & 0x3fu) << 26;
}

static void edit_entry(struct kvm_cpuid_entry2 *e, const struct kvm_vcpu *v)
{
	unsigned n = v->kvm->nvcpus;

	switch (e->function) {
	case LEAF_FEATURES:
		edit_features(e, v);
		break;
	case LEAF_CACHES:
	case LEAF_AMD_CACHES:
		edit_caches(e, n);
		break;
	case LEAF_PERF: /* no performance counters: a side channel */
	case LEAF_AMD_PERF:
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case LEAF_KVM: /* the highest leaf is the one that is added */
		e->eax = LEAF_KVM_TIMING;
		break;
	case LEAF_AMD_FEATURES:
		e->ecx &= ~(ECX81_SVM | ECX81_PERFCTR | ECX81_CMP_LEGACY);
		if (n > 1)
			e->ecx |= ECX81_CMP_LEGACY;
		break;
	case LEAF_AMD_SIZES:
		v->kvm->address_bits = MIN(e->eax & 0xffu, ADDRESS_BITS_MAX);
		e->ecx = id_bits(n) << 12 | (n - 1);
		break;
	case LEAF_AMD_TOPOLOGY: /* APIC id, core id with one thread, node 0 */
		e->eax = v->id;
		e->ebx = v->id;
		e->ecx = 0;
		break;
	default:
		break;
	}
}

static struct kvm_cpuid_entry2 *append(struct kvm_cpuid2 *t, uint32_t leaf)
{
	struct kvm_cpuid_entry2 *e;

	BUG_ON(t->nent >= CPUID_ENTRIES_MAX);
	e = &t->entries[t->nent++];
	*e = (struct kvm_cpuid_entry2){.function = leaf};
	return e;
}

/* Levels: threads (one to a core), cores, end. */
static void add_topology(struct kvm_cpuid2 *t, uint32_t leaf,
			 const struct kvm_vcpu *v)
{
	unsigned level;

	for (level = 0; level < 3; level++) {
		struct kvm_cpuid_entry2 *e = append(t, leaf);

		e->index = level;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e->ecx = level;
		e->edx = v->id;
		if (level == 0) {
			e->ebx = 1;
			e->ecx |= 1u << 8;
		} else if (level == 1) {
			e->eax = id_bits(v->kvm->nvcpus);
			e->ebx = v->kvm->nvcpus;
			e->ecx |= 2u << 8;
		}
	}
}

/* The frequencies, as VMware defined the leaf and others read it, so that no
 * guest measures them against a timer that is not there. */
static void add_timing(struct kvm_cpuid2 *t, const struct kvm_vcpu *v)
{
	int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);
	struct kvm_cpuid_entry2 *e = append(t, LEAF_KVM_TIMING);

	e->eax = khz > 0 ? (uint32_t)khz : 0;
	e->ebx = APIC_BUS_KHZ;
}

static bool leaf_is_ours(uint32_t leaf)
{
	return leaf == LEAF_TOPOLOGY || leaf == LEAF_TOPOLOGY_V2 ||
	       leaf == LEAF_KVM_TIMING;
}

static int set_cpuid(struct kvm_vcpu *vcpu, struct err *err)
{
	AUTO_FREE struct kvm_cpuid2 *t = calloc(
		1, sizeof(*t) + CPUID_ENTRIES_MAX * sizeof(t->entries[0]));
	uint32_t i, n = 0, max = 0;

	vcpu->kvm->address_bits = ADDRESS_BITS_MIN;
	if (!t)
		return err_set(err, ENOMEM, "CPUID: out of memory");
	/* Room for what is added below. */
	t->nent = CPUID_ENTRIES_MAX - 8;
	if (ioctl(vcpu->kvm->kvm_fd, KVM_GET_SUPPORTED_CPUID, t) < 0)
		return err_sys(err, "KVM_GET_SUPPORTED_CPUID");
	for (i = 0; i < t->nent; i++) {
		if (leaf_is_ours(t->entries[i].function))
			continue;
		t->entries[n] = t->entries[i];
		if (t->entries[n].function == 0)
			max = t->entries[n].eax;
		edit_entry(&t->entries[n], vcpu);
		n++;
	}
	t->nent = n;
	if (max >= LEAF_TOPOLOGY)
		add_topology(t, LEAF_TOPOLOGY, vcpu);
	if (max >= LEAF_TOPOLOGY_V2)
		add_topology(t, LEAF_TOPOLOGY_V2, vcpu);
	add_timing(t, vcpu);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, t) < 0)
		return err_sys(err, "KVM_SET_CPUID2");
	return 0;
}

/* KVM_SET_MSRS takes one at a time here: it stops at the first it refuses. */
static int set_msr(struct kvm_vcpu *vcpu, uint32_t index, uint64_t value)
{
	AUTO_FREE struct kvm_msrs *msr =
		calloc(1, sizeof(*msr) + sizeof(msr->entries[0]));
	int n;

	if (!msr)
		return -ENOMEM;
	msr->nmsrs = 1;
	msr->entries[0].index = index;
	msr->entries[0].data = value;
	n = ioctl(vcpu->fd, KVM_SET_MSRS, msr);
	if (n < 0)
		return -errno;
	return n == 1 ? 0 : -EINVAL;
}

static int set_msrs(struct kvm_vcpu *vcpu, struct err *err)
{
	/* All memory is write-back unless page tables say otherwise. */
	int ret = set_msr(vcpu, MSR_MTRR_DEF_TYPE, MTRR_ENABLE_WB);

	if (ret < 0)
		return err_ret(err, ret, "setting the MTRRs");
	/* Linux gives up fast string operations on Intel where this is off;
	 * AMD has no such register, and KVM may refuse it there. */
	ret = set_msr(vcpu, MSR_MISC_ENABLE, MISC_ENABLE_FAST_STRING);
	if (ret < 0 && ret != -EINVAL)
		return err_ret(err, ret, "setting IA32_MISC_ENABLE");
	return 0;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
}

/* 32-bit protected mode, no paging: PVH and Linux's 32-bit boot protocol. */
static int set_mode(struct kvm_vcpu *vcpu, struct err *err)
{
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return err_sys(err, "KVM_GET_SREGS");
	sregs.cs = flat(BOOT_CS, 0xb);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss =
		flat(BOOT_DS, 0x3);
	sregs.tr = (struct kvm_segment){
		.limit = 0x67,
		.selector = BOOT_TSS,
		.type = 0xb,
		.present = 1,
	};
	sregs.gdt.base = LAYOUT_GDT;
	sregs.gdt.limit = BOOT_GDT_SIZE - 1;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = 0x11; /* PE, ET */
	sregs.cr3 = 0;
	sregs.cr4 = 0;
	sregs.efer = 0;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0)
		return err_sys(err, "KVM_SET_SREGS");
	return 0;
}

int kvm_cpu_init(struct kvm_vcpu *vcpu, struct err *err)
{
	int ret = set_cpuid(vcpu, err);

	if (ret == 0)
		ret = set_msrs(vcpu, err);
	/* The others wait for a start-up message, in the state of a reset. */
	if (ret == 0 && vcpu->id == 0)
		ret = set_mode(vcpu, err);
	return ret;
}

int kvm_cpu_enter_at(struct kvm_vcpu *vcpu, const struct boot_entry *entry,
		     struct err *err)
{
	struct kvm_regs regs = {
		.rip = entry->rip,
		.rbx = entry->rbx,
		.rsi = entry->rsi,
		.rsp = entry->rsp,
		.rflags = 2,
	};

	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0)
		return err_sys(err, "KVM_SET_REGS");
	return 0;
}

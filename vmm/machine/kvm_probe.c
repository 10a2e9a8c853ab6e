/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "vmm/machine/kvm.h"

#define CPUINFO_MAX (4u << 20)

static const struct {
	unsigned long cap;
	const char *name;
} required[] = {
	{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
	{KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
	{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
	{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
	{KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR"},
	{KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP"},
	{KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING"},
	{KVM_CAP_IRQFD, "KVM_CAP_IRQFD"},
	{KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"},
	{KVM_CAP_TSC_DEADLINE_TIMER, "KVM_CAP_TSC_DEADLINE_TIMER"},
	{KVM_CAP_KVMCLOCK_CTRL, "KVM_CAP_KVMCLOCK_CTRL"},
	{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
};

static int open_device(struct err *err)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return err_sys(err, "/dev/kvm: load the module kvm_intel or "
				    "kvm_amd, with virtualization enabled in "
				    "the firmware");
	case EACCES:
	case EPERM:
		return err_sys(err, "/dev/kvm: be root or in the group that "
				    "owns it (mostly \"kvm\")");
	default:
		return err_sys(err, "/dev/kvm");
	}
}

int kvm_open(struct err *err)
{
	AUTO_FD int fd = open_device(err);
	int version;
	size_t i;

	if (fd < 0)
		return fd;
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version < 0)
		return err_sys(err, "/dev/kvm: it is not KVM");
	if (version != KVM_API_VERSION)
		return err_set(err, ENOTSUP,
			       "/dev/kvm: API version %d, not %d: the host's "
			       "kernel is too old",
			       version, KVM_API_VERSION);
	for (i = 0; i < ARRAY_SIZE(required); i++)
		if (ioctl(fd, KVM_CHECK_EXTENSION, required[i].cap) <= 0)
			return err_set(err, ENOTSUP,
				       "/dev/kvm: no %s: the host's kernel is "
				       "too old",
				       required[i].name);
	return steal_fd(&fd);
}

bool kvm_cpuinfo_has_virt(const char *text)
{
	const char *flags = strstr(text, "\nflags");
	AUTO_FREE char *line = NULL;
	char *word, *rest;

	if (!flags)
		return false;
	line = strndup(flags + 1, strcspn(flags + 1, "\n"));
	if (!line)
		return false;
	for (word = strtok_r(line, " \t:", &rest); word;
	     word = strtok_r(NULL, " \t:", &rest))
		if (strcmp(word, "svm") == 0 || strcmp(word, "vmx") == 0)
			return true;
	return false;
}

int kvm_probe(struct err *err)
{
	AUTO_FREE char *cpuinfo = NULL;
	AUTO_FD int kvm = kvm_open(err);
	AUTO_FD int vm = -1;
	int ret;

	if (kvm < 0)
		return kvm;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return err_sys(err, "/dev/kvm: creating a VM: is another "
				    "hypervisor using the processor?");
	ret = file_read(AT_FDCWD, "/proc/cpuinfo", CPUINFO_MAX, &cpuinfo, NULL);
	if (ret < 0)
		return err_ret(err, ret, "/proc/cpuinfo");
	if (!kvm_cpuinfo_has_virt(cpuinfo))
		return err_set(err, ENOTSUP,
			       "/dev/kvm works, but the processor shows "
			       "neither svm nor vmx: guest kernel code would "
			       "be interpreted; enable nested virtualization "
			       "for this machine, or ask for the kvm machine "
			       "by name");
	return 0;
}

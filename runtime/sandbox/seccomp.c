/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/seccomp.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/syscall_filter.h"
#include "runtime/sandbox/control.h"
#include "virtiofs/needs.h"

#define CALL(name) SYSCALL_RULE(name)
#define IOCTL(request)                                                 \
	{                                                              \
		SCMP_SYS(ioctl), SYSCALL_EQUAL, 1, (uint64_t)(request) \
	}

static const struct syscall_rule loop_rules[] = {
	CALL(poll),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(epoll_ctl),
	CALL(eventfd2),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(readv),
	CALL(writev),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(sendto),
	CALL(accept4),
	{SCMP_SYS(socket), SYSCALL_EQUAL, 0, AF_UNIX},
	CALL(connect),
	CALL(shutdown),
	{SCMP_SYS(fcntl), SYSCALL_EQUAL, 1, F_GETPIPE_SZ},
	{SCMP_SYS(fcntl), SYSCALL_EQUAL, 1, F_SETPIPE_SZ},
	CALL(waitid), /* the end of a user-mode machine */
	CALL(getsockopt),
	CALL(getrandom),
	CALL(rt_sigaction),
	CALL(tgkill),
	/* Threads, but no processes: glibc tries clone3 first, which hides
	 * its flags in memory and is answered ENOSYS below. */
	{SCMP_SYS(clone), SYSCALL_MASK_SET, 0, CLONE_VM | CLONE_THREAD},
	CALL(sched_getaffinity),
	CALL(pread64),
	/* Changes of shared files (virtiofs/watch.h). */
	CALL(fanotify_mark),
	CALL(name_to_handle_at),
	/* Kernel and initramfs, as vm_start loads them. */
	CALL(fstat),
	CALL(newfstatat),
	CALL(sendfile),
	CALL(lseek),
	IOCTL(TUNSETOFFLOAD),
	IOCTL(KVM_RUN),
	IOCTL(KVM_GET_REGS),
	IOCTL(KVM_SET_REGS),
	IOCTL(KVM_GET_SREGS),
	IOCTL(KVM_SET_SREGS),
	IOCTL(KVM_SET_FPU),
	IOCTL(KVM_SET_MSRS),
	IOCTL(KVM_SET_MP_STATE),
	IOCTL(KVM_IRQFD),
	IOCTL(KVM_IOEVENTFD),
	IOCTL(KVM_SIGNAL_MSI),
	IOCTL(KVM_SET_GSI_ROUTING),
	IOCTL(KVM_KVMCLOCK_CTRL),
	/* Threads are born with this filter: what vCPUs may do must be here. */
	IOCTL(KVM_GET_VCPU_EVENTS),
	IOCTL(KVM_SET_VCPU_EVENTS),
	IOCTL(KVM_SET_USER_MEMORY_REGION),
};

static const struct syscall_rule vcpu_rules[] = {
	CALL(tgkill),
	CALL(ppoll),
	IOCTL(KVM_RUN),
	IOCTL(KVM_GET_REGS),
	IOCTL(KVM_GET_SREGS),
	/* A page of a mapped file that is gone: SIGBUS in the guest. */
	IOCTL(KVM_GET_VCPU_EVENTS),
	IOCTL(KVM_SET_VCPU_EVENTS),
	IOCTL(KVM_IRQFD),
	IOCTL(KVM_SIGNAL_MSI),
	IOCTL(KVM_SET_GSI_ROUTING),
	/* Takes a read-only page of PCI configuration space away. */
	IOCTL(KVM_SET_USER_MEMORY_REGION),
	IOCTL(KVM_KVMCLOCK_CTRL),
};

enum {
	LISTS_MAX = 4
};

/* The loop serves files as well: virtio-fs without workers, and forgets. */
static void lists_of(enum seccomp_kind kind, bool file_handles,
		     struct syscall_list lists[LISTS_MAX])
{
	static const struct syscall_list none;
	static const struct syscall_list loop = SYSCALL_LIST(loop_rules);
	static const struct syscall_list vcpu = SYSCALL_LIST(vcpu_rules);

	lists[0] = syscalls_common;
	lists[1] = kind == SECCOMP_VCPU ? none : virtiofs_syscalls;
	lists[2] = kind == SECCOMP_LOOP	   ? loop
		   : kind == SECCOMP_FILES ? none
					   : vcpu;
	lists[3] = file_handles && kind != SECCOMP_VCPU
			   ? virtiofs_handle_syscalls
			   : none;
}

static struct syscall_filter filters[SECCOMP_FILES + 1];
static int report_fd = -1;

int seccomp_prepare(bool file_handles, struct err *err)
{
	struct syscall_list lists[LISTS_MAX];
	int ret = 0;

	for (size_t kind = 0; !ret && kind < ARRAY_SIZE(filters); kind++) {
		lists_of((enum seccomp_kind)kind, file_handles, lists);
		ret = syscall_filter_make(&filters[kind], SYSCALL_REFUSE_TRAP,
					  lists, LISTS_MAX, err);
	}
	return ret;
}

/* Async-signal-safe. */
static void on_sigsys(int signo, siginfo_t *info, void *context)
{
	static const char head[] = "system call refused by seccomp: number ";
	char text[sizeof(head) + 12];
	char *p = text + sizeof(text);
	unsigned nr = (unsigned)info->si_syscall;
	size_t len;

	do
		*--p = (char)('0' + nr % 10);
	while (nr /= 10);
	p -= sizeof(head) - 1;
	memcpy(p, head, sizeof(head) - 1);
	len = (size_t)(text + sizeof(text) - p);
	(void)!control_send(report_fd, CONTROL_EXITED, p, len);
	_exit(128 + SIGSYS);
}

void seccomp_report_to(int fd)
{
	struct sigaction action = {
		.sa_sigaction = on_sigsys,
		.sa_flags = SA_SIGINFO,
	};

	report_fd = fd;
	sigaction(SIGSYS, &action, NULL);
}

int seccomp_install(enum seccomp_kind kind)
{
	return syscall_filter_install(&filters[kind]);
}

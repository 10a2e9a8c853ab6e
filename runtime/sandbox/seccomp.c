/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/sandbox/control.h"

#define FILTER_MAX 65536u /* bytes; the kernel takes 4096 instructions */

enum match {
	ANY,
	EQUAL,	  /* argument `arg` is `value` */
	MASK,	  /* of argument `arg`, no bit of `value` is set */
	MASK_SET, /* all bits of `value` are set */
};

struct rule {
	int nr;
	enum match match;
	unsigned arg;
	uint64_t value;
};

#define CALL(name)                        \
	{                                 \
		SCMP_SYS(name), ANY, 0, 0 \
	}
#define IOCTL(request)                                         \
	{                                                      \
		SCMP_SYS(ioctl), EQUAL, 1, (uint64_t)(request) \
	}

/* What each thread of a C program does. No mapping becomes executable. */
static const struct rule common_rules[] = {
	CALL(read),
	CALL(write),
	CALL(close),
	CALL(futex),
	CALL(exit),
	CALL(exit_group),
	CALL(rt_sigreturn),
	CALL(rt_sigprocmask),
	CALL(brk),
	CALL(munmap),
	CALL(madvise),
	CALL(mremap),
	{SCMP_SYS(mmap), MASK, 2, PROT_EXEC},
	{SCMP_SYS(mprotect), MASK, 2, PROT_EXEC},
	CALL(clock_gettime),
	CALL(gettimeofday),
	CALL(restart_syscall),
	CALL(sched_yield),
	CALL(getpid),
	CALL(gettid),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(set_robust_list),
	CALL(rseq),
	CALL(sendmsg),
	CALL(sigaltstack),
	CALL(capset),
	CALL(seccomp),
	{SCMP_SYS(prctl), EQUAL, 0, PR_SET_NAME},
};

static const struct rule loop_rules[] = {
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
	{SCMP_SYS(socket), EQUAL, 0, AF_UNIX},
	CALL(connect),
	CALL(shutdown),
	CALL(waitid), /* the end of a user-mode machine */
	CALL(getsockopt),
	CALL(getrandom),
	CALL(rt_sigaction),
	CALL(tgkill),
	/* Threads, but no processes: glibc tries clone3 first, which hides
	 * its flags in memory and is answered ENOSYS below. */
	{SCMP_SYS(clone), MASK_SET, 0, CLONE_VM | CLONE_THREAD},
	CALL(sched_getaffinity),
	CALL(pread64),
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
};

static const struct rule vcpu_rules[] = {
	CALL(tgkill),
	CALL(ppoll),
	IOCTL(KVM_RUN),
	IOCTL(KVM_GET_REGS),
	IOCTL(KVM_GET_SREGS),
	IOCTL(KVM_IRQFD),
	IOCTL(KVM_SIGNAL_MSI),
	IOCTL(KVM_SET_GSI_ROUTING),
	/* Takes a read-only page of PCI configuration space away. */
	IOCTL(KVM_SET_USER_MEMORY_REGION),
	IOCTL(KVM_KVMCLOCK_CTRL),
};

static const struct rule file_rules[] = {
	CALL(openat),
	CALL(openat2),
	CALL(fstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(fstatfs),
	CALL(getdents64),
	CALL(lseek),
	CALL(mkdirat),
	CALL(mknodat),
	CALL(unlinkat),
	CALL(renameat),
	CALL(renameat2),
	CALL(linkat),
	CALL(symlinkat),
	CALL(readlinkat),
	CALL(fchmod),
	CALL(fchmodat),
	CALL(fchown),
	CALL(fchownat),
	CALL(utimensat),
	CALL(ftruncate),
	CALL(truncate),
	CALL(fallocate),
	CALL(fsync),
	CALL(fdatasync),
	CALL(syncfs),
	CALL(sync_file_range),
	CALL(copy_file_range),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(getxattr),
	CALL(lgetxattr),
	CALL(fgetxattr),
	CALL(setxattr),
	CALL(lsetxattr),
	CALL(fsetxattr),
	CALL(listxattr),
	CALL(llistxattr),
	CALL(flistxattr),
	CALL(removexattr),
	CALL(lremovexattr),
	CALL(fremovexattr),
	CALL(preadv),
	CALL(preadv2),
	CALL(pwritev),
	CALL(pwritev2),
	CALL(pread64),
	CALL(pwrite64),
	CALL(readv),
	CALL(writev),
	CALL(setfsuid),
	CALL(setfsgid),
	CALL(setresuid),
	CALL(setresgid),
	CALL(setgroups),
	CALL(umask),
	CALL(fchdir),
	/* A worker of virtio-fs gets a working directory of its own. */
	{SCMP_SYS(unshare), EQUAL, 0, CLONE_FS},
	CALL(capget),
	CALL(sendto), /* interrupts of the uml machine */
	{SCMP_SYS(fcntl), EQUAL, 1, F_GETFL},
	{SCMP_SYS(fcntl), EQUAL, 1, F_SETFL},
	{SCMP_SYS(fcntl), EQUAL, 1, F_GETFD},
	{SCMP_SYS(fcntl), EQUAL, 1, F_DUPFD_CLOEXEC},
};

struct list {
	const struct rule *rules;
	size_t n;
};

#define LIST(rules)                      \
	{                                \
		rules, ARRAY_SIZE(rules) \
	}

/* The loop serves files as well: virtio-fs without workers, and forgets. */
static const struct list lists[][3] = {
	[SECCOMP_LOOP] = {LIST(common_rules), LIST(loop_rules),
			  LIST(file_rules)},
	[SECCOMP_VCPU] = {LIST(common_rules), LIST(vcpu_rules), {NULL, 0}},
	[SECCOMP_FILES] = {LIST(common_rules), LIST(file_rules), {NULL, 0}},
};

static struct sock_fprog programs[ARRAY_SIZE(lists)];
static int report_fd = -1;

static int add_rule(scmp_filter_ctx ctx, const struct rule *r)
{
	switch (r->match) {
	case EQUAL:
		return seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, r->nr, 1,
			SCMP_CMP(r->arg, SCMP_CMP_EQ, r->value, 0));
	case MASK:
		return seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, r->nr, 1,
			SCMP_CMP(r->arg, SCMP_CMP_MASKED_EQ, r->value, 0));
	case MASK_SET:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, r->nr, 1,
					SCMP_CMP(r->arg, SCMP_CMP_MASKED_EQ,
						 r->value, r->value));
	default:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, r->nr, 0);
	}
}

static int fill(scmp_filter_ctx ctx, enum seccomp_kind kind)
{
	int ret = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
				   SCMP_ACT_KILL_PROCESS);

	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
				       SCMP_SYS(clone3), 0);
	for (size_t l = 0; l < ARRAY_SIZE(lists[0]); l++)
		for (size_t i = 0; !ret && i < lists[kind][l].n; i++)
			ret = add_rule(ctx, &lists[kind][l].rules[i]);
	return ret;
}

/* The program as bytes, so that threads install it without libseccomp. */
static int export(scmp_filter_ctx ctx, struct sock_fprog *program)
{
	AUTO_FD int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;

	if (fd < 0 || seccomp_export_bpf(ctx, fd) < 0 || fstat(fd, &st) < 0)
		return -EIO;
	program->filter = malloc((size_t)st.st_size);
	if (!program->filter || (size_t)st.st_size > FILTER_MAX)
		return -ENOMEM;
	if (pread(fd, program->filter, (size_t)st.st_size, 0) != st.st_size)
		return -EIO;
	program->len = (unsigned short)((size_t)st.st_size /
					sizeof(struct sock_filter));
	return 0;
}

int seccomp_prepare(struct err *err)
{
	for (size_t kind = 0; kind < ARRAY_SIZE(lists); kind++) {
		scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
		int ret = ctx ? fill(ctx, (enum seccomp_kind)kind) : -ENOMEM;

		if (!ret)
			ret = export(ctx, &programs[kind]);
		seccomp_release(ctx);
		if (ret < 0)
			return err_ret(err, ret, "seccomp filter");
	}
	return 0;
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
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &programs[kind]) <
	    0)
		return -errno;
	return 0;
}

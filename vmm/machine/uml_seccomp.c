/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "vmm/machine/uml.h"

#define NAMESPACES                                                  \
	((scmp_datum_t)CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | \
	 CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

/*
 * What the kernel process and the C library in it call. All else is ENOSYS
 * and not a kill: the library tries newer calls first, and the kernel probes.
 * A guest's own calls never get here: ptrace takes them before (SYSEMU). They
 * would if a guest process ever ran natively; so nothing here opens a path,
 * names another process than its own, or makes a socket that can connect.
 */
static const int allowed[] = {
	/* memory */
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	/* its descriptors */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(dup),
	SCMP_SYS(fstat),
	SCMP_SYS(fcntl),
	SCMP_SYS(fallocate),
	SCMP_SYS(pipe),
	SCMP_SYS(pipe2),
	SCMP_SYS(eventfd2),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(recvfrom),
	SCMP_SYS(shutdown),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	/* signals and time */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(rt_sigsuspend),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(pause),
	SCMP_SYS(kill),
	SCMP_SYS(tgkill),
	SCMP_SYS(tkill),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(timer_create),
	SCMP_SYS(timer_settime),
	SCMP_SYS(timer_gettime),
	SCMP_SYS(timer_delete),
	SCMP_SYS(setitimer),
	/* guest processes */
	SCMP_SYS(ptrace),
	SCMP_SYS(wait4),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(gettid),
	SCMP_SYS(arch_prctl),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(restart_syscall),
	/* the C library's start */
	SCMP_SYS(set_tid_address),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(futex),
	SCMP_SYS(getrandom),
	SCMP_SYS(getrlimit),
	SCMP_SYS(uname),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(sched_yield),
};

struct uml_filter {
	scmp_filter_ctx context;
};

/* Allowed when one argument is as it should be. */
static const struct {
	int call;
	struct scmp_arg_cmp argument;
} restricted[] = {
	/* Its own start, by descriptor. */
	{SCMP_SYS(execveat), {4, SCMP_CMP_EQ, AT_EMPTY_PATH, 0}},
	/* fstat(3). */
	{SCMP_SYS(newfstatat), {3, SCMP_CMP_EQ, AT_EMPTY_PATH, 0}},
	/* Processes, no namespaces. */
	{SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, NAMESPACES, 0}},
	/* Pairs for interrupts; nothing with an address. */
	{SCMP_SYS(socketpair), {0, SCMP_CMP_EQ, AF_UNIX, 0}},
	/* Limits, its own. */
	{SCMP_SYS(prlimit64), {0, SCMP_CMP_EQ, 0, 0}},
};

static int add_rules(scmp_filter_ctx c)
{
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(allowed) && !ret; i++)
		ret = seccomp_rule_add(c, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < ARRAY_SIZE(restricted) && !ret; i++)
		ret = seccomp_rule_add_array(c, SCMP_ACT_ALLOW,
					     restricted[i].call, 1,
					     &restricted[i].argument);
	if (!ret)
		ret = seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return ret;
}

struct uml_filter *uml_filter_new(struct err *err)
{
	struct uml_filter *filter = calloc(1, sizeof(*filter));
	int ret;

	if (filter)
		filter->context = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!filter || !filter->context) {
		err_set(err, ENOMEM, "out of memory");
		uml_filter_free(filter);
		return NULL;
	}
	ret = add_rules(filter->context);
	if (ret == 0)
		return filter;
	err_ret(err, ret, "system call filter");
	uml_filter_free(filter);
	return NULL;
}

void uml_filter_free(struct uml_filter *filter)
{
	if (!filter)
		return;
	if (filter->context)
		seccomp_release(filter->context);
	free(filter);
}

int uml_filter_load(struct uml_filter *filter)
{
	return seccomp_load(filter->context);
}

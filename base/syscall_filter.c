/* SPDX-License-Identifier: Apache-2.0 */
#include "base/syscall_filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FILTER_MAX 65536u /* bytes; the kernel takes 4096 instructions */

static const struct syscall_rule common_rules[] = {
	SYSCALL_RULE(read),
	SYSCALL_RULE(write),
	SYSCALL_RULE(close),
	SYSCALL_RULE(futex),
	SYSCALL_RULE(exit),
	SYSCALL_RULE(exit_group),
	SYSCALL_RULE(rt_sigreturn),
	SYSCALL_RULE(rt_sigprocmask),
	SYSCALL_RULE(brk),
	SYSCALL_RULE(munmap),
	SYSCALL_RULE(madvise),
	SYSCALL_RULE(mremap),
	{SCMP_SYS(mmap), SYSCALL_MASK, 2, PROT_EXEC},
	{SCMP_SYS(mprotect), SYSCALL_MASK, 2, PROT_EXEC},
	SYSCALL_RULE(clock_gettime),
	SYSCALL_RULE(gettimeofday),
	SYSCALL_RULE(restart_syscall),
	SYSCALL_RULE(sched_yield),
	SYSCALL_RULE(getpid),
	SYSCALL_RULE(gettid),
	SYSCALL_RULE(getuid),
	SYSCALL_RULE(geteuid),
	SYSCALL_RULE(getgid),
	SYSCALL_RULE(getegid),
	SYSCALL_RULE(set_robust_list),
	SYSCALL_RULE(rseq),
	SYSCALL_RULE(sendmsg),
	SYSCALL_RULE(sigaltstack),
	SYSCALL_RULE(capset),
	SYSCALL_RULE(seccomp),
	{SCMP_SYS(prctl), SYSCALL_EQUAL, 0, PR_SET_NAME},
};

const struct syscall_list syscalls_common = SYSCALL_LIST(common_rules);

static int add_rule(scmp_filter_ctx ctx, const struct syscall_rule *r)
{
	switch (r->match) {
	case SYSCALL_EQUAL:
		return seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, r->nr, 1,
			SCMP_CMP(r->arg, SCMP_CMP_EQ, r->value, 0));
	case SYSCALL_MASK:
		return seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, r->nr, 1,
			SCMP_CMP(r->arg, SCMP_CMP_MASKED_EQ, r->value, 0));
	case SYSCALL_MASK_SET:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, r->nr, 1,
					SCMP_CMP(r->arg, SCMP_CMP_MASKED_EQ,
						 r->value, r->value));
	default:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, r->nr, 0);
	}
}

static int fill(scmp_filter_ctx ctx, const struct syscall_list *lists,
		size_t nlists)
{
	int ret = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
				   SCMP_ACT_KILL_PROCESS);

	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
				       SCMP_SYS(clone3), 0);
	for (size_t l = 0; l < nlists; l++)
		for (size_t i = 0; !ret && i < lists[l].n; i++)
			ret = add_rule(ctx, &lists[l].rules[i]);
	return ret;
}

static int export(scmp_filter_ctx ctx, struct syscall_filter *filter)
{
	AUTO_FD int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;

	if (fd < 0 || seccomp_export_bpf(ctx, fd) < 0 || fstat(fd, &st) < 0)
		return -EIO;
	filter->program = malloc((size_t)st.st_size);
	if (!filter->program || (size_t)st.st_size > FILTER_MAX)
		return -ENOMEM;
	if (pread(fd, filter->program, (size_t)st.st_size, 0) != st.st_size)
		return -EIO;
	filter->len = (unsigned short)((size_t)st.st_size /
				       sizeof(struct sock_filter));
	return 0;
}

int syscall_filter_make(struct syscall_filter *filter,
			enum syscall_refusal refusal,
			const struct syscall_list *lists, size_t nlists,
			struct err *err)
{
	static const uint32_t actions[] = {
		[SYSCALL_REFUSE_TRAP] = SCMP_ACT_TRAP,
		[SYSCALL_REFUSE_KILL] = SCMP_ACT_KILL_PROCESS,
		[SYSCALL_REFUSE_LOG] = SCMP_ACT_LOG,
	};
	scmp_filter_ctx ctx = seccomp_init(actions[refusal]);
	int ret = ctx ? fill(ctx, lists, nlists) : -ENOMEM;

	*filter = (struct syscall_filter){NULL, 0};
	if (!ret)
		ret = export(ctx, filter);
	seccomp_release(ctx);
	if (!ret)
		return 0;
	syscall_filter_release(filter);
	return err_ret(err, ret, "seccomp filter");
}

int syscall_filter_install(const struct syscall_filter *filter)
{
	const struct sock_fprog program = {
		.len = filter->len,
		.filter = filter->program,
	};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return -errno;
	return 0;
}

void syscall_filter_release(struct syscall_filter *filter)
{
	free(filter->program);
	*filter = (struct syscall_filter){NULL, 0};
}

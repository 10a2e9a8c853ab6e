/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SYSCALL_FILTER_H
#define BASE_SYSCALL_FILTER_H

/*
 * Lists of system calls, and the seccomp filters that come of them. A call of
 * another architecture's table kills the process, whatever the filter does
 * with calls that are not on its lists. clone3, which hides its flags in
 * memory, is answered ENOSYS, and the C library then tries clone.
 */

#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum syscall_match {
	SYSCALL_ANY,
	SYSCALL_EQUAL,	  /* argument `arg` is `value` */
	SYSCALL_MASK,	  /* of argument `arg`, no bit of `value` is set */
	SYSCALL_MASK_SET, /* all bits of `value` are set */
};

struct syscall_rule {
	int nr;
	enum syscall_match match;
	unsigned arg;
	uint64_t value;
};

#define SYSCALL_RULE(name)                        \
	{                                         \
		SCMP_SYS(name), SYSCALL_ANY, 0, 0 \
	}

struct syscall_list {
	const struct syscall_rule *rules;
	size_t n;
};

#define SYSCALL_LIST(array)              \
	{                                \
		array, ARRAY_SIZE(array) \
	}

/* What each thread of a C program does. No mapping becomes executable. */
extern const struct syscall_list syscalls_common;

/* What happens to a call that is not on the lists. */
enum syscall_refusal {
	SYSCALL_REFUSE_TRAP, /* SIGSYS on the thread */
	SYSCALL_REFUSE_KILL, /* the process ends, no handler runs */
	SYSCALL_REFUSE_LOG,  /* obeyed, with a line in the kernel's log */
};

struct sock_filter;
/* As the kernel takes it, so that threads install it without libseccomp. */
struct syscall_filter {
	struct sock_filter *program;
	unsigned short len;
};

/* Allocates. Lists without rules are left out. */
int syscall_filter_make(struct syscall_filter *filter,
			enum syscall_refusal refusal,
			const struct syscall_list *lists, size_t nlists,
			struct err *err) MUST_CHECK;
/* On the calling thread, for good; needs no_new_privs. 0 or -errno. */
int syscall_filter_install(const struct syscall_filter *filter) MUST_CHECK;
void syscall_filter_release(struct syscall_filter *filter);

#endif

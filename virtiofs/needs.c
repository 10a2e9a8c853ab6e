/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/needs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/mount.h>

static const struct syscall_rule rules[] = {
	SYSCALL_RULE(openat),
	SYSCALL_RULE(openat2),
	SYSCALL_RULE(fstat),
	SYSCALL_RULE(newfstatat),
	SYSCALL_RULE(statx),
	SYSCALL_RULE(fstatfs),
	SYSCALL_RULE(getdents64),
	SYSCALL_RULE(lseek),
	SYSCALL_RULE(mkdirat),
	SYSCALL_RULE(mknodat),
	SYSCALL_RULE(unlinkat),
	SYSCALL_RULE(renameat2),
	SYSCALL_RULE(renameat), /* glibc's renameat2 without flags */
	SYSCALL_RULE(linkat),
	SYSCALL_RULE(symlinkat),
	SYSCALL_RULE(readlinkat),
	SYSCALL_RULE(fchmodat),
	SYSCALL_RULE(fchownat),
	SYSCALL_RULE(utimensat),
	SYSCALL_RULE(ftruncate),
	SYSCALL_RULE(fallocate),
	SYSCALL_RULE(fsync),
	SYSCALL_RULE(fdatasync),
	SYSCALL_RULE(syncfs),
	SYSCALL_RULE(copy_file_range),
	SYSCALL_RULE(getxattr),
	SYSCALL_RULE(setxattr),
	SYSCALL_RULE(listxattr),
	SYSCALL_RULE(removexattr),
	SYSCALL_RULE(preadv),
	SYSCALL_RULE(preadv2),
	SYSCALL_RULE(pwritev2),
	SYSCALL_RULE(setresuid),
	SYSCALL_RULE(setresgid),
	SYSCALL_RULE(setgroups),
	SYSCALL_RULE(fchdir),
	SYSCALL_RULE(writev), /* what glibc has to say before it aborts */
	/* The O_PATH descriptor of an open file; no copy of a mount. */
	{SCMP_SYS(open_tree), SYSCALL_EQUAL, 2,
	 AT_EMPTY_PATH | OPEN_TREE_CLOEXEC},
	/* A worker of virtio-fs gets a working directory of its own. */
	{SCMP_SYS(unshare), SYSCALL_EQUAL, 0, CLONE_FS},
	/* A thread waits for kicks. */
	SYSCALL_RULE(epoll_wait),
	SYSCALL_RULE(epoll_pwait),
	SYSCALL_RULE(capget),
	SYSCALL_RULE(getrusage),
	SYSCALL_RULE(sendto), /* interrupts of the uml machine */
	{SCMP_SYS(fcntl), SYSCALL_EQUAL, 1, F_GETFL},
	{SCMP_SYS(fcntl), SYSCALL_EQUAL, 1, F_SETFL},
	{SCMP_SYS(fcntl), SYSCALL_EQUAL, 1, F_GETFD},
	{SCMP_SYS(fcntl), SYSCALL_EQUAL, 1, F_DUPFD_CLOEXEC},
	{SCMP_SYS(ioctl), SYSCALL_EQUAL, 1, FS_IOC_GETFLAGS},
	{SCMP_SYS(ioctl), SYSCALL_EQUAL, 1, FS_IOC_SETFLAGS},
	{SCMP_SYS(ioctl), SYSCALL_EQUAL, 1, FS_IOC_FSGETXATTR},
};

const struct syscall_list virtiofs_syscalls = SYSCALL_LIST(rules);

static const struct syscall_rule handle_rules[] = {
	SYSCALL_RULE(name_to_handle_at),
	SYSCALL_RULE(open_by_handle_at),
};

const struct syscall_list virtiofs_handle_syscalls = SYSCALL_LIST(handle_rules);

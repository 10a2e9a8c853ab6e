/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/machine/uml.h"

/* <sys/ptrace.h> names it on x86 only, by an enumerator. */
#define SYSEMU 31

static int wait_stop(pid_t pid, int *status)
{
	pid_t ret;

	do
		ret = waitpid(pid, status, __WALL);
	while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	return WIFSTOPPED(*status) ? 0 : -ECHILD;
}

/* The child: traced, stopped, then a call that must never be made. */
NORETURN static void traced(void)
{
	if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
		_exit(errno);
	syscall(SYS_kill, syscall(SYS_getpid), SIGSTOP);
	syscall(SYS_exit_group, 0);
	_exit(0);
}

/* What the kernel does with each guest process. */
static int trace(pid_t pid)
{
	int status, ret = wait_stop(pid, &status);

	if (ret == -ECHILD) /* it told its errno */
		return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPERM;
	if (ret < 0)
		return ret;
	if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL) < 0 ||
	    ptrace((enum __ptrace_request)SYSEMU, pid, 0, 0) < 0)
		return -errno;
	return wait_stop(pid, &status);
}

static int probe_ptrace(struct err *err)
{
	int ret;
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);

	if (pid < 0)
		return err_sys(err, "fork");
	if (pid == 0)
		traced();
	ret = trace(pid);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) > 0)
		;
	if (ret == 0)
		return 0;
	return err_ret(err, ret,
		       "ptrace is not permitted here: allow it in this "
		       "container's seccomp profile, and set "
		       "kernel.yama.ptrace_scope below 3");
}

static int probe_namespaces(struct err *err)
{
	int pidfd = -1;
	bool mapped;
	siginfo_t info;
	pid_t pid = uml_jail_fork(&pidfd, &mapped);

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return err_ret(err, pid,
			       "no namespaces for the guest: be root, or allow "
			       "user namespaces (user.max_user_namespaces, "
			       "kernel.unprivileged_userns_clone, "
			       "kernel.apparmor_restrict_unprivileged_userns)");
	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 &&
	       errno == EINTR)
		;
	close(pidfd);
	return 0;
}

int uml_probe(struct err *err)
{
	int ret;

#ifndef __x86_64__
	return err_set(err, ENOTSUP, "user-mode Linux exists for x86-64 only");
#endif
	ret = probe_ptrace(err);
	return ret < 0 ? ret : probe_namespaces(err);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Is started in the place of the kernel, as if a guest had taken the kernel
 * over, and tries what is in reach of it. Lines with BREACH on the console are
 * what should have been refused.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By this it passes for ours. */
const char help[] __attribute__((used)) = "mem_fd=<descriptor>\n";

#define NUMBERS 512
#define ALLOWED_MAX 75

static void held(int good, const char *what)
{
	dprintf(1, "%s: %s (%s)\n", good ? "held" : "BREACH", what,
		strerror(errno));
}

/* 0 to 2 the console, 3 memory, 4 the initramfs; no device was plugged. */
static void try_descriptors(void)
{
	for (int fd = 5; fd < 1024; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		dprintf(1, "BREACH: descriptor %d\n", fd);
		return;
	}
	held(1, "descriptors");
}

static void try_init(void)
{
	held(ptrace(PTRACE_ATTACH, 1, 0, 0) < 0, "tracing the spawner");
	held(ptrace(PTRACE_SEIZE, 1, 0, 0) < 0, "seizing the spawner");
	/* Allowed, and without effect; were it not, nothing would follow. */
	kill(1, SIGKILL);
	kill(1, SIGSTOP);
	kill(-1, SIGTERM);
	usleep(10000);
	held(getppid() == 1, "killing the spawner");
}

static void try_calls(void)
{
	/* 335 and 336 are the host's own, from its probes (Linux 6.11, 6.18):
	 * no filter sees them, and they raise SIGILL. */
	static const int ending[] = {
		335, 336, SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_pause,
	};
	int allowed = 0;

	for (int n = 0; n < NUMBERS; n++) {
		int skip = 0;

		for (size_t i = 0; i < sizeof(ending) / sizeof(*ending); i++)
			skip |= n == ending[i];
		if (!skip && (syscall(n, -1l, -1l, -1l, -1l, -1l, -1l) >= 0 ||
			      errno != ENOSYS))
			allowed++;
	}
	dprintf(1, "%s: %d calls allowed\n",
		allowed <= ALLOWED_MAX ? "held" : "BREACH", allowed);
}

static void try_files(void)
{
	held(open("/", O_RDONLY) < 0, "opening a file");
	held(openat(3, "", O_RDONLY) < 0, "opening below a descriptor");
	held(chdir("..") < 0, "leaving the directory");
	held(socket(AF_UNIX, SOCK_STREAM, 0) < 0, "a socket");
	held(socket(AF_INET, SOCK_STREAM, 0) < 0, "an Internet socket");
	held(syscall(SYS_execve, "/bin/sh", NULL, NULL) < 0, "execve");
	held(syscall(SYS_memfd_create, "x", 0) < 0, "memfd_create");
	held(syscall(SYS_unshare, CLONE_NEWUSER) < 0, "unshare");
	held(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) < 0,
	     "clone into a user namespace");
	held(syscall(SYS_setresuid, 0, 0, 0) < 0, "setresuid");
	held(syscall(SYS_process_vm_writev, 1, NULL, 0, NULL, 0, 0) < 0,
	     "process_vm_writev");
}

int main(void)
{
	try_descriptors();
	try_files();
	try_init();
	try_calls();
	dprintf(1, "init runs\nhostile: done\n");
	return 0;
}

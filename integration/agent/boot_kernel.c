/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/agent/boot_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/random.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/fdpass.h"
#include "base/replay.h"

#define WAIT_MS 20000

static pid_t answerer;
static int told_fd = -1;

#define LOAD(field)                        \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
		 (unsigned)offsetof(struct seccomp_data, field))
/* Stops the call if what is loaded is that. */
#define STOP(value)                                                   \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)

int kernel_watch(int socket)
{
	struct sock_filter code[] = {
		LOAD(nr),
		STOP(SYS_clock_settime),
		STOP(SYS_swapon),
		STOP(SYS_setxattr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 5),
		LOAD(args[1]),
		STOP(RNDADDENTROPY),
		STOP(RNDRESEEDCRNG),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {ARRAY_SIZE(code), code};
	int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			      SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = fd_send(socket, "", 1, &fd, 1, 0);
	close(fd);
	return n < 0 ? (int)n : 0;
}

static void read_memory(pid_t pid, uint64_t from, void *to, size_t len)
{
	struct iovec local = {.iov_base = to, .iov_len = len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)from,
			       .iov_len = len};

	memset(to, 0, len);
	(void)process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

/* Up to its end, which may be close to that of the memory. */
static void read_text(pid_t pid, uint64_t from, char *to, size_t size)
{
	memset(to, 0, size);
	for (size_t i = 0; i < size - 1; i++) {
		read_memory(pid, from + i, to + i, 1);
		if (!to[i])
			return;
	}
}

static void tell_random(const struct seccomp_notif *n)
{
	struct rand_pool_info info;
	unsigned char data[64];
	size_t len;

	if ((unsigned)n->data.args[1] == RNDRESEEDCRNG) {
		(void)dprintf(told_fd, "reseed\n");
		return;
	}
	read_memory((pid_t)n->pid, n->data.args[2], &info, sizeof(info));
	len = MIN((size_t)info.buf_size, sizeof(data));
	read_memory((pid_t)n->pid,
		    n->data.args[2] + offsetof(struct rand_pool_info, buf),
		    data, len);
	(void)dprintf(told_fd, "entropy %d %d %02x%02x%02x\n",
		      info.entropy_count, info.buf_size, data[0], data[1],
		      data[2]);
}

static void tell(const struct seccomp_notif *n)
{
	struct timespec time;
	char text[128];

	switch (n->data.nr) {
	case SYS_clock_settime:
		read_memory((pid_t)n->pid, n->data.args[1], &time,
			    sizeof(time));
		(void)dprintf(told_fd, "clock %d %lld %ld\n",
			      (int)n->data.args[0], (long long)time.tv_sec,
			      time.tv_nsec);
		break;
	case SYS_swapon:
		read_text((pid_t)n->pid, n->data.args[0], text, sizeof(text));
		(void)dprintf(told_fd, "swapon %s %d\n", text,
			      (int)n->data.args[1]);
		break;
	default:
		tell_random(n);
	}
}

static void answer(const struct seccomp_notif *n,
		   struct seccomp_notif_resp *resp)
{
	char name[32];

	resp->id = n->id;
	if (n->data.nr != SYS_setxattr) {
		tell(n);
		return;
	}
	read_text((pid_t)n->pid, n->data.args[1], name, sizeof(name));
	if (strcmp(name, REPLAY_XATTR) == 0)
		resp->error = -REPLAY_ACCEPTED;
	else
		resp->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
}

/* All numbers of processes are those of the namespace that this is in. */
static NORETURN void answer_all(int listener)
{
	for (;;) {
		struct seccomp_notif n = {0};
		struct seccomp_notif_resp resp = {0};

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0) {
			if (errno == EINTR || errno == ENOENT)
				continue;
			_exit(1);
		}
		answer(&n, &resp);
		/* Who asked may have ended meanwhile. */
		(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	}
}

static void forget_last(void)
{
	if (answerer <= 0)
		return;
	(void)kill(answerer, SIGKILL);
	(void)waitpid(answerer, NULL, 0);
	close(told_fd);
}

int kernel_answer(int socket)
{
	unsigned n = 1;
	int listener, told[2];
	ssize_t got;
	char byte;

	forget_last();
	got = fd_recv(socket, &byte, 1, &listener, &n, 0);
	if (got < 0)
		return (int)got;
	if (got == 0 || n != 1)
		return -ECHILD;
	if (pipe2(told, O_CLOEXEC) < 0)
		return -errno;
	answerer = fork();
	if (answerer == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		told_fd = told[1];
		answer_all(listener);
	}
	close(told[1]);
	close(listener);
	told_fd = told[0];
	return answerer < 0 ? -errno : 0;
}

const char *kernel_told(void)
{
	static char line[256];
	struct pollfd pfd = {.fd = told_fd, .events = POLLIN};
	size_t len = 0;

	while (len < sizeof(line) - 1 && poll(&pfd, 1, WAIT_MS) > 0 &&
	       read(told_fd, line + len, 1) == 1 && line[len] != '\n')
		len++;
	line[len] = '\0';
	return line;
}

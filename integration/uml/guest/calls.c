/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Makes every call in every way: by each number with arguments of several
 * kinds, by int 0x80, out of a 32-bit code segment, through the vsyscall page,
 * and sends itself every signal. Each in a process of its own, whose
 * descriptor 1 is the guest's /dev/null and, for the host, the console.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NUMBERS 512
#define X32 0x40000000l

static int out;
static char text[4096] __attribute__((aligned(4096))) = "NATIVE CALL\n";
static const char path[16] = "/escaped";

/* Runs f(a, b) in a child, for a tenth of a second at most. */
static void apart(void (*f)(long, long), long a, long b)
{
	static const struct timespec limit = {.tv_nsec = 100000000};
	sigset_t set;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		setpgid(0, 0);
		f(a, b);
		_exit(0);
	}
	if (pid < 0)
		return;
	sigtimedwait(&set, NULL, &limit); /* it ended, or stopped */
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	/* What it started. */
	kill(-pid, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
}

static void by_number(long number, long kind)
{
	long t = (long)text, p = (long)path;

	switch (kind) {
	case 0:
		syscall(number, 0, 0, 0, 0, 0, 0);
		break;
	case 1:
		syscall(number, 1, t, 12, 0, 0, 0);
		break;
	case 2:
		syscall(number, p, O_CREAT | O_WRONLY, 0600, p, p, 0);
		break;
	case 3:
		syscall(number, AT_FDCWD, p, O_CREAT | O_WRONLY, 0600, 0, 0);
		break;
	case 4:
		syscall(number, -1l, -1l, -1l, -1l, -1l, -1l);
		break;
	case 5:
		syscall(number, t, t, t, t, t, t);
		break;
	}
	/* Whatever became of the process: not by the host. */
	syscall(SYS_write, 1, text, 12);
}

static void by_interrupt(long number, long kind)
{
	long ret = number;

	(void)kind;
	__asm__ volatile("int $0x80"
			 : "+a"(ret)
			 : "b"(1l), "c"((long)text), "d"(12l), "D"(1l),
			   "S"((long)text)
			 : "memory", "r8", "r9", "r10", "r11");
}

/* mov to eax, ebx, ecx, edx; the call; hlt. */
static void by_compat(long number, long how)
{
	static const unsigned char instructions[3][2] = {
		{0xcd, 0x80}, /* int 0x80 */
		{0x0f, 0x34}, /* sysenter */
		{0x0f, 0x05}, /* syscall */
	};
	static const unsigned char loads[4] = {0xb8, 0xbb, 0xb9, 0xba};
	unsigned char *code =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	uint32_t data, values[4];
	unsigned char *p = code;

	if (code == MAP_FAILED)
		_exit(1);
	data = (uint32_t)(uintptr_t)code + 4096;
	memcpy(code + 4096, number == 4 ? text : path, 16);
	values[0] = (uint32_t)number;
	values[1] = number == 4 ? 1 : data;
	values[2] = number == 4 ? data : O_CREAT | O_WRONLY;
	values[3] = number == 4 ? 12 : 0600;
	for (int i = 0; i < 4; i++) {
		*p++ = loads[i];
		memcpy(p, &values[i], 4);
		p += 4;
	}
	memcpy(p, instructions[how], 2);
	p[2] = 0xf4;
	/* A stack that a 32-bit segment reaches, then to selector 0x23. */
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "pushq $0x23\n\t"
			 "pushq %1\n\t"
			 "lretq"
			 :
			 : "r"(code + 8000), "r"(code)
			 : "memory");
}

static void by_vsyscall(long entry, long kind)
{
	long (*f)(void *, void *) = (long (*)(void *, void *))(
		0xffffffffff600000ul + (unsigned long)entry * 1024);

	(void)kind;
	f(text, NULL);
}

static void on_signal(int sig)
{
	(void)sig;
	syscall(SYS_write, 1, text, 12);
}

static void by_signal(long sig, long kind)
{
	struct sigaction sa = {.sa_handler = on_signal};
	stack_t bad = {.ss_sp = (void *)16, .ss_size = 65536};

	if (kind > 0)
		sigaction((int)sig, &sa, NULL);
	if (kind == 2) { /* there is nowhere to run the handler */
		sa.sa_flags = SA_ONSTACK;
		sigaltstack(&bad, NULL);
		sigaction((int)sig, &sa, NULL);
	}
	if (kind == 3) /* a frame that is none */
		syscall(SYS_rt_sigreturn);
	raise((int)sig);
	syscall(SYS_write, 1, text, 12);
}

/* The guest's own end, and what waits for nobody's. */
static int left_out(long number)
{
	return number == SYS_vhangup;
}

static void every(const char *what, void (*f)(long, long), long from, long to,
		  long kinds)
{
	for (long n = from; n < to; n++)
		for (long kind = 0; kind < kinds; kind++)
			if (f != by_number || !left_out(n & ~X32))
				apart(f, n, kind);
	dprintf(out, "%s: done\n", what);
}

int main(void)
{
	int null;

	out = fcntl(1, F_DUPFD_CLOEXEC, 200);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	null = open("/dev/null", O_RDWR);
	if (out < 0 || null < 0)
		return 1;
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	dprintf(out, "init runs\n");
	every("vsyscall", by_vsyscall, 0, 4, 1);
	every("signals", by_signal, 1, 65, 4);
	every("compat", by_compat, 1, 60, 3);
	every("int 0x80", by_interrupt, 0, NUMBERS, 1);
	every("x32", by_number, X32, X32 + 8, 2);
	every("calls", by_number, 0, NUMBERS, 6);
	reboot(RB_POWER_OFF);
	return 1;
}

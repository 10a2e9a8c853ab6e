/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first program of a test guest: starts /client beside the agent and
 * becomes the agent, so that this is PID 1 of a real machine while its client
 * lives in the same guest. The client's arguments are the agent's address and
 * a root file system. With pid1.crash or pid1.memory on the command line
 * it is no client but makes an end of the agent, or leaves it no memory.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SOCKET "/run/agent.sock"

static bool on_cmdline(const char *word)
{
	static char text[4096];
	FILE *f = fopen("/.client/cmdline", "r");
	bool found = f && fgets(text, sizeof(text), f) && strstr(text, word);

	if (f)
		(void)fclose(f);
	return found;
}

/* The agent moves to a root of its own; what it makes last is awaited. */
static void follow_agent(bool socket)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	const char *last =
		socket ? "/.client/1/root" SOCKET
		       : "/.client/1/root/sys/fs/cgroup/cgroup.procs";

	for (int i = 0; i < 3000; i++) {
		if (access(last, F_OK) == 0 && chroot("/.client/1/root") == 0 &&
		    chdir("/") == 0)
			return;
		nanosleep(&pause, NULL);
	}
	(void)fprintf(stderr, "no agent\n");
	_exit(1);
}

/* It is ready, and has said so, when it waits for work. In its root. */
static void await_rest(void)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	char stat[256] = "";

	for (int i = 0; i < 3000 && !strstr(stat, ") S "); i++) {
		FILE *f = fopen("/proc/1/stat", "r");

		if (!f || !fgets(stat, sizeof(stat), f))
			perror("stat");
		if (f)
			(void)fclose(f);
		nanosleep(&pause, NULL);
	}
}

/* Longer than what a UART takes at once: the rest comes when it has room. */
static void greet(void)
{
	static const char line[] = "pid1: the console takes long lines\n";

	if (write(STDOUT_FILENO, line, sizeof(line) - 1) < 0)
		perror("console");
}

/* As if the agent had taken it: nobody is left whom the kernel could kill. */
static void take_memory(void)
{
	const size_t piece = 1u << 20;
	FILE *f = fopen("/proc/self/oom_score_adj", "w");

	if (!f || fputs("-1000", f) < 0 || fclose(f) != 0) {
		perror("oom_score_adj");
		return;
	}
	while (mmap(NULL, piece, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
		    0) != MAP_FAILED)
		;
	perror("mmap");
}

/* One that fails before it has asked for the guest's end ends it so. */
static void run_client(char **args)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execve("/client", args, environ);
		perror("client");
		_exit(127);
	}
	(void)waitpid(pid, &status, 0);
	if (status == 0)
		return;
	(void)tcdrain(STDOUT_FILENO); /* what it said is on its way */
	reboot(RB_POWER_OFF);
}

static void be_client(void)
{
	static char *ctl[] = {(char *)"client", (char *)"vsock",
			      (char *)"/testroot", NULL};
	bool socket, crash, memory;

	(void)mkdir("/.client", 0700);
	if (mount("proc", "/.client", "proc", 0, NULL) < 0)
		perror("mount proc");
	/* Whether the agent listens there, and not at vsock ports. */
	socket = on_cmdline("agent.server_addr=unix://" SOCKET);
	if (socket)
		ctl[1] = (char *)SOCKET;
	crash = on_cmdline("pid1.crash");
	memory = on_cmdline("pid1.memory");
	follow_agent(socket);
	if (crash) {
		await_rest();
		/* As if the agent had done it. */
		if (kill(1, SIGSEGV) < 0)
			perror("kill");
		return;
	}
	if (memory) {
		take_memory();
		return;
	}
	run_client(ctl);
}

int main(void)
{
	static char *agent[] = {(char *)"init", NULL};

	greet();
	(void)setenv("AGENT_IS_INIT", "1", 1);
	(void)setenv("PATH", "/testroot/bin", 1);
	if (fork() == 0) {
		/* Twice, so that the agent has one stray child to reap. */
		if (fork() == 0)
			be_client();
		_exit(0);
	}
	(void)wait(NULL);
	execv("/agent", agent);
	perror("agent");
	return 1;
}

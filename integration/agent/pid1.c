/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first program of a test guest: starts agentctl beside the agent and
 * becomes the agent, so that this is PID 1 of a real machine while its client
 * lives in the same guest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SOCKET "/run/agent.sock"

/* The agent moves to a root of its own; there its socket is. */
static void follow_agent(void)
{
	const struct timespec pause = {.tv_nsec = 10000000};

	(void)mkdir("/.client", 0700);
	if (mount("proc", "/.client", "proc", 0, NULL) < 0)
		perror("mount proc");
	for (int i = 0; i < 3000; i++) {
		if (access("/.client/1/root" SOCKET, F_OK) == 0 &&
		    chroot("/.client/1/root") == 0 && chdir("/") == 0)
			return;
		nanosleep(&pause, NULL);
	}
	(void)fprintf(stderr, "no agent\n");
	_exit(1);
}

int main(void)
{
	static char *ctl[] = {(char *)"agentctl", (char *)SOCKET,
			      (char *)"/testroot", NULL};
	static char *agent[] = {(char *)"init", NULL};

	(void)setenv("AGENT_IS_INIT", "1", 1);
	(void)setenv("PATH", "/testroot/bin", 1);
	if (fork() == 0) {
		/* Twice, so that the agent has one stray child to reap. */
		if (fork() == 0) {
			follow_agent();
			execve("/agentctl", ctl, environ);
			perror("agentctl");
		}
		_exit(0);
	}
	(void)wait(NULL);
	execv("/agent", agent);
	perror("agent");
	return 1;
}

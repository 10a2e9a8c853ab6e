/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/reaper.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent/agent.h"
#include "guest/agent/command.h"
#include "guest/agent/container.h"

static void reap(struct agent *agent)
{
	struct reaper *r = &agent->reaper;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct process *p = containers_find_pid(agent, pid);

		if (p) {
			process_exited(p, status);
			continue;
		}
		if (commands_exited(agent, pid, status))
			continue;
		if (!containers_await_pid(agent))
			continue;
		r->unknown[r->next].pid = pid;
		r->unknown[r->next].status = status;
		r->next = (r->next + 1) % REAPER_UNKNOWN;
	}
}

static void reaper_ready(struct evsource *src, uint32_t revents)
{
	struct reaper *r = container_of(src, struct reaper, src);
	struct signalfd_siginfo info;

	/* One SIGCHLD may stand for many ends. */
	while (read(r->fd, &info, sizeof(info)) > 0)
		;
	reap(container_of(r, struct agent, reaper));
}

int reaper_init(struct agent *agent)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	/* Writers to pipes look at EPIPE. */
	signal(SIGPIPE, SIG_IGN);
	agent->reaper.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (agent->reaper.fd < 0)
		return -errno;
	return evsource_add(agent->loop, &agent->reaper.src, agent->reaper.fd,
			    EPOLLIN, reaper_ready);
}

void reaper_forget(struct reaper *r)
{
	memset(r->unknown, 0, sizeof(r->unknown));
}

bool reaper_known(struct reaper *r, pid_t pid, int *status)
{
	for (unsigned i = 0; i < REAPER_UNKNOWN; i++) {
		if (r->unknown[i].pid != pid)
			continue;
		r->unknown[i].pid = 0;
		*status = r->unknown[i].status;
		return true;
	}
	return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

static void next_hook(struct hook_run *run);

static void finish(struct hook_run *run, int ret, const char *text)
{
	evsource_del(&run->src);
	evtimer_release(&run->timer);
	if (run->pidfd >= 0)
		close(steal_fd(&run->pidfd));
	free(steal_ptr(&run->state));
	run->done(run, ret, text);
}

static void fail(struct hook_run *run, const char *what)
{
	char text[ERR_TEXT_MAX];

	snprintf(text, sizeof(text), "%s hook %zu (%s): %s", run->kind,
		 run->next - 1, run->hooks[run->next - 1]->path, what);
	finish(run, -EIO, text);
}

static void on_exit_of_hook(struct evsource *src, uint32_t revents)
{
	struct hook_run *run = container_of(src, struct hook_run, src);
	char what[64] = "timed out";
	int status = 0;
	bool known;

	evsource_del(&run->src);
	close(steal_fd(&run->pidfd));
	known = waitpid(run->pid, &status, 0) == run->pid;
	if (run->timed_out) {
		fail(run, what);
	} else if (!known) {
		fail(run, "no exit status");
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		next_hook(run);
	} else {
		if (WIFSIGNALED(status))
			snprintf(what, sizeof(what), "killed by signal %d",
				 WTERMSIG(status));
		else
			snprintf(what, sizeof(what), "exit status %d",
				 WEXITSTATUS(status));
		fail(run, what);
	}
}

static void on_timeout(struct evtimer *timer)
{
	struct hook_run *run = container_of(timer, struct hook_run, timer);

	run->timed_out = true;
	kill(-run->pid, SIGKILL);
	kill(run->pid, SIGKILL);
}

static char **vector(char **strings, size_t n, char *fallback)
{
	char **v = calloc(n + 2, sizeof(char *));

	if (!v)
		_exit(127);
	if (!n && fallback)
		v[0] = fallback;
	for (size_t i = 0; i < n; i++)
		v[i] = strings[i];
	return v;
}

static void NORETURN hook_child(const Oci__Hook *hook, int input)
{
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(input, STDIN_FILENO);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	execve(hook->path, vector(hook->args, hook->n_args, hook->path),
	       vector(hook->env, hook->n_env, NULL));
	_exit(127);
}

/* A memfd rather than a pipe: a hook need not read its input. */
static int state_input(const char *state)
{
	AUTO_FD int fd = memfd_create("state", MFD_CLOEXEC);

	if (fd < 0 || write_full(fd, state, strlen(state)) < 0 ||
	    lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	return steal_fd(&fd);
}

static int spawn(struct hook_run *run, const Oci__Hook *hook)
{
	AUTO_FD int input = state_input(run->state);

	if (input < 0)
		return -EIO;
	run->pid = fork();
	if (run->pid < 0)
		return -errno;
	if (run->pid == 0)
		hook_child(hook, input);
	run->pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
	if (run->pidfd < 0)
		return -errno;
	return evsource_add(run->loop, &run->src, run->pidfd, EPOLLIN,
			    on_exit_of_hook);
}

static void next_hook(struct hook_run *run)
{
	const Oci__Hook *hook;
	int ret;

	evtimer_stop(&run->timer);
	if (run->next == run->n) {
		finish(run, 0, "");
		return;
	}
	hook = run->hooks[run->next++];
	if (hook->path[0] != '/' || access(hook->path, X_OK)) {
		fail(run, hook->path[0] == '/' ? strerror(errno)
					       : "not an absolute path");
		return;
	}
	ret = spawn(run, hook);
	if (ret < 0) {
		fail(run, strerror(-ret));
		return;
	}
	if (hook->timeout > 0)
		evtimer_start(&run->timer, (uint64_t)hook->timeout * 1000);
}

void hooks_start(struct hook_run *run, struct evloop *loop, const char *kind,
		 Oci__Hook **hooks, size_t n, char *state,
		 void (*done)(struct hook_run *, int, const char *))
{
	int ret;

	memset(run, 0, sizeof(*run));
	run->loop = loop;
	run->kind = kind;
	run->hooks = hooks;
	run->n = n;
	run->state = state;
	run->pidfd = -1;
	run->done = done;
	ret = evtimer_init(loop, &run->timer, on_timeout);
	if (ret < 0)
		finish(run, ret, "hooks: no timer");
	else
		next_hook(run);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent/ids.h"

/* NULL-terminated copy of the vector; the strings are borrowed. */
static char **vector(char *const *items, size_t n)
{
	char **v = calloc(n + 1, sizeof(*v));

	if (v && n)
		memcpy(v, items, n * sizeof(*v));
	return v;
}

static NORETURN void exec_hook(const Oci__Hook *hook, int in)
{
	char *own[] = {hook->path, NULL};
	char **args = hook->n_args ? vector(hook->args, hook->n_args) : own;
	char **env = vector(hook->env, hook->n_env);

	if (!args || !env || dup2(in, STDIN_FILENO) < 0)
		_exit(127);
	execve(hook->path, args, env);
	(void)fprintf(stderr, "hook %s: %s\n", hook->path, strerror(errno));
	_exit(127);
}

/* 0 when the process ended; -ETIMEDOUT. */
static int await(pid_t pid, int64_t timeout_s)
{
	AUTO_FD int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int ms = -1, n;

	if (fd < 0)
		return -errno;
	if (timeout_s > 0)
		ms = (int)MIN(timeout_s, 24 * 3600) * 1000;
	do {
		n = poll(&p, 1, ms);
	} while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

static int run(const Oci__Hook *hook, const char *json, struct err *err)
{
	int fds[2], status, ret;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	pid = fork();
	if (pid == 0)
		exec_hook(hook, fds[0]);
	close(fds[0]);
	if (pid > 0) /* a hook need not read it; it fits into the pipe */
		(void)!write_full(fds[1], json, strlen(json));
	close(fds[1]);
	if (pid < 0)
		return err_sys(err, "fork");
	ret = await(pid, hook->timeout);
	if (ret < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_sys(err, "waitpid");
	}
	if (ret < 0)
		return err_ret(err, ret, "no end after %lld s",
			       (long long)hook->timeout);
	if (WIFSIGNALED(status))
		return err_set(err, ECANCELED, "ended by signal %d",
			       WTERMSIG(status));
	if (WEXITSTATUS(status))
		return err_set(err, ECANCELED, "exit status %d",
			       WEXITSTATUS(status));
	return 0;
}

bool hooks_state(const struct hook_state *state, char json[HOOK_STATE_MAX])
{
	int len = snprintf(json, HOOK_STATE_MAX,
			   "{\"ociVersion\":\"1.2.0\",\"id\":\"%s\","
			   "\"status\":\"%s\",\"pid\":%d,\"bundle\":\"%s\"}",
			   state->id, state->status, (int)state->pid,
			   state->bundle);

	return len >= 0 && len < HOOK_STATE_MAX;
}

int hooks_run(const char *kind, Oci__Hook *const *hooks, size_t n,
	      const struct hook_state *state, struct err *err)
{
	char json[HOOK_STATE_MAX];

	if (!hooks_state(state, json))
		return err_set(err, EOVERFLOW, "hook %s: state", kind);
	for (size_t i = 0; i < n; i++) {
		int ret;

		if (!path_valid(hooks[i]->path))
			return err_set(err, EINVAL,
				       "hook %s: path not absolute", kind);
		ret = run(hooks[i], json, err);
		if (ret < 0)
			return err_wrap(err, "hook %s: %.200s", kind,
					hooks[i]->path);
	}
	return 0;
}

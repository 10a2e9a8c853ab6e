/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/jsonw.h"
#include "guest/agent/ids.h"

/* NULL-terminated copy of the vector; the strings are borrowed. */
static char **vector(char *const *items, size_t n)
{
	char **v = calloc(n + 1, sizeof(*v));

	if (v && n)
		memcpy(v, items, n * sizeof(*v));
	return v;
}

static NORETURN void exec_hook(const Oci__Hook *hook, const char *dir, int in)
{
	char *own[] = {hook->path, NULL};
	char **args = hook->n_args ? vector(hook->args, hook->n_args) : own;
	char **env = vector(hook->env, hook->n_env);

	umask(0022);
	if (!args || !env || dup2(in, STDIN_FILENO) < 0 || chdir(dir) < 0)
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

/* A file, not a pipe: it may be larger than those, and a hook need not read. */
static int state_file(const char *json)
{
	AUTO_FD int fd = memfd_create("state", MFD_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write_full(fd, json, strlen(json));
	if (ret < 0)
		return ret;
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : steal_fd(&fd);
}

static int run(const Oci__Hook *hook, const char *dir, const char *json,
	       struct err *err)
{
	AUTO_FD int in = state_file(json);
	int status, ret;
	pid_t pid;

	if (in < 0)
		return err_ret(err, in, "state");
	pid = fork();
	if (pid == 0)
		exec_hook(hook, dir, in);
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

char *hooks_state(const struct hook_state *state)
{
	struct jsonw *w = jsonw_new(false);

	if (!w)
		return NULL;
	jsonw_object(w);
	jsonw_kstr(w, "ociVersion", "1.2.0");
	jsonw_kstr(w, "id", state->id);
	jsonw_kstr(w, "status", state->status);
	jsonw_kint(w, "pid", state->pid);
	jsonw_kstr(w, "bundle", state->bundle);
	if (state->n_annotations) {
		jsonw_key(w, "annotations");
		jsonw_object(w);
		for (size_t i = 0; i < state->n_annotations; i++)
			jsonw_kstr(w, state->annotations[i]->key,
				   state->annotations[i]->value);
		jsonw_end_object(w);
	}
	jsonw_end_object(w);
	return jsonw_finish(w, NULL);
}

int hooks_run(const char *kind, Oci__Hook *const *hooks, size_t n,
	      const char *dir, const struct hook_state *state, struct err *err)
{
	AUTO_FREE char *json = NULL;

	if (n == 0)
		return 0;
	json = hooks_state(state);
	if (!json)
		return err_set(err, ENOMEM, "hook %s: state", kind);
	for (size_t i = 0; i < n; i++) {
		int ret;

		if (!path_valid(hooks[i]->path))
			return err_set(err, EINVAL,
				       "hook %s: path not absolute", kind);
		ret = run(hooks[i], dir, json, err);
		if (ret < 0)
			return err_wrap(err, "hook %s: %.200s", kind,
					hooks[i]->path);
	}
	return 0;
}

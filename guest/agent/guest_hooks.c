/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/guest_hooks.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guest/agent/agent.h"
#include "guest/agent/command.h"
#include "guest/agent/container.h"
#include "guest/agent/hooks.h"

#define HOOKS_MAX 64
#define LIMIT_MS 10000 /* of each */

struct hook_run {
	struct hook_run *next;
	struct command cmd;
	struct agent *agent;
	struct container *container; /* NULL: gone */
	void (*done)(struct container *c, const struct err *err);
	char dir[PATH_MAX];
	char *names[HOOKS_MAX]; /* sorted */
	unsigned n, at;
	char *state;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool executable(const char *dir, const char *name)
{
	char path[PATH_MAX + NAME_MAX + 2];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       access(path, X_OK) == 0;
}

static void find_hooks(struct hook_run *run)
{
	AUTO(cleanup_dir) DIR *d = opendir(run->dir);
	const struct dirent *e;

	while (d && (e = readdir(d)) && run->n < HOOKS_MAX) {
		if (!executable(run->dir, e->d_name))
			continue;
		run->names[run->n] = strdup(e->d_name);
		if (run->names[run->n])
			run->n++;
	}
	qsort(run->names, run->n, sizeof(run->names[0]), by_name);
}

static void free_run(struct hook_run *run)
{
	for (unsigned i = 0; i < run->n; i++)
		free(run->names[i]);
	free(run->state);
	free(run);
}

static void finish(struct hook_run *run, const struct err *err)
{
	struct hook_run **at = &run->agent->hook_runs;
	struct agent *agent = run->agent;

	while (*at != run)
		at = &(*at)->next;
	*at = run->next;
	if (err && !run->done)
		log_warn("%s", err->text);
	if (run->done && run->container)
		run->done(run->container, err);
	free_run(run);
	sandbox_container_gone(agent);
}

static int start_next(struct hook_run *run, struct err *err);

static void hook_ended(struct command *cmd, const struct err *err)
{
	struct hook_run *run = container_of(cmd, struct hook_run, cmd);
	struct err failure = {0};

	if (err) {
		failure = *err;
		(void)err_wrap(&failure, "hook %.200s/%.64s", run->dir,
			       run->names[run->at]);
	} else if (++run->at < run->n) {
		if (start_next(run, &failure) == 0)
			return;
	}
	finish(run, failure.code ? &failure : NULL);
}

static int start_next(struct hook_run *run, struct err *err)
{
	char path[PATH_MAX + NAME_MAX + 2];
	char *args[] = {path, NULL};

	(void)snprintf(path, sizeof(path), "%s/%s", run->dir,
		       run->names[run->at]);
	return command_start(run->agent, &run->cmd, args, run->state,
			     strlen(run->state), LIMIT_MS, hook_ended, err);
}

static struct hook_run *new_run(struct container *c, const char *kind,
				const char *status)
{
	const struct hook_state state = {
		.id = c->id,
		.bundle = c->dir,
		.status = status,
		.pid = c->init.pid,
	};
	struct hook_run *run = calloc(1, sizeof(*run));

	if (!run)
		return NULL;
	run->agent = c->agent;
	run->container = c;
	(void)snprintf(run->dir, sizeof(run->dir), "%s/%s",
		       c->agent->sandbox.hook_path, kind);
	run->state = hooks_state(&state);
	if (!run->state) {
		free(run);
		return NULL;
	}
	find_hooks(run);
	return run;
}

bool guest_hooks_run(struct container *c, const char *kind, const char *status,
		     void (*done)(struct container *c, const struct err *err))
{
	struct hook_run *run;
	struct err err = {0};

	if (!c->agent->sandbox.hook_path)
		return false;
	run = new_run(c, kind, status);
	if (!run || run->n == 0) {
		if (run)
			free_run(run);
		return false;
	}
	run->done = done;
	run->next = c->agent->hook_runs;
	c->agent->hook_runs = run;
	if (start_next(run, &err) < 0)
		finish(run, &err);
	return true;
}

void guest_hooks_forget(struct container *c)
{
	for (struct hook_run *r = c->agent->hook_runs; r; r = r->next) {
		if (r->container == c)
			r->container = NULL;
	}
}

bool guest_hooks_running(const struct agent *agent)
{
	return agent->hook_runs != NULL;
}

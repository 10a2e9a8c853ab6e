/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/unmounts.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static void go_on(struct unmounts *u);

static int run(const struct unmount *m)
{
	int ret = m->ops->run(m);

	for (size_t i = 0; i < m->nfds; i++)
		close(m->fds[i]);
	return ret;
}

/* The process. There is something to read, or an end, when the agent has closed
 * the descriptors. */
static void unmount(const void *arg)
{
	const struct unmount *m = arg;
	char go;
	int ret;

	if (m->nfds)
		(void)!read(STDIN_FILENO, &go, sizeof(go));
	ret = run(m);
	beside_tell(&ret, sizeof(ret));
}

static void end(struct unmount *m, int ret)
{
	struct unmount **at = &m->of->first;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	beside_close(&m->process);
	m->ops->gone(m, ret);
}

static void told(struct beside *process)
{
	struct unmount *m = container_of(process, struct unmount, process);
	struct unmounts *u = m->of;
	int result;
	int ret = beside_hear(process, &result, sizeof(result));

	if (ret == -EAGAIN)
		return;
	end(m, ret ? ret : result);
	go_on(u);
}

static int start(struct unmount *m)
{
	const struct beside_work work = {
		.name = "nacre-unmount",
		.run = unmount,
		.arg = m,
		.fds = m->fds,
		.nfds = m->nfds,
	};
	int ret = beside_start(&m->process, m->of->loop, &work, told);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < m->nfds; i++)
		close(m->fds[i]);
	/* If it has ended, that is heard of. */
	if (m->nfds)
		(void)!beside_ask(&m->process, "", 1);
	return 0;
}

/* False: it is under way. */
static bool ends_at_once(struct unmount *m)
{
	if (m->ops->waits) {
		int ret = start(m);

		if (!ret)
			return false;
		/* It may wait, but what it has to write is written. */
		log_warn("%s: unmounted without a process: %s", m->path,
			 strerror(-ret));
	}
	end(m, run(m));
	return true;
}

/* Whether one before it lies in it: a file system in which another one, of the
 * same server, is still there has not ended. */
static bool holds_another(const struct unmount *m)
{
	size_t len = strlen(m->path);

	for (const struct unmount *e = m->of->first; e != m; e = e->next) {
		if (strncmp(e->path, m->path, len) == 0 && e->path[len] == '/')
			return true;
	}
	return false;
}

static void go_on(struct unmounts *u)
{
	struct unmount *next;

	for (struct unmount *m = u->first; m; m = next) {
		next = m->next;
		if (u->hurry && holds_another(m))
			continue;
		if ((beside_open(&m->process) || !ends_at_once(m)) && !u->hurry)
			return;
	}
	if (u->first)
		return;
	u->hurry = false;
	u->done(u);
}

void unmounts_add(struct unmounts *u, struct unmount *m)
{
	struct unmount **at = &u->first;

	while (*at)
		at = &(*at)->next;
	m->next = NULL;
	m->of = u;
	*at = m;
}

void unmounts_run(struct unmounts *u)
{
	go_on(u);
}

void unmounts_hurry(struct unmounts *u)
{
	u->hurry = true;
	go_on(u);
}

const char *unmounts_waits_for(const struct unmounts *u)
{
	return u->first ? u->first->path : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent-proto/pb.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "runtime/sandbox/sandbox.h"
#include "runtime/sandbox/share.h"
#include "runtime/state.h"

struct container *container_find(struct sandbox *s, const char *id)
{
	for (struct container *c = s->containers; c; c = c->next)
		if (!strcmp(c->id, id))
			return c;
	return NULL;
}

struct process *process_find(struct container *c, const char *exec_id)
{
	for (struct process *p = c->processes; p; p = p->next)
		if (!strcmp(p->exec_id, exec_id))
			return p;
	return NULL;
}

static void stamp(char *out, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, size - n, ".%09ldZ", now.tv_nsec);
}

static int load(struct container *c, struct err *err)
{
	AUTO_FREE char *path = NULL;
	const char *root;

	c->spec = oci_spec_load(c->bundle, err);
	if (!c->spec)
		return -err->code;
	root = c->spec->root->path;
	if (root[0] == '/')
		path = strdup(root);
	else if (asprintf(&path, "%s/%s", c->bundle, root) < 0)
		path = NULL;
	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	c->rootfs = realpath(path, NULL);
	return c->rootfs ? 0 : err_sys(err, "root.path %s", path);
}

struct container *container_new(struct sandbox *s, const char *id,
				const char *bundle, struct err *err)
{
	struct container *c = calloc(1, sizeof(*c));

	if (!c) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	c->sandbox = s;
	c->id = strdup(id);
	c->bundle = strdup(bundle);
	c->pod_container = s->containers != NULL;
	stamp(c->created, sizeof(c->created));
	c->next = s->containers;
	s->containers = c;
	if (!c->id || !c->bundle)
		err_set(err, ENOMEM, "out of memory");
	else if (load(c, err) == 0 && process_new(c, "", err))
		return c;
	container_free(c);
	return NULL;
}

/* The rootfs as a mount of its own below the shared tree. */
int container_share(struct container *c, struct err *err)
{
	AUTO_FREE char *dir = NULL;
	AUTO_FREE char *target = NULL;
	unsigned flags = SHARE_RECURSIVE;
	AUTO_FD int from = -1;

	if (asprintf(&dir, "%s/shared/%s", c->sandbox->dir, c->id) < 0 ||
	    asprintf(&target, "%s/rootfs", dir) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (mkdir(dir, 0755) < 0 || mkdir(target, 0755) < 0)
		return err_sys(err, "mkdir %s", target);
	/* Resolved before: what is a link now was none then. */
	from = share_open(c->rootfs, O_DIRECTORY | O_NOFOLLOW);
	if (from < 0)
		return err_ret(err, from, "root.path %s", c->rootfs);
	if (c->spec->root->readonly) {
		int ret = mount_points_make(c, from, err);

		if (ret < 0)
			return ret;
		flags |= SHARE_READ_ONLY_AT_TOP;
	}
	if (share_bind(from, target, flags, -1, err) < 0)
		return err_wrap(err, "root.path %s", c->rootfs);
	return 0;
}

/* Unmounts what lies directly in dir, then removes it all. */
void container_unshare(struct container *c)
{
	AUTO_FREE char *dir = NULL;
	AUTO_DIR DIR *entries = NULL;
	struct dirent *entry;

	if (asprintf(&dir, "%s/shared/%s", c->sandbox->dir, c->id) < 0) {
		dir = NULL;
		return;
	}
	entries = opendir(dir);
	while (entries && (entry = readdir(entries))) {
		AUTO_FREE char *path = NULL;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (asprintf(&path, "%s/%s", dir, entry->d_name) < 0) {
			path = NULL;
			continue;
		}
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
	}
	if (entries && remove_tree(AT_FDCWD, dir) < 0)
		log_debug("%s stays until the sandbox ends", dir);
}

static int fill_annotations(const Oci__Spec *spec, struct state *state)
{
	state->annotations =
		calloc(2 * spec->n_annotations + 1, sizeof(char *));
	if (!state->annotations)
		return -ENOMEM;
	/* Borrowed: state is not released by state_free. */
	for (size_t i = 0; i < spec->n_annotations; i++) {
		state->annotations[state->nannotations++] =
			spec->annotations[i]->key;
		state->annotations[state->nannotations++] =
			spec->annotations[i]->value;
	}
	return 0;
}

static int save(struct container *c,
		int (*write)(const char *, const struct state *, struct err *),
		struct err *err)
{
	struct sandbox *s = c->sandbox;
	bool owner = !strcmp(c->id, s->args->id);
	struct state state = {
		.id = c->id,
		.sandbox = pb_str(s->args->id),
		.bundle = c->bundle,
		.rootfs = c->rootfs,
		.created = c->created,
		.pid = c->processes->pid,
		.pid_start = process_start_time(c->processes->pid),
		.supervisor = getpid(),
		.supervisor_start = process_start_time(getpid()),
		.owner = getuid(),
		.cgroup = owner ? s->cgroup : NULL,
		.netns = owner ? s->network.path : NULL,
		.netns_created = owner && s->network.ours,
	};
	int ret;

	if (fill_annotations(c->spec, &state) < 0)
		return err_set(err, ENOMEM, "out of memory");
	ret = write(s->args->root, &state, err);
	free(state.annotations);
	return ret;
}

int container_save(struct container *c, struct err *err)
{
	return save(c, state_save, err);
}

int container_save_early(struct container *c, struct err *err)
{
	return save(c, state_save_early, err);
}

void container_free(struct container *c)
{
	struct container **p = &c->sandbox->containers;
	struct ttrpc_request *req;

	while (*p && *p != c)
		p = &(*p)->next;
	if (*p)
		*p = c->next;
	events_end(c);
	while (c->processes)
		process_free(c->processes);
	while ((req = waiters_take(&c->deleters)))
		ttrpc_fail(req, TTRPC_CANCELLED, "the sandbox ended");
	if (c->spec)
		oci__spec__free_unpacked(c->spec, NULL);
	free(c->rootfs);
	free(c->bundle);
	free(c->id);
	free(c);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/shared_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent/agent.h"
#include "guest/agent/container.h"
#include "guest/agent/ids.h"

#define MOUNTS_TEXT_MAX (1u << 20)

static void next(struct container *c);

static const Agent__SharedMount *current(const struct shared_mounts *s)
{
	return s->msg->shared_mounts[s->at];
}

const char *shared_mounts_name(const Oci__Spec *spec)
{
	static const char *const keys[] = {
		"io.kubernetes.cri.container-name", /* containerd */
		"io.kubernetes.container.name",	    /* CRI-O */
	};

	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		for (size_t i = 0; i < spec->n_annotations; i++) {
			if (strcmp(spec->annotations[i]->key, keys[k]) == 0)
				return spec->annotations[i]->value;
		}
	}
	return NULL;
}

static struct container *source_of(struct container *c,
				   const Agent__SharedMount *m)
{
	for (struct container *s = c->agent->containers; s; s = s->next) {
		bool named = s->name && strcmp(s->name, m->src_ctr) == 0;

		if (s != c && (named || strcmp(s->id, m->src_ctr) == 0) &&
		    s->init.pid > 0)
			return s;
	}
	return NULL;
}

int shared_mounts_keep(struct shared_mounts *s,
		       const Agent__CreateContainerRequest *msg,
		       struct err *err)
{
	Agent__CreateContainerRequest part =
		AGENT__CREATE_CONTAINER_REQUEST__INIT;
	AUTO_FREE uint8_t *bytes = NULL;
	size_t len;

	if (!msg->n_shared_mounts)
		return 0;
	for (size_t i = 0; i < msg->n_shared_mounts; i++) {
		const Agent__SharedMount *m = msg->shared_mounts[i];

		if (!path_valid(m->src_path) || !path_valid(m->dst_path))
			return err_set(err, EINVAL,
				       "shared mount %.64s: path not usable",
				       m->name);
	}
	part.n_shared_mounts = msg->n_shared_mounts;
	part.shared_mounts = msg->shared_mounts;
	len = protobuf_c_message_get_packed_size(&part.base);
	bytes = malloc(len);
	if (bytes) {
		protobuf_c_message_pack(&part.base, bytes);
		s->msg = agent__create_container_request__unpack(NULL, len,
								 bytes);
	}
	return s->msg ? 0 : err_set(err, ENOMEM, "out of memory");
}

static void stop(struct shared_mounts *s)
{
	evsource_close(&s->mounts);
	beside_close(&s->copier);
	if (s->limit.src.loop)
		evtimer_stop(&s->limit);
}

void shared_mounts_release(struct shared_mounts *s)
{
	stop(s);
	evtimer_release(&s->limit);
	if (s->msg)
		agent__create_container_request__free_unpacked(s->msg, NULL);
	s->msg = NULL;
}

static void fail(struct container *c, int code, const char *why)
{
	const Agent__SharedMount *m = current(&c->shared);
	struct err err;

	stop(&c->shared);
	(void)err_set(&err, code, "shared mount %.64s: %.128s of %.64s: %s",
		      m->name, m->src_path, m->src_ctr, why);
	c->shared.done(c, &err);
}

/* Copying. ----------------------------------------------------------------- */

static int open_mounts_of(pid_t pid)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/*
 * A child, as only who is in a mount namespace can copy of it, and a file
 * system of a container's may not answer. Links lead to what the containers
 * themselves see.
 */
static int copy(pid_t source, pid_t target, const Agent__SharedMount *m)
{
	AUTO_FD int from = open_mounts_of(source);
	AUTO_FD int to = open_mounts_of(target);
	AUTO_FD int tree = -1;
	int ret;

	if (from < 0 || to < 0 || setns(from, CLONE_NEWNS) < 0)
		return -errno;
	tree = open_tree(AT_FDCWD, m->src_path,
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0 || setns(to, CLONE_NEWNS) < 0)
		return -errno;
	ret = mkdir_all(m->dst_path, 0755);
	if (ret < 0)
		return ret;
	return move_mount(tree, "", AT_FDCWD, m->dst_path,
			  MOVE_MOUNT_F_EMPTY_PATH) < 0
		       ? -errno
		       : 0;
}

struct copying {
	pid_t source, target;
	const Agent__SharedMount *mount;
};

static void run_copy(const void *arg)
{
	const struct copying *c = arg;
	int ret = copy(c->source, c->target, c->mount);

	beside_tell(&ret, sizeof(ret));
}

static void copied(struct beside *copier)
{
	struct container *c =
		container_of(copier, struct container, shared.copier);
	int result;
	int ret = beside_hear(copier, &result, sizeof(result));

	if (ret == -EAGAIN)
		return;
	if (!ret)
		ret = result;
	stop(&c->shared);
	if (ret < 0) {
		fail(c, -ret, strerror(-ret));
		return;
	}
	c->shared.at++;
	next(c);
}

static void start_copy(struct container *c, const struct container *source)
{
	const struct copying copying = {
		.source = source->init.pid,
		.target = c->init.pid,
		.mount = current(&c->shared),
	};
	const struct beside_work work = {
		.name = "nacre-copy",
		.run = run_copy,
		.arg = &copying,
	};
	int ret;

	evsource_close(&c->shared.mounts);
	ret = beside_start(&c->shared.copier, c->agent->loop, &work, copied);
	if (ret < 0)
		fail(c, -ret, strerror(-ret));
}

/* Waiting. ----------------------------------------------------------------- */

/* Whether a line of mountinfo (fd, read from its beginning) has it as mount
 * point: the fifth field. */
static bool mounted(int fd, const char *path)
{
	AUTO_FREE char *text = malloc(MOUNTS_TEXT_MAX);
	size_t len = 0;
	char *save = NULL;
	ssize_t n;

	if (!text || lseek(fd, 0, SEEK_SET) < 0)
		return false;
	while (len < MOUNTS_TEXT_MAX - 1 &&
	       (n = read(fd, text + len, MOUNTS_TEXT_MAX - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *field = line;

		for (int i = 0; field && i < 4; i++) {
			field = strchr(field, ' ');
			field += field ? 1 : 0;
		}
		if (field && strncmp(field, path, strlen(path)) == 0 &&
		    field[strlen(path)] == ' ')
			return true;
	}
	return false;
}

static void changed(struct evsource *src, uint32_t revents)
{
	struct container *c =
		container_of(src, struct container, shared.mounts);
	const struct container *source = source_of(c, current(&c->shared));

	if (!source)
		fail(c, ENOENT, "that container is gone");
	else if (mounted(src->fd, current(&c->shared)->src_path))
		start_copy(c, source);
}

static void expired(struct evtimer *timer)
{
	fail(container_of(timer, struct container, shared.limit), ETIMEDOUT,
	     "is not mounted there in time");
}

static void next(struct container *c)
{
	struct shared_mounts *s = &c->shared;
	const struct container *source;
	char path[48];
	int fd, ret;

	if (s->at == s->msg->n_shared_mounts) {
		s->done(c, NULL);
		return;
	}
	source = source_of(c, current(s));
	if (!source) {
		fail(c, ENOENT, "no such container");
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/mountinfo",
		       (int)source->init.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* The kernel tells of changes by POLLPRI (proc(5)). */
	ret = fd < 0 ? -errno
		     : evsource_add(c->agent->loop, &s->mounts, fd, EPOLLPRI,
				    changed);
	if (ret < 0) {
		if (fd >= 0)
			close(fd);
		fail(c, -ret, strerror(-ret));
		return;
	}
	evtimer_start(&s->limit, SHARED_MOUNTS_WAIT_MS);
	changed(&s->mounts, 0);
}

void shared_mounts_make(struct container *c,
			void (*done)(struct container *, const struct err *))
{
	struct shared_mounts *s = &c->shared;
	struct err err;
	int ret;

	if (!s->msg) {
		done(c, NULL);
		return;
	}
	s->done = done;
	ret = evtimer_init(c->agent->loop, &s->limit, expired);
	if (ret < 0) {
		(void)err_ret(&err, ret, "timer");
		done(c, &err);
		return;
	}
	next(c);
}

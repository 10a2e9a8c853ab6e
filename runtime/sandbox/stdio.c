/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/jsonw.h"
#include "runtime/sandbox/create.h"

int open_stdio(struct ttrpc_request *req, const char *name, bool write,
	       struct err *err)
{
	unsigned index;
	int end = 0;
	int fd;

	if (!*name)
		return -1;
	if (sscanf(name, "fd:%u%n", &index, &end) == 1 && !name[end]) {
		fd = ttrpc_request_take_fd(req, index);
		if (fd >= 0)
			return fd;
		return err_set(err, EINVAL, "stdio %s: no such descriptor",
			       name);
	}
	if (name[0] != '/')
		return err_set(err, EINVAL,
			       "stdio \"%.64s\": expected a fifo's path", name);
	/* Both ends: a fifo whose other side is not there yet would block,
	 * one whose reader goes away would end us. */
	fd = open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "stdio %s", name) : fd;
}

int attach_stdio(struct process *p, struct ttrpc_request *req, const char *in,
		 const char *out, const char *error, struct err *err)
{
	AUTO_FD int in_fd = open_stdio(req, in, false, err);
	AUTO_FD int out_fd = -1;
	AUTO_FD int error_fd = -1;

	if (in_fd < -1)
		return in_fd;
	/* A terminal is one descriptor under two names. */
	if (*out && !strcmp(in, out))
		out_fd = fcntl(in_fd, F_DUPFD_CLOEXEC, 0);
	else
		out_fd = open_stdio(req, out, true, err);
	if (out_fd < -1)
		return out_fd;
	error_fd = open_stdio(req, error, true, err);
	if (error_fd < -1)
		return error_fd;
	stream_set_fd(&p->streams, 0, steal_fd(&in_fd));
	stream_set_fd(&p->streams, 1, steal_fd(&out_fd));
	stream_set_fd(&p->streams, 2, steal_fd(&error_fd));
	return 0;
}

char *container_state_json(const struct container *c, const char *status)
{
	struct jsonw *w = jsonw_new(false);
	size_t len;

	if (!w)
		return NULL;
	jsonw_object(w);
	jsonw_kstr(w, "ociVersion", "1.2.0");
	jsonw_kstr(w, "id", c->id);
	jsonw_kstr(w, "status", status);
	jsonw_kint(w, "pid", c->processes->pid);
	jsonw_kstr(w, "bundle", c->bundle);
	jsonw_key(w, "annotations");
	jsonw_object(w);
	for (size_t i = 0; i < c->spec->n_annotations; i++)
		jsonw_kstr(w, c->spec->annotations[i]->key,
			   c->spec->annotations[i]->value);
	jsonw_end_object(w);
	jsonw_end_object(w);
	return jsonw_finish(w, &len);
}

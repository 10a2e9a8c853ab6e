/* SPDX-License-Identifier: Apache-2.0 */
/* What a supervisor that was killed leaves behind. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netns/netns.h"
#include "runtime/sandbox/host_cgroup.h"
#include "runtime/sandbox/supervisor.h"
#include "runtime/state.h"

#define END_TIMEOUT_MS 10000

/* Kills a process that is surely the one meant, and waits for its end. */
static int end_process(pid_t pid, uint64_t start, const char *what,
		       struct err *err)
{
	AUTO_FD int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	/* The pidfd first: what it names cannot change any more. */
	if (fd < 0 || !process_alive(pid, start))
		return 0;
	syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	if (poll(&pfd, 1, END_TIMEOUT_MS) != 1)
		return err_set(err, EBUSY, "%s %d does not end", what,
			       (int)pid);
	return 0;
}

static int sweep_host(const struct state *s, struct err *err)
{
	int ret = end_process(s->supervisor, s->supervisor_start, "supervisor",
			      err);

	if (!ret)
		ret = end_process(s->pid, s->pid_start, "process", err);
	if (!ret && s->cgroup) {
		ret = host_cgroup_remove(s->cgroup);
		if (ret < 0)
			return err_ret(err, ret, "cgroup %s", s->cgroup);
	}
	/* A namespace of our own went with the supervisor's mounts. */
	if (!ret && s->netns && !s->netns_created)
		ret = netns_detach(s->netns, err);
	return ret;
}

/* Containers of other ids that lived in this sandbox. */
static void sweep_members(const char *root, const char *id)
{
	struct err ignored;
	char **ids = state_list(root, &ignored);

	for (char **p = ids; p && *p; p++) {
		struct state *s = state_load(root, *p, &ignored);

		if (s && strcmp(s->id, id) && !strcmp(s->sandbox, id) &&
		    end_process(s->pid, s->pid_start, "process", &ignored) < 0)
			log_warn("%s", ignored.text);
		state_free(s);
		free(*p);
	}
	free(ids);
}

int sandbox_sweep(const char *root, const char *id, struct err *err)
{
	struct state *s = state_load(root, id, err);
	int ret = 0;

	if (!s && err->code == ENOENT)
		s = state_load_early(root, id, err);
	if (!s && err->code != ENOENT)
		log_warn("%s", err->text);
	if (s)
		ret = sweep_host(s, err);
	state_free(s);
	if (ret < 0)
		return ret;
	sweep_members(root, id);
	ret = state_remove(root, id);
	if (ret < 0 && ret != -ENOENT)
		return err_ret(err, ret, "remove %s/%s", root, id);
	return 0;
}

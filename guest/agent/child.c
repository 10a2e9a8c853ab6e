/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/signals.h"
#include "guest/agent/ids.h"
#include "guest/agent/mapped_mounts.h"
#include "guest/agent/namespaces.h"

int child_send(const struct child_config *config, uint32_t type, int32_t value,
	       const char *text)
{
	struct child_msg msg = {.type = type, .value = value};

	(void)snprintf(msg.text, sizeof(msg.text), "%s", text);
	/* write, not send: a filter of the container may be in force. */
	return write(config->sync, &msg, sizeof(msg)) < 0 ? -errno : 0;
}

void child_fail(const struct child_config *config, const struct err *err)
{
	(void)!child_send(config, CHILD_FAILED, err->code, err->text);
	_exit(127);
}

int child_await(const struct child_config *config, char order)
{
	char c;
	ssize_t n;

	do {
		n = read(config->sync, &c, 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	/* The agent gave up on this process. */
	return n == 1 && c == order ? 0 : -ECANCELED;
}

static int set_oom_score(const Oci__Process *process, struct err *err)
{
	char text[24];
	int ret;

	if (!process->has_oom_score_adj && process->oom_score_adj == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%lld",
		       (long long)process->oom_score_adj);
	ret = file_write(AT_FDCWD, "/proc/self/oom_score_adj", text);
	return ret < 0 ? err_ret(err, ret, "oomScoreAdj %s", text) : 0;
}

static int enter_cgroup(const struct child_config *config, struct err *err)
{
	if (write(config->cgroup_procs, "0", 1) < 0)
		return err_sys(err, "cgroup %s: joining", config->cgroup);
	return 0;
}

static int join(const struct child_config *config, struct err *err)
{
	int ret;

	if (!config->spec) {
		if (setns(config->join_pidfd, (int)config->clone_flags) < 0)
			return err_sys(err, "joining the container");
		return 0;
	}
	ret = namespaces_join(config->spec, err);
	if (ret < 0)
		return ret;
	if (config->join_pidns >= 0 &&
	    setns(config->join_pidns, CLONE_NEWPID) < 0)
		return err_sys(err, "joining the sandbox's pid namespace");
	return namespaces_time(config->spec, err);
}

void child_intermediate(struct child_config *config)
{
	unsigned long flags = SIGCHLD | CLONE_PARENT;
	struct err err = {0};
	long pid;

	signals_reset();
	/* Nothing of the agent's goes on, and no process of the container
	 * that is joined may look into this one (CVE-2016-9962). */
	if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
		err_sys(&err, "close_range");
		child_fail(config, &err);
	}
	if (!config->spec && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		err_sys(&err, "PR_SET_DUMPABLE");
		child_fail(config, &err);
	}
	/* Before anything of the container's is joined. */
	if (config->spec) {
		int *mapped = NULL;

		if (mapped_mounts_open(config->spec, &mapped, &err) < 0)
			child_fail(config, &err);
		config->mapped_mounts = mapped;
	}
	if (enter_cgroup(config, &err) < 0 ||
	    set_oom_score(config->process, &err) < 0 || join(config, &err) < 0)
		child_fail(config, &err);
	/* A new time namespace is what a child of this process is in. */
	if (config->spec)
		flags |= config->clone_flags & ~(unsigned long)CLONE_NEWTIME;
	if (flags & CLONE_NEWUSER)
		flags &= ~(unsigned long)CLONE_NEWIPC; /* namespaces_enter */
	/* clone(2) without a stack is fork with flags. All but the first
	 * argument are 0, so that their order does not matter. */
	pid = syscall(SYS_clone, flags, 0, 0, 0, 0);
	if (pid < 0) {
		err_sys(&err, "clone");
		child_fail(config, &err);
	}
	if (pid == 0)
		child_run(config);
	if (child_send(config, CHILD_PID, (int32_t)pid, "") < 0)
		_exit(127);
	_exit(0);
}

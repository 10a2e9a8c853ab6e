/* SPDX-License-Identifier: Apache-2.0 */
/* Events of a container's group, freezing, removal. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guest/agent/agent.h"
#include "guest/agent/container_parts.h"
#include "guest/agent/file_events.h"
#include "guest/agent/guest_hooks.h"
#include "guest/agent/storage.h"

static void freeze_check(struct container *c)
{
	uint64_t frozen = 0;

	if (!c->freezers ||
	    cgroup_word(&c->cgroup, "cgroup.events", "frozen", &frozen) < 0)
		return;
	if ((frozen != 0) == c->freeze)
		pending_reply_all(&c->freezers, NULL);
}

static void events_changed(struct watch_entry *entry)
{
	struct container *c = container_of(entry, struct container, events);

	freeze_check(c);
	container_removal_check(c);
}

void container_oom_check(struct container *c)
{
	uint64_t kills;

	if (cgroup_word(&c->cgroup, "memory.events", "oom_kill", &kills) < 0 ||
	    kills <= c->oom_kills)
		return;
	c->oom_kills = kills;
	sandbox_oom(&c->agent->sandbox, c->id);
}

static void memory_changed(struct watch_entry *entry)
{
	container_oom_check(container_of(entry, struct container, memory));
}

int container_watch(struct container *c, struct err *err)
{
	char path[PATH_MAX + 32];
	int ret;

	(void)snprintf(path, sizeof(path), "%s/cgroup.events", c->cgroup.path);
	ret = watch_add(&c->agent->watch, &c->events, path, events_changed);
	if (ret < 0)
		return err_ret(err, ret, "%s", path);
	(void)snprintf(path, sizeof(path), "%s/memory.events", c->cgroup.path);
	ret = watch_add(&c->agent->watch, &c->memory, path, memory_changed);
	if (ret < 0 && ret != -ENOENT) /* no memory controller */
		return err_ret(err, ret, "%s", path);
	return 0;
}

void container_freeze(struct container *c, struct ttrpc_request *req,
		      bool freeze)
{
	int ret;

	if (c->state != CONTAINER_CREATED && c->state != CONTAINER_RUNNING) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "container %s: not running", c->id);
		return;
	}
	if (c->freeze == freeze && !c->freezers) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION, "container %s: %s",
			   c->id, freeze ? "is paused" : "is not paused");
		return;
	}
	if (c->freeze != freeze)
		pending_fail_all(&c->freezers, TTRPC_CANCELLED,
				 "the opposite was asked for");
	ret = cgroup_freeze(&c->cgroup, freeze);
	if (ret < 0) {
		ttrpc_fail(req, TTRPC_INTERNAL,
			   "container %s: cgroup.freeze: "
			   "%s",
			   c->id, strerror(-ret));
		return;
	}
	c->freeze = freeze;
	pending_add(&c->freezers, req);
	freeze_check(c);
}

/* Its creation failed, if somebody still waits for that. */
static void answer_creation(struct container *c)
{
	struct ttrpc_request *failed = steal_ptr(&c->failed);

	if (failed)
		ttrpc_fail(failed, ttrpc_code_of_errno(c->failure.code), "%s",
			   c->failure.text);
}

void container_unmounted(struct unmounts *unmounts)
{
	struct container *c =
		container_of(unmounts, struct container, unmounts);
	struct agent *agent = c->agent;
	struct container **at = &agent->containers;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (rmdir(c->rootfs) < 0 || rmdir(c->dir) < 0)
		log_debug("container %s: %s: %s", c->id, c->dir,
			  strerror(errno));
	evtimer_release(&c->remove_limit);
	pending_reply_all(&c->removers, NULL);
	answer_creation(c);
	free(c->seccomp);
	free(c->name);
	free(c->termination_log);
	free(c->uid_map);
	free(c->gid_map);
	free(c);
	sandbox_container_gone(agent);
}

/* Nothing of it runs any more. May free c. */
static void unmount(struct container *c)
{
	c->state = CONTAINER_UNMOUNTING;
	if (!c->failure.code)
		(void)guest_hooks_run(c, "poststop", "stopped", NULL);
	guest_hooks_forget(c);
	while (c->execs)
		container_unlink_exec(c, c->execs);
	process_release(&c->init);
	shared_mounts_release(&c->shared);
	file_events_forget(c->id);
	pending_fail_all(&c->freezers, TTRPC_CANCELLED,
			 "the container was removed");
	submounts_unpin(&c->submounts, &c->unmounts);
	storages_unmount(steal_ptr(&c->storages), &c->unmounts);
	if (unmounts_waits_for(&c->unmounts) && !c->limited)
		evtimer_start(&c->remove_limit, UNMOUNTS_LIMIT_S * 1000);
	unmounts_run(&c->unmounts);
}

static bool has_processes(const struct container *c)
{
	uint64_t populated = 0;

	if (c->init.pid > 0)
		return true;
	for (const struct process *p = c->execs; p; p = p->next) {
		if (p->pid > 0)
			return true;
	}
	return c->cgroup.dir >= 0 &&
	       cgroup_word(&c->cgroup, "cgroup.events", "populated",
			   &populated) == 0 &&
	       populated;
}

void container_removal_check(struct container *c)
{
	int ret;

	if (c->state != CONTAINER_REMOVING || has_processes(c))
		return;
	watch_del(&c->agent->watch, &c->events);
	watch_del(&c->agent->watch, &c->memory);
	ret = cgroup_remove(&c->cgroup);
	if (ret < 0) {
		log_warn("container %s: cgroup %s stays: %s", c->id,
			 c->cgroup.path, strerror(-ret));
		cgroup_release(&c->cgroup);
	}
	unmount(c);
}

void container_remove_expired(struct evtimer *timer)
{
	struct container *c =
		container_of(timer, struct container, remove_limit);
	struct err err;

	if (c->state != CONTAINER_UNMOUNTING) {
		c->limited = false;
		pending_fail_all(&c->removers, TTRPC_DEADLINE_EXCEEDED,
				 "processes of the container do not end");
		return;
	}
	(void)err_set(&err, ETIMEDOUT, "%.200s: not unmounted in time",
		      unmounts_waits_for(&c->unmounts));
	log_warn("container %s: %s", c->id, err.text);
	pending_fail_all(&c->removers, TTRPC_DEADLINE_EXCEEDED, err.text);
	answer_creation(c);
	unmounts_hurry(&c->unmounts);
}

void container_remove(struct container *c, struct ttrpc_request *req,
		      uint32_t timeout_s)
{
	int ret;

	if (req)
		pending_add(&c->removers, req);
	if (c->state == CONTAINER_UNMOUNTING)
		timeout_s = timeout_s ? timeout_s : UNMOUNTS_LIMIT_S;
	if (req && timeout_s) {
		evtimer_start(&c->remove_limit, timeout_s * 1000ULL);
		c->limited = true;
	}
	if (c->state == CONTAINER_UNMOUNTING)
		return;
	c->state = CONTAINER_REMOVING;
	if (c->init.pid > 0)
		kill(c->init.pid, SIGKILL);
	ret = cgroup_kill(&c->cgroup);
	if (ret < 0)
		log_warn("container %s: killing: %s", c->id, strerror(-ret));
	container_removal_check(c);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Creation, and finding containers and processes. */
#include "guest/agent/container.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "guest/agent/agent.h"
#include "guest/agent/container_parts.h"
#include "guest/agent/delegate.h"
#include "guest/agent/guest_devices.h"
#include "guest/agent/resources.h"
#include "guest/agent/spec.h"
#include "guest/agent/storage.h"
#include "guest/agent/termination_log.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

struct container *container_find(struct agent *agent, const char *id)
{
	for (struct container *c = agent->containers; c; c = c->next) {
		if (strcmp(c->id, id) == 0)
			return c;
	}
	return NULL;
}

struct process *container_process(struct container *c, const char *id)
{
	if (!*id || strcmp(id, c->id) == 0)
		return &c->init;
	for (struct process *p = c->execs; p; p = p->next) {
		if (strcmp(p->id, id) == 0)
			return p;
	}
	return NULL;
}

struct process *containers_find_pid(struct agent *agent, pid_t pid)
{
	for (struct container *c = agent->containers; c; c = c->next) {
		if (c->init.pid == pid)
			return &c->init;
		for (struct process *p = c->execs; p; p = p->next) {
			if (p->pid == pid)
				return p;
		}
	}
	return NULL;
}

static bool awaits_pid(const struct process *p)
{
	return p->sync >= 0 && p->pid == 0 && !p->exited;
}

bool containers_await_pid(const struct agent *agent)
{
	for (const struct container *c = agent->containers; c; c = c->next) {
		if (awaits_pid(&c->init))
			return true;
		for (const struct process *p = c->execs; p; p = p->next) {
			if (awaits_pid(p))
				return true;
		}
	}
	return false;
}

void containers_drop(struct agent *agent)
{
	for (struct container *c = agent->containers; c; c = c->next) {
		process_drop(&c->init);
		for (struct process *p = c->execs; p; p = p->next)
			process_drop(p);
		pending_drop(&c->freezers);
		pending_drop(&c->removers);
		pending_drop_one(&c->failed);
	}
}

int container_open_procs(const struct container *c, struct err *err)
{
	int fd = openat(c->cgroup.dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "cgroup %s", c->cgroup.path) : fd;
}

static int make_cgroup(struct container *c, const Oci__Spec *spec,
		       struct err *err)
{
	const Oci__Linux *l = spec->linux_config;
	char path[PATH_MAX];
	int ret = cgroup_path(l->cgroups_path, c->id, path, sizeof(path), err);

	if (!ret)
		ret = cgroup_create(&c->cgroup, path, err);
	if (!ret)
		ret = resources_setup(&c->cgroup, l->resources, err);
	if (!ret)
		ret = cgroup_delegate_to_user(&c->cgroup, spec, err);
	if (!ret)
		ret = container_watch(c, err);
	return ret;
}

static int keep_seccomp(struct container *c, const Oci__LinuxSeccomp *s,
			struct err *err)
{
	if (!s)
		return 0;
	c->seccomp_len = protobuf_c_message_get_packed_size(&s->base);
	c->seccomp = malloc(c->seccomp_len ? c->seccomp_len : 1);
	if (!c->seccomp)
		return err_set(err, ENOMEM, "seccomp: out of memory");
	protobuf_c_message_pack(&s->base, c->seccomp);
	return 0;
}

static int keep_names(struct container *c,
		      const Agent__CreateContainerRequest *msg, struct err *err)
{
	const char *name = shared_mounts_name(msg->oci);
	const char *log = termination_log_source(msg->oci);

	if (log) {
		c->termination_log = strdup(log);
		if (!c->termination_log)
			return err_set(err, ENOMEM, "out of memory");
	}
	if (name) {
		c->name = strdup(name);
		if (!c->name)
			return err_set(err, ENOMEM, "out of memory");
	}
	return shared_mounts_keep(&c->shared, msg, err);
}

static int keep_maps(struct container *c, const Oci__Linux *l, struct err *err)
{
	c->uid_map = namespaces_format_map("uidMappings", l->n_uid_mappings,
					   l->uid_mappings, err);
	if (!c->uid_map)
		return -err->code;
	c->gid_map = namespaces_format_map("gidMappings", l->n_gid_mappings,
					   l->gid_mappings, err);
	return c->gid_map ? 0 : -err->code;
}

/* The namespaces to make; c->namespaces becomes those an exec joins. */
static int choose_namespaces(struct container *c, const Oci__Linux *l,
			     bool shared_pid, unsigned long *fresh,
			     struct err *err)
{
	const unsigned long own_only = CLONE_NEWUSER | CLONE_NEWTIME;
	unsigned long joined;
	int ret = namespaces_parse(l, fresh, &joined, err);

	if (ret < 0)
		return ret;
	/* A container never sees the agent's processes. */
	if (shared_pid && !(joined & CLONE_NEWPID))
		*fresh &= ~(unsigned long)CLONE_NEWPID;
	else if (!(joined & CLONE_NEWPID))
		*fresh |= CLONE_NEWPID;
	/* Joining the user namespace one is in fails, the rest is idle. */
	c->namespaces = ((*fresh | joined) & own_only) | CLONE_NEWNS |
			CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
			CLONE_NEWNET | CLONE_NEWCGROUP;
	return *fresh & CLONE_NEWUSER ? keep_maps(c, l, err) : 0;
}

static int make_dirs(struct container *c, struct err *err)
{
	int ret;

	(void)snprintf(c->dir, sizeof(c->dir), AGENT_RUN_DIR "/%s", c->id);
	(void)snprintf(c->rootfs, sizeof(c->rootfs), "%s/rootfs", c->dir);
	ret = mkdir_all(c->rootfs, 0711);
	return ret < 0 ? err_ret(err, ret, "mkdir %s", c->rootfs) : 0;
}

static int launch(struct container *c, const Agent__CreateContainerRequest *msg,
		  struct err *err)
{
	struct child_config config = {
		.id = c->id,
		.bundle = c->dir,
		.rootfs = c->rootfs,
		.cgroup = c->cgroup.path,
		.process = msg->oci->process,
		.string_user = msg->string_user,
		.seccomp = msg->oci->linux_config->seccomp,
		.spec = msg->oci,
		.personality = c->personality,
		.join_pidfd = -1,
		.join_pidns = -1,
	};
	bool shared = msg->sandbox_pidns || c->agent->sandbox.shared_pidns;
	AUTO_FD int procs = -1;
	const uint32_t ports[3] = {msg->stdin_port, msg->stdout_port,
				   msg->stderr_port};
	int stdio[3] = {-1, -1, -1};
	int ret = choose_namespaces(c, msg->oci->linux_config, shared,
				    &config.clone_flags, err);

	if (ret < 0)
		return ret;
	if (shared && !(config.clone_flags & CLONE_NEWPID)) {
		config.join_pidns = sandbox_pidns(&c->agent->sandbox, err);
		if (config.join_pidns < 0)
			return config.join_pidns;
	}
	procs = container_open_procs(c, err);
	if (procs < 0)
		return procs;
	config.cgroup_procs = procs;
	ret = process_init(&c->init, msg->oci->process, ports, stdio, err);
	if (!ret)
		ret = process_launch(&c->init, &config, stdio, err);
	for (int i = 0; i < 3; i++) {
		if (stdio[i] >= 0)
			close(stdio[i]);
	}
	return ret;
}

static int build(struct container *c, const Agent__CreateContainerRequest *msg,
		 struct err *err)
{
	const Oci__Linux *l = msg->oci->linux_config;
	int ret = evtimer_init(c->agent->loop, &c->remove_limit,
			       container_remove_expired);

	if (ret < 0)
		return err_ret(err, ret, "timer");
	ret = personality_parse(l->personality, &c->personality, err);
	if (!ret)
		ret = make_dirs(c, err);
	if (!ret)
		ret = storages_mount(&c->agent->sandbox.mounts, msg->storages,
				     msg->n_storages, &c->storages, err);
	if (!ret)
		ret = keep_seccomp(c, l->seccomp, err);
	if (!ret)
		ret = keep_names(c, msg, err);
	if (!ret)
		ret = guest_devices_apply(msg->devices, msg->n_devices,
					  msg->oci->linux_config, err);
	if (!ret)
		ret = make_cgroup(c, msg->oci, err);
	if (ret < 0)
		return ret;
	submounts_pin(&c->submounts, msg->oci);
	return launch(c, msg, err);
}

static struct container *new_container(struct agent *agent, const char *id)
{
	struct container *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->agent = agent;
	c->unmounts.loop = agent->loop;
	c->unmounts.done = container_unmounted;
	c->state = CONTAINER_CREATING;
	(void)snprintf(c->id, sizeof(c->id), "%s", id);
	cgroup_init(&c->cgroup);
	c->events.wd = c->memory.wd = -1;
	c->remove_limit.src.fd = -1;
	process_blank(&c->init, c, id);
	c->next = agent->containers;
	agent->containers = c;
	return c;
}

static bool room(const struct agent *agent)
{
	uint64_t n = 0;

	for (const struct container *c = agent->containers; c; c = c->next)
		n++;
	/* A request that waited for its devices was counted too early. */
	if (agent->policy.set && n >= agent->policy.containers)
		return false;
	return n < CONTAINERS_MAX;
}

void container_create(struct agent *agent, struct ttrpc_request *req,
		      const Agent__CreateContainerRequest *msg)
{
	struct err err = {0};
	struct container *c;

	if (container_find(agent, msg->container_id)) {
		ttrpc_fail(req, TTRPC_ALREADY_EXISTS,
			   "container %s: exists already", msg->container_id);
		return;
	}
	if (spec_check_create(msg, &err) < 0) {
		ttrpc_fail(req,
			   err.code == ENOTSUP ? TTRPC_UNIMPLEMENTED
					       : TTRPC_INVALID_ARGUMENT,
			   "%s", err.text);
		return;
	}
	c = room(agent) ? new_container(agent, msg->container_id) : NULL;
	if (!c) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED,
			   "container %s: too many containers",
			   msg->container_id);
		return;
	}
	if (build(c, msg, &err) < 0) {
		c->failed = req;
		c->failure = err;
		container_remove(c, NULL, 0);
		return;
	}
	c->init.request = req;
}

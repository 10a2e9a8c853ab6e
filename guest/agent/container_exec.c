/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, further processes, and what processes report. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent/agent.h"
#include "guest/agent/container_parts.h"
#include "guest/agent/guest_hooks.h"
#include "guest/agent/spec.h"

void container_start(struct container *c, struct ttrpc_request *req)
{
	int ret;

	if (c->state != CONTAINER_CREATED) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION, "container %s: %s",
			   c->id,
			   c->state == CONTAINER_CREATING ? "not created yet"
			   : c->state == CONTAINER_STOPPED
				   ? "has stopped"
				   : "is running already");
		return;
	}
	ret = process_start(&c->init);
	if (ret < 0) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "container %s: start: %s", c->id, strerror(-ret));
		return;
	}
	c->state = CONTAINER_RUNNING;
	c->init.request = req;
}

void container_unlink_exec(struct container *c, struct process *p)
{
	struct process **at = &c->execs;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	c->n_execs--;
	process_release(p);
	free(p);
}

/*
 * A group whose processes sit in groups of their own (a service manager
 * runs inside) takes no process itself: then where its first process is.
 */
static int open_init_procs(const struct container *c, struct err *err)
{
	AUTO_FREE char *text = NULL;
	char path[64], file[PATH_MAX];
	char *rel, *end;
	int fd, n;

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)c->init.pid);
	n = file_read(AT_FDCWD, path, 64u << 10, &text, NULL);
	if (n < 0)
		return err_ret(err, n, "%s", path);
	rel = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!rel)
		return container_open_procs(c, err);
	rel = strchr(rel, '/');
	end = rel ? strchr(rel, '\n') : NULL;
	if (!end)
		return container_open_procs(c, err);
	*end = '\0';
	n = snprintf(file, sizeof(file), CGROUP_ROOT "%s/cgroup.procs", rel);
	if (n < 0 || (size_t)n >= sizeof(file) || !path_valid(file))
		return container_open_procs(c, err);
	/* What is not below the container's group is not the container's. */
	if (strncmp(file, c->cgroup.path, strlen(c->cgroup.path)) != 0)
		return container_open_procs(c, err);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "%s", file) : fd;
}

static void free_seccomp(Oci__LinuxSeccomp **s)
{
	if (*s)
		oci__linux_seccomp__free_unpacked(*s, NULL);
}

static int launch_exec(struct container *c, struct process *p,
		       const Agent__ExecProcessRequest *msg, struct err *err)
{
	const Oci__Process *spec = msg->process;
	AUTO(free_seccomp) Oci__LinuxSeccomp *seccomp = NULL;
	AUTO_FD int procs = -1, pidfd = -1;
	const uint32_t ports[3] = {msg->stdin_port, msg->stdout_port,
				   msg->stderr_port};
	int stdio[3] = {-1, -1, -1};
	struct child_config config = {
		.id = c->id,
		.bundle = c->dir,
		.rootfs = c->rootfs,
		.cgroup = c->cgroup.path,
		.process = spec,
		.string_user = msg->string_user,
		.clone_flags = c->namespaces,
		.personality = c->personality,
		.join_pidns = -1,
	};
	int ret;

	if (c->seccomp) {
		seccomp = oci__linux_seccomp__unpack(NULL, c->seccomp_len,
						     c->seccomp);
		if (!seccomp)
			return err_set(err, ENOMEM, "seccomp: out of memory");
		config.seccomp = seccomp;
	}
	pidfd = (int)syscall(SYS_pidfd_open, c->init.pid, 0);
	if (pidfd < 0)
		return err_sys(err, "pidfd_open");
	procs = open_init_procs(c, err);
	if (procs < 0)
		return procs;
	config.join_pidfd = pidfd;
	config.cgroup_procs = procs;
	ret = process_init(p, spec, ports, stdio, err);
	if (!ret)
		ret = process_launch(p, &config, stdio, err);
	for (int i = 0; i < 3; i++) {
		if (stdio[i] >= 0)
			close(stdio[i]);
	}
	return ret;
}

/* False: answered already. */
static bool exec_allowed(struct container *c, struct ttrpc_request *req,
			 const char *id)
{
	struct process *old = container_process(c, id);

	if (!*id || old == &c->init) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT, "exec id: not usable");
		return false;
	}
	if (old && !(old->exited && old->sync < 0)) {
		ttrpc_fail(req, TTRPC_ALREADY_EXISTS, "exec %s: runs already",
			   id);
		return false;
	}
	if (c->init.pid <= 0 ||
	    (c->state != CONTAINER_CREATED && c->state != CONTAINER_RUNNING)) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "container %s: not running", c->id);
		return false;
	}
	if (c->freeze) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "container %s: is paused", c->id);
		return false;
	}
	if (c->n_execs >= EXECS_MAX) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED,
			   "container %s: too many processes", c->id);
		return false;
	}
	if (old)
		container_unlink_exec(c, old);
	return true;
}

void container_exec(struct container *c, struct ttrpc_request *req,
		    const Agent__ExecProcessRequest *msg)
{
	struct err err = {0};
	struct process *p;

	if (spec_check_exec(msg, &err) < 0) {
		ttrpc_fail(req,
			   err.code == ENOTSUP ? TTRPC_UNIMPLEMENTED
					       : TTRPC_INVALID_ARGUMENT,
			   "%s", err.text);
		return;
	}
	if (!exec_allowed(c, req, msg->exec_id))
		return;
	p = calloc(1, sizeof(*p));
	if (!p) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	process_blank(p, c, msg->exec_id);
	p->next = c->execs;
	c->execs = p;
	c->n_execs++;
	if (launch_exec(c, p, msg, &err) < 0) {
		ttrpc_fail(req, ttrpc_code_of_errno(err.code), "%s", err.text);
		container_unlink_exec(c, p);
		return;
	}
	p->request = req;
}

/* The hooks before the start are through. */
static void created(struct container *c, const struct err *err)
{
	if (c->state != CONTAINER_CREATING)
		return; /* it is being removed, and its request answered so */
	if (err) {
		process_launch_failed(&c->init, err->code, err->text);
		return;
	}
	c->state = CONTAINER_CREATED;
	if (c->init.request)
		ttrpc_reply(steal_ptr(&c->init.request), NULL);
}

static void run_prestart(struct container *c, const struct err *err)
{
	if (err || c->state != CONTAINER_CREATING ||
	    !guest_hooks_run(c, "prestart", "creating", created))
		created(c, err);
}

void process_ready(struct process *p)
{
	struct container *c = p->container;
	int ret;

	if (p == &c->init) {
		shared_mounts_make(c, run_prestart);
		return;
	}
	ret = process_start(p);
	if (ret < 0)
		process_launch_failed(p, -ret, "set-up: ended early");
}

void process_launch_failed(struct process *p, int code, const char *text)
{
	struct container *c = p->container;

	if (p == &c->init && c->state == CONTAINER_CREATING) {
		c->failed = steal_ptr(&p->request);
		(void)err_set(&c->failure, code, "%s", text);
		container_remove(c, NULL, 0);
		return;
	}
	if (p->request)
		ttrpc_fail(steal_ptr(&p->request), ttrpc_code_of_errno(code),
			   "%s", text);
	if (p != &c->init)
		container_unlink_exec(c, p);
	else
		process_settled(p);
}

void process_settled(struct process *p)
{
	struct container *c = p->container;

	if (p == &c->init) {
		if (p->exited && (c->state == CONTAINER_CREATED ||
				  c->state == CONTAINER_RUNNING))
			c->state = CONTAINER_STOPPED;
	} else if (p->exited && p->waited && p->sync < 0 && !p->request &&
		   stdio_has_ended(&p->stdio)) {
		container_unlink_exec(c, p);
	}
	container_removal_check(c);
}

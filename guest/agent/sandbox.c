/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/signals.h"
#include "guest/agent/agent.h"
#include "guest/agent/boot.h"
#include "guest/agent/container.h"
#include "guest/agent/guest_hooks.h"
#include "guest/agent/modules.h"

/* How long containers may take to die, mounts beyond that to go, and the last
 * reply to leave. The host of ours waits for 5 s. */
#define END_CONTAINERS_MS 3000
#define END_MOUNTS_MS 1500
#define END_REPLY_MS 500

static void end_expired(struct evtimer *timer);
static void unmounted(struct unmounts *unmounts);

static struct agent *agent_of(struct sandbox *s)
{
	return container_of(s, struct agent, sandbox);
}

/* Some request may have waited for it. */
static void mount_gone(struct storages *mounts)
{
	parked_again(agent_of(container_of(mounts, struct sandbox, mounts)));
}

int sandbox_init(struct agent *agent)
{
	struct sandbox *s = &agent->sandbox;

	s->pidns = -1;
	s->mounts.gone = mount_gone;
	s->unmounts.loop = agent->loop;
	s->unmounts.done = unmounted;
	return evtimer_init(agent->loop, &s->end, end_expired);
}

static int write_resolv_conf(const Agent__CreateSandboxRequest *msg,
			     struct err *err)
{
	char text[4096];
	size_t len = 0;
	int ret;

	for (size_t i = 0; i < msg->n_dns; i++) {
		const char *line = msg->dns[i];
		/* Lines of resolv.conf, or addresses alone. */
		int n = snprintf(text + len, sizeof(text) - len, "%s%s\n",
				 strchr(line, ' ') ? "" : "nameserver ", line);

		if (strchr(line, '\n') || n < 0 ||
		    (size_t)n >= sizeof(text) - len)
			return err_set(err, EINVAL, "dns[%zu]: not usable", i);
		len += (size_t)n;
	}
	ret = mkdir_all("/etc", 0755);
	if (!ret)
		ret = file_replace(AT_FDCWD, "/etc/resolv.conf", text, len,
				   0644);
	return ret < 0 ? err_ret(err, ret, "dns: /etc/resolv.conf") : 0;
}

/* Names and modules are the machine's, so of a guest of our own only. */
static int setup_guest(const Agent__CreateSandboxRequest *msg, struct err *err)
{
	int ret = 0;

	if (msg->hostname[0] &&
	    sethostname(msg->hostname, strlen(msg->hostname)) < 0)
		return err_sys(err, "hostname %.64s", msg->hostname);
	if (msg->n_dns)
		ret = write_resolv_conf(msg, err);
	for (size_t i = 0; i < msg->n_kernel_modules && !ret; i++)
		ret = module_load(msg->kernel_modules[i]->name,
				  msg->kernel_modules[i]->parameters,
				  msg->kernel_modules[i]->n_parameters, err);
	return ret;
}

static int create(struct agent *agent, const Agent__CreateSandboxRequest *msg,
		  struct err *err)
{
	struct sandbox *s = &agent->sandbox;
	int ret;

	if (s->created)
		return err_set(err, EEXIST, "sandbox %s: exists already",
			       s->id);
	if (msg->sandbox_id[0] && !id_valid(msg->sandbox_id))
		return err_set(err, EINVAL, "sandbox id: not usable");
	if (strlen(msg->hostname) > 64)
		return err_set(err, EINVAL, "hostname: too long");
	if (msg->guest_hook_path[0] && !path_valid(msg->guest_hook_path))
		return err_set(err, EINVAL, "guest_hook_path: not usable");
	if (!agent->init &&
	    (msg->hostname[0] || msg->n_dns || msg->n_kernel_modules))
		return err_set(err, ENOTSUP,
			       "hostname, dns and kernel_modules: this agent "
			       "does not own the machine");
	ret = storages_mount(&s->mounts, msg->storages, msg->n_storages,
			     &s->storages, err);
	if (!ret)
		ret = setup_guest(msg, err);
	if (!ret && msg->guest_hook_path[0]) {
		s->hook_path = strdup(msg->guest_hook_path);
		if (!s->hook_path)
			ret = err_set(err, ENOMEM, "out of memory");
	}
	if (!ret && msg->sandbox_pidns)
		ret = sandbox_pidns(s, err) < 0 ? -err->code : 0;
	if (ret < 0) {
		free(steal_ptr(&s->hook_path));
		storages_unmount(steal_ptr(&s->storages), &s->unmounts);
		unmounts_run(&s->unmounts);
		return ret;
	}
	(void)snprintf(s->id, sizeof(s->id), "%s", msg->sandbox_id);
	s->shared_pidns = msg->sandbox_pidns;
	s->created = true;
	return 0;
}

void sandbox_create(struct agent *agent, struct ttrpc_request *req,
		    const Agent__CreateSandboxRequest *msg)
{
	struct err err = {0};

	if (create(agent, msg, &err) < 0) {
		ttrpc_fail(req, ttrpc_code_of_errno(err.code), "%s", err.text);
		return;
	}
	ttrpc_reply(req, NULL);
}

/* Reaps what its namespace leaves to it. */
static NORETURN void pause_run(void)
{
	sigset_t set;

	signals_default();
	(void)prctl(PR_SET_NAME, "pause", 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (syscall(SYS_close_range, 0u, ~0u, 0u) < 0)
		_exit(1);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	for (;;) {
		int sig;

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		(void)sigwait(&set, &sig);
	}
}

int sandbox_pidns(struct sandbox *s, struct err *err)
{
	char path[64];
	long pid;

	if (s->pidns >= 0)
		return s->pidns;
	pid = syscall(SYS_clone, (unsigned long)(SIGCHLD | CLONE_NEWPID), 0, 0,
		      0, 0);
	if (pid < 0)
		return err_sys(err, "shared pid namespace: clone");
	if (pid == 0)
		pause_run();
	s->pause = (pid_t)pid;
	(void)snprintf(path, sizeof(path), "/proc/%ld/ns/pid", pid);
	s->pidns = open(path, O_RDONLY | O_CLOEXEC);
	if (s->pidns < 0) {
		err_sys(err, "shared pid namespace: %s", path);
		kill(s->pause, SIGKILL);
		return -err->code;
	}
	return s->pidns;
}

static void oom_reply(struct ttrpc_request *req, char *id)
{
	Agent__OOMEvent reply = AGENT__OOMEVENT__INIT;

	reply.container_id = id;
	ttrpc_reply(req, &reply.base);
	free(id);
}

void sandbox_oom(struct sandbox *s, const char *container)
{
	struct ttrpc_request *req;
	char *id = strdup(container);

	if (!id)
		return;
	req = pending_take(&s->oom_waiters);
	if (req)
		oom_reply(req, id);
	else if (s->n_ooms < SANDBOX_OOM_MAX)
		s->ooms[s->n_ooms++] = id;
	else
		free(id);
}

void sandbox_wait_oom(struct sandbox *s, struct ttrpc_request *req)
{
	char *id;

	if (s->n_ooms == 0) {
		pending_add(&s->oom_waiters, req);
		return;
	}
	id = s->ooms[0];
	s->n_ooms--;
	memmove(s->ooms, s->ooms + 1, s->n_ooms * sizeof(s->ooms[0]));
	oom_reply(req, id);
}

/* The first mount that is not gone yet, or NULL. */
static const char *mount_left(const struct agent *agent)
{
	const char *path = unmounts_waits_for(&agent->sandbox.unmounts);

	for (const struct container *c = agent->containers; c && !path;
	     c = c->next)
		path = unmounts_waits_for(&c->unmounts);
	return path;
}

static void reply_destroyed(struct agent *agent)
{
	struct sandbox *s = &agent->sandbox;
	const char *left = mount_left(agent);
	struct err err;

	s->ended = true;
	if (s->pause > 0)
		kill(s->pause, SIGKILL);
	pending_fail_all(&s->oom_waiters, TTRPC_CANCELLED,
			 "the sandbox is gone");
	if (left) {
		(void)err_set(&err, ETIMEDOUT, "%.200s: not unmounted in time",
			      left);
		log_warn("%s: leaving it behind", err.text);
		pending_fail_all(&s->closers, TTRPC_DEADLINE_EXCEEDED,
				 err.text);
	} else {
		pending_reply_all(&s->closers, NULL);
	}
	/* The host hangs up when it has the reply; it need not. */
	evtimer_start(&s->end, END_REPLY_MS);
	if (left)
		unmounts_hurry(&s->unmounts);
}

/* What is stuck holds up none of the others, which may have to be written. */
static void hurry(struct agent *agent)
{
	struct container *next;

	for (struct container *c = agent->containers; c; c = next) {
		next = c->next;
		if (unmounts_waits_for(&c->unmounts))
			unmounts_hurry(&c->unmounts);
	}
}

/* Containers are gone, or have had their time. */
static void unmount(struct agent *agent)
{
	struct sandbox *s = &agent->sandbox;

	s->unmounting = true;
	evtimer_start(&s->end, END_MOUNTS_MS);
	storages_unmount(steal_ptr(&s->storages), &s->unmounts);
	unmounts_run(&s->unmounts);
}

static void unmounted(struct unmounts *unmounts)
{
	struct sandbox *s = container_of(unmounts, struct sandbox, unmounts);

	sandbox_container_gone(agent_of(s));
}

static void end_expired(struct evtimer *timer)
{
	struct sandbox *s = container_of(timer, struct sandbox, end);
	struct agent *agent = agent_of(s);

	if (s->ended) {
		evloop_stop(agent->loop);
	} else if (s->unmounting) {
		reply_destroyed(agent);
	} else {
		log_warn("containers do not end: leaving them behind");
		unmount(agent);
		hurry(agent);
	}
}

void sandbox_container_gone(struct agent *agent)
{
	struct sandbox *s = &agent->sandbox;

	if (!s->closing || s->ended)
		return;
	if (s->unmounting) {
		if (!mount_left(agent))
			reply_destroyed(agent);
	} else if (!agent->containers && !guest_hooks_running(agent)) {
		unmount(agent);
	}
}

void sandbox_destroy(struct agent *agent, struct ttrpc_request *req)
{
	struct sandbox *s = &agent->sandbox;
	struct container *next;

	pending_add(&s->closers, req);
	if (s->closing)
		return;
	s->closing = true;
	evtimer_start(&s->end, END_CONTAINERS_MS);
	if (!agent->containers) {
		sandbox_container_gone(agent);
		return;
	}
	for (struct container *c = agent->containers; c; c = next) {
		next = c->next;
		container_remove(c, NULL, 0);
	}
}

void sandbox_drop(struct agent *agent)
{
	struct sandbox *s = &agent->sandbox;

	pending_drop(&s->oom_waiters);
	pending_drop(&s->closers);
	if (s->ended)
		evloop_stop(agent->loop);
}

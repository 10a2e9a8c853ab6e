/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent-proto/agent.pb-c.h"
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/log.h"
#include "guest/agent/agent.h"
#include "guest/agent/container.h"
#include "guest/agent/guest_hooks.h"
#include "guest/agent/stdio_port.h"

static void streams_ended(struct stdio *stdio)
{
	process_settled(container_of(stdio, struct process, stdio));
}

void process_blank(struct process *p, struct container *c, const char *id)
{
	p->container = c;
	p->sync = -1;
	(void)snprintf(p->id, sizeof(p->id), "%s", id);
	p->stdio.in = p->stdio.in_peer = -1;
	p->stdio.out =
		(struct stdio_out){.owner = &p->stdio, .fd = -1, .peer = -1};
	p->stdio.err =
		(struct stdio_out){.owner = &p->stdio, .fd = -1, .peer = -1};
	p->stdio.linger.src.fd = -1;
}

static int take_peers(struct process *p, const uint32_t ports[3],
		      struct err *err)
{
	static const char *const names[] = {"stdin", "stdout", "stderr"};
	int peers[3] = {-1, -1, -1};
	int ret = 0;

	for (unsigned i = 0; !ret && i < 3; i++) {
		if (!ports[i])
			continue;
		peers[i] = stdio_port_take(ports[i]);
		if (peers[i] < 0)
			ret = err_set(err, ENOENT,
				      "%s_port: nobody called from %u",
				      names[i], ports[i]);
	}
	if (!ret) {
		ret = stdio_set_peers(&p->stdio, peers);
		return ret < 0 ? err_ret(err, ret, "stdio by ports") : 0;
	}
	for (unsigned i = 0; i < 3; i++)
		if (peers[i] >= 0)
			close(peers[i]);
	return ret;
}

int process_init(struct process *p, const Oci__Process *spec,
		 const uint32_t ports[3], int child_stdio[3], struct err *err)
{
	int ret = stdio_init(&p->stdio, p->container->agent->loop,
			     spec->terminal, streams_ended, child_stdio);

	if (ret < 0)
		return err_ret(err, ret, "stdio");
	ret = take_peers(p, ports, err);
	if (ret < 0)
		return ret;
	return rlimits_parse(spec, &p->limits, err);
}

static void close_sync(struct process *p)
{
	evsource_del(&p->sync_src);
	if (p->sync >= 0)
		close(steal_fd(&p->sync));
}

/* The child did not get as far as exec. May free the process. */
static void launch_failed(struct process *p, int code, const char *text)
{
	close_sync(p);
	p->state = PROCESS_FAILED;
	if (p->pid > 0)
		kill(p->pid, SIGKILL);
	process_launch_failed(p, code, text);
}

static int handle_pid(struct process *p, pid_t pid, struct err *err)
{
	struct container *c = p->container;
	const char go = CHILD_GO;
	int status, ret;

	if (p->pid || pid <= 1)
		return err_set(err, EPROTO, "set-up: unexpected pid");
	if (reaper_known(&c->agent->reaper, pid, &status)) {
		process_exited(p, status);
		return err_set(err, ECHILD, "set-up: ended early");
	}
	p->pid = pid;
	if (c->uid_map && p == &c->init) {
		ret = namespaces_map_ids(pid, c->uid_map, c->gid_map, err);
		if (ret < 0)
			return ret;
	}
	if (send(p->sync, &go, 1, MSG_NOSIGNAL) < 0)
		return err_sys(err, "set-up: go");
	return 0;
}

static int handle_console(struct process *p, int *fds, unsigned nfds,
			  struct err *err)
{
	int ret;

	if (nfds != 1 || !p->stdio.terminal || p->stdio.out.fd >= 0)
		return err_set(err, EPROTO, "set-up: unexpected terminal");
	ret = stdio_set_terminal(&p->stdio, steal_fd(&fds[0]));
	return ret < 0 ? err_ret(err, ret, "terminal") : 0;
}

static int handle_ready(struct process *p, struct err *err)
{
	int ret;

	if (p->state != PROCESS_SETUP || p->pid <= 0)
		return err_set(err, EPROTO, "set-up: unexpected message");
	ret = rlimits_apply(&p->limits, p->pid, err);
	if (ret < 0)
		return ret;
	p->state = PROCESS_READY;
	process_ready(p);
	return 0;
}

static int handle_message(struct process *p, struct child_msg *msg, int *fds,
			  unsigned nfds, struct err *err)
{
	switch (msg->type) {
	case CHILD_PID:
		return handle_pid(p, msg->value, err);
	case CHILD_CONSOLE:
		return handle_console(p, fds, nfds, err);
	case CHILD_READY:
		return handle_ready(p, err);
	case CHILD_FAILED:
		msg->text[sizeof(msg->text) - 1] = '\0';
		return err_set(err, msg->value > 0 ? msg->value : EIO, "%s",
			       msg->text);
	default:
		return err_set(err, EPROTO, "set-up: unknown message");
	}
}

/* The last descriptor of the other side is closed: by exec, or by death. */
static void sync_closed(struct process *p)
{
	if (p->state != PROCESS_STARTED) {
		launch_failed(p, ECHILD,
			      p->exited && p->status > 128
				      ? "set-up: killed"
				      : "set-up: ended early");
		return;
	}
	close_sync(p);
	p->state = PROCESS_RUNNING;
	if (p == &p->container->init)
		(void)guest_hooks_run(p->container, "poststart", "running",
				      NULL);
	if (p->request)
		ttrpc_reply(steal_ptr(&p->request), NULL);
	process_settled(p);
}

static void sync_ready(struct evsource *src, uint32_t revents)
{
	struct process *p = container_of(src, struct process, sync_src);
	struct child_msg msg;
	struct err err = {0};
	int fds[FDPASS_MAX];
	unsigned nfds = ARRAY_SIZE(fds);
	ssize_t n =
		fd_recv(p->sync, &msg, sizeof(msg), fds, &nfds, MSG_DONTWAIT);
	int ret;

	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n == 0 || n == -ECONNRESET) {
		sync_closed(p);
		return;
	}
	if (n < 0) {
		launch_failed(p, (int)-n, "set-up: receiving");
		return;
	}
	if ((size_t)n != sizeof(msg))
		ret = err_set(&err, EPROTO, "set-up: short message");
	else
		ret = handle_message(p, &msg, fds, nfds, &err);
	fds_close(fds, nfds);
	if (ret < 0)
		launch_failed(p, err.code, err.text);
}

int process_launch(struct process *p, struct child_config *config,
		   int child_stdio[3], struct err *err)
{
	int pair[2], ret;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "socketpair");
	if (!containers_await_pid(p->container->agent))
		reaper_forget(&p->container->agent->reaper);
	p->sync = pair[0];
	config->sync = pair[1];
	memcpy(config->stdio, child_stdio, sizeof(config->stdio));
	ret = evsource_add(p->container->agent->loop, &p->sync_src, p->sync,
			   EPOLLIN, sync_ready);
	if (ret < 0) {
		close(pair[1]);
		return err_ret(err, ret, "epoll");
	}
	pid = fork();
	if (pid == 0)
		child_intermediate(config);
	close(pair[1]);
	return pid < 0 ? err_sys(err, "fork") : 0;
}

int process_start(struct process *p)
{
	const char start = CHILD_START;

	if (p->state != PROCESS_READY)
		return -EINVAL;
	if (send(p->sync, &start, 1, MSG_NOSIGNAL) < 0)
		return -errno;
	p->state = PROCESS_STARTED;
	return 0;
}

static void wait_reply(struct process *p, struct ttrpc_request *req)
{
	Agent__WaitProcessResponse reply = AGENT__WAIT_PROCESS_RESPONSE__INIT;

	reply.status = p->status;
	reply.exited_at_ns = p->exited_at_ns;
	reply.oom_killed = p->oom_killed;
	p->waited = true;
	ttrpc_reply(req, &reply.base);
}

void process_exited(struct process *p, int status)
{
	struct timespec now;
	struct ttrpc_request *req;
	uint64_t kills = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	p->pid = 0;
	p->exited = true;
	p->exited_at_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	p->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status)
					: WEXITSTATUS(status);
	p->oom_killed = cgroup_word(&p->container->cgroup, "memory.events",
				    "oom_kill", &kills) == 0 &&
			kills > 0;
	/* Before its end: a host that hears of that may listen no longer. */
	container_oom_check(p->container);
	stdio_process_exited(&p->stdio);
	while ((req = pending_take(&p->waiters)))
		wait_reply(p, req);
	process_settled(p);
}

void process_wait(struct process *p, struct ttrpc_request *req)
{
	if (!p->exited) {
		pending_add(&p->waiters, req);
		return;
	}
	wait_reply(p, req);
	process_settled(p);
}

int process_signal(struct process *p, int sig)
{
	if (p->exited || p->pid <= 0)
		return -ESRCH;
	/* Not reaped yet, so the pid is still this process. */
	return kill(p->pid, sig) < 0 ? -errno : 0;
}

void process_drop(struct process *p)
{
	pending_drop(&p->waiters);
	pending_drop_one(&p->request);
	stdio_drop(&p->stdio);
}

void process_release(struct process *p)
{
	close_sync(p);
	stdio_release(&p->stdio);
	if (p->request)
		ttrpc_fail(steal_ptr(&p->request), TTRPC_CANCELLED,
			   "the container was removed");
	pending_fail_all(&p->waiters, TTRPC_NOT_FOUND,
			 "the container was removed");
}

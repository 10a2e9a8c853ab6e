/* SPDX-License-Identifier: Apache-2.0 */
/* containerd.task.v2.Task, as the supervisor serves it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent-proto/pb.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/sandbox/create.h"
#include "runtime/sandbox/hooks.h"
#include "runtime/sandbox/sandbox.h"
#include "runtime/sandbox/stdio_dial.h"

#define SERVICE "containerd.task.v2.Task"
#define STATUS_NOT_STARTED 127u /* as shells have it */

/* A call passed on to the agent, whose answer is the task's answer. */
struct relay {
	struct ttrpc_call call;
	struct ttrpc_request *req;
	struct container *c;
	struct process *p;
	struct hook_run hooks;
	uint32_t signal;
	bool starts;
	void (*succeeded)(struct relay *r, const ProtobufCMessage *reply);
};

static void started(struct relay *r, const ProtobufCMessage *reply);

static struct container *find_container(struct sandbox *s, const char *id,
					struct ttrpc_request *req)
{
	struct container *c = container_find(s, id);

	if (!c || c->deleting) {
		ttrpc_fail(req, TTRPC_NOT_FOUND,
			   "container \"%.128s\" does not exist", id);
		return NULL;
	}
	return c;
}

struct process *task_find_process(struct sandbox *s, const char *id,
				  const char *exec_id,
				  struct ttrpc_request *req)
{
	struct container *c = find_container(s, id, req);
	struct process *p = c ? process_find(c, exec_id) : NULL;

	if (c && !p)
		ttrpc_fail(req, TTRPC_NOT_FOUND,
			   "process \"%.128s\" does not exist", exec_id);
	return p;
}

static void relay_free(struct relay *r)
{
	process_release(r->p);
	free(r);
}

static void relay_done(struct ttrpc_call *call, enum ttrpc_code code,
		       const char *text, const ProtobufCMessage *reply)
{
	struct relay *r = container_of(call, struct relay, call);
	const char *reason = r->c->sandbox->reason;

	if (r->starts)
		r->p->starting = false;
	if (code == TTRPC_OK && r->succeeded) {
		r->succeeded(r, reply);
		return;
	}
	if (code == TTRPC_OK)
		ttrpc_reply(r->req, NULL);
	else
		ttrpc_fail(r->req, code, "%s",
			   code == TTRPC_CANCELLED && *reason ? reason : text);
	/* There is nothing to start again, nor to wait for. */
	if (code != TTRPC_OK && r->starts && !*r->p->exec_id)
		process_ended(r->p, STATUS_NOT_STARTED, 0);
	relay_free(r);
}

/* A container that is being created may be gone at the next moment. */
static bool can_relay(const struct sandbox *s, const struct process *p,
		      struct ttrpc_request *req)
{
	if (p->container->creating)
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "container \"%.128s\" is being created",
			   p->container->id);
	else if (!s->agent)
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "container not running%s%.300s",
			   s->reason[0] ? ": " : "", s->reason);
	else
		return true;
	return false;
}

/* NULL: req is answered already. */
static struct relay *
relay(struct sandbox *s, struct ttrpc_request *req, const char *method,
      const ProtobufCMessage *request,
      const ProtobufCMessageDescriptor *reply_type, struct process *p,
      void (*succeeded)(struct relay *, const ProtobufCMessage *))
{
	struct relay *r;

	if (!can_relay(s, p, req))
		return NULL;
	r = calloc(1, sizeof(*r));
	if (!r) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return NULL;
	}
	r->req = req;
	r->p = p;
	p->busy++;
	r->c = p->container;
	r->starts = p->starting = succeeded == started;
	r->succeeded = succeeded;
	r->call.done = relay_done;
	ttrpc_call_start(
		s->agent, &r->call, AGENT_SERVICE, method, request, reply_type,
		s->args->config->create_container_timeout * 1000ull, NULL, 0);
	return r;
}

static void handle_create(struct ttrpc_request *req,
			  const ProtobufCMessage *message, void *arg)
{
	create_container(arg, req, (const void *)message);
}

/* Start. ------------------------------------------------------------------ */

static void poststart_done(struct hook_run *run, int ret, const char *text)
{
	struct relay *r = container_of(run, struct relay, hooks);

	if (ret < 0) {
		/* The container must not go on without it. */
		process_signal(r->p, SIGKILL, true);
		ttrpc_fail(r->req, TTRPC_INTERNAL, "%s", text);
	} else {
		Task__StartResponse reply = TASK__START_RESPONSE__INIT;

		reply.pid = (uint32_t)r->p->pid;
		ttrpc_reply(r->req, &reply.base);
	}
	relay_free(r);
}

static void started(struct relay *r, const ProtobufCMessage *reply)
{
	Oci__Hooks *h = r->c->spec->hooks;
	bool init = !*r->p->exec_id;

	process_started(r->p);
	hooks_start(&r->hooks, r->c->sandbox->loop, "poststart",
		    h && init ? h->poststart : NULL,
		    h && init ? h->n_poststart : 0,
		    container_state_json(r->c, "running"), poststart_done);
}

/* An exec whose streams are being connected. */
struct exec_start {
	struct stdio_dial dial;
	struct ttrpc_request *req;
	struct process *p;
};

static void exec_dialed(struct stdio_dial *dial)
{
	struct exec_start *x = container_of(dial, struct exec_start, dial);
	Agent__ExecProcessRequest request = AGENT__EXEC_PROCESS_REQUEST__INIT;
	struct process *p = x->p;

	request.container_id = p->container->id;
	request.exec_id = p->exec_id;
	request.process = p->spec;
	request.stdin_port = p->streams.in.port;
	request.stdout_port = p->streams.out[0].port;
	request.stderr_port = p->streams.out[1].port;
	p->dialing = false;
	relay(p->container->sandbox, x->req, "ExecProcess", &request.base, NULL,
	      p, started);
	free(x);
	process_release(p);
}

static void start_exec(struct sandbox *s, struct ttrpc_request *req,
		       struct process *p)
{
	struct exec_start *x;

	if (!can_relay(s, p, req))
		return;
	x = calloc(1, sizeof(*x));
	if (!x) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	x->req = req;
	x->p = p;
	p->busy++;
	p->dialing = true;
	stdio_dial_start(&x->dial, s, &p->streams, exec_dialed);
}

static void handle_start(struct ttrpc_request *req,
			 const ProtobufCMessage *message, void *arg)
{
	const Task__StartRequest *m = (const void *)message;
	Agent__StartContainerRequest request =
		AGENT__START_CONTAINER_REQUEST__INIT;
	struct sandbox *s = arg;
	struct process *p = task_find_process(s, m->id, m->exec_id, req);

	if (!p)
		return;
	if (p->state != PROCESS_CREATED) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "cannot start \"%s\": it is %s", m->id,
			   p->state == PROCESS_RUNNING ? "running" : "stopped");
		return;
	}
	if (p->starting || p->dialing) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "cannot start \"%s\": it is starting", m->id);
		return;
	}
	if (*p->exec_id) {
		start_exec(s, req, p);
		return;
	}
	request.container_id = p->container->id;
	relay(s, req, "StartContainer", &request.base, NULL, p, started);
}

static void handle_exec(struct ttrpc_request *req,
			const ProtobufCMessage *message, void *arg)
{
	const Task__ExecProcessRequest *m = (const void *)message;
	struct container *c = find_container(arg, m->id, req);
	struct json *root = NULL;
	struct process *p = NULL;
	struct err err;

	if (!c)
		return;
	if (c->processes->state != PROCESS_RUNNING) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   c->processes->state == PROCESS_CREATED
				   ? "cannot exec in a container that is not "
				     "started"
				   : "cannot exec in a stopped container");
		return;
	}
	process_reap_abandoned(c);
	if (!m->exec_id[0] || oci_check_id(m->exec_id, &err) < 0 ||
	    process_find(c, m->exec_id)) {
		ttrpc_fail(req, TTRPC_ALREADY_EXISTS,
			   "exec id \"%.64s\": invalid or in use", m->exec_id);
		return;
	}
	if (m->spec && m->spec->value.len)
		root = json_parse((const char *)m->spec->value.data,
				  m->spec->value.len, "process", 0, &err);
	else
		err_set(&err, EINVAL, "process: missing");
	if (root)
		p = process_new(c, m->exec_id, &err);
	if (p)
		p->spec = oci_process_from_json(root, &err);
	json_free(root);
	if (!p || !p->spec ||
	    extensions_check(&c->sandbox->extensions, "process", &p->spec->base,
			     &err) < 0 ||
	    attach_stdio(p, req, m->stdin, m->stdout, m->stderr, &err) < 0 ||
	    process_watch(p, (pid_t)m->pid, &err) < 0) {
		ttrpc_fail(req, ttrpc_code_of_errno(err.code), "%s", err.text);
		if (p)
			process_free(p);
		return;
	}
	p->terminal = m->terminal;
	p->spec->terminal = m->terminal;
	ttrpc_reply(req, NULL);
}

static void handle_wait(struct ttrpc_request *req,
			const ProtobufCMessage *message, void *arg)
{
	const Task__WaitRequest *m = (const void *)message;
	struct process *p = task_find_process(arg, m->id, m->exec_id, req);

	if (p)
		process_wait(p, req);
}

/* Signals that leave a process without a handler alive. */
static bool harmless(uint32_t signo)
{
	static const int list[] = {SIGCHLD, SIGURG,  SIGWINCH, SIGCONT,
				   SIGSTOP, SIGTSTP, SIGTTIN,  SIGTTOU};

	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		if ((int)signo == list[i])
			return true;
	return false;
}

/* What waits in the guest for its start has no handler yet: any signal that
 * is not harmless ends it, as it ends a created container of runc. */
static void killed_created(struct relay *r, const ProtobufCMessage *reply)
{
	process_ended(r->p, r->signal + 128, 0);
	ttrpc_reply(r->req, NULL);
	relay_free(r);
}

static void kill_created(struct sandbox *s, struct ttrpc_request *req,
			 struct process *p, uint32_t signo)
{
	Agent__SignalProcessRequest request =
		AGENT__SIGNAL_PROCESS_REQUEST__INIT;
	struct relay *r;

	if (*p->exec_id) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "process not started");
		return;
	}
	if (harmless(signo)) {
		ttrpc_reply(req, NULL);
		return;
	}
	request.container_id = p->container->id;
	request.exec_id = pb_str("");
	request.signal = SIGKILL;
	r = relay(s, req, "SignalProcess", &request.base, NULL, p,
		  killed_created);
	if (r)
		r->signal = signo;
}

static void handle_kill(struct ttrpc_request *req,
			const ProtobufCMessage *message, void *arg)
{
	const Task__KillRequest *m = (const void *)message;
	Agent__SignalProcessRequest request =
		AGENT__SIGNAL_PROCESS_REQUEST__INIT;
	struct process *p = task_find_process(arg, m->id, m->exec_id, req);

	if (!p)
		return;
	if (p->state == PROCESS_STOPPED) {
		ttrpc_fail(req, TTRPC_NOT_FOUND,
			   *p->exec_id ? "process already finished"
				       : "container not running");
		return;
	}
	if (m->signal < 1 || m->signal > 64) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT,
			   "signal %u: expected 1 to 64", m->signal);
		return;
	}
	/* One that starts gets it behind the start. */
	if (p->state == PROCESS_CREATED && !p->starting) {
		kill_created(arg, req, p, m->signal);
		return;
	}
	request.container_id = p->container->id;
	request.exec_id = m->all ? pb_str("") : pb_str(process_agent_id(p));
	request.signal = m->signal;
	relay(arg, req, "SignalProcess", &request.base, NULL, p, NULL);
}

static void pids_done(struct relay *r, const ProtobufCMessage *unused)
{
	ttrpc_reply(r->req, NULL);
	relay_free(r);
}

/* The processes that the host can see: the proxies. */
static void handle_pids(struct ttrpc_request *req,
			const ProtobufCMessage *message, void *arg)
{
	const Task__PidsRequest *m = (const void *)message;
	Task__PidsResponse reply = TASK__PIDS_RESPONSE__INIT;
	struct container *c = find_container(arg, m->id, req);
	Task__ProcessInfo *info;
	size_t n = 1; /* calloc of none may be NULL */

	if (!c)
		return;
	for (struct process *p = c->processes; p; p = p->next)
		n++;
	info = calloc(n, sizeof(*info));
	reply.processes = calloc(n, sizeof(*reply.processes));
	for (struct process *p = c->processes; info && reply.processes && p;
	     p = p->next) {
		if (p->state != PROCESS_RUNNING || !p->pid)
			continue;
		task__process_info__init(&info[reply.n_processes]);
		info[reply.n_processes].pid = (uint32_t)p->pid;
		reply.processes[reply.n_processes] = &info[reply.n_processes];
		reply.n_processes++;
	}
	ttrpc_reply(req, &reply.base);
	free(reply.processes);
	free(info);
}

static void paused(struct relay *r, const ProtobufCMessage *reply)
{
	r->c->paused = true;
	pids_done(r, reply);
}

static void resumed(struct relay *r, const ProtobufCMessage *reply)
{
	r->c->paused = false;
	pids_done(r, reply);
}

static void freeze(struct ttrpc_request *req, struct sandbox *s, const char *id,
		   bool on)
{
	Agent__ContainerRequest request = AGENT__CONTAINER_REQUEST__INIT;
	struct container *c = find_container(s, id, req);

	if (!c)
		return;
	if (c->processes->state != PROCESS_RUNNING || c->paused == on) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION, "container not %s",
			   on ? "running" : "paused");
		return;
	}
	request.container_id = c->id;
	relay(s, req, on ? "PauseContainer" : "ResumeContainer", &request.base,
	      NULL, c->processes, on ? paused : resumed);
}

static void handle_pause(struct ttrpc_request *req,
			 const ProtobufCMessage *message, void *arg)
{
	freeze(req, arg,
	       ((const Task__PauseRequest *)(const void *)message)->id, true);
}

static void handle_resume(struct ttrpc_request *req,
			  const ProtobufCMessage *message, void *arg)
{
	freeze(req, arg,
	       ((const Task__ResumeRequest *)(const void *)message)->id, false);
}

static void handle_resize(struct ttrpc_request *req,
			  const ProtobufCMessage *message, void *arg)
{
	const Task__ResizePtyRequest *m = (const void *)message;
	Agent__TtyWinResizeRequest request =
		AGENT__TTY_WIN_RESIZE_REQUEST__INIT;
	struct process *p = task_find_process(arg, m->id, m->exec_id, req);

	if (!p)
		return;
	request.container_id = p->container->id;
	request.exec_id = pb_str(process_agent_id(p));
	request.row = m->height;
	request.column = m->width;
	relay(arg, req, "TtyWinResize", &request.base, NULL, p, NULL);
}

static void handle_close_io(struct ttrpc_request *req,
			    const ProtobufCMessage *message, void *arg)
{
	const Task__CloseIORequest *m = (const void *)message;
	struct process *p = task_find_process(arg, m->id, m->exec_id, req);

	if (!p)
		return;
	if (m->stdin)
		stream_set_close_stdin(&p->streams);
	ttrpc_reply(req, NULL);
}

static void handle_update(struct ttrpc_request *req,
			  const ProtobufCMessage *message, void *arg)
{
	const Task__UpdateTaskRequest *m = (const void *)message;
	Agent__UpdateContainerRequest request =
		AGENT__UPDATE_CONTAINER_REQUEST__INIT;
	struct container *c = find_container(arg, m->id, req);
	Oci__LinuxResources *resources = NULL;
	struct json *root = NULL;
	struct err err;

	if (!c)
		return;
	if (m->resources && m->resources->value.len)
		root = json_parse((const char *)m->resources->value.data,
				  m->resources->value.len, "resources", 0,
				  &err);
	else
		err_set(&err, EINVAL, "resources: missing");
	if (root)
		resources = oci_resources_from_json(root, &err);
	json_free(root);
	if (!resources) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT, "%s", err.text);
		return;
	}
	if (extensions_check(&c->sandbox->extensions, "resources",
			     &resources->base, &err) < 0) {
		ttrpc_fail(req, TTRPC_UNIMPLEMENTED, "%s", err.text);
		oci__linux_resources__free_unpacked(resources, NULL);
		return;
	}
	request.container_id = c->id;
	request.resources = resources;
	relay(arg, req, "UpdateContainer", &request.base, NULL, c->processes,
	      NULL);
	oci__linux_resources__free_unpacked(resources, NULL);
}

static void handle_shutdown(struct ttrpc_request *req,
			    const ProtobufCMessage *message, void *arg)
{
	const Task__ShutdownRequest *m = (const void *)message;
	struct sandbox *s = arg;

	/* Now: its creator was killed, and nobody knows what it has. */
	ttrpc_reply(req, NULL);
	if (!s->containers || m->now)
		evloop_stop(s->loop);
}

const struct ttrpc_method task_methods[] = {
	{SERVICE, "Create", &task__create_task_request__descriptor,
	 handle_create},
	{SERVICE, "Start", &task__start_request__descriptor, handle_start},
	{SERVICE, "Exec", &task__exec_process_request__descriptor, handle_exec},
	{SERVICE, "State", &task__state_request__descriptor, task_state},
	{SERVICE, "Wait", &task__wait_request__descriptor, handle_wait},
	{SERVICE, "Kill", &task__kill_request__descriptor, handle_kill},
	{SERVICE, "Delete", &task__delete_request__descriptor, task_delete},
	{SERVICE, "Pids", &task__pids_request__descriptor, handle_pids},
	{SERVICE, "Pause", &task__pause_request__descriptor, handle_pause},
	{SERVICE, "Resume", &task__resume_request__descriptor, handle_resume},
	{SERVICE, "ResizePty", &task__resize_pty_request__descriptor,
	 handle_resize},
	{SERVICE, "CloseIO", &task__close_iorequest__descriptor,
	 handle_close_io},
	{SERVICE, "Update", &task__update_task_request__descriptor,
	 handle_update},
	{SERVICE, "Stats", &task__stats_request__descriptor, task_stats},
	{SERVICE, "Connect", &task__connect_request__descriptor,
	 task_tell_pids},
	{SERVICE, "Shutdown", &task__shutdown_request__descriptor,
	 handle_shutdown},
	{EVENTS_SERVICE, "Next", &task__next_event_request__descriptor,
	 events_next},
	{NULL, NULL, NULL, NULL},
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/create.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "runtime/sandbox/stdio_dial.h"
#include "runtime/state.h"

/* For a guest that does not sync and power off: it is killed then. */
#define SHUTDOWN_TIMEOUT_MS 5000

/* A Create under way. */
struct creation {
	struct container *c;
	struct ttrpc_request *req;
	Oci__Spec *guest;
	struct hook_run hooks;
	struct stdio_dial dial;
	struct ttrpc_call call;
	bool prestart_done;
	bool asked_guest; /* which may have made the container */
};

/* There is one at a time that waits for the sandbox to come up. */
static struct creation *booting;

static void creation_free(struct creation *cr)
{
	if (cr->guest)
		oci__spec__free_unpacked(cr->guest, NULL);
	free(cr);
}

/* A RemoveContainer that nobody waits for. */
struct removal {
	struct ttrpc_call call;
};

static void removal_done(struct ttrpc_call *call, enum ttrpc_code code,
			 const char *text, const ProtobufCMessage *reply)
{
	if (code != TTRPC_OK)
		log_debug("agent: %s", text);
	free(container_of(call, struct removal, call));
}

/* What the guest has of it, so that its id can be used again. */
static void forget_in_guest(struct container *c)
{
	Agent__RemoveContainerRequest request =
		AGENT__REMOVE_CONTAINER_REQUEST__INIT;
	struct sandbox *s = c->sandbox;
	struct removal *r = s->agent ? calloc(1, sizeof(*r)) : NULL;

	if (!r)
		return;
	process_signal(c->processes, SIGKILL, true);
	r->call.done = removal_done;
	request.container_id = c->id;
	request.timeout = s->args->config->create_container_timeout;
	ttrpc_call_start(s->agent, &r->call, AGENT_SERVICE, "RemoveContainer",
			 &request.base, NULL, (request.timeout + 5) * 1000ull,
			 NULL, 0);
}

static void fail(struct creation *cr, int code, const char *text)
{
	struct container *c = cr->c;

	ttrpc_fail(cr->req, ttrpc_code_of_errno(code), "%s", text);
	if (cr->asked_guest)
		forget_in_guest(c);
	if (c->created_in_guest)
		file_events_end(c);
	container_unshare(c);
	container_free(c);
	creation_free(cr);
}

static void finish(struct creation *cr)
{
	Task__CreateTaskResponse reply = TASK__CREATE_TASK_RESPONSE__INIT;
	struct err err;

	if (container_save(cr->c, &err) < 0) {
		fail(cr, err.code, err.text);
		return;
	}
	cr->c->creating = false;
	reply.pid = (uint32_t)cr->c->processes->pid;
	ttrpc_reply(cr->req, &reply.base);
	creation_free(cr);
}

static void created(struct ttrpc_call *call, enum ttrpc_code code,
		    const char *text, const ProtobufCMessage *reply)
{
	struct creation *cr = container_of(call, struct creation, call);
	struct sandbox *s = cr->c->sandbox;

	if (code == TTRPC_OK) {
		cr->c->created_in_guest = true;
		file_events_begin(cr->c);
		log_debug("step: container created");
		finish(cr);
	} else if (code == TTRPC_CANCELLED || code == TTRPC_UNAVAILABLE) {
		fail(cr, EIO, s->reason[0] ? s->reason : text);
	} else {
		fail(cr, EIO, text);
	}
}

static void call_create(struct stdio_dial *dial)
{
	Agent__CreateContainerRequest request =
		AGENT__CREATE_CONTAINER_REQUEST__INIT;
	struct creation *cr = container_of(dial, struct creation, dial);
	const struct stream_set *streams = &cr->c->processes->streams;
	struct sandbox *s = cr->c->sandbox;

	if (!s->agent) {
		fail(cr, EIO, s->reason[0] ? s->reason : "the VM is over");
		return;
	}
	request.container_id = cr->c->id;
	request.exec_id = cr->c->id;
	request.oci = cr->guest;
	request.sandbox_pidns = cr->c->shared_pid;
	request.stdin_port = streams->in.port;
	request.stdout_port = streams->out[0].port;
	request.stderr_port = streams->out[1].port;
	cr->call.done = created;
	cr->asked_guest = true;
	ttrpc_call_start(s->agent, &cr->call, AGENT_SERVICE, "CreateContainer",
			 &request.base, NULL,
			 s->args->config->create_container_timeout * 1000ull,
			 NULL, 0);
}

static void hooks_done(struct hook_run *run, int ret, const char *text)
{
	struct creation *cr = container_of(run, struct creation, hooks);
	Oci__Hooks *h = cr->c->spec->hooks;

	if (ret < 0) {
		fail(cr, ret, text);
	} else if (!cr->prestart_done) {
		cr->prestart_done = true;
		hooks_start(&cr->hooks, cr->c->sandbox->loop, "createRuntime",
			    h ? h->create_runtime : NULL,
			    h ? h->n_create_runtime : 0,
			    container_state_json(cr->c, "creating"),
			    hooks_done);
	} else {
		stdio_dial_start(&cr->dial, cr->c->sandbox,
				 &cr->c->processes->streams, call_create);
	}
}

/* The agent has said what it takes by now. */
static void run_hooks(struct creation *cr)
{
	Oci__Hooks *h = cr->c->spec->hooks;
	struct err err;

	if (extensions_check(&cr->c->sandbox->extensions, "", &cr->guest->base,
			     &err) < 0) {
		fail(cr, err.code, err.text);
		return;
	}
	hooks_start(&cr->hooks, cr->c->sandbox->loop, "prestart",
		    h ? h->prestart : NULL, h ? h->n_prestart : 0,
		    container_state_json(cr->c, "creating"), hooks_done);
}

static void on_ready(struct sandbox *s, int ret)
{
	struct creation *cr = steal_ptr(&booting);

	/* Its creation failed while the VM started. */
	if (!cr)
		return;
	if (ret < 0)
		fail(cr, ret, s->reason);
	else
		run_hooks(cr);
}

static void prepare(struct creation *cr)
{
	struct sandbox *s = cr->c->sandbox;
	struct err err;

	if (s->phase == SANDBOX_NEW) {
		s->on_ready = on_ready;
		booting = cr;
		if (sandbox_boot(s, cr->c, &err) < 0) {
			booting = NULL;
			s->phase = SANDBOX_DEAD;
			fail(cr, err.code, err.text);
			return;
		}
	}
	/* After the boot: the shared tree is there only now; the binds reach
	 * the sandbox process while the guest still starts. */
	if (container_share(cr->c, &err) < 0 ||
	    !(cr->guest = guest_spec(cr->c, &err))) {
		if (booting == cr)
			booting = NULL;
		fail(cr, err.code, err.text);
		return;
	}
	if (s->phase == SANDBOX_READY)
		run_hooks(cr);
}

static int check_request(struct sandbox *s, const Task__CreateTaskRequest *task,
			 struct err *err)
{
	if (oci_check_id(task->id, err) < 0)
		return -err->code;
	if (container_find(s, task->id))
		return err_set(err, EEXIST,
			       "container with id \"%s\" already exists",
			       task->id);
	if (task->checkpoint[0] || task->parent_checkpoint[0])
		return err_set(err, ENOSYS, "restore is not there yet");
	if (task->n_rootfs)
		return err_set(err, ENOSYS,
			       "rootfs mounts are not there yet: mount the "
			       "rootfs before");
	if (s->phase == SANDBOX_STARTING)
		return err_set(err, EBUSY, "the sandbox is starting");
	if (s->closing)
		return err_set(err, EBUSY, "the sandbox is ending");
	if (s->phase == SANDBOX_DEAD)
		return err_set(err, EIO, "the sandbox is over: %.300s",
			       s->reason);
	return 0;
}

static struct container *request_container(struct sandbox *s,
					   struct ttrpc_request *req,
					   const Task__CreateTaskRequest *task,
					   struct err *err)
{
	struct container *c;

	if (check_request(s, task, err) < 0)
		return NULL;
	c = container_new(s, task->id, task->bundle, err);
	if (!c)
		return NULL;
	c->processes->terminal = task->terminal;
	if (attach_stdio(c->processes, req, task->stdin, task->stdout,
			 task->stderr, err) < 0 ||
	    process_watch(c->processes, (pid_t)task->pid, err) < 0) {
		container_free(c);
		return NULL;
	}
	return c;
}

void create_container(struct sandbox *s, struct ttrpc_request *req,
		      const Task__CreateTaskRequest *task)
{
	struct creation *cr = calloc(1, sizeof(*cr));
	struct err err = {.code = ENOMEM, .text = "out of memory"};
	struct container *c = NULL;

	log_debug("step: create is called");
	if (cr)
		c = request_container(s, req, task, &err);
	if (!c) {
		ttrpc_fail(req, ttrpc_code_of_errno(err.code), "%s", err.text);
		free(cr);
		return;
	}
	c->creating = true;
	cr->c = c;
	cr->req = req;
	prepare(cr);
}

/* Deletion. --------------------------------------------------------------- */

struct deletion {
	struct container *c;
	struct ttrpc_request *req;
	struct ttrpc_call call;
	struct hook_run hooks;
};

void delete_again(struct container *c, struct ttrpc_request *req)
{
	waiters_add(&c->deleters, req);
}

static void reply_deleted(struct deletion *d)
{
	Task__DeleteResponse reply = TASK__DELETE_RESPONSE__INIT;
	Task__Timestamp at = TASK__TIMESTAMP__INIT;
	const struct process *init = d->c->processes;
	struct ttrpc_request *req;

	at.seconds = init->exited_at_ns / 1000000000;
	at.nanos = (int32_t)(init->exited_at_ns % 1000000000);
	reply.pid = (uint32_t)init->pid;
	reply.exit_status = init->exit_status;
	reply.exited_at = &at;
	ttrpc_reply(d->req, &reply.base);
	while ((req = waiters_take(&d->c->deleters)))
		ttrpc_reply(req, &reply.base);
}

static void poststop_done(struct hook_run *run, int ret, const char *text)
{
	struct deletion *d = container_of(run, struct deletion, hooks);
	struct sandbox *s = d->c->sandbox;

	/* The specification: log, and go on. */
	if (ret < 0)
		log_warn("%s", text);
	if (strcmp(d->c->id, s->args->id) &&
	    state_remove(s->args->root, d->c->id) < 0)
		log_warn("%s/%s stays", s->args->root, d->c->id);
	container_unshare(d->c);
	if (!d->c->next && s->containers == d->c) {
		/* The last one: the host is clean before the caller knows. */
		struct container *c = d->c;

		s->containers = NULL;
		sandbox_destroy(s);
		s->containers = c;
		if (state_remove(s->args->root, s->args->id) < 0)
			log_warn("%s stays", s->dir);
		evloop_stop(s->loop);
	}
	reply_deleted(d);
	container_free(d->c);
	free(d);
}

static void removed(struct ttrpc_call *call, enum ttrpc_code code,
		    const char *text, const ProtobufCMessage *reply)
{
	struct deletion *d = container_of(call, struct deletion, call);
	Oci__Hooks *h = d->c->spec->hooks;

	if (code != TTRPC_OK)
		log_warn("%s: removal in the guest: %s", d->c->id, text);
	hooks_start(&d->hooks, d->c->sandbox->loop, "poststop",
		    h ? h->poststop : NULL, h ? h->n_poststop : 0,
		    container_state_json(d->c, "stopped"), poststop_done);
}

/* The last container takes its VM with it, which syncs its disks first. */
static void shut_down(struct sandbox *s, struct deletion *d)
{
	Agent__Empty request = AGENT__EMPTY__INIT;

	s->closing = true;
	ttrpc_call_start(s->agent, &d->call, AGENT_SERVICE, "DestroySandbox",
			 &request.base, NULL, SHUTDOWN_TIMEOUT_MS, NULL, 0);
}

static void remove_from_guest(struct sandbox *s, struct deletion *d)
{
	Agent__RemoveContainerRequest request =
		AGENT__REMOVE_CONTAINER_REQUEST__INIT;

	request.container_id = d->c->id;
	request.timeout = s->args->config->create_container_timeout;
	ttrpc_call_start(s->agent, &d->call, AGENT_SERVICE, "RemoveContainer",
			 &request.base, NULL, (request.timeout + 5) * 1000ull,
			 NULL, 0);
}

void delete_container(struct container *c, struct ttrpc_request *req)
{
	struct deletion *d = calloc(1, sizeof(*d));
	struct sandbox *s = c->sandbox;
	bool last = s->containers == c && !c->next;

	if (!d) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	c->deleting = true;
	if (c->created_in_guest)
		file_events_end(c);
	d->c = c;
	d->req = req;
	d->call.done = removed;
	if (!s->agent || (!last && !c->created_in_guest))
		removed(&d->call, TTRPC_OK, "", NULL);
	else if (last)
		shut_down(s, d);
	else
		remove_from_guest(s, d);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: from the guest's WaitProcess to those who wait on the host. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent-proto/pb.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/sandbox/sandbox.h"

static void on_drained(struct stream_set *set)
{
	process_drained(container_of(set, struct process, streams));
}

struct process *process_new(struct container *c, const char *exec_id,
			    struct err *err)
{
	struct process *p = calloc(1, sizeof(*p));
	struct process **end = &c->processes;

	if (p)
		p->exec_id = strdup(exec_id);
	if (!p || !p->exec_id) {
		free(p);
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	p->container = c;
	p->pidfd = -1;
	stream_set_init(&p->streams, c->sandbox->loop);
	p->streams.drained = on_drained;
	while (*end)
		end = &(*end)->next;
	*end = p;
	return p;
}

static int64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void answer(struct ttrpc_request *req, const struct process *p)
{
	Task__WaitResponse reply = TASK__WAIT_RESPONSE__INIT;
	Task__Timestamp at = TASK__TIMESTAMP__INIT;

	at.seconds = p->exited_at_ns / 1000000000;
	at.nanos = (int32_t)(p->exited_at_ns % 1000000000);
	reply.exit_status = p->exit_status;
	reply.exited_at = &at;
	if (p->lost)
		reply.reason = p->container->sandbox->reason;
	ttrpc_reply(req, &reply.base);
}

static void answer_waiters(struct process *p)
{
	struct ttrpc_request *req;

	while ((req = waiters_take(&p->waiters)))
		answer(req, p);
}

void process_wait(struct process *p, struct ttrpc_request *req)
{
	if (p->state == PROCESS_STOPPED)
		answer(req, p);
	else
		waiters_add(&p->waiters, req);
}

void process_forget_waiters(struct process *p)
{
	struct ttrpc_request *req;

	/* To nobody; frees it. */
	while ((req = waiters_take_dropped(&p->waiters)))
		answer(req, p);
}

void process_free(struct process *p)
{
	struct process **at = &p->container->processes;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	ttrpc_call_cancel(&p->wait_call);
	stream_set_release(&p->streams);
	evsource_del(&p->pid_src);
	if (p->pidfd >= 0)
		close(p->pidfd);
	if (p->state != PROCESS_STOPPED) {
		p->exit_status = STATUS_VM_GONE;
		p->exited_at_ns = wall_ns();
	}
	answer_waiters(p);
	if (p->spec)
		oci__process__free_unpacked(p->spec, NULL);
	free(p->exec_id);
	free(p);
}

void process_reap_abandoned(struct container *c)
{
	struct process *next;

	for (struct process *p = c->processes; p; p = next) {
		next = p->next;
		if (*p->exec_id && p->state == PROCESS_STOPPED && p->pid &&
		    p->pidfd < 0 && !p->busy && !p->waiters)
			process_free(p);
	}
}

static void proxy_died(struct evsource *src, uint32_t revents)
{
	struct process *p = container_of(src, struct process, pid_src);

	evsource_del(&p->pid_src);
	close(steal_fd(&p->pidfd));
	if (p->state == PROCESS_STOPPED)
		return;
	log_info("process %d, which stands for %s%s%s, ended before it",
		 (int)p->pid, p->container->id, *p->exec_id ? "/" : "",
		 p->exec_id);
	process_signal(p, SIGKILL, !*p->exec_id);
	if (p->state == PROCESS_CREATED)
		process_ended(p, 128 + SIGKILL, 0);
}

int process_watch(struct process *p, pid_t pid, struct err *err)
{
	int ret;

	p->pid = pid;
	if (!pid)
		return 0;
	p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p->pidfd < 0)
		return err_sys(err, "process %d", (int)pid);
	ret = evsource_add(p->container->sandbox->loop, &p->pid_src, p->pidfd,
			   EPOLLIN, proxy_died);
	return ret < 0 ? err_ret(err, ret, "process %d", (int)pid) : 0;
}

/* The agent's name of it: init goes by the container's id. */
const char *process_agent_id(const struct process *p)
{
	return *p->exec_id ? p->exec_id : p->container->id;
}

static void wait_done(struct ttrpc_call *call, enum ttrpc_code code,
		      const char *text, const ProtobufCMessage *reply)
{
	struct process *p = container_of(call, struct process, wait_call);
	const struct ttrpc_client *agent = p->container->sandbox->agent;
	const Agent__WaitProcessResponse *r = (const void *)reply;

	if (code == TTRPC_CANCELLED || p->state == PROCESS_STOPPED)
		return;
	/* The sandbox ends it at once, and then there is a reason. */
	if (code != TTRPC_OK && agent && ttrpc_client_lost(agent))
		return;
	p->exited = true;
	p->exit_status = STATUS_VM_GONE;
	/* Its output may take a while yet. */
	p->exited_at_ns = wall_ns();
	if (code == TTRPC_OK) {
		p->exit_status = (uint32_t)r->status & 0xff;
		/* Kata's agent tells none. */
		if (r->exited_at_ns > 0)
			p->exited_at_ns = r->exited_at_ns;
		/* The guest's word: it may have been another's signal. */
		if (r->oom_killed && p->exit_status == 128 + SIGKILL)
			log_info("%s: killed, as its memory was used up",
				 p->container->id);
	} else {
		log_warn("%s: WaitProcess: %s", p->container->id, text);
	}
	process_drained(p);
}

void process_started(struct process *p)
{
	Agent__WaitProcessRequest request = AGENT__WAIT_PROCESS_REQUEST__INIT;
	struct sandbox *s = p->container->sandbox;
	bool killed = p->state == PROCESS_STOPPED;

	p->state = PROCESS_RUNNING;
	log_debug("step: process started");
	p->wait_call.done = wait_done;
	request.container_id = p->container->id;
	request.exec_id = pb_str(process_agent_id(p));
	ttrpc_call_start(s->agent, &p->wait_call, AGENT_SERVICE, "WaitProcess",
			 &request.base,
			 &agent__wait_process_response__descriptor, 0, NULL, 0);
	stream_set_start(&p->streams, s->agent, p->container->id,
			 process_agent_id(p));
	/* Its proxy died, or it was killed, before the guest answered. */
	if (killed)
		process_signal(p, SIGKILL, !*p->exec_id);
}

void process_drained(struct process *p)
{
	if (p->exited && p->state != PROCESS_STOPPED &&
	    stream_set_drained(&p->streams))
		process_ended(p, p->exit_status, p->exited_at_ns);
}

void process_ended(struct process *p, uint32_t status, int64_t at_ns)
{
	if (p->state == PROCESS_STOPPED)
		return;
	p->state = PROCESS_STOPPED;
	p->exit_status = status;
	/* A time of the guest's is taken when it is not in the future. */
	p->exited_at_ns = at_ns > 0 && at_ns <= wall_ns() ? at_ns : wall_ns();
	stream_set_release(&p->streams);
	answer_waiters(p);
	if (!*p->exec_id)
		events_end(p->container);
}

struct one_way {
	struct ttrpc_call call;
};

static void one_way_done(struct ttrpc_call *call, enum ttrpc_code code,
			 const char *text, const ProtobufCMessage *reply)
{
	if (code != TTRPC_OK)
		log_debug("agent: %s", text);
	free(container_of(call, struct one_way, call));
}

void process_signal(struct process *p, uint32_t signo, bool all)
{
	Agent__SignalProcessRequest request =
		AGENT__SIGNAL_PROCESS_REQUEST__INIT;
	struct sandbox *s = p->container->sandbox;
	struct one_way *o;

	if (!s->agent || !p->container->created_in_guest)
		return;
	o = calloc(1, sizeof(*o));
	if (!o)
		return;
	o->call.done = one_way_done;
	request.container_id = p->container->id;
	request.exec_id = all ? pb_str("") : pb_str(process_agent_id(p));
	request.signal = signo;
	ttrpc_call_start(s->agent, &o->call, AGENT_SERVICE, "SignalProcess",
			 &request.base, NULL,
			 s->args->config->create_container_timeout * 1000ull,
			 NULL, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens in the guest without being asked for: it runs out of the
 * memory that a container may have. A GetOOMEvent is always under way.
 */
#include "base/clock.h"
#include "base/log.h"
#include "runtime/sandbox/sandbox.h"

/* A guest that tells of one after another is asked no more often. */
#define APART_NS 10000000u

static void ask(struct sandbox *s);

static void answer(struct ttrpc_request *req, const struct container *c)
{
	Task__NextEventResponse reply = TASK__NEXT_EVENT_RESPONSE__INIT;

	reply.ooms = c->ooms;
	reply.stopped = !c->processes || c->processes->state == PROCESS_STOPPED;
	ttrpc_reply(req, &reply.base);
}

static void tell(struct container *c)
{
	struct ttrpc_request *req;

	while ((req = waiters_take(&c->watchers)))
		answer(req, c);
}

static void out_of_memory(struct sandbox *s, const char *id)
{
	struct container *c = container_find(s, id);

	if (!c)
		return;
	c->ooms++;
	if (log_allowed(&s->limit, 10))
		log_warn("%s: the guest killed a process of it, as its memory "
			 "was used up",
			 c->id);
	tell(c);
}

static void asked(struct ttrpc_call *call, enum ttrpc_code code,
		  const char *text, const ProtobufCMessage *reply)
{
	struct sandbox *s = container_of(call, struct sandbox, oom_call);
	uint64_t since = monotonic_ns() - s->oom_asked_ns;

	/* The sandbox is over, or its agent knows no such events. */
	if (code != TTRPC_OK) {
		log_debug("GetOOMEvent: %s", text);
		return;
	}
	out_of_memory(s, ((const Agent__OOMEvent *)reply)->container_id);
	if (since >= APART_NS)
		ask(s);
	else
		evtimer_start(&s->oom_timer, (APART_NS - since) / 1000000 + 1);
}

static void ask(struct sandbox *s)
{
	Agent__Empty request = AGENT__EMPTY__INIT;

	s->oom_asked_ns = monotonic_ns();
	s->oom_call.done = asked;
	ttrpc_call_start(s->agent, &s->oom_call, AGENT_SERVICE, "GetOOMEvent",
			 &request.base, &agent__oomevent__descriptor, 0, NULL,
			 0);
}

static void on_timer(struct evtimer *timer)
{
	struct sandbox *s = container_of(timer, struct sandbox, oom_timer);

	if (s->agent)
		ask(s);
}

int events_start(struct sandbox *s, struct err *err)
{
	int ret = evtimer_init(s->loop, &s->oom_timer, on_timer);

	if (ret < 0)
		return err_ret(err, ret, "timer");
	ask(s);
	return 0;
}

void events_abort(struct sandbox *s)
{
	evtimer_release(&s->oom_timer);
}

void events_end(struct container *c)
{
	tell(c);
}

void events_forget(struct container *c)
{
	struct ttrpc_request *req;

	/* To nobody; frees it. */
	while ((req = waiters_take_dropped(&c->watchers)))
		answer(req, c);
}

void events_next(struct ttrpc_request *req, const ProtobufCMessage *message,
		 void *arg)
{
	const Task__NextEventRequest *m = (const void *)message;
	struct container *c = container_find(arg, m->id);

	if (!c || c->deleting) {
		ttrpc_fail(req, TTRPC_NOT_FOUND,
			   "container \"%.128s\" does not exist", m->id);
		return;
	}
	if (m->now || m->ooms != c->ooms ||
	    c->processes->state == PROCESS_STOPPED)
		answer(req, c);
	else
		waiters_add(&c->watchers, req);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/beside_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/beside.h"
#include "guest/agent/pending.h"

struct call {
	struct call *next;
	struct ttrpc_request *req; /* NULL: nobody waits any more */
	const struct beside_call_kind *kind;
	const void *question;
	struct beside process; /* until it ends */
	struct evtimer limit;
};

static struct call *calls;
static unsigned ncalls;

static void run(const void *arg)
{
	const struct call *call = arg;

	(void)alarm(BESIDE_CALL_LIMIT_S);
	call->kind->run(call->question);
}

static void call_end(struct call *call)
{
	struct call **at = &calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	ncalls--;
	beside_close(&call->process);
	evtimer_release(&call->limit);
	free(call);
}

static void answered(struct beside *process)
{
	static uint64_t answer[BESIDE_ANSWER_MAX / sizeof(uint64_t)];
	struct call *call = container_of(process, struct call, process);
	int ret = beside_hear(process, answer, call->kind->answer_size);

	if (ret == -EAGAIN)
		return;
	if (call->req && ret < 0)
		ttrpc_fail(steal_ptr(&call->req), TTRPC_INTERNAL,
			   "%s: the process that asked for it ended",
			   call->kind->what);
	else if (call->req)
		call->kind->reply(steal_ptr(&call->req), answer);
	call_end(call);
}

static void expired(struct evtimer *timer)
{
	struct call *call = container_of(timer, struct call, limit);

	if (call->req)
		ttrpc_fail(steal_ptr(&call->req), TTRPC_DEADLINE_EXCEEDED,
			   "%s: its file system does not answer",
			   call->kind->what);
}

static int start(struct call *call, struct evloop *loop)
{
	const struct beside_work work = {
		.name = call->kind->process,
		.run = run,
		.arg = call,
	};
	int ret = evtimer_init(loop, &call->limit, expired);

	if (!ret)
		ret = beside_start(&call->process, loop, &work, answered);
	if (!ret)
		evtimer_start(&call->limit, BESIDE_CALL_LIMIT_S * 1000);
	return ret;
}

void beside_call(struct evloop *loop, struct ttrpc_request *req,
		 const struct beside_call_kind *kind, const void *question)
{
	struct call *call = NULL;
	int ret = -EBUSY;

	BUG_ON(kind->answer_size > BESIDE_ANSWER_MAX);
	if (ncalls < BESIDE_CALLS_MAX) {
		call = calloc(1, sizeof(*call));
		ret = call ? 0 : -ENOMEM;
	}
	if (ret < 0) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "%s: %s", kind->what,
			   strerror(-ret));
		return;
	}
	call->limit.src.fd = -1;
	call->kind = kind;
	call->question = question;
	call->next = calls;
	calls = call;
	ncalls++;
	ret = start(call, loop);
	if (ret < 0) {
		ttrpc_fail(req, TTRPC_INTERNAL, "%s: %s", kind->what,
			   strerror(-ret));
		call_end(call);
		return;
	}
	call->req = req;
}

void beside_calls_drop(void)
{
	for (struct call *c = calls; c; c = c->next)
		pending_drop_one(&c->req);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/volume_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/agent.h"
#include "guest/agent/beside.h"
#include "guest/agent/pending.h"
#include "guest/agent/rpc.h"
#include "guest/agent/volumes.h"

struct call {
	struct call *next;
	struct ttrpc_request *req; /* NULL: nobody waits any more */
	bool stats;
	struct beside process; /* until it ends */
	struct evtimer limit;
};

/* What the process tells. */
struct answer {
	int ret;
	struct err err;
	struct volume_usage bytes, inodes;
};

struct question {
	const char *path;
	bool stats;
	uint64_t size;
};

static struct call *calls;
static unsigned ncalls;

static void ask(const void *arg)
{
	const struct question *q = arg;
	struct answer a = {0};

	(void)alarm(VOLUME_CALL_LIMIT_S);
	if (q->stats)
		a.ret = volume_stats(q->path, &a.bytes, &a.inodes, &a.err);
	else
		a.ret = volume_resize(q->path, q->size, &a.err);
	beside_tell(&a, sizeof(a));
}

static void set_usage(Agent__VolumeUsage *out, const struct volume_usage *usage,
		      uint32_t unit)
{
	agent__volume_usage__init(out);
	out->available = usage->available;
	out->total = usage->total;
	out->used = usage->used;
	out->unit = unit;
}

static void reply_stats(struct ttrpc_request *req, const struct answer *a)
{
	Agent__VolumeStatsResponse msg = AGENT__VOLUME_STATS_RESPONSE__INIT;
	Agent__VolumeCondition condition = AGENT__VOLUME_CONDITION__INIT;
	Agent__VolumeUsage usage[2], *list[] = {&usage[0], &usage[1]};

	set_usage(&usage[0], &a->bytes, 1);
	set_usage(&usage[1], &a->inodes, 2);
	msg.usage = list;
	msg.n_usage = ARRAY_SIZE(list);
	msg.volume_condition = &condition;
	ttrpc_reply(req, &msg.base);
}

/* a: NULL when the process said nothing. */
static void reply(struct ttrpc_request *req, bool stats, const struct answer *a)
{
	if (!a)
		ttrpc_fail(req, TTRPC_INTERNAL,
			   "volume: the process that asked for it ended");
	else if (a->ret == 0 && stats)
		reply_stats(req, a);
	else
		rpc_reply_ret(req, a->ret, &a->err);
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
	struct call *call = container_of(process, struct call, process);
	struct answer a;
	int ret = beside_hear(process, &a, sizeof(a));

	if (ret == -EAGAIN)
		return;
	if (call->req)
		reply(steal_ptr(&call->req), call->stats, ret ? NULL : &a);
	call_end(call);
}

static void expired(struct evtimer *timer)
{
	struct call *call = container_of(timer, struct call, limit);

	if (call->req)
		ttrpc_fail(steal_ptr(&call->req), TTRPC_DEADLINE_EXCEEDED,
			   "volume: its file system does not answer");
}

static int start(struct call *call, struct evloop *loop,
		 const struct question *q)
{
	const struct beside_work work = {
		.name = "nacre-volume",
		.run = ask,
		.arg = q,
	};
	int ret = evtimer_init(loop, &call->limit, expired);

	if (!ret)
		ret = beside_start(&call->process, loop, &work, answered);
	if (!ret)
		evtimer_start(&call->limit, VOLUME_CALL_LIMIT_S * 1000);
	return ret;
}

/* Takes req. */
static void begin(struct ttrpc_request *req, const struct agent *agent,
		  const struct question *q)
{
	struct call *call = NULL;
	int ret = -EBUSY;

	if (ncalls < VOLUME_CALLS_MAX) {
		call = calloc(1, sizeof(*call));
		ret = call ? 0 : -ENOMEM;
	}
	if (ret < 0) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "volume %.200s: %s",
			   q->path, strerror(-ret));
		return;
	}
	call->stats = q->stats;
	call->next = calls;
	calls = call;
	ncalls++;
	ret = start(call, agent->loop, q);
	if (ret < 0) {
		ttrpc_fail(req, TTRPC_INTERNAL, "volume %.200s: %s", q->path,
			   strerror(-ret));
		call_end(call);
		return;
	}
	call->req = req;
}

void rpc_get_volume_stats(struct ttrpc_request *req,
			  const ProtobufCMessage *message, void *arg)
{
	const Agent__VolumeStatsRequest *msg = (const void *)message;
	const struct question q = {
		.path = msg->volume_guest_path,
		.stats = true,
	};

	begin(req, arg, &q);
}

void rpc_resize_volume(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *arg)
{
	const Agent__ResizeVolumeRequest *msg = (const void *)message;
	const struct question q = {
		.path = msg->volume_guest_path,
		.size = msg->size,
	};

	begin(req, arg, &q);
}

void volume_calls_forget(uint64_t connection)
{
	for (struct call *c = calls; c; c = c->next)
		pending_drop_one(&c->req, connection);
}

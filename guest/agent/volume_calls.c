/* SPDX-License-Identifier: Apache-2.0 */
/* GetVolumeStats and ResizeVolume. */
#include <errno.h>

#include "agent-proto/agent.pb-c.h"
#include "guest/agent/agent.h"
#include "guest/agent/beside.h"
#include "guest/agent/beside_call.h"
#include "guest/agent/rpc.h"
#include "guest/agent/volumes.h"

/* What the process tells. */
struct answer {
	int ret;
	struct err err;
	struct volume_usage bytes, inodes;
};

static void run_stats(const void *question)
{
	const Agent__VolumeStatsRequest *msg = question;
	struct answer a = {0};

	a.ret = volume_stats(msg->volume_guest_path, &a.bytes, &a.inodes,
			     &a.err);
	beside_tell(&a, sizeof(a));
}

static void run_resize(const void *question)
{
	const Agent__ResizeVolumeRequest *msg = question;
	struct answer a = {0};

	a.ret = volume_resize(msg->volume_guest_path, msg->size, &a.err);
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

static void reply_stats(struct ttrpc_request *req, const void *answer)
{
	Agent__VolumeStatsResponse msg = AGENT__VOLUME_STATS_RESPONSE__INIT;
	Agent__VolumeCondition condition = AGENT__VOLUME_CONDITION__INIT;
	Agent__VolumeUsage usage[2], *list[] = {&usage[0], &usage[1]};
	const struct answer *a = answer;

	if (a->ret < 0) {
		rpc_reply_ret(req, a->ret, &a->err);
		return;
	}
	set_usage(&usage[0], &a->bytes, 1);
	set_usage(&usage[1], &a->inodes, 2);
	msg.usage = list;
	msg.n_usage = ARRAY_SIZE(list);
	msg.volume_condition = &condition;
	ttrpc_reply(req, &msg.base);
}

static void reply_resized(struct ttrpc_request *req, const void *answer)
{
	const struct answer *a = answer;

	rpc_reply_ret(req, a->ret, &a->err);
}

void rpc_get_volume_stats(struct ttrpc_request *req,
			  const ProtobufCMessage *message, void *arg)
{
	static const struct beside_call_kind kind = {
		.process = "nacre-volume",
		.what = "volume",
		.run = run_stats,
		.answer_size = sizeof(struct answer),
		.reply = reply_stats,
	};
	const struct agent *agent = arg;

	beside_call(agent->loop, req, &kind, message);
}

void rpc_resize_volume(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *arg)
{
	static const struct beside_call_kind kind = {
		.process = "nacre-volume",
		.what = "volume",
		.run = run_resize,
		.answer_size = sizeof(struct answer),
		.reply = reply_resized,
	};
	const struct agent *agent = arg;

	beside_call(agent->loop, req, &kind, message);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that watch the guest, and the policy of what may be called. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent-proto/agent.pb-c.h"
#include "base/cleanup.h"
#include "guest/agent/metrics.h"
#include "guest/agent/rpc.h"

void rpc_get_metrics(struct ttrpc_request *req, const ProtobufCMessage *message,
		     void *arg)
{
	Agent__Metrics reply = AGENT__METRICS__INIT;
	AUTO_FREE char *text = metrics_text();

	if (!text) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	reply.metrics = text;
	ttrpc_reply(req, &reply.base);
}

void rpc_set_policy(struct ttrpc_request *req, const ProtobufCMessage *message,
		    void *arg)
{
	const Agent__SetPolicyRequest *msg = (const void *)message;
	struct agent *agent = arg;
	struct err err = {0};
	struct policy next;
	int ret = policy_parse(msg->policy, rpc_methods, &next, &err);

	if (!ret)
		ret = policy_replace(&agent->policy, &next, &err);
	rpc_reply_ret(req, ret, &err);
}

static bool too_many_containers(const struct agent *agent)
{
	uint64_t n = 0;

	for (const struct container *c = agent->containers; c; c = c->next)
		n++;
	return n >= agent->policy.containers;
}

static bool too_many_execs(struct agent *agent, const char *id)
{
	const struct container *c = container_find(agent, id);
	uint64_t n = 0;

	for (const struct process *p = c ? c->execs : NULL; p; p = p->next)
		n += !p->exited;
	return c && n >= agent->policy.execs;
}

const char *rpc_refuse(void *arg, const struct ttrpc_method *method,
		       const ProtobufCMessage *message)
{
	struct agent *agent = arg;

	if (!agent->policy.set)
		return NULL;
	if (!policy_allows(&agent->policy, rpc_methods, method))
		return "not allowed by the policy";
	if (method->request == &agent__create_container_request__descriptor &&
	    too_many_containers(agent))
		return "the policy allows no further container";
	if (method->request == &agent__exec_process_request__descriptor) {
		const Agent__ExecProcessRequest *msg = (const void *)message;

		if (too_many_execs(agent, msg->container_id))
			return "the policy allows no further process";
	}
	if (method->request == &agent__copy_file_request__descriptor) {
		const Agent__CopyFileRequest *msg = (const void *)message;

		if (msg->file_size > 0 &&
		    (uint64_t)msg->file_size > agent->policy.copy_file_bytes)
			return "the policy allows smaller files only";
	}
	return NULL;
}

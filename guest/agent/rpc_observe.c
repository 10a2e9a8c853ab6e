/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that watch the guest, and the policy of what may be called. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>

#include "agent-proto/agent.pb-c.h"
#include "base/cleanup.h"
#include "guest/agent/log_port.h"
#include "guest/agent/metrics.h"
#include "guest/agent/rpc.h"
#include "guest/agent/termination_log.h"

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

/* The kernel's log; any bytes but ASCII, which a string may not hold, are
 * replaced. */
static char *kernel_log(struct err *err)
{
	int size = klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0);
	AUTO_FREE char *text = NULL;
	int n;

	if (size < 0) {
		err_sys(err, "kernel log");
		return NULL;
	}
	size = MIN(size, 1 << 20);
	text = malloc((size_t)size + 1);
	n = text ? klogctl(3 /* SYSLOG_ACTION_READ_ALL */, text, size) : -1;
	if (n < 0) {
		err_sys(err, "kernel log");
		return NULL;
	}
	for (int i = 0; i < n; i++) {
		if ((uint8_t)text[i] >= 0x80 || !text[i])
			text[i] = '?';
	}
	text[n] = '\0';
	return steal_ptr(&text);
}

/* A container that names no such file has no words. */
static void reply_termination_log(struct ttrpc_request *req,
				  struct agent *agent, const char *id)
{
	const struct container *c = rpc_container(agent, req, id);

	if (c && c->termination_log)
		termination_log_reply(agent->loop, req, c->termination_log);
	else if (c)
		ttrpc_reply(req, NULL);
}

/* Kata knows termination_log alone. */
void rpc_get_diagnostic_data(struct ttrpc_request *req,
			     const ProtobufCMessage *message, void *arg)
{
	const Agent__GetDiagnosticDataRequest *msg = (const void *)message;
	Agent__GetDiagnosticDataResponse reply =
		AGENT__GET_DIAGNOSTIC_DATA_RESPONSE__INIT;
	AUTO_FREE char *text = NULL;
	struct err err = {0};

	if (strcmp(msg->log_type, "termination_log") == 0) {
		reply_termination_log(req, arg, msg->container_id);
		return;
	}
	if (strcmp(msg->log_type, "agent") == 0)
		text = log_port_lines();
	else if (strcmp(msg->log_type, "kernel") == 0)
		text = kernel_log(&err);
	else
		(void)err_set(&err, EINVAL, "log type %.32s: not known",
			      msg->log_type);
	if (!text && !err.code)
		(void)err_set(&err, ENOMEM, "out of memory");
	if (!text) {
		rpc_reply_ret(req, -err.code, &err);
		return;
	}
	reply.data = text;
	ttrpc_reply(req, &reply.base);
}

/* The memory agent is for whoever has all of the machine's memory. */
static int may_turn_on(const struct agent *agent, bool wanted, const char *part,
		       struct err *err)
{
	if (agent->init || !wanted)
		return 0;
	return err_set(err, ENOTSUP,
		       "%s: this agent is not the first process of its machine",
		       part);
}

void rpc_mem_agent_memcg_set(struct ttrpc_request *req,
			     const ProtobufCMessage *message, void *arg)
{
	struct agent *agent = arg;
	const Agent__MemAgentMemcgSetRequest *msg = (const void *)message;
	struct err err = {0};
	int ret = may_turn_on(agent, msg->has_disabled_case && !msg->disabled,
			      "memcg", &err);

	if (!ret)
		ret = mem_agent_memcg(&agent->mem, msg, &err);
	rpc_reply_ret(req, ret, &err);
}

void rpc_mem_agent_compact_set(struct ttrpc_request *req,
			       const ProtobufCMessage *message, void *arg)
{
	struct agent *agent = arg;
	const Agent__MemAgentCompactSetRequest *msg = (const void *)message;
	struct err err = {0};
	int ret = may_turn_on(agent, msg->has_disabled_case && !msg->disabled,
			      "compact", &err);

	if (!ret)
		ret = mem_agent_compact(&agent->mem, msg, &err);
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

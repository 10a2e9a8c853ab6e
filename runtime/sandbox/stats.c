/* SPDX-License-Identifier: Apache-2.0 */
/* Task's Stats: what the agent's StatsContainer says, packed as it is. */
#include <stdlib.h>

#include "agent-proto/pb.h"
#include "base/cleanup.h"
#include "runtime/sandbox/sandbox.h"

/* A StatsContainer under way; the process keeps its container in place. */
struct query {
	struct ttrpc_call call;
	struct ttrpc_request *req;
	struct process *p;
};

static void answer(struct ttrpc_request *req, const ProtobufCMessage *message)
{
	Task__StatsResponse reply = TASK__STATS_RESPONSE__INIT;
	Ttrpc__Any any = TTRPC__ANY__INIT;
	size_t len = protobuf_c_message_get_packed_size(message);
	AUTO_FREE uint8_t *bytes = malloc(len + 1);

	if (!bytes) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	protobuf_c_message_pack(message, bytes);
	any.type_url = pb_str(TASK_STATS_TYPE);
	any.value.data = bytes;
	any.value.len = len;
	reply.stats = &any;
	ttrpc_reply(req, &reply.base);
}

static void done(struct ttrpc_call *call, enum ttrpc_code code,
		 const char *text, const ProtobufCMessage *reply)
{
	struct query *q = container_of(call, struct query, call);

	if (code == TTRPC_OK)
		answer(q->req, reply);
	else
		ttrpc_fail(q->req, code, "%s", text);
	process_release(q->p);
	free(q);
}

void task_stats(struct ttrpc_request *req, const ProtobufCMessage *message,
		void *arg)
{
	const Task__StatsRequest *m = (const void *)message;
	Agent__ContainerRequest request = AGENT__CONTAINER_REQUEST__INIT;
	struct sandbox *s = arg;
	struct container *c = container_find(s, m->id);
	struct query *q;

	if (!c || c->deleting) {
		ttrpc_fail(req, TTRPC_NOT_FOUND,
			   "container \"%.128s\" does not exist", m->id);
		return;
	}
	if (!s->agent || c->creating ||
	    c->processes->state == PROCESS_STOPPED) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "container not running");
		return;
	}
	q = calloc(1, sizeof(*q));
	if (!q) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	q->call.done = done;
	q->req = req;
	q->p = c->processes;
	q->p->busy++;
	request.container_id = c->id;
	ttrpc_call_start(
		s->agent, &q->call, AGENT_SERVICE, "StatsContainer",
		&request.base, &agent__stats_container_response__descriptor,
		s->args->config->create_container_timeout * 1000ull, NULL, 0);
}

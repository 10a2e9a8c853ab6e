/* SPDX-License-Identifier: Apache-2.0 */
/* Task's methods that tell what the supervisor knows itself. */
#include <unistd.h>

#include "agent-proto/pb.h"
#include "runtime/sandbox/sandbox.h"

void task_state(struct ttrpc_request *req, const ProtobufCMessage *message,
		void *arg)
{
	const Task__StateRequest *m = (const void *)message;
	Task__StateResponse reply = TASK__STATE_RESPONSE__INIT;
	Task__Timestamp at = TASK__TIMESTAMP__INIT;
	struct process *p = task_find_process(arg, m->id, m->exec_id, req);
	static const uint32_t status[] = {
		[PROCESS_CREATED] = 1,
		[PROCESS_RUNNING] = 2,
		[PROCESS_STOPPED] = 3,
	};

	if (!p)
		return;
	at.seconds = p->exited_at_ns / 1000000000;
	at.nanos = (int32_t)(p->exited_at_ns % 1000000000);
	reply.id = p->container->id;
	reply.bundle = p->container->bundle;
	reply.pid = (uint32_t)p->pid;
	reply.status = status[p->state];
	if (p->container->paused && p->state == PROCESS_RUNNING)
		reply.status = 4;
	if (!*p->exec_id && !p->container->created_in_guest &&
	    p->state == PROCESS_CREATED)
		reply.status = 0;
	reply.terminal = p->terminal;
	reply.exit_status = p->exit_status;
	reply.exited_at = &at;
	reply.exec_id = p->exec_id;
	if (p->lost)
		reply.reason = p->container->sandbox->reason;
	ttrpc_reply(req, &reply.base);
}

void task_tell_pids(struct ttrpc_request *req, const ProtobufCMessage *message,
		    void *arg)
{
	const Task__ConnectRequest *m = (const void *)message;
	Task__ConnectResponse reply = TASK__CONNECT_RESPONSE__INIT;
	struct process *p = task_find_process(arg, m->id, "", req);

	if (!p)
		return;
	reply.shim_pid = (uint32_t)getpid();
	reply.task_pid = (uint32_t)p->pid;
	reply.version = pb_str(NACRE_VERSION);
	ttrpc_reply(req, &reply.base);
}

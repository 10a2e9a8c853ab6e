/* SPDX-License-Identifier: Apache-2.0 */
/* Task's Delete, which waits for what is under way in the container. */
#include <stdlib.h>

#include "runtime/sandbox/create.h"
#include "runtime/sandbox/sandbox.h"

static void fail_running(struct ttrpc_request *req, const char *id)
{
	ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
		   "cannot delete \"%s\": it is running", id);
}

/* A call of its is under way, whose answer needs it. */
static bool busy(const struct process *p)
{
	const struct process *q = p->container->processes;

	if (*p->exec_id)
		return p->busy;
	if (p->container->creating)
		return true;
	for (; q; q = q->next)
		if (q->busy)
			return true;
	return false;
}

/* Those who asked meanwhile get their deletion, or hear why not. */
static void delete_pending(struct container *c)
{
	struct ttrpc_request *req;

	c->delete_pending = false;
	if (c->processes->state != PROCESS_RUNNING) {
		delete_container(c, waiters_take(&c->deleters));
		return;
	}
	c->deleting = false;
	while ((req = waiters_take(&c->deleters)))
		fail_running(req, c->id);
}

void process_release(struct process *p)
{
	struct container *c = p->container;

	p->busy--;
	if (c->delete_pending && !busy(c->processes))
		delete_pending(c);
}

void task_delete(struct ttrpc_request *req, const ProtobufCMessage *message,
		 void *arg)
{
	const Task__DeleteRequest *m = (const void *)message;
	Task__DeleteResponse reply = TASK__DELETE_RESPONSE__INIT;
	struct container *c = container_find(arg, m->id);
	struct process *p;

	if (c && c->deleting && !m->exec_id[0]) {
		delete_again(c, req);
		return;
	}
	p = task_find_process(arg, m->id, m->exec_id, req);
	if (!p)
		return;
	if (p->state == PROCESS_RUNNING) {
		fail_running(req, m->id);
		return;
	}
	if (c && busy(p) && !*p->exec_id && !c->creating) {
		delete_again(c, req);
		c->deleting = c->delete_pending = c->deleters != NULL;
		return;
	}
	if (busy(p)) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "cannot delete \"%s\": an operation on it is under "
			   "way",
			   m->id);
		return;
	}
	if (!*p->exec_id) {
		delete_container(p->container, req);
		return;
	}
	reply.pid = (uint32_t)p->pid;
	reply.exit_status = p->exit_status;
	process_free(p);
	ttrpc_reply(req, &reply.base);
}

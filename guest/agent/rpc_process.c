/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of processes and their streams. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "agent-proto/agent.pb-c.h"
#include "guest/agent/init_signal.h"
#include "guest/agent/rpc.h"

void rpc_exec_process(struct ttrpc_request *req,
		      const ProtobufCMessage *message, void *arg)
{
	const Agent__ExecProcessRequest *msg = (const void *)message;
	struct container *c = rpc_container(arg, req, msg->container_id);

	if (!c)
		return;
	if (!id_valid(msg->exec_id)) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT, "exec id: not usable");
		return;
	}
	container_exec(c, req, msg);
}

/* Kata: SIGKILL without an exec id means everything in the container. */
static int kill_all(struct container *c)
{
	int ret = cgroup_kill(&c->cgroup);

	if (ret < 0)
		return ret;
	return c->init.exited ? -ESRCH : 0;
}

static int signal_one(struct process *p, int sig)
{
	if (p == &p->container->init && p->pid > 0)
		sig = init_signal(p->pid, sig);
	return process_signal(p, sig);
}

void rpc_signal_process(struct ttrpc_request *req,
			const ProtobufCMessage *message, void *arg)
{
	const Agent__SignalProcessRequest *msg = (const void *)message;
	struct process *p =
		rpc_process(arg, req, msg->container_id, msg->exec_id);
	int ret;

	if (!p)
		return;
	if (msg->signal >= NSIG) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT, "signal %u: unknown",
			   msg->signal);
		return;
	}
	if (!msg->exec_id[0] && msg->signal == SIGKILL)
		ret = kill_all(p->container);
	else
		ret = signal_one(p, (int)msg->signal);
	if (ret == -ESRCH)
		ttrpc_fail(req, TTRPC_NOT_FOUND, "no such process");
	else if (ret < 0)
		ttrpc_fail(req, ttrpc_code_of_errno(-ret), "signal %u: %s",
			   msg->signal, strerror(-ret));
	else
		ttrpc_reply(req, NULL);
}

void rpc_wait_process(struct ttrpc_request *req,
		      const ProtobufCMessage *message, void *arg)
{
	const Agent__WaitProcessRequest *msg = (const void *)message;
	struct process *p =
		rpc_process(arg, req, msg->container_id, msg->exec_id);

	if (p)
		process_wait(p, req);
}

void rpc_write_stdin(struct ttrpc_request *req, const ProtobufCMessage *message,
		     void *arg)
{
	const Agent__WriteStreamRequest *msg = (const void *)message;
	struct process *p =
		rpc_process(arg, req, msg->container_id, msg->exec_id);

	if (p)
		stdio_write(&p->stdio, req, msg->data.data, msg->data.len);
}

static void read_stream(struct ttrpc_request *req,
			const ProtobufCMessage *message, void *arg, bool err)
{
	const Agent__ReadStreamRequest *msg = (const void *)message;
	struct process *p =
		rpc_process(arg, req, msg->container_id, msg->exec_id);

	if (p)
		stdio_read(&p->stdio, err, req, msg->len);
}

void rpc_read_stdout(struct ttrpc_request *req, const ProtobufCMessage *message,
		     void *arg)
{
	read_stream(req, message, arg, false);
}

void rpc_read_stderr(struct ttrpc_request *req, const ProtobufCMessage *message,
		     void *arg)
{
	read_stream(req, message, arg, true);
}

void rpc_close_stdin(struct ttrpc_request *req, const ProtobufCMessage *message,
		     void *arg)
{
	const Agent__CloseStdinRequest *msg = (const void *)message;
	struct process *p =
		rpc_process(arg, req, msg->container_id, msg->exec_id);

	if (!p)
		return;
	stdio_close_input(&p->stdio);
	ttrpc_reply(req, NULL);
}

void rpc_tty_win_resize(struct ttrpc_request *req,
			const ProtobufCMessage *message, void *arg)
{
	const Agent__TtyWinResizeRequest *msg = (const void *)message;
	struct process *p =
		rpc_process(arg, req, msg->container_id, msg->exec_id);
	int ret;

	if (!p)
		return;
	ret = stdio_resize(&p->stdio, msg->row, msg->column);
	if (ret < 0)
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION, "terminal: %s",
			   ret == -ENOTTY ? "the process has none"
					  : strerror(-ret));
	else
		ttrpc_reply(req, NULL);
}

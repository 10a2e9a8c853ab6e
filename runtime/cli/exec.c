/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent-proto/pb.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/process_json.h"
#include "runtime/cli/proxy.h"
#include "runtime/cli/task.h"
#include "runtime/cli/terminal.h"
#include "runtime/oci/spec.h"

#define PROCESS_TYPE "types.containerd.io/opencontainers/runtime-spec/1/Process"

struct execution {
	const struct cli *cli;
	const char *id;
	struct state *state;
	char exec_id[64];
	char *process; /* JSON */
	bool terminal;
	struct winsize size;
	struct stdio io;
	struct proxy proxy;
	int task;
};

static int load(struct execution *e, struct err *err)
{
	struct json *root;
	Oci__Process *process;

	e->process = process_json(e->cli, e->state->bundle, err);
	if (!e->process)
		return -err->code;
	/* Checked here too, so that the message names a file and a line. */
	root = json_parse(e->process, strlen(e->process),
			  e->cli->process ? e->cli->process : "process", 0,
			  err);
	if (!root)
		return -err->code;
	process = oci_process_from_json(root, err);
	json_free(root);
	if (!process)
		return -err->code;
	e->terminal = process->terminal || e->cli->tty;
	e->size = console_size(process);
	oci__process__free_unpacked(process, NULL);
	if (e->terminal && e->cli->detach && !e->cli->console_socket)
		return err_set(err, EINVAL,
			       "exec --detach with a terminal needs "
			       "--console-socket");
	return 0;
}

static int call_exec(struct execution *e, struct err *err)
{
	Task__ExecProcessRequest request = TASK__EXEC_PROCESS_REQUEST__INIT;
	Ttrpc__Any spec = TTRPC__ANY__INIT;
	bool tty = e->io.nfds == 1;

	spec.type_url = pb_str(PROCESS_TYPE);
	spec.value.data = (uint8_t *)e->process;
	spec.value.len = strlen(e->process);
	request.id = pb_str(e->id);
	request.exec_id = e->exec_id;
	request.terminal = e->terminal;
	request.stdin = pb_str("fd:0");
	request.stdout = pb_str(tty ? "fd:0" : "fd:1");
	request.stderr = pb_str(tty ? "" : "fd:2");
	request.spec = &spec;
	request.pid =
		e->cli->detach ? (uint32_t)e->proxy.pid : (uint32_t)getpid();
	return task_call_fds(e->task, "Exec", &request.base, e->io.fds,
			     e->io.nfds, err);
}

static int call_start(struct execution *e, struct err *err)
{
	Task__StartRequest request = TASK__START_REQUEST__INIT;
	Task__DeleteRequest undo = TASK__DELETE_REQUEST__INIT;
	struct err ignored;
	int ret;

	request.id = undo.id = pb_str(e->id);
	request.exec_id = undo.exec_id = e->exec_id;
	ret = task_call(e->task, "Start", &request.base, NULL, NULL, err);
	if (ret < 0)
		(void)!task_call(e->task, "Delete", &undo.base, NULL, NULL,
				 &ignored);
	return ret;
}

static int run_attached(struct execution *e, const struct proxy_target *target,
			struct err *err)
{
	int ret;

	proxy_block_signals();
	ret = call_exec(e, err);
	if (!ret)
		ret = call_start(e, err);
	if (!ret && e->cli->pid_file)
		ret = write_pid_file(e->cli->pid_file, getpid(), err);
	return ret < 0 ? ret : proxy_run(target, err);
}

static int run_detached(struct execution *e, const struct proxy_target *target,
			struct err *err)
{
	int ret = proxy_fork(&e->proxy, target, err);

	if (!ret)
		ret = call_exec(e, err);
	if (!ret)
		ret = call_start(e, err);
	if (!ret)
		ret = proxy_go(&e->proxy, err);
	if (!ret && e->cli->pid_file)
		ret = write_pid_file(e->cli->pid_file, e->proxy.pid, err);
	proxy_abandon(&e->proxy);
	return ret;
}

static int run(struct execution *e, struct err *err)
{
	struct proxy_target target = {
		.root = e->cli->root,
		.sandbox = e->state->sandbox,
		.id = e->id,
		.exec_id = e->exec_id,
	};
	int ret = load(e, err);

	if (!ret)
		ret = stdio_open(&e->io, e->terminal, &e->size,
				 e->cli->console_socket, err);
	if (ret < 0)
		return ret;
	target.tty = e->io.tty;
	ret = e->cli->detach ? run_detached(e, &target, err)
			     : run_attached(e, &target, err);
	stdio_close(&e->io);
	return ret;
}

int cmd_exec(const struct cli *cli, struct err *err)
{
	struct execution e = {
		.cli = cli,
		.id = cli->argv[0],
		.proxy = {.go = -1},
	};
	struct timespec now;
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(e.exec_id, sizeof(e.exec_id), "exec-%d-%lld%09ld",
		 (int)getpid(), (long long)now.tv_sec, now.tv_nsec);
	e.task = task_open(cli->root, e.id, &e.state, err);
	if (e.task < 0)
		return e.task;
	ret = run(&e, err);
	close(e.task);
	state_free(e.state);
	free(e.process);
	return ret;
}

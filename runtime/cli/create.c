/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent-proto/pb.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/proxy.h"
#include "runtime/cli/task.h"
#include "runtime/cli/terminal.h"
#include "runtime/config.h"
#include "runtime/oci/spec.h"
#include "runtime/sandbox/supervisor.h"

/* A container on its way into being; each step undone by creation_undo. */
struct creation {
	const struct cli *cli;
	const char *id;
	char *bundle;
	Oci__Spec *spec;
	struct config *config;
	enum oci_role role;
	const char *sandbox;
	int lock; /* on <root>/<id>, so that `delete` sees us at work */
	bool claimed;
	bool created;
	struct stdio io;
	struct proxy proxy;
	int task;
};

static int check_rootfs(const struct creation *c, struct err *err)
{
	const char *path = c->spec->root->path;
	AUTO_FREE char *full = NULL;
	struct stat st;

	if (path[0] == '/')
		full = strdup(path);
	else if (asprintf(&full, "%s/%s", c->bundle, path) < 0)
		full = NULL;
	if (!full)
		return err_set(err, ENOMEM, "out of memory");
	if (stat(full, &st) < 0)
		return err_sys(err, "%s/config.json: root.path %s", c->bundle,
			       full);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR,
			       "%s/config.json: root.path %s: not a directory",
			       c->bundle, full);
	return 0;
}

static int load(struct creation *c, struct err *err)
{
	const char *bundle = c->cli->bundle ? c->cli->bundle : ".";
	int ret = oci_check_id(c->id, err);

	if (ret < 0)
		return ret;
	c->bundle = realpath(bundle, NULL);
	if (!c->bundle)
		return err_sys(err, "bundle %s", bundle);
	c->spec = oci_spec_load(c->bundle, err);
	if (!c->spec)
		return -err->code;
	ret = check_rootfs(c, err);
	if (!ret)
		ret = oci_role(c->spec, &c->role, &c->sandbox, err);
	if (!ret && c->role != OCI_POD_CONTAINER)
		c->sandbox = c->id;
	if (ret < 0)
		return ret;
	c->config = config_load(c->cli->config, err);
	if (!c->config)
		return -err->code;
	return config_annotate(c->config, c->spec, err);
}

static int claim(struct creation *c, struct err *err)
{
	AUTO_FREE char *dir = NULL;
	int ret = state_claim(c->cli->root, c->id, err);

	if (ret < 0)
		return ret;
	c->claimed = true;
	if (asprintf(&dir, "%s/%s", c->cli->root, c->id) < 0) {
		dir = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	c->lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->lock < 0 || flock(c->lock, LOCK_EX | LOCK_NB) < 0)
		return err_sys(err, "lock %s", dir);
	return 0;
}

static int start_supervisor(struct creation *c, struct err *err)
{
	struct supervisor_args args = {
		.root = c->cli->root,
		.id = c->id,
		.config = c->config,
		.log_fd = c->cli->log ? log_fd() : -1,
		.log_json = !strcmp(c->cli->log_format, "json"),
		.debug = c->cli->debug,
		.systemd_cgroup = c->cli->systemd_cgroup,
	};

	if (c->role == OCI_POD_CONTAINER)
		return 0;
	return supervisor_start(&args, err);
}

static int call_create(struct creation *c, struct err *err)
{
	Task__CreateTaskRequest request = TASK__CREATE_TASK_REQUEST__INIT;
	bool tty = c->io.nfds == 1;

	request.id = pb_str(c->id);
	request.bundle = c->bundle;
	request.terminal = tty;
	request.stdin = pb_str("fd:0");
	request.stdout = pb_str(tty ? "fd:0" : "fd:1");
	request.stderr = pb_str(tty ? "" : "fd:2");
	request.pid = (uint32_t)c->proxy.pid;
	return task_call_fds(c->task, "Create", &request.base, c->io.fds,
			     c->io.nfds, err);
}

int write_pid_file(const char *path, pid_t pid, struct err *err)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", (int)pid);
	int ret = file_replace(AT_FDCWD, path, text, (size_t)len, 0644);

	return ret < 0 ? err_ret(err, ret, "--pid-file %s", path) : 0;
}

static int open_stdio(struct creation *c, struct err *err)
{
	const Oci__Process *process = c->spec->process;
	struct winsize size = console_size(process);

	return stdio_open(&c->io, process->terminal, &size,
			  c->cli->console_socket, err);
}

static int make(struct creation *c, struct err *err)
{
	struct proxy_target target = {
		.root = c->cli->root,
		.sandbox = c->sandbox,
		.id = c->id,
		.exec_id = "",
	};
	int ret = claim(c, err);

	if (!ret)
		ret = start_supervisor(c, err);
	if (!ret)
		ret = c->task = task_connect(c->cli->root, c->sandbox, err);
	if (ret >= 0)
		ret = open_stdio(c, err);
	target.tty = c->io.own ? c->io.tty : -1;
	if (!ret)
		ret = proxy_fork(&c->proxy, &target, err);
	if (!ret)
		ret = call_create(c, err);
	if (ret < 0)
		return ret;
	c->created = true;
	ret = proxy_go(&c->proxy, err);
	if (!ret && c->cli->pid_file)
		ret = write_pid_file(c->cli->pid_file, c->proxy.pid, err);
	return ret;
}

/* Undoes a creation that failed half-way: the supervisor removes what it
 * made when its last container is gone; the rest is ours. */
static void undo(struct creation *c)
{
	Task__DeleteRequest request = TASK__DELETE_REQUEST__INIT;
	struct err ignored;

	request.id = pb_str(c->id);
	proxy_abandon(&c->proxy);
	if (c->created &&
	    task_call(c->task, "Delete", &request.base, NULL, NULL, &ignored))
		log_warn("undoing: %s", ignored.text);
	if (c->claimed && c->role != OCI_POD_CONTAINER) {
		if (task_shutdown(c->cli->root, c->id, &ignored) < 0)
			log_warn("undoing: %s", ignored.text);
		if (sandbox_sweep(c->cli->root, c->id, &ignored) < 0)
			log_warn("undoing: %s", ignored.text);
	} else if (c->claimed && state_remove(c->cli->root, c->id) < 0) {
		log_warn("undoing: %s/%s stays", c->cli->root, c->id);
	}
}

static void release(struct creation *c)
{
	if (c->spec)
		oci__spec__free_unpacked(c->spec, NULL);
	config_free(c->config);
	free(c->bundle);
	if (c->lock >= 0)
		close(c->lock);
	if (c->task >= 0)
		close(c->task);
}

static int create(struct creation *c, const struct cli *cli, struct err *err)
{
	int ret;

	*c = (struct creation){.cli = cli,
			       .id = cli->argv[0],
			       .lock = -1,
			       .task = -1,
			       .proxy = {.go = -1},
			       .io = {.tty = -1}};
	ret = load(c, err);
	if (ret < 0)
		return ret;
	if (c->spec->process->terminal && !cli->console_socket &&
	    (cli->detach || !strcmp("create", cli->command)))
		return err_set(err, EINVAL,
			       "process.terminal is true: --console-socket is "
			       "needed to run in the background");
	ret = make(c, err);
	if (ret < 0)
		undo(c);
	return ret;
}

int cmd_create(const struct cli *cli, struct err *err)
{
	struct creation c;
	int ret = create(&c, cli, err);

	stdio_close(&c.io);
	release(&c);
	return ret < 0 ? ret : 0;
}

static int start_and_wait(struct creation *c, struct err *err)
{
	Task__StartRequest request = TASK__START_REQUEST__INIT;
	struct proxy_target target = {
		.root = c->cli->root,
		.sandbox = c->sandbox,
		.id = c->id,
		.exec_id = "",
		.tty = c->io.raw ? c->io.tty : -1,
	};
	int ret;

	request.id = pb_str(c->id);
	proxy_block_signals();
	ret = task_call(c->task, "Start", &request.base, NULL, NULL, err);
	if (ret < 0 || c->cli->detach)
		return ret;
	return proxy_run(&target, err);
}

/* The container has ended, or never started. */
static int finish(struct creation *c, bool failed, struct err *err)
{
	Task__KillRequest kill_all = TASK__KILL_REQUEST__INIT;
	Task__WaitRequest wait = TASK__WAIT_REQUEST__INIT;
	Task__DeleteRequest request = TASK__DELETE_REQUEST__INIT;
	struct err ignored;

	request.id = wait.id = kill_all.id = pb_str(c->id);
	kill_all.signal = 9;
	kill_all.all = true;
	if (failed &&
	    !task_call(c->task, "Kill", &kill_all.base, NULL, NULL, &ignored))
		(void)!task_call(c->task, "Wait", &wait.base, NULL, NULL,
				 &ignored);
	return task_call(c->task, "Delete", &request.base, NULL, NULL,
			 failed ? &ignored : err);
}

int cmd_run(const struct cli *cli, struct err *err)
{
	struct creation c;
	int ret = create(&c, cli, err);

	if (ret >= 0) {
		ret = start_and_wait(&c, err);
		if (ret < 0 || (!cli->detach && !cli->keep)) {
			int end = finish(&c, ret < 0, err);

			ret = ret >= 0 && end < 0 ? end : ret;
		}
		/* Ours, so nobody else waits for it. */
		if (!cli->detach && c.proxy.pid > 0)
			waitpid(c.proxy.pid, NULL, 0);
	}
	stdio_close(&c.io);
	release(&c);
	return ret;
}

int cmd_start(const struct cli *cli, struct err *err)
{
	Task__StartRequest request = TASK__START_REQUEST__INIT;
	AUTO_FD int task = task_open(cli->root, cli->argv[0], NULL, err);

	if (task < 0)
		return task;
	request.id = cli->argv[0];
	return task_call(task, "Start", &request.base, NULL, NULL, err);
}

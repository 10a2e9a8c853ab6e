/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that act on a container: kill, delete, pause, resume. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent-proto/pb.h"
#include "base/cleanup.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/task.h"
#include "runtime/oci/spec.h"
#include "runtime/sandbox/supervisor.h"

/* "9", "KILL", "SIGKILL", "sigkill", "RTMIN+3". The number, or -EINVAL. */
static int parse_signal(const char *text, struct err *err)
{
	const char *name = strncasecmp(text, "SIG", 3) ? text : text + 3;
	unsigned offset = 0;
	int end = 0;

	if (isdigit((unsigned char)*text)) {
		if (sscanf(text, "%u%n", &offset, &end) == 1 && !text[end] &&
		    offset > 0 && offset <= (unsigned)SIGRTMAX)
			return (int)offset;
	} else if (!strncasecmp(name, "RTMIN", 5)) {
		if (!name[5])
			return SIGRTMIN;
		if (sscanf(name + 5, "+%u%n", &offset, &end) == 1 &&
		    !name[5 + end] && offset <= (unsigned)(SIGRTMAX - SIGRTMIN))
			return SIGRTMIN + (int)offset;
	} else {
		for (int s = 1; s < SIGRTMIN; s++)
			if (sigabbrev_np(s) &&
			    !strcasecmp(sigabbrev_np(s), name))
				return s;
	}
	return err_set(err, EINVAL, "signal \"%s\": no such signal", text);
}

int cmd_kill(const struct cli *cli, struct err *err)
{
	Task__KillRequest request = TASK__KILL_REQUEST__INIT;
	int signo = parse_signal(cli->argc > 1 ? cli->argv[1] : "TERM", err);
	AUTO_FD int task = -1;

	if (signo < 0)
		return signo;
	task = task_open(cli->root, cli->argv[0], NULL, err);
	if (task == -ECONNREFUSED)
		return err_set(err, ESRCH, "container not running");
	if (task < 0)
		return task;
	request.id = cli->argv[0];
	request.signal = (uint32_t)signo;
	request.all = cli->all;
	return task_call(task, "Kill", &request.base, NULL, NULL, err);
}

static int simple_call(const struct cli *cli, const char *method,
		       const ProtobufCMessage *request, struct err *err)
{
	AUTO_FD int task = task_open(cli->root, cli->argv[0], NULL, err);

	if (task < 0)
		return task;
	return task_call(task, method, request, NULL, NULL, err);
}

int cmd_pause(const struct cli *cli, struct err *err)
{
	Task__PauseRequest request = TASK__PAUSE_REQUEST__INIT;

	request.id = cli->argv[0];
	return simple_call(cli, "Pause", &request.base, err);
}

int cmd_resume(const struct cli *cli, struct err *err)
{
	Task__ResumeRequest request = TASK__RESUME_REQUEST__INIT;

	request.id = cli->argv[0];
	return simple_call(cli, "Resume", &request.base, err);
}

static void kill_and_wait(int task, const char *id)
{
	Task__KillRequest kill_all = TASK__KILL_REQUEST__INIT;
	Task__WaitRequest wait = TASK__WAIT_REQUEST__INIT;
	struct err ignored;

	kill_all.id = wait.id = pb_str(id);
	kill_all.signal = SIGKILL;
	kill_all.all = true;
	/* Fails when it has ended already; Wait then answers at once. */
	(void)!task_call(task, "Kill", &kill_all.base, NULL, NULL, &ignored);
	(void)!task_call(task, "Wait", &wait.base, NULL, NULL, &ignored);
}

/* The supervisor is gone: what it left is described by state.json. */
static int sweep(const struct cli *cli, const struct state *s, struct err *err)
{
	int ret;

	if (!strcmp(s->sandbox, s->id))
		return sandbox_sweep(cli->root, s->id, err);
	ret = state_remove(cli->root, s->id);
	if (ret < 0)
		return err_ret(err, ret, "remove %s/%s", cli->root, s->id);
	return 0;
}

static int delete_container(const struct cli *cli, const struct state *s,
			    struct err *err)
{
	Task__DeleteRequest request = TASK__DELETE_REQUEST__INIT;
	AUTO_FD int task = task_connect(cli->root, s->sandbox, err);
	enum task_status status;

	if (task == -ECONNREFUSED)
		return sweep(cli, s, err);
	if (task < 0)
		return task;
	status = task_status(cli->root, s);
	if (status != TASK_STOPPED) {
		if (!cli->force)
			return err_set(err, EBUSY,
				       "cannot delete container \"%s\" that "
				       "is not stopped: %s",
				       s->id, task_status_name(status));
		kill_and_wait(task, s->id);
	}
	request.id = s->id;
	return task_call(task, "Delete", &request.base, NULL, NULL, err);
}

/*
 * The supervisor of a creation that was killed knows what it has made so far,
 * and removes it; its connections end when that is done.
 */
static int end_supervisor(const struct cli *cli, const char *id,
			  struct err *err)
{
	Task__ShutdownRequest request = TASK__SHUTDOWN_REQUEST__INIT;
	AUTO_FD int task = task_connect(cli->root, id, err);
	char rest[64];
	int ret;

	if (task == -ECONNREFUSED)
		return 0;
	if (task < 0)
		return task;
	request.id = pb_str(id);
	request.now = true;
	ret = task_call(task, "Shutdown", &request.base, NULL, NULL, err);
	while (!ret && read(task, rest, sizeof(rest)) > 0)
		;
	return ret;
}

/*
 * A directory without state.json: `create` is at work on it, and holds its
 * lock, or was killed.
 */
static int delete_unfinished(const struct cli *cli, const char *id,
			     struct err *err)
{
	AUTO_FREE char *dir = NULL;
	AUTO_FD int lock = -1;
	int ret;

	if (asprintf(&dir, "%s/%s", cli->root, id) < 0) {
		dir = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 && errno == ENOENT) {
		if (cli->force)
			return 0;
		return err_set(err, ENOENT, "container \"%s\" does not exist",
			       id);
	}
	if (lock < 0)
		return err_sys(err, "open %s", dir);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, EBUSY, "container \"%s\" is being created",
			       id);
	ret = end_supervisor(cli, id, err);
	return ret < 0 ? ret : sandbox_sweep(cli->root, id, err);
}

int cmd_delete(const struct cli *cli, struct err *err)
{
	const char *id = cli->argv[0];
	struct state *s;
	int ret = oci_check_id(id, err);

	if (ret < 0)
		return ret;
	s = state_load(cli->root, id, err);
	if (!s && err->code != ENOENT && !cli->force)
		return -err->code;
	if (!s)
		return delete_unfinished(cli, id, err);
	ret = delete_container(cli, s, err);
	state_free(s);
	return ret;
}

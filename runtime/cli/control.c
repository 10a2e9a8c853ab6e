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
#include <sys/stat.h>
#include <unistd.h>

#include "agent-proto/pb.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/task.h"
#include "runtime/oci/spec.h"
#include "runtime/sandbox/supervisor.h"

/* A guest that is alive takes far less; one that is hostile is not waited for
 * any longer. */
#define KILL_MS 15000
#define DELETE_MS 60000

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

/* -errno only when it goes on, or nobody can say. */
static int kill_and_wait(int task, const char *id, struct err *err)
{
	Task__KillRequest kill_all = TASK__KILL_REQUEST__INIT;
	Task__WaitRequest wait = TASK__WAIT_REQUEST__INIT;
	int ret;

	kill_all.id = wait.id = pb_str(id);
	kill_all.signal = SIGKILL;
	kill_all.all = true;
	/* Refused when it has ended already; Wait then answers at once. */
	ret = task_call_within(task, "Kill", &kill_all.base, KILL_MS, NULL,
			       err);
	if (!ret || ret == -EREMOTEIO)
		ret = task_call_within(task, "Wait", &wait.base, KILL_MS, NULL,
				       err);
	return ret == -EREMOTEIO ? 0 : ret;
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

/* The guest does not end it: its VM is ended. */
static int end_sandbox(const struct cli *cli, const struct state *s,
		       struct err *err)
{
	struct err why;

	if (strcmp(s->sandbox, s->id))
		return err_set(err, ETIMEDOUT,
			       "container \"%s\" does not end; the deletion of "
			       "its sandbox \"%s\" ends the VM",
			       s->id, s->sandbox);
	if (task_shutdown(cli->root, s->id, &why) < 0)
		log_warn("%s", why.text);
	return sandbox_sweep(cli->root, s->id, err);
}

/* Whatever it takes. */
static int delete_by_force(const struct cli *cli, const struct state *s,
			   int task, struct err *err)
{
	Task__DeleteRequest request = TASK__DELETE_REQUEST__INIT;
	enum ttrpc_code code = TTRPC_OK;
	int ret = kill_and_wait(task, s->id, err);

	request.id = s->id;
	if (!ret)
		ret = task_call_within(task, "Delete", &request.base, DELETE_MS,
				       &code, err);
	if (ret == -EREMOTEIO && code != TTRPC_NOT_FOUND)
		return ret;
	/* Somebody else deleted it; what it left is in nobody's way. */
	if (ret == -EREMOTEIO)
		return strcmp(s->sandbox, s->id) ? sweep(cli, s, err) : 0;
	return ret < 0 ? end_sandbox(cli, s, err) : 0;
}

static int delete_container(const struct cli *cli, const struct state *s,
			    struct err *err)
{
	Task__DeleteRequest request = TASK__DELETE_REQUEST__INIT;
	AUTO_FD int task = task_connect(cli->root, s->sandbox, err);
	enum task_status status;
	int ret;

	if (task == -ECONNREFUSED)
		return sweep(cli, s, err);
	if (task < 0)
		return task;
	if (cli->force)
		return delete_by_force(cli, s, task, err);
	status = task_status(cli->root, s);
	if (status != TASK_STOPPED)
		return err_set(err, EBUSY,
			       "cannot delete container \"%s\" that is not "
			       "stopped: %s",
			       s->id, task_status_name(status));
	request.id = s->id;
	ret = task_call(task, "Delete", &request.base, NULL, NULL, err);
	/* It ended while we asked: with the container, or killed. */
	if (ret < 0 && ret != -EREMOTEIO)
		return sweep(cli, s, err);
	return ret;
}

static int does_not_exist(const char *id, struct err *err)
{
	return err_set(err, ENOENT, "container \"%s\" does not exist", id);
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
	struct stat st;
	struct err why;

	if (asprintf(&dir, "%s/%s", cli->root, id) < 0) {
		dir = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	lock = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (lock < 0 && errno == ENOENT)
		return cli->force ? 0 : does_not_exist(id, err);
	if (lock < 0)
		return err_sys(err, "open %s", dir);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, EBUSY, "container \"%s\" is being created",
			       id);
	/* Between the two, others may have removed it and made it anew. */
	if (fstat(lock, &st) == 0 && st.st_nlink == 0)
		return cli->force ? 0 : does_not_exist(id, err);
	/* The supervisor of a creation that was killed knows what it has made
	 * so far. One that does not end is killed by the sweep. */
	if (task_shutdown(cli->root, id, &why) < 0)
		log_warn("%s", why.text);
	return sandbox_sweep(cli->root, id, err);
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

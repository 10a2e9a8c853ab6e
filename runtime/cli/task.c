/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/cli/task.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/pb.h"
#include "agent-proto/ttrpc.h"
#include "base/cleanup.h"
#include "base/unix_address.h"
#include "runtime/oci/spec.h"

#define SHUTDOWN_MS 20000

/* A path of any length: by way of the directory's descriptor. -ENXIO: there
 * is no such sandbox; -ENOENT, -ECONNREFUSED: nobody serves it. */
static int connect_beneath(const char *root, const char *sandbox)
{
	struct sockaddr_un addr;
	AUTO_FREE char *path = NULL;
	AUTO_FD int dir = -1;
	AUTO_FD int fd = -1;

	if (asprintf(&path, "%s/%s", root, sandbox) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? -ENXIO : -errno;
	addr = unix_address(dir, "task.sock");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return steal_fd(&fd);
}

int task_connect(const char *root, const char *sandbox, struct err *err)
{
	int fd = connect_beneath(root, sandbox);

	if (fd == -ENXIO)
		return err_set(err, ECONNREFUSED,
			       "sandbox \"%s\" does not exist", sandbox);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return err_set(err, ECONNREFUSED,
			       "the supervisor of sandbox \"%s\" is gone, "
			       "`nacre delete --force` cleans up",
			       sandbox);
	if (fd < 0)
		return err_ret(err, fd, "supervisor of sandbox \"%s\"",
			       sandbox);
	return fd;
}

static int explain(const char *method, int ret, struct err *err)
{
	if (ret != -ECONNRESET && ret != -EPIPE)
		return ret;
	return err_set(err, -ret, "%s: the supervisor of the sandbox ended",
		       method);
}

int task_call(int fd, const char *method, const ProtobufCMessage *request,
	      const ProtobufCMessageDescriptor *reply_type,
	      ProtobufCMessage **reply, struct err *err)
{
	return explain(method,
		       ttrpc_call_wait(fd, TASK_SERVICE, method, request,
				       reply_type, reply, 0, NULL, 0, NULL,
				       err),
		       err);
}

int task_call_fds(int fd, const char *method, const ProtobufCMessage *request,
		  const int *fds, unsigned nfds, struct err *err)
{
	return explain(method,
		       ttrpc_call_wait(fd, TASK_SERVICE, method, request, NULL,
				       NULL, 0, fds, nfds, NULL, err),
		       err);
}

int task_call_within(int fd, const char *method,
		     const ProtobufCMessage *request, int timeout_ms,
		     enum ttrpc_code *code, struct err *err)
{
	return explain(method,
		       ttrpc_call_wait(fd, TASK_SERVICE, method, request, NULL,
				       NULL, timeout_ms, NULL, 0, code, err),
		       err);
}

int task_shutdown(const char *root, const char *sandbox, struct err *err)
{
	Task__ShutdownRequest request = TASK__SHUTDOWN_REQUEST__INIT;
	AUTO_FD int task = task_connect(root, sandbox, err);
	struct pollfd pfd = {.fd = task, .events = POLLIN};
	char rest[64];
	int ret;

	if (task == -ECONNREFUSED)
		return 0;
	if (task < 0)
		return task;
	request.id = pb_str(sandbox);
	request.now = true;
	ret = task_call_within(task, "Shutdown", &request.base, SHUTDOWN_MS,
			       NULL, err);
	/* Its connections end when all is removed. */
	while (!ret) {
		if (poll(&pfd, 1, SHUTDOWN_MS) == 0)
			return err_set(err, ETIMEDOUT,
				       "the supervisor of sandbox \"%s\" does "
				       "not end",
				       sandbox);
		if (read(task, rest, sizeof(rest)) <= 0)
			break;
	}
	/* Or it ended before it was asked. */
	return ret == -ETIMEDOUT ? ret : 0;
}

int task_open(const char *root, const char *id, struct state **state,
	      struct err *err)
{
	struct state *s;
	int fd = oci_check_id(id, err);

	if (fd < 0)
		return fd;
	s = state_load(root, id, err);
	if (!s)
		return -err->code;
	fd = task_connect(root, s->sandbox, err);
	if (fd < 0 || !state)
		state_free(s);
	else
		*state = s;
	return fd;
}

enum task_status task_look(const char *root, const struct state *state,
			   char **reason)
{
	Task__StateRequest request = TASK__STATE_REQUEST__INIT;
	enum task_status status = TASK_STOPPED;
	ProtobufCMessage *reply = NULL;
	const Task__StateResponse *r;
	AUTO_FD int fd = -1;
	struct err err;

	*reason = NULL;
	fd = connect_beneath(root, state->sandbox);
	if (fd < 0)
		return TASK_STOPPED;
	request.id = state->id;
	if (task_call(fd, "State", &request.base,
		      &task__state_response__descriptor, &reply, &err) < 0)
		return TASK_STOPPED;
	r = (const void *)reply;
	if (r->status <= TASK_PAUSED)
		status = (enum task_status)r->status;
	if (r->reason[0])
		*reason = strdup(r->reason);
	protobuf_c_message_free_unpacked(reply, NULL);
	return status;
}

enum task_status task_status(const char *root, const struct state *state)
{
	AUTO_FREE char *reason = NULL;

	return task_look(root, state, &reason);
}

const char *task_status_name(enum task_status status)
{
	static const char *const names[] = {
		[TASK_UNKNOWN] = "creating", [TASK_CREATED] = "created",
		[TASK_RUNNING] = "running",  [TASK_STOPPED] = "stopped",
		[TASK_PAUSED] = "paused",
	};

	return names[status];
}

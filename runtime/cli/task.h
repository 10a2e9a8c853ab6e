/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CLI_TASK_H
#define RUNTIME_CLI_TASK_H

/* The command line's side of the Task API, one call at a time. */

#include <protobuf-c/protobuf-c.h>

#include "agent-proto/task.pb-c.h"
#include "agent-proto/ttrpc.h"
#include "base/compiler.h"
#include "base/err.h"
#include "runtime/state.h"

#define TASK_SERVICE "containerd.task.v2.Task"

/* The socket of the sandbox's supervisor. -ECONNREFUSED: it is gone. */
int task_connect(const char *root, const char *sandbox,
		 struct err *err) MUST_CHECK;

/* *reply (when not NULL) is freed with protobuf_c_message_free_unpacked. */
int task_call(int fd, const char *method, const ProtobufCMessage *request,
	      const ProtobufCMessageDescriptor *reply_type,
	      ProtobufCMessage **reply, struct err *err) MUST_CHECK;
/* The same with descriptors, named "fd:0", "fd:1", ... in the request. */
int task_call_fds(int fd, const char *method, const ProtobufCMessage *request,
		  const int *fds, unsigned nfds, struct err *err) MUST_CHECK;

/* The same with a limit, for what a hostile guest may delay: -ETIMEDOUT.
 * The connection is of no use then. *code: of an answer (-EREMOTEIO). */
int task_call_within(int fd, const char *method,
		     const ProtobufCMessage *request, int timeout_ms,
		     enum ttrpc_code *code, struct err *err) MUST_CHECK;
/*
 * Ends the supervisor of a sandbox, whatever it has, and waits until it has
 * removed that. 0 also when there is none.
 */
int task_shutdown(const char *root, const char *sandbox,
		  struct err *err) MUST_CHECK;

/* Loads the state of a container and connects to its supervisor. */
int task_open(const char *root, const char *id, struct state **state,
	      struct err *err) MUST_CHECK;

enum task_status {
	TASK_UNKNOWN,
	TASK_CREATED,
	TASK_RUNNING,
	TASK_STOPPED,
	TASK_PAUSED,
};
/* "stopped" when the supervisor is gone. */
enum task_status task_status(const char *root, const struct state *state);
/* *reason, to be freed: why the VM ended, and the container with it; or NULL.
 */
enum task_status task_look(const char *root, const struct state *state,
			   char **reason);
const char *task_status_name(enum task_status status);

#endif

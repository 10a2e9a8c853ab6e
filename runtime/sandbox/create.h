/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_CREATE_H
#define RUNTIME_SANDBOX_CREATE_H

#include "runtime/sandbox/hooks.h"
#include "runtime/sandbox/sandbox.h"

/*
 * Create, start to end: share the rootfs, boot the sandbox when it is the
 * first, run the host's hooks, CreateContainer in the guest, state.json.
 * Answers req, at once or later; on failure nothing of it is left.
 */
void create_container(struct sandbox *s, struct ttrpc_request *req,
		      const Task__CreateTaskRequest *task);
/* The end of a container: guest, host, state, hooks; answers req. When it was
 * the last, the sandbox ends. */
void delete_container(struct container *c, struct ttrpc_request *req);

/* The same for one whose deletion is under way: answered with the first. */
void delete_again(struct container *c, struct ttrpc_request *req);

/* The container's state as hooks get it on standard input; caller frees. */
char *container_state_json(const struct container *c, const char *status);
/* Descriptor of a stream named "fd:N"; -1: none; -EINVAL with err. Opens
 * fifos by path. */
int open_stdio(struct ttrpc_request *req, const char *name, bool write,
	       struct err *err);
/* All three of them into p; terminals share one. */
int attach_stdio(struct process *p, struct ttrpc_request *req, const char *in,
		 const char *out, const char *error,
		 struct err *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_SANDBOX_H
#define GUEST_AGENT_SANDBOX_H

/* What the containers of the guest share, and the guest's end. */

#include <stdbool.h>
#include <sys/types.h>

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/ttrpc.h"
#include "base/evloop.h"
#include "guest/agent/ids.h"
#include "guest/agent/pending.h"
#include "guest/agent/storage.h"

#define SANDBOX_OOM_MAX 64

struct agent;

struct sandbox {
	bool created;
	char id[ID_MAX + 1];
	struct storages mounts;
	struct storage_mount **storages;
	struct unmounts unmounts;
	char *hook_path; /* NULL: none */

	/* A process that does nothing but hold the shared pid namespace. */
	bool shared_pidns;
	pid_t pause;
	int pidns;

	/* Out of memory: events that nobody asked for yet, and who asks. */
	char *ooms[SANDBOX_OOM_MAX];
	unsigned n_ooms;
	struct pending *oom_waiters;

	bool closing, unmounting;
	struct pending *closers;
	struct evtimer end; /* limit for containers, mounts, then the reply */
	bool ended;
};

int sandbox_init(struct agent *agent) MUST_CHECK;
/* These take req. */
void sandbox_create(struct agent *agent, struct ttrpc_request *req,
		    const Agent__CreateSandboxRequest *msg);
void sandbox_destroy(struct agent *agent, struct ttrpc_request *req);
void sandbox_wait_oom(struct sandbox *s, struct ttrpc_request *req);

void sandbox_oom(struct sandbox *s, const char *container);
/* The shared pid namespace, made when it is first asked for. Borrowed. */
int sandbox_pidns(struct sandbox *s, struct err *err) MUST_CHECK;
/* A container, or a hook of one, is no more. */
void sandbox_container_gone(struct agent *agent);
void sandbox_drop(struct agent *agent);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_CONTAINER_H
#define GUEST_AGENT_CONTAINER_H

/*
 * A container: its first process (init), the processes that joined later
 * (execs), its control group and what is to be undone when it goes.
 *
 *	CREATING -> CREATED -> RUNNING -> STOPPED
 *	    any of these -> REMOVING -> UNMOUNTING -> gone
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/ttrpc.h"
#include "guest/agent/cgroup.h"
#include "guest/agent/ids.h"
#include "guest/agent/namespaces.h"
#include "guest/agent/process.h"
#include "guest/agent/shared_mounts.h"
#include "guest/agent/submounts.h"
#include "guest/agent/watch.h"

#define CONTAINERS_MAX 1024
#define EXECS_MAX 4096 /* of one container, ended ones included */

struct agent;

enum container_state {
	CONTAINER_CREATING,
	CONTAINER_CREATED,
	CONTAINER_RUNNING,
	CONTAINER_STOPPED,
	CONTAINER_REMOVING,
	CONTAINER_UNMOUNTING, /* nothing runs any more */
};

struct container {
	struct container *next;
	struct agent *agent;
	char id[ID_MAX + 1];
	enum container_state state;
	char dir[64 + ID_MAX];	  /* AGENT_RUN_DIR/<id> */
	char rootfs[80 + ID_MAX]; /* dir/rootfs */
	unsigned long namespaces; /* CLONE_NEW* an exec joins */
	char *uid_map, *gid_map;  /* NULL: no user namespace of its own */
	struct process init;
	struct process *execs;
	unsigned n_execs;
	struct cgroup cgroup;
	long personality; /* for execs too */
	uint8_t *seccomp; /* the profile, packed, for execs */
	size_t seccomp_len;
	struct storage_mount **storages; /* to give back, NULL-terminated */
	struct submounts submounts;
	struct unmounts unmounts; /* of both */
	struct shared_mounts shared;
	char *name;	       /* in its pod; NULL: none */
	char *termination_log; /* its path in the guest; NULL: none */

	struct watch_entry events; /* cgroup.events */
	struct watch_entry memory; /* memory.events */
	uint64_t oom_kills;
	bool freeze; /* what was asked for last */
	struct pending *freezers;

	struct pending *removers;
	struct evtimer remove_limit; /* for what keeps it from being gone */
	bool limited;		     /* it runs */
	/* Creation failed: who is told so when all is cleaned up. */
	struct ttrpc_request *failed;
	struct err failure;
};

/* Takes req: answers when the first process waits for its start. */
void container_create(struct agent *agent, struct ttrpc_request *req,
		      const Agent__CreateContainerRequest *msg);
void container_start(struct container *c, struct ttrpc_request *req);
void container_exec(struct container *c, struct ttrpc_request *req,
		    const Agent__ExecProcessRequest *msg);
void container_freeze(struct container *c, struct ttrpc_request *req,
		      bool freeze);
/* req NULL: nobody waits for it. timeout_s 0: no limit. */
void container_remove(struct container *c, struct ttrpc_request *req,
		      uint32_t timeout_s);
/* Goes on with a removal, once something has ended. May free c. */
void container_removal_check(struct container *c);
/* Tells of what the kernel killed for lack of memory since the last time. */
void container_oom_check(struct container *c);

struct container *container_find(struct agent *agent, const char *id);
/* "" and the container's own id are init. NULL: none. */
struct process *container_process(struct container *c, const char *id);
struct process *containers_find_pid(struct agent *agent, pid_t pid);
/* Some process is being launched and its pid is not known yet. */
bool containers_await_pid(const struct agent *agent);
void containers_drop(struct agent *agent);

/* What processes report; each may free the process, the second and the third
 * the container too. */
void process_ready(struct process *p);
void process_launch_failed(struct process *p, int code, const char *text);
void process_settled(struct process *p);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_PROCESS_H
#define GUEST_AGENT_PROCESS_H

/*
 * The agent's side of one process of a container: the talk with the child
 * until exec (child.h), its streams, its end and who waits for it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent-proto/ttrpc.h"
#include "base/evloop.h"
#include "guest/agent/child.h"
#include "guest/agent/ids.h"
#include "guest/agent/limits.h"
#include "guest/agent/pending.h"
#include "guest/agent/stdio.h"

struct container;

enum process_state {
	PROCESS_SETUP,	 /* the child works towards READY */
	PROCESS_READY,	 /* waits for START */
	PROCESS_STARTED, /* START is sent */
	PROCESS_RUNNING, /* exec is done */
	PROCESS_FAILED,
};

struct process {
	struct process *next; /* of the execs of its container */
	struct container *container;
	char id[ID_MAX + 1];
	enum process_state state;
	pid_t pid; /* 0: not known, or reaped */
	int sync;  /* -1: closed */
	struct evsource sync_src;
	struct rlimits limits;
	struct stdio stdio;
	struct ttrpc_request *request; /* to answer when state advances */
	bool exited;
	int status; /* 0..255, 128 + signal */
	bool oom_killed;
	bool waited;
	int64_t exited_at_ns;
	struct pending *waiters;
};

/* Zeroed memory becomes a process that can be released. */
void process_blank(struct process *p, struct container *c, const char *id);
/* Makes the streams. ports: of the host's connections for them (stdio_port.h),
 * 0: none. 0 or -errno with err. */
int process_init(struct process *p, const Oci__Process *spec,
		 const uint32_t ports[3], int child_stdio[3],
		 struct err *err) MUST_CHECK;
/* Forks. config lacks sync and stdio, which are set here. Takes nothing. */
int process_launch(struct process *p, struct child_config *config,
		   int child_stdio[3], struct err *err) MUST_CHECK;
void process_release(struct process *p);

/* READY to STARTED. 0 or -errno. */
int process_start(struct process *p) MUST_CHECK;
/* status as of waitpid(2). */
void process_exited(struct process *p, int status);
/* Takes req. */
void process_wait(struct process *p, struct ttrpc_request *req);
/* 0, -ESRCH when it has ended. */
int process_signal(struct process *p, int sig) MUST_CHECK;
void process_drop(struct process *p);

#endif

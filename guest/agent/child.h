/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_CHILD_H
#define GUEST_AGENT_CHILD_H

/*
 * From fork to exec. The agent forks an intermediate process, which joins
 * what is joined (control group, namespaces), clones the process itself as a
 * child of the agent (CLONE_PARENT) and ends. Agent and process speak over a
 * SOCK_SEQPACKET pair that exec closes:
 *
 *	agent				process
 *			<- PID		(the intermediate process sends it)
 *	id maps
 *	GO		->		namespaces, mounts, devices, user, ...
 *			<- CONSOLE	with a terminal: its master
 *			<- READY
 *	limits
 *	START		->		hooks, seccomp, exec
 *			<- FAILED	instead of any of these
 */

#include <stdbool.h>
#include <stdint.h>

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

enum child_msg_type {
	CHILD_PID = 1,
	CHILD_CONSOLE,
	CHILD_READY,
	CHILD_FAILED,
};

struct child_msg {
	uint32_t type;
	int32_t value; /* PID: the pid; FAILED: an errno value */
	char text[ERR_TEXT_MAX];
};

enum child_order {
	CHILD_GO = 'g',
	CHILD_START = 's',
};

/* All borrowed; the child has a copy of the whole agent. */
struct child_config {
	const char *id; /* container */
	const char *bundle;
	const char *rootfs; /* where the container's root is bound */
	const char *cgroup; /* path of its group */
	const Oci__Process *process;
	const Agent__StringUser *string_user; /* NULL: users by number */
	const Oci__LinuxSeccomp *seccomp;     /* NULL: none */
	/* New container: the rest of the spec. NULL: into a running one. */
	const Oci__Spec *spec;
	unsigned long clone_flags; /* namespaces to make, or to join */
	int join_pidfd;		   /* exec: the container's first process */
	int join_pidns;		   /* create: pid namespace to join, -1 */
	long personality;	   /* PER_*, PERSONALITY_NONE */
	int cgroup_procs;	   /* open for writing */
	const int *mapped_mounts;  /* the intermediate process has them */
	int sync;
	int stdio[3]; /* -1 each with a terminal */
};

void child_intermediate(struct child_config *config) NORETURN;

/* Both for the files of the child alone. */
int child_prepare(const struct child_config *config,
		  struct err *err) MUST_CHECK;
int child_send(const struct child_config *config, uint32_t type, int32_t value,
	       const char *text) MUST_CHECK;
int child_await(const struct child_config *config, char order) MUST_CHECK;
/* The process itself, once it may go on. Ends in exec. */
void child_run(const struct child_config *config) NORETURN;
void child_fail(const struct child_config *config,
		const struct err *err) NORETURN;

#endif

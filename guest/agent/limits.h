/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_LIMITS_H
#define GUEST_AGENT_LIMITS_H

/* Limits and scheduling of a process. */

#include <sys/resource.h>
#include <sys/types.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

#define RLIMITS_MAX 16

struct rlimits {
	unsigned n;
	struct {
		int resource;
		struct rlimit limit;
	} items[RLIMITS_MAX];
};

int rlimits_parse(const Oci__Process *process, struct rlimits *out,
		  struct err *err) MUST_CHECK;
int rlimits_apply(const struct rlimits *limits, pid_t pid,
		  struct err *err) MUST_CHECK;
/* Of the calling process; both may be NULL. */
int scheduler_apply(const Oci__Scheduler *scheduler,
		    struct err *err) MUST_CHECK;
int ioprio_apply(const Oci__IOPriority *prio, struct err *err) MUST_CHECK;
#define PERSONALITY_NONE (-1L)
/* p may be NULL. */
int personality_parse(const Oci__LinuxPersonality *p, long *out,
		      struct err *err) MUST_CHECK;
int personality_apply(long domain, struct err *err) MUST_CHECK;

#endif

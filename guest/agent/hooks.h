/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_HOOKS_H
#define GUEST_AGENT_HOOKS_H

/*
 * Hooks of the spec that belong to the guest: createContainer and
 * startContainer. They run one after another, get the container's state as
 * JSON on standard input, and the first that fails or overruns ends it.
 * Called in the container's first process.
 */

#include <stddef.h>
#include <sys/types.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

struct hook_state {
	const char *id;
	const char *bundle;
	const char *status;
	Oci__Pair *const *annotations;
	size_t n_annotations;
	pid_t pid; /* in the agent's pid namespace */
};

/* The state as JSON, which the caller frees. NULL: out of memory. */
char *hooks_state(const struct hook_state *state);
/* dir is where they run. */
int hooks_run(const char *kind, Oci__Hook *const *hooks, size_t n,
	      const char *dir, const struct hook_state *state,
	      struct err *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_HOOKS_H
#define RUNTIME_SANDBOX_HOOKS_H

/*
 * Hooks of the host's side (OCI runtime specification, "POSIX-platform
 * Hooks"): prestart, createRuntime, poststart, poststop. They run one after
 * another in the runtime's namespaces, with the container's state on
 * standard input, while the event loop serves others: a hook may call us.
 */

#include <sys/types.h>

#include "agent-proto/oci.pb-c.h"
#include "base/err.h"
#include "base/evloop.h"

struct hook_run {
	struct evloop *loop;
	Oci__Hook **hooks; /* borrowed until done */
	size_t n;
	size_t next;
	const char *kind;
	char *state; /* JSON, owned */
	pid_t pid;
	int pidfd;
	struct evsource src;
	struct evtimer timer;
	bool timed_out;
	/* Once. ret: 0, or -errno and what failed. */
	void (*done)(struct hook_run *run, int ret, const char *text);
};

/* Takes state. done may run before this returns, when there is no hook. */
void hooks_start(struct hook_run *run, struct evloop *loop, const char *kind,
		 Oci__Hook **hooks, size_t n, char *state,
		 void (*done)(struct hook_run *, int, const char *));

#endif

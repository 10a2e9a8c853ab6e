/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_SUPERVISOR_H
#define RUNTIME_SANDBOX_SUPERVISOR_H

/*
 * The supervisor: one per sandbox, privileged, small. It serves the Task API
 * on <root>/<id>/task.sock, prepares host mounts, network and cgroup, forks
 * the jailed sandbox process, and forwards to the agent. It ends when its
 * last container is deleted, and takes all it made with it: its mounts live
 * in a mount namespace of its own.
 */

#include "base/compiler.h"
#include "base/err.h"
#include "runtime/config.h"

struct supervisor_args {
	const char *root;      /* state directory, absolute */
	const char *id;	       /* sandbox id; <root>/<id> is claimed already */
	struct config *config; /* with the annotations applied */
	int log_fd;	       /* -1: none */
	bool log_json;
	bool debug;
	bool systemd_cgroup;
};

/*
 * Forks the supervisor as a daemon (own session, no controlling terminal,
 * stdio on /dev/null). Returns when its socket accepts calls, or with the
 * error it reported. The sandbox itself starts with the first Create.
 */
int supervisor_start(const struct supervisor_args *args,
		     struct err *err) MUST_CHECK;

/*
 * After a supervisor died: removes what it left behind (processes, cgroup,
 * taps, namespace, directory), from state.json. Idempotent.
 */
int sandbox_sweep(const char *root, const char *id, struct err *err) MUST_CHECK;

/* What the command line's `events` asks, beside the Task API. */
#define EVENTS_SERVICE "nacre.Events"

/* What is packed in the answer to Stats: the agent's own. */
#define TASK_STATS_TYPE "grpc.StatsContainerResponse"

#endif

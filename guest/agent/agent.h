/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_AGENT_H
#define GUEST_AGENT_AGENT_H

/* All that the agent is: one thread, one loop, one of these. */

#include <stdbool.h>

#include "agent-proto/ttrpc.h"
#include "base/evloop.h"
#include "guest/agent/mem_agent.h"
#include "guest/agent/parked.h"
#include "guest/agent/policy.h"
#include "guest/agent/reaper.h"
#include "guest/agent/sandbox.h"
#include "guest/agent/watch.h"

#define AGENT_RUN_DIR "/run/kata-containers"

struct agent {
	struct evloop *loop;
	struct ttrpc_server *server;
	bool init; /* PID 1: the guest is ours, and ends with us */
	struct reaper reaper;
	struct watch watch;
	struct sandbox sandbox;
	struct parked parked;
	struct policy policy;
	struct mem_agent mem;
	struct command *commands;
	struct hook_run *hook_runs;
	struct container *containers;
};

#endif

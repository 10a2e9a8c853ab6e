/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_MEM_AGENT_H
#define GUEST_AGENT_MEM_AGENT_H

/*
 * Settings of Kata's memory agent, which reclaims and compacts by itself.
 * This agent leaves that to the kernel: the settings are checked, off is what
 * it is, on is refused.
 */

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

int mem_agent_memcg(const Agent__MemAgentMemcgSetRequest *msg,
		    struct err *err) MUST_CHECK;
int mem_agent_compact(const Agent__MemAgentCompactSetRequest *msg,
		      struct err *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_MEM_AGENT_H
#define GUEST_AGENT_MEM_AGENT_H

/*
 * The memory agent: reclaims what nobody uses and makes large free blocks of
 * it, as huge pages and the reporting of free pages want them. Two parts, each
 * with a period of its own, off unless the machine's command line or a method
 * turns them on: mem_reclaim.h ("memcg") and mem_compact.h ("compact").
 */

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"
#include "guest/agent/mem_compact.h"
#include "guest/agent/mem_reclaim.h"

struct mem_agent {
	struct mem_reclaim reclaim;
	struct mem_compact compact;
};

/* 0 or -errno. */
int mem_agent_init(struct mem_agent *mem, struct evloop *loop) MUST_CHECK;
/*
 * agent.mem_agent_enable=1 turns on what agent.mem_agent_memcg_disable=1 and
 * agent.mem_agent_compact_disable=1 do not except, with all the settings of
 * the methods as agent.mem_agent_memcg_* and agent.mem_agent_compact_*. What
 * is wrong or not possible here is logged, and left out.
 */
void mem_agent_read_cmdline(struct mem_agent *mem, const char *cmdline);

/* The methods: all of a message or, with err, nothing of it. */
int mem_agent_memcg(struct mem_agent *mem,
		    const Agent__MemAgentMemcgSetRequest *msg,
		    struct err *err) MUST_CHECK;
int mem_agent_compact(struct mem_agent *mem,
		      const Agent__MemAgentCompactSetRequest *msg,
		      struct err *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/mem_agent.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#define SWAPPINESS_MAX 200 /* vm.swappiness */
#define ORDER_MAX 10	   /* MAX_PAGE_ORDER */

static int check_percent(const char *name, uint32_t percent, struct err *err)
{
	return percent > 100 ? err_set(err, EINVAL, "%s: %u is no percentage",
				       name, percent)
			     : 0;
}

/* An unset member of a oneof is 0, which all of these accept but periods. */
int mem_agent_memcg(const Agent__MemAgentMemcgSetRequest *msg, struct err *err)
{
	int ret = check_percent("period_psi_percent_limit",
				msg->period_psi_percent_limit, err);

	if (!ret)
		ret = check_percent("eviction_psi_percent_limit",
				    msg->eviction_psi_percent_limit, err);
	if (ret < 0)
		return ret;
	if (msg->swappiness_max > SWAPPINESS_MAX)
		return err_set(err, EINVAL, "swappiness_max: %u is above %d",
			       msg->swappiness_max, SWAPPINESS_MAX);
	if (msg->has_period_secs_case && msg->period_secs == 0)
		return err_set(err, EINVAL, "period_secs: 0");
	if (!msg->has_disabled_case || msg->disabled)
		return 0;
	if (access("/sys/kernel/mm/lru_gen/enabled", F_OK) < 0)
		return err_set(err, ENOTSUP,
			       "memcg: this kernel has no multi-generational "
			       "LRU");
	return err_set(err, ENOTSUP,
		       "memcg: this agent leaves reclaim to the kernel");
}

int mem_agent_compact(const Agent__MemAgentCompactSetRequest *msg,
		      struct err *err)
{
	int ret = check_percent("period_psi_percent_limit",
				msg->period_psi_percent_limit, err);

	if (!ret)
		ret = check_percent("compact_psi_percent_limit",
				    msg->compact_psi_percent_limit, err);
	if (ret < 0)
		return ret;
	if (msg->compact_order > ORDER_MAX)
		return err_set(err, EINVAL, "compact_order: %u is above %d",
			       msg->compact_order, ORDER_MAX);
	if (msg->has_period_secs_case && msg->period_secs == 0)
		return err_set(err, EINVAL, "period_secs: 0");
	if (!msg->has_disabled_case || msg->disabled)
		return 0;
	if (access("/proc/sys/vm/compact_memory", F_OK) < 0)
		return err_set(err, ENOTSUP,
			       "compact: this kernel has no compaction");
	return err_set(err, ENOTSUP,
		       "compact: this agent leaves compaction to the kernel");
}

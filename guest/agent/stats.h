/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_STATS_H
#define GUEST_AGENT_STATS_H

#include <sys/types.h>

#include "agent-proto/agent.pb-c.h"
#include "guest/agent/cgroup.h"

#define STATS_INTERFACES_MAX 32
#define STATS_MEMORY_MAX 96
#define STATS_BLOCK_MAX 96 /* three of a device */
#define STATS_HUGETLB_MAX 8
#define STATS_HUGETLB_NAME_MAX 16
#define STATS_RDMA_MAX 8

/* A file of pressure stall information, with all it points to. */
struct stats_pressure {
	Agent__PsiStats psi;
	Agent__PsiData some, full;
};

/* A file of the rdma controller; the names lie in the text. */
struct stats_rdma {
	Agent__RdmaEntry entries[STATS_RDMA_MAX];
	Agent__RdmaEntry *list[STATS_RDMA_MAX];
	char *text;
};

/* The reply, with room for all it points to. */
struct stats {
	Agent__StatsContainerResponse reply;
	Agent__CgroupStats cgroup;
	Agent__CpuStats cpu;
	Agent__CpuUsage cpu_usage;
	Agent__ThrottlingData throttling;
	Agent__MemoryStats memory;
	Agent__MemoryData usage, swap, kernel, swap_only;
	Agent__MemoryEvents memory_events;
	Agent__SwapEvents swap_events;
	Agent__PidsStats pids;
	Agent__BlkioStats blkio;
	struct stats_pressure cpu_psi, memory_psi, block_psi;
	Agent__StatEntry entries[STATS_MEMORY_MAX];
	Agent__StatEntry *entry_list[STATS_MEMORY_MAX];
	Agent__BlkioStatsEntry bytes[STATS_BLOCK_MAX], ios[STATS_BLOCK_MAX];
	Agent__BlkioStatsEntry *byte_list[STATS_BLOCK_MAX];
	Agent__BlkioStatsEntry *io_list[STATS_BLOCK_MAX];
	Agent__HugetlbStats huge[STATS_HUGETLB_MAX];
	Agent__HugetlbEntry huge_entries[STATS_HUGETLB_MAX];
	Agent__HugetlbEntry *huge_list[STATS_HUGETLB_MAX];
	char huge_names[STATS_HUGETLB_MAX][STATS_HUGETLB_NAME_MAX];
	struct stats_rdma rdma_current, rdma_max;
	Agent__NetworkStats nets[STATS_INTERFACES_MAX];
	Agent__NetworkStats *net_list[STATS_INTERFACES_MAX];
	char *memory_text, *net_text; /* keys and names lie here */
};

/* Of a group and of the network pid sees (0: none). NULL: out of memory. */
struct stats *stats_read(const struct cgroup *cg, pid_t pid);
void stats_free(struct stats *stats);

#endif

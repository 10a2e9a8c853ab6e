/* SPDX-License-Identifier: Apache-2.0 */
/* What `events --stats` prints. */
#include "runtime/cli/stats_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static char text[8192];

/* Into text. */
static void print(const Agent__StatsContainerResponse *stats)
{
	int fd = memfd_create("stdout", MFD_CLOEXEC);
	int old = dup(STDOUT_FILENO);
	struct err err;
	ssize_t n;
	int ret;

	assert_true(fd >= 0 && old >= 0);
	(void)fflush(stdout);
	assert_true(dup2(fd, STDOUT_FILENO) >= 0);
	ret = stats_print("c1", stats, &err);
	assert_true(dup2(old, STDOUT_FILENO) >= 0);
	assert_int_equal(ret, 0);
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	close(fd);
	close(old);
}

static void has(const char *part)
{
	if (!strstr(text, part))
		fail_msg("%s is not in %s", part, text);
}

static void all_of_version_2(void **state)
{
	Agent__StatsContainerResponse stats =
		AGENT__STATS_CONTAINER_RESPONSE__INIT;
	Agent__CgroupStats cgroup = AGENT__CGROUP_STATS__INIT;
	Agent__CpuStats cpu = AGENT__CPU_STATS__INIT;
	Agent__ThrottlingData throttling = AGENT__THROTTLING_DATA__INIT;
	Agent__MemoryStats memory = AGENT__MEMORY_STATS__INIT;
	Agent__MemoryData swap = AGENT__MEMORY_DATA__INIT;
	Agent__MemoryEvents events = AGENT__MEMORY_EVENTS__INIT;
	Agent__SwapEvents swap_events = AGENT__SWAP_EVENTS__INIT;
	Agent__PidsStats pids = AGENT__PIDS_STATS__INIT;
	Agent__RdmaEntry rdma = AGENT__RDMA_ENTRY__INIT;
	Agent__RdmaEntry *list[] = {&rdma};

	stats.cgroup_stats = &cgroup;
	cgroup.cpu_stats = &cpu;
	cpu.throttling_data = &throttling;
	throttling.bursts = 1;
	throttling.burst_time = 2;
	cgroup.memory_stats = &memory;
	memory.swap_only_usage = &swap;
	swap.max_usage = 3;
	memory.events = &events;
	events.low = 4;
	events.oom_kill = 5;
	memory.swap_events = &swap_events;
	swap_events.fail = 6;
	cgroup.pids_stats = &pids;
	pids.peak = 7;
	pids.failcnt = 8;
	rdma.device = (char *)(uintptr_t) "mlx5_0";
	rdma.hca_handles = 9;
	rdma.hca_objects = UINT32_MAX;
	cgroup.rdma_max = list;
	cgroup.n_rdma_max = 1;
	print(&stats);
	has("\"type\":\"stats\",\"id\":\"c1\"");
	has("\"throttledTime\":0,\"bursts\":1,\"burstTime\":2}");
	has("\"swapOnly\":{\"limit\":0,\"usage\":0,\"max\":3,\"failcnt\":0}");
	has("\"events\":{\"low\":4,\"high\":0,\"max\":0,\"oom\":0,"
	    "\"oomKill\":5,\"oomGroupKill\":0}");
	has("\"swapEvents\":{\"high\":0,\"max\":0,\"fail\":6}");
	has("\"pids\":{\"current\":0,\"limit\":0,\"peak\":7,\"failcnt\":8}");
	has("\"rdma\":{\"current\":[],\"limit\":[{\"device\":\"mlx5_0\","
	    "\"hcaHandles\":9,\"hcaObjects\":4294967295}]}");
}

/* Of Kata's agent, which knows none of these. */
static void of_another_agent(void **state)
{
	Agent__StatsContainerResponse stats =
		AGENT__STATS_CONTAINER_RESPONSE__INIT;
	Agent__CgroupStats cgroup = AGENT__CGROUP_STATS__INIT;
	Agent__MemoryStats memory = AGENT__MEMORY_STATS__INIT;

	stats.cgroup_stats = &cgroup;
	cgroup.memory_stats = &memory;
	print(&stats);
	has("\"memory\":{\"cache\":0,\"raw\":{}}");
	assert_null(strstr(text, "rdma"));
	stats.cgroup_stats = NULL;
	print(&stats);
	has("\"data\":{\"network_interfaces\":[]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_version_2),
		cmocka_unit_test(of_another_agent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

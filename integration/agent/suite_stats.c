/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of a container beside what it has really used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define MIB (1u << 20)
#define MS 1000000u /* in nanoseconds */
#define TICK (10 * MS)
#define BUSY 30 /* ticks of a processor */
#define TRIES 8
#define FILE_SIZE (16 * MIB)

struct numbers {
	uint64_t cpu, user, kernel;
	uint64_t memory, peak, cache, shmem;
	uint64_t pids, pids_limit;
	uint64_t received, sent; /* packets, by lo */
};

static uint64_t stat_of(const Agent__MemoryStats *memory, const char *key)
{
	for (size_t i = 0; i < memory->n_stats; i++) {
		if (strcmp(memory->stats[i]->key, key) == 0)
			return memory->stats[i]->value;
	}
	return 0;
}

static void read_network(struct numbers *n,
			 const Agent__StatsContainerResponse *reply)
{
	for (size_t i = 0; i < reply->n_network_stats; i++) {
		const Agent__NetworkStats *net = reply->network_stats[i];

		if (strcmp(net->name, "lo") != 0)
			continue;
		n->received = net->rx_packets;
		n->sent = net->tx_packets;
	}
}

static struct numbers numbers_of(const char *id)
{
	Agent__ContainerRequest req = AGENT__CONTAINER_REQUEST__INIT;
	Agent__StatsContainerResponse *reply = NULL;
	const Agent__CgroupStats *group;
	struct numbers n = {0};

	req.container_id = strdup(id);
	if (!check(call("StatsContainer", &req.base,
			&agent__stats_container_response__descriptor,
			(ProtobufCMessage **)&reply) == TTRPC_OK,
		   "StatsContainer"))
		return n;
	group = reply->cgroup_stats;
	n.cpu = group->cpu_stats->cpu_usage->total_usage;
	n.user = group->cpu_stats->cpu_usage->usage_in_usermode;
	n.kernel = group->cpu_stats->cpu_usage->usage_in_kernelmode;
	n.memory = group->memory_stats->usage->usage;
	n.peak = group->memory_stats->usage->max_usage;
	n.cache = group->memory_stats->cache;
	n.shmem = stat_of(group->memory_stats, "shmem");
	n.pids = group->pids_stats->current;
	n.pids_limit = group->pids_stats->limit;
	read_network(&n, reply);
	agent__stats_container_response__free_unpacked(reply, NULL);
	return n;
}

/* Lets the script go on, until it says something: static storage. */
static const char *step(const char *id, const char *line)
{
	Agent__ReadStreamRequest req = AGENT__READ_STREAM_REQUEST__INIT;
	Agent__ReadStreamResponse *reply = NULL;
	static char text[64];
	uint32_t len;
	size_t n;

	*text = '\0';
	req.container_id = strdup(id);
	req.len = sizeof(text) - 1;
	if (write_stdin(id, "", line, &len) != TTRPC_OK ||
	    call("ReadStdout", &req.base,
		 &agent__read_stream_response__descriptor,
		 (ProtobufCMessage **)&reply) != TTRPC_OK)
		return text;
	n = MIN(reply->data.len, sizeof(text) - 1);
	if (n)
		memcpy(text, reply->data.data, n);
	text[n] = '\0';
	agent__read_stream_response__free_unpacked(reply, NULL);
	return text;
}

/* From a number to a number, both in it. */
static bool in(const char *what, uint64_t value, uint64_t from, uint64_t to)
{
	if (value >= from && value <= to)
		return true;
	printf("# %s: %llu, and not from %llu to %llu\n", what,
	       (unsigned long long)value, (unsigned long long)from,
	       (unsigned long long)to);
	return false;
}

/*
 * The kernel tells a process of its time in ticks; the fields 14 and 15 of its
 * stat(5) are of user and kernel mode. Which of them it was is sampled, and
 * user-mode Linux takes all of it for the kernel's.
 */
static bool counts_loop(void)
{
	struct numbers had = numbers_of("n1"), has;
	char *end = NULL;
	const char *text = step("n1", "again\n");
	uint64_t user = strtoull(text, &end, 10) * TICK;
	uint64_t kernel = strtoull(end, NULL, 10) * TICK;
	uint64_t used = user + kernel;

	has = numbers_of("n1");
	return in("processor", used, BUSY * TICK, 2 * BUSY * TICK) &&
	       in("nanoseconds", has.cpu - had.cpu, used - 2 * TICK,
		  used + BUSY / 2 * TICK) &&
	       in("user mode", has.user - had.user + BUSY / 3 * TICK, user,
		  user + BUSY * TICK) &&
	       in("kernel mode", has.kernel - had.kernel + BUSY / 3 * TICK,
		  kernel, kernel + BUSY * TICK) &&
	       in("both", has.user + has.kernel, has.cpu - MS, has.cpu + MS);
}

/* User-mode Linux counts what others take of its machine, before and after the
 * loop too: on a busy one not each try is good. */
static void test_processor(void)
{
	bool good = counts_loop();

	for (int i = 1; i < TRIES && !good; i++)
		good = counts_loop();
	check(good, "the processor's time is what a loop used, in both modes");
	(void)step("n1", "\n");
}

static void test_processes(void)
{
	struct numbers has;

	(void)step("n1", "\n");
	has = numbers_of("n1");
	check(in("processes", has.pids, 4, 4) &&
		      in("limit", has.pids_limit, 50, 50),
	      "the processes that there are, and may be");
}

static void test_pages(void)
{
	struct numbers had = numbers_of("n1"), has;

	(void)step("n1", "\n");
	has = numbers_of("n1");
	check(in("memory", has.memory - had.memory, FILE_SIZE - MIB,
		 FILE_SIZE + 4 * MIB) &&
		      has.peak >= has.memory,
	      "the memory is what a file in it takes");
	check(in("shmem", has.shmem - had.shmem, FILE_SIZE - MIB / 4,
		 FILE_SIZE + MIB / 4) &&
		      in("cache", has.cache - had.cache, FILE_SIZE - MIB / 4,
			 FILE_SIZE + 4 * MIB),
	      "as memory that is shared, and as cache");
	(void)step("n1", "\n");
	had = numbers_of("n1");
	check(in("memory", has.memory - had.memory, FILE_SIZE - 4 * MIB,
		 FILE_SIZE + 4 * MIB) &&
		      had.peak >= has.memory,
	      "it is given back, and the highest is remembered");
}

/* What is sent there is received there. */
static void test_packets(void)
{
	struct numbers had = numbers_of("n1"), has;

	(void)step("n1", "\n");
	has = numbers_of("n1");
	check(in("packets", has.sent - had.sent, 2, 20) &&
		      in("packets", has.received - had.received,
			 has.sent - had.sent, has.sent - had.sent),
	      "the network's packets are what a call took");
}

void test_stats_suite(const char *rootfs)
{
	Oci__LinuxPids pids = OCI__LINUX_PIDS__INIT;
	struct test_spec s;

	spec_init(&s, rootfs, "sh", "-c",
		  "t() { read -r l < /proc/$$/stat; set -- ${l##*) }; "
		  "u=${12} k=${13}; }; "
		  "while read x && [ -n \"$x\" ]; do "
		  "t; from=$u,$k end=$((u + k + 30)); "
		  "until [ $((u + k)) -ge $end ]; do t; done; "
		  "echo $((u - ${from%,*})) $((k - ${from#*,})); done; echo; "
		  "read x; for i in 1 2 3; do sleep 100 & done; echo; "
		  "read x; dd if=/dev/zero of=/dev/shm/f bs=1M count=16 "
		  "2> /dev/null; echo; "
		  "read x; rm /dev/shm/f; echo; "
		  "read x; wget -q http://127.0.0.1:9/ 2> /dev/null; echo; "
		  "read x",
		  END);
	if (getenv("AGENT_IS_INIT")) {
		s.lin.resources = &s.resources;
		s.resources.pids = &pids;
		pids.limit = 50;
	}
	check(create("n1", &s) == TTRPC_OK && start("n1") == TTRPC_OK, "start");
	test_processor();
	if (numbers_of("n1").memory) {
		test_processes();
		test_pages();
	} else {
		skip("statistics: no memory and pids groups of version 2 here");
		for (int i = 0; i < 3; i++)
			(void)step("n1", "\n");
	}
	test_packets();
	check(remove_container("n1") == TTRPC_OK, "remove");
}

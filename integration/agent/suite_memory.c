/* SPDX-License-Identifier: Apache-2.0 */
/* The memory agent, and statistics of control groups. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define IMAGE "/tmp/memory.img"
#define SWAP "/tmp/swap/image"
#define LRU_GEN "/sys/kernel/mm/lru_gen/enabled"
#define MIB (1ull << 20)
/* Of what takes some seconds; on software processors, more of them. */
#define PATIENCE_S 60

static const char *rootfs;
static Agent__MemAgentMemcgSetRequest memcg;
static Agent__MemAgentCompactSetRequest compact;

/* A member of a oneof, which counts by its number. */
#define GIVE(message, has, number, field, value)     \
	do {                                         \
		(message).has_##has##_case = number; \
		(message).field = value;             \
	} while (0)

static int shell(const char *command)
{
	return system(command); /* of the test's own */
}

static void forget(void)
{
	agent__mem_agent_memcg_set_request__init(&memcg);
	agent__mem_agent_compact_set_request__init(&compact);
}

static enum ttrpc_code set_memcg(void)
{
	return call("MemAgentMemcgSet", &memcg.base, &agent__empty__descriptor,
		    NULL);
}

static enum ttrpc_code set_compact(void)
{
	return call("MemAgentCompactSet", &compact.base,
		    &agent__empty__descriptor, NULL);
}

/* Refused for the field of that name; the message is empty afterwards. */
static void expect_bad(enum ttrpc_code (*set)(void), const char *name)
{
	check(set() == TTRPC_INVALID_ARGUMENT && strstr(call_text, name),
	      "the memory agent: %s out of range", name);
	forget();
}

static void test_ranges(void)
{
	forget();
	GIVE(memcg, swappiness_max, 3, swappiness_max, 201);
	expect_bad(set_memcg, "swappiness_max");
	GIVE(memcg, period_secs, 4, period_secs, 0);
	expect_bad(set_memcg, "period_secs");
	GIVE(memcg, period_psi, 5, period_psi_percent_limit, 101);
	expect_bad(set_memcg, "period_psi_percent_limit");
	GIVE(memcg, eviction_psi, 6, eviction_psi_percent_limit, 101);
	expect_bad(set_memcg, "eviction_psi_percent_limit");
	GIVE(compact, period_secs, 2, period_secs, 1ull << 32);
	expect_bad(set_compact, "period_secs");
	GIVE(compact, period_psi, 3, period_psi_percent_limit, 101);
	expect_bad(set_compact, "period_psi_percent_limit");
	GIVE(compact, compact_psi, 4, compact_psi_percent_limit, 101);
	expect_bad(set_compact, "compact_psi_percent_limit");
	GIVE(compact, sec_max, 5, compact_sec_max, -1);
	expect_bad(set_compact, "compact_sec_max");
	GIVE(compact, order, 6, compact_order, 11);
	expect_bad(set_compact, "compact_order");
}

/* Caller frees; NULL: refused. */
static Agent__StatsContainerResponse *stats_of(const char *id)
{
	Agent__ContainerRequest req = AGENT__CONTAINER_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	enum ttrpc_code code;

	req.container_id = strdup(id);
	code = call("StatsContainer", &req.base,
		    &agent__stats_container_response__descriptor, &reply);
	free(req.container_id);
	return code == TTRPC_OK ? (void *)reply : NULL;
}

static uint64_t cache_of(const char *id)
{
	Agent__StatsContainerResponse *s = stats_of(id);
	uint64_t cache = s ? s->cgroup_stats->memory_stats->cache : UINT64_MAX;

	if (s)
		agent__stats_container_response__free_unpacked(s, NULL);
	return cache;
}

static uint64_t swap_of(const char *id)
{
	Agent__StatsContainerResponse *s = stats_of(id);
	const Agent__MemoryStats *m = s ? s->cgroup_stats->memory_stats : NULL;
	uint64_t swap = m ? m->swap_usage->usage - m->usage->usage : 0;

	if (s)
		agent__stats_container_response__free_unpacked(s, NULL);
	return swap;
}

static bool cache_is_gone(void)
{
	return cache_of("m1") < 4 * MIB;
}

static bool is_swapped(void)
{
	return swap_of("m2") > 4 * MIB;
}

static bool logged(const char *text)
{
	Agent__GetDiagnosticDataRequest req =
		AGENT__GET_DIAGNOSTIC_DATA_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	bool yes;

	req.log_type = strdup("agent");
	yes = call("GetDiagnosticData", &req.base,
		   &agent__get_diagnostic_data_response__descriptor,
		   &reply) == TTRPC_OK &&
	      strstr(((Agent__GetDiagnosticDataResponse *)reply)->data, text);
	if (reply)
		protobuf_c_message_free_unpacked(reply, NULL);
	free(req.log_type);
	return yes;
}

/* Said at the end, which the last pages may precede. */
static bool was_reclaimed(void)
{
	return logged("pages reclaimed");
}

static bool was_compacted(void)
{
	return logged("memory agent: compacted");
}

static void pause_ms(long ms)
{
	const struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

static bool comes(bool (*is)(void))
{
	for (int i = 0; i < PATIENCE_S * 5; i++) {
		if (is())
			return true;
		pause_ms(200);
	}
	return false;
}

/* Fast, and whatever the machine waits for. */
static void memcg_on(uint64_t agings, bool swap)
{
	forget();
	GIVE(memcg, disabled, 1, disabled, false);
	GIVE(memcg, swap, 2, swap, swap);
	GIVE(memcg, swappiness_max, 3, swappiness_max, 200);
	GIVE(memcg, period_secs, 4, period_secs, 1);
	GIVE(memcg, period_psi, 5, period_psi_percent_limit, 100);
	GIVE(memcg, eviction_psi, 6, eviction_psi_percent_limit, 100);
	GIVE(memcg, aging, 7, eviction_run_aging_count_min, agings);
}

static enum ttrpc_code memcg_off(void)
{
	forget();
	GIVE(memcg, disabled, 1, disabled, true);
	return set_memcg();
}

static void test_file_pages(void)
{
	Agent__Storage storage = AGENT__STORAGE__INIT, *list[] = {&storage};
	static char device[64];
	FILE *f = fopen("/tmp/loop", "r");
	struct test_spec s;

	if (!f || fscanf(f, "%63s", device) != 1)
		device[0] = '\0';
	if (f)
		(void)fclose(f);
	spec_init(&s, rootfs, "sh", "-c",
		  "dd if=/dev/zero of=/vol/f bs=1M count=16 2> /dev/null; "
		  "sync; cat /vol/f > /dev/null; echo ready; sleep 1000",
		  END);
	storage.driver = strdup("blk");
	storage.source = device;
	storage.fstype = strdup("ext4");
	storage.mount_point = strdup("/run/kata-containers/sandbox/memory");
	spec_mount(&s, "bind", storage.mount_point, "/vol", "rbind");
	if (!check(create_with("m1", &s, list, 1, NULL, 0) == TTRPC_OK &&
			   start("m1") == TTRPC_OK,
		   "a container with a file"))
		return;
	for (int i = 0; i < PATIENCE_S * 5 && cache_of("m1") < 16 * MIB; i++)
		pause_ms(200);
	memcg_on(1000, false);
	check(set_memcg() == TTRPC_OK, "the memory agent: on");
	pause_ms(2500);
	check(cache_of("m1") >= 16 * MIB, "what did not age stays");
	forget();
	GIVE(memcg, aging, 7, eviction_run_aging_count_min, 2);
	check(set_memcg() == TTRPC_OK && comes(cache_is_gone) &&
		      comes(was_reclaimed),
	      "pages of a file that nobody reads go");
	check(memcg_off() == TTRPC_OK && remove_container("m1") == TTRPC_OK,
	      "remove");
}

static void test_anonymous_pages(void)
{
	struct test_spec s;

	/* On a tmpfs, the file would itself be swapped out, into itself. */
	if (shell("mkdir -p /tmp/swap && mount -t ramfs ramfs /tmp/swap && "
		  "dd if=/dev/zero of=" SWAP " bs=1M count=32 2> /dev/null && "
		  "mkswap " SWAP " > /dev/null && l=$(losetup -f) && "
		  "losetup $l " SWAP
		  " && swapon $l && echo $l > /tmp/swap/device") != 0) {
		skip("swap: no swap space here");
		return;
	}
	spec_init(&s, rootfs, "sh", "-c",
		  "x=$(dd if=/dev/zero bs=1M count=12 2> /dev/null | "
		  "tr '\\0' x); echo ready; sleep 1000; echo $x",
		  END);
	check(create("m2", &s) == TTRPC_OK && start("m2") == TTRPC_OK,
	      "a container with memory");
	memcg_on(1, false);
	check(set_memcg() == TTRPC_OK, "the memory agent: without swap");
	pause_ms(3500);
	check(swap_of("m2") < MIB, "anonymous pages stay");
	memcg_on(1, true);
	check(set_memcg() == TTRPC_OK && comes(is_swapped),
	      "anonymous pages that nobody uses go");
	check(memcg_off() == TTRPC_OK && remove_container("m2") == TTRPC_OK &&
		      shell("swapoff $(cat /tmp/swap/device) && "
			    "losetup -d $(cat /tmp/swap/device) && "
			    "umount /tmp/swap && rmdir /tmp/swap") == 0,
	      "remove");
}

static void test_compact(void)
{
	forget();
	GIVE(compact, disabled, 1, disabled, false);
	GIVE(compact, period_secs, 2, period_secs, 1);
	GIVE(compact, period_psi, 3, period_psi_percent_limit, 100);
	GIVE(compact, compact_psi, 4, compact_psi_percent_limit, 100);
	GIVE(compact, sec_max, 5, compact_sec_max, 5);
	GIVE(compact, order, 6, compact_order, 10);
	GIVE(compact, threshold, 7, compact_threshold, UINT64_MAX);
	GIVE(compact, force_times, 8, compact_force_times, UINT64_MAX);
	check(set_compact() == TTRPC_OK, "the memory agent: compaction");
	pause_ms(2500);
	check(!was_compacted(), "not below the threshold");
	forget();
	GIVE(compact, force_times, 8, compact_force_times, 0);
	check(set_compact() == TTRPC_OK && comes(was_compacted),
	      "by force, each time");
	forget();
	GIVE(compact, disabled, 1, disabled, true);
	check(set_compact() == TTRPC_OK, "the memory agent: compaction off");
}

static bool is_psi(const Agent__PsiStats *psi)
{
	return psi && psi->some && psi->full &&
	       psi->full->total <= psi->some->total && psi->some->avg10 >= 0 &&
	       psi->some->avg10 <= 100;
}

static bool waits_for_processor(void)
{
	Agent__StatsContainerResponse *s = stats_of("m3");
	const Agent__CgroupStats *g = s ? s->cgroup_stats : NULL;
	bool yes = g && is_psi(g->cpu_stats->psi) &&
		   g->cpu_stats->psi->some->total > 1000 &&
		   is_psi(g->memory_stats->psi) && is_psi(g->blkio_stats->psi);

	if (s)
		agent__stats_container_response__free_unpacked(s, NULL);
	return yes;
}

/* More busy processes than there are processors. */
static void test_pressure(void)
{
	struct test_spec s;

	if (access("/proc/pressure/cpu", F_OK) < 0) {
		skip("statistics of pressure: not from this kernel");
		return;
	}
	spec_init(&s, rootfs, "sh", "-c",
		  "for i in 1 2 3 4 5; do (while :; do :; done) & done; wait",
		  END);
	check(create("m3", &s) == TTRPC_OK && start("m3") == TTRPC_OK,
	      "a busy container");
	check(comes(waits_for_processor), "statistics of pressure");
	check(remove_container("m3") == TTRPC_OK, "remove");
}

void test_memory_suite(const char *root)
{
	bool ours;

	rootfs = root;
	test_ranges();
	forget();
	GIVE(memcg, disabled, 1, disabled, true);
	GIVE(compact, disabled, 1, disabled, true);
	check(set_memcg() == TTRPC_OK && set_compact() == TTRPC_OK,
	      "the memory agent: off");
	memcg.disabled = compact.disabled = false;
	ours = set_memcg() == TTRPC_OK || !strstr(call_text, "first process");
	test_pressure();
	if (!ours) {
		check(set_compact() == TTRPC_UNIMPLEMENTED &&
			      strstr(call_text, "first process"),
		      "the memory agent: not the machine's");
		return;
	}
	check(shell("grep -q 0x000[1-7] " LRU_GEN) == 0 &&
		      memcg_off() == TTRPC_OK &&
		      shell("grep -q 0x0000 " LRU_GEN) == 0,
	      "the memory agent: on and off");
	if (shell("grep -qw ext4 /proc/filesystems && dd if=/dev/zero of=" IMAGE
		  " bs=1M count=24 2> /dev/null && mke2fs -F " IMAGE
		  " > /dev/null 2>&1 && losetup -f > /tmp/loop && "
		  "losetup $(cat /tmp/loop) " IMAGE) == 0) {
		test_file_pages();
		(void)shell("losetup -d $(cat /tmp/loop); rm " IMAGE);
	} else {
		skip("the memory agent: no file system with pages here");
	}
	test_anonymous_pages();
	test_compact();
}

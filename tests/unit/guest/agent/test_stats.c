/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's files of a control group, and what is told of them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "guest/agent/stats.h"

static char dir[] = "/tmp/stats.XXXXXX";
static struct cgroup group;

static int make(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	group.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return group.dir < 0 ? -1 : 0;
}

static int clean(void **state)
{
	close(group.dir);
	return remove_tree(AT_FDCWD, dir);
}

static void put(const char *file, const char *text)
{
	assert_int_equal(
		file_replace(group.dir, file, text, strlen(text), 0600), 0);
}

static void is_entry(const Agent__BlkioStatsEntry *e, uint64_t major,
		     uint64_t minor, const char *op, uint64_t value)
{
	assert_int_equal(e->major, major);
	assert_int_equal(e->minor, minor);
	assert_string_equal(e->op, op);
	assert_int_equal(e->value, value);
}

/* A device without numbers, one of an old kernel, one with a controller's. */
static void of_disks(void **state)
{
	const Agent__BlkioStats *b;
	struct stats *s;

	put("io.stat", "7:0 \n"
		       "8:0 rbytes=1 wbytes=2 rios=3 wios=4\n"
		       "254:16 rbytes=11 wbytes=12 rios=13 wios=14 dbytes=15 "
		       "dios=16 cost.usage=9\n");
	s = stats_read(&group, 0);
	assert_non_null(s);
	b = s->reply.cgroup_stats->blkio_stats;
	assert_int_equal(b->n_io_service_bytes_recursive, 6);
	assert_int_equal(b->n_io_serviced_recursive, 6);
	is_entry(b->io_service_bytes_recursive[0], 8, 0, "Read", 1);
	is_entry(b->io_service_bytes_recursive[1], 8, 0, "Write", 2);
	is_entry(b->io_service_bytes_recursive[2], 8, 0, "Discard", 0);
	is_entry(b->io_serviced_recursive[0], 8, 0, "Read", 3);
	is_entry(b->io_serviced_recursive[1], 8, 0, "Write", 4);
	is_entry(b->io_service_bytes_recursive[3], 254, 16, "Read", 11);
	is_entry(b->io_service_bytes_recursive[4], 254, 16, "Write", 12);
	is_entry(b->io_service_bytes_recursive[5], 254, 16, "Discard", 15);
	is_entry(b->io_serviced_recursive[5], 254, 16, "Discard", 16);
	assert_null(b->psi);
	stats_free(s);
}

static void more_disks_than_fit(void **state)
{
	char text[8192];
	struct stats *s;
	size_t len = 0;

	for (unsigned i = 0; i < 100; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"8:%u rbytes=1 wbytes=2 rios=3 "
					"wios=4 dbytes=5 dios=6\n",
					i);
	put("io.stat", text);
	s = stats_read(&group, 0);
	assert_non_null(s);
	assert_int_equal(s->blkio.n_io_serviced_recursive, STATS_BLOCK_MAX);
	is_entry(s->io_list[STATS_BLOCK_MAX - 1], 8, STATS_BLOCK_MAX / 3 - 1,
		 "Discard", 6);
	stats_free(s);
}

static void of_processors(void **state)
{
	struct stats *s;

	put("cpu.stat", "usage_usec 300\nuser_usec 200\nsystem_usec 100\n"
			"nr_periods 7\nnr_throttled 5\nthrottled_usec 3\n"
			"nr_bursts 2\nburst_usec 9\n");
	put("cpu.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=12\n"
			    "full avg10=0.00 avg60=0.00 avg300=0.25 total=3\n");
	s = stats_read(&group, 0);
	assert_non_null(s);
	assert_int_equal(s->cpu_usage.total_usage, 300000);
	assert_int_equal(s->cpu_usage.usage_in_usermode, 200000);
	assert_int_equal(s->cpu_usage.usage_in_kernelmode, 100000);
	assert_int_equal(s->throttling.periods, 7);
	assert_int_equal(s->throttling.throttled_periods, 5);
	assert_int_equal(s->throttling.throttled_time, 3000);
	assert_int_equal(s->throttling.bursts, 2);
	assert_int_equal(s->throttling.burst_time, 9000);
	assert_non_null(s->cpu.psi);
	assert_int_equal(s->cpu.psi->some->total, 12);
	assert_int_equal(s->cpu.psi->full->total, 3);
	stats_free(s);
}

static void of_memory(void **state)
{
	const Agent__MemoryStats *m;
	struct stats *s;

	put("memory.current", "4096\n");
	put("memory.peak", "8192\n");
	put("memory.max", "16384\n");
	put("memory.swap.current", "100\n");
	put("memory.swap.max", "1000\n");
	put("memory.swap.peak", "200\n");
	put("memory.swap.events", "high 11\nmax 12\nfail 13\n");
	put("memory.events", "low 4\nhigh 5\nmax 6\noom 7\noom_kill 8\n"
			     "oom_group_kill 9\n");
	put("memory.stat", "anon 1\nfile 2\nkernel 3\n");
	s = stats_read(&group, 0);
	assert_non_null(s);
	m = s->reply.cgroup_stats->memory_stats;
	assert_int_equal(m->usage->usage, 4096);
	assert_int_equal(m->usage->max_usage, 8192);
	assert_int_equal(m->usage->limit, 16384);
	assert_int_equal(m->usage->failcnt, 6);
	assert_int_equal(m->swap_usage->usage, 4196);
	assert_int_equal(m->swap_usage->limit, 17384);
	assert_int_equal(m->events->low, 4);
	assert_int_equal(m->events->high, 5);
	assert_int_equal(m->events->max, 6);
	assert_int_equal(m->events->oom, 7);
	assert_int_equal(m->events->oom_kill, 8);
	assert_int_equal(m->events->oom_group_kill, 9);
	assert_int_equal(m->swap_only_usage->usage, 100);
	assert_int_equal(m->swap_only_usage->max_usage, 200);
	assert_int_equal(m->swap_only_usage->limit, 1000);
	assert_int_equal(m->swap_only_usage->failcnt, 12);
	assert_int_equal(m->swap_events->high, 11);
	assert_int_equal(m->swap_events->max, 12);
	assert_int_equal(m->swap_events->fail, 13);
	assert_int_equal(m->cache, 2);
	assert_int_equal(m->kernel_usage->usage, 3);
	assert_int_equal(m->n_stats, 3);
	assert_string_equal(m->stats[0]->key, "anon");
	assert_int_equal(m->stats[0]->value, 1);
	stats_free(s);
	put("memory.max", "max\n");
	s = stats_read(&group, 0);
	assert_non_null(s);
	assert_true(s->usage.limit == UINT64_MAX);
	assert_true(s->swap.limit == UINT64_MAX);
	stats_free(s);
}

static void of_processes(void **state)
{
	struct stats *s;

	put("pids.current", "3\n");
	put("pids.max", "max\n");
	s = stats_read(&group, 0);
	assert_non_null(s);
	assert_int_equal(s->pids.current, 3);
	assert_int_equal(s->pids.limit, 0);
	stats_free(s);
	put("pids.max", "9\n");
	put("pids.peak", "8\n");
	put("pids.events", "max 5\n");
	s = stats_read(&group, 0);
	assert_non_null(s);
	assert_int_equal(s->pids.limit, 9);
	assert_int_equal(s->pids.peak, 8);
	assert_int_equal(s->pids.failcnt, 5);
	stats_free(s);
}

static void of_huge_pages(void **state)
{
	struct stats *s;

	put("hugetlb.2MB.current", "2097152\n");
	put("hugetlb.2MB.events", "max 4\n");
	put("hugetlb.2MB.rsvd.current", "77\n");
	s = stats_read(&group, 0);
	assert_non_null(s);
	assert_int_equal(s->cgroup.n_hugetlb_stats, 1);
	assert_string_equal(s->huge_entries[0].key, "2MB");
	assert_int_equal(s->huge[0].usage, 2097152);
	assert_int_equal(s->huge[0].failcnt, 4);
	stats_free(s);
}

/* As a host reads them: over the wire, but for lines that are none. */
static void of_rdma(void **state)
{
	static const char current[] = "mlx5_0 hca_handle=2 hca_object=2000\n"
				      "nonsense\n"
				      "ocrdma1 hca_handle=1 hca_object=23\n";
	Agent__StatsContainerResponse *r;
	uint8_t bytes[8192];
	struct stats *s;
	size_t len;

	put("rdma.current", current);
	put("rdma.max", "mlx5_0 hca_handle=max hca_object=3000\n");
	s = stats_read(&group, 0);
	assert_non_null(s);
	len = protobuf_c_message_get_packed_size(&s->reply.base);
	assert_in_range(len, 1, sizeof(bytes));
	protobuf_c_message_pack(&s->reply.base, bytes);
	r = agent__stats_container_response__unpack(NULL, len, bytes);
	assert_non_null(r);
	assert_int_equal(r->cgroup_stats->n_rdma_current, 2);
	assert_string_equal(r->cgroup_stats->rdma_current[0]->device, "mlx5_0");
	assert_int_equal(r->cgroup_stats->rdma_current[0]->hca_handles, 2);
	assert_int_equal(r->cgroup_stats->rdma_current[0]->hca_objects, 2000);
	assert_string_equal(r->cgroup_stats->rdma_current[1]->device,
			    "ocrdma1");
	assert_int_equal(r->cgroup_stats->n_rdma_max, 1);
	assert_true(r->cgroup_stats->rdma_max[0]->hca_handles == UINT32_MAX);
	assert_int_equal(r->cgroup_stats->rdma_max[0]->hca_objects, 3000);
	agent__stats_container_response__free_unpacked(r, NULL);
	stats_free(s);
}

/* The numbers of a process of our own are those that it can read itself. */
static void of_network(void **state)
{
	struct stats *s = stats_read(&group, getpid());
	bool lo = false;

	assert_non_null(s);
	for (size_t i = 0; i < s->reply.n_network_stats; i++)
		lo |= strcmp(s->nets[i].name, "lo") == 0 &&
		      s->nets[i].rx_bytes == s->nets[i].tx_bytes &&
		      s->nets[i].rx_packets == s->nets[i].tx_packets;
	assert_true(lo);
	stats_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_disks),
		cmocka_unit_test(more_disks_than_fit),
		cmocka_unit_test(of_processors),
		cmocka_unit_test(of_memory),
		cmocka_unit_test(of_processes),
		cmocka_unit_test(of_huge_pages),
		cmocka_unit_test(of_rdma),
		cmocka_unit_test(of_network),
	};

	return cmocka_run_group_tests(tests, make, clean);
}

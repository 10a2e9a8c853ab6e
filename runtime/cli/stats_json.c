/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/cli/stats_json.h"

#include <errno.h>

#include "base/jsonw.h"
#include "runtime/cli/cli.h"

static void write_psi_data(struct jsonw *w, const char *key,
			   const Agent__PsiData *data)
{
	if (!data)
		return;
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_key(w, "avg10");
	jsonw_hundredths(w, data->avg10);
	jsonw_key(w, "avg60");
	jsonw_hundredths(w, data->avg60);
	jsonw_key(w, "avg300");
	jsonw_hundredths(w, data->avg300);
	jsonw_ku64(w, "total", data->total);
	jsonw_end_object(w);
}

static void write_psi(struct jsonw *w, const Agent__PsiStats *psi)
{
	if (!psi)
		return;
	jsonw_key(w, "psi");
	jsonw_object(w);
	write_psi_data(w, "some", psi->some);
	write_psi_data(w, "full", psi->full);
	jsonw_end_object(w);
}

static void write_cpu(struct jsonw *w, const Agent__CpuStats *cpu)
{
	const Agent__CpuUsage *usage = cpu->cpu_usage;
	const Agent__ThrottlingData *t = cpu->throttling_data;

	jsonw_key(w, "cpu");
	jsonw_object(w);
	jsonw_key(w, "usage");
	jsonw_object(w);
	if (usage) {
		jsonw_ku64(w, "total", usage->total_usage);
		jsonw_ku64(w, "kernel", usage->usage_in_kernelmode);
		jsonw_ku64(w, "user", usage->usage_in_usermode);
	}
	jsonw_end_object(w);
	jsonw_key(w, "throttling");
	jsonw_object(w);
	if (t) {
		jsonw_ku64(w, "periods", t->periods);
		jsonw_ku64(w, "throttledPeriods", t->throttled_periods);
		jsonw_ku64(w, "throttledTime", t->throttled_time);
		jsonw_ku64(w, "bursts", t->bursts);
		jsonw_ku64(w, "burstTime", t->burst_time);
	}
	jsonw_end_object(w);
	write_psi(w, cpu->psi);
	jsonw_end_object(w);
}

static void write_memory_data(struct jsonw *w, const char *key,
			      const Agent__MemoryData *data)
{
	if (!data)
		return;
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_ku64(w, "limit", data->limit);
	jsonw_ku64(w, "usage", data->usage);
	jsonw_ku64(w, "max", data->max_usage);
	jsonw_ku64(w, "failcnt", data->failcnt);
	jsonw_end_object(w);
}

static void write_memory_events(struct jsonw *w, const Agent__MemoryEvents *e)
{
	if (!e)
		return;
	jsonw_key(w, "events");
	jsonw_object(w);
	jsonw_ku64(w, "low", e->low);
	jsonw_ku64(w, "high", e->high);
	jsonw_ku64(w, "max", e->max);
	jsonw_ku64(w, "oom", e->oom);
	jsonw_ku64(w, "oomKill", e->oom_kill);
	jsonw_ku64(w, "oomGroupKill", e->oom_group_kill);
	jsonw_end_object(w);
}

static void write_swap_events(struct jsonw *w, const Agent__SwapEvents *e)
{
	if (!e)
		return;
	jsonw_key(w, "swapEvents");
	jsonw_object(w);
	jsonw_ku64(w, "high", e->high);
	jsonw_ku64(w, "max", e->max);
	jsonw_ku64(w, "fail", e->fail);
	jsonw_end_object(w);
}

static void write_memory(struct jsonw *w, const Agent__MemoryStats *memory)
{
	jsonw_key(w, "memory");
	jsonw_object(w);
	jsonw_ku64(w, "cache", memory->cache);
	write_memory_data(w, "usage", memory->usage);
	write_memory_data(w, "swap", memory->swap_usage);
	write_memory_data(w, "kernel", memory->kernel_usage);
	jsonw_key(w, "raw");
	jsonw_object(w);
	for (size_t i = 0; i < memory->n_stats; i++)
		jsonw_ku64(w, memory->stats[i]->key, memory->stats[i]->value);
	jsonw_end_object(w);
	write_memory_data(w, "swapOnly", memory->swap_only_usage);
	write_memory_events(w, memory->events);
	write_swap_events(w, memory->swap_events);
	write_psi(w, memory->psi);
	jsonw_end_object(w);
}

static void write_blkio_list(struct jsonw *w, const char *key, size_t n,
			     Agent__BlkioStatsEntry *const *list)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		jsonw_object(w);
		jsonw_ku64(w, "major", list[i]->major);
		jsonw_ku64(w, "minor", list[i]->minor);
		jsonw_kstr(w, "op", list[i]->op);
		jsonw_ku64(w, "value", list[i]->value);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void write_hugetlb(struct jsonw *w, size_t n,
			  Agent__HugetlbEntry *const *list)
{
	jsonw_key(w, "hugetlb");
	jsonw_object(w);
	for (size_t i = 0; i < n; i++) {
		if (!list[i]->value)
			continue;
		jsonw_key(w, list[i]->key);
		jsonw_object(w);
		jsonw_ku64(w, "usage", list[i]->value->usage);
		jsonw_ku64(w, "max", list[i]->value->max_usage);
		jsonw_ku64(w, "failcnt", list[i]->value->failcnt);
		jsonw_end_object(w);
	}
	jsonw_end_object(w);
}

static void write_pids(struct jsonw *w, const Agent__PidsStats *pids)
{
	jsonw_key(w, "pids");
	jsonw_object(w);
	jsonw_ku64(w, "current", pids->current);
	jsonw_ku64(w, "limit", pids->limit);
	jsonw_ku64(w, "peak", pids->peak);
	jsonw_ku64(w, "failcnt", pids->failcnt);
	jsonw_end_object(w);
}

static void write_rdma_list(struct jsonw *w, const char *key, size_t n,
			    Agent__RdmaEntry *const *list)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		jsonw_object(w);
		jsonw_kstr(w, "device", list[i]->device);
		jsonw_ku64(w, "hcaHandles", list[i]->hca_handles);
		jsonw_ku64(w, "hcaObjects", list[i]->hca_objects);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void write_rdma(struct jsonw *w, const Agent__CgroupStats *s)
{
	jsonw_key(w, "rdma");
	jsonw_object(w);
	write_rdma_list(w, "current", s->n_rdma_current, s->rdma_current);
	write_rdma_list(w, "limit", s->n_rdma_max, s->rdma_max);
	jsonw_end_object(w);
}

static void write_cgroup(struct jsonw *w, const Agent__CgroupStats *s)
{
	if (s->cpu_stats)
		write_cpu(w, s->cpu_stats);
	if (s->memory_stats)
		write_memory(w, s->memory_stats);
	if (s->pids_stats)
		write_pids(w, s->pids_stats);
	if (s->blkio_stats) {
		const Agent__BlkioStats *b = s->blkio_stats;

		jsonw_key(w, "blkio");
		jsonw_object(w);
		write_blkio_list(w, "ioServiceBytesRecursive",
				 b->n_io_service_bytes_recursive,
				 b->io_service_bytes_recursive);
		write_blkio_list(w, "ioServicedRecursive",
				 b->n_io_serviced_recursive,
				 b->io_serviced_recursive);
		write_psi(w, b->psi);
		jsonw_end_object(w);
	}
	if (s->n_hugetlb_stats)
		write_hugetlb(w, s->n_hugetlb_stats, s->hugetlb_stats);
	if (s->n_rdma_current || s->n_rdma_max)
		write_rdma(w, s);
}

static void write_network(struct jsonw *w, size_t n,
			  Agent__NetworkStats *const *list)
{
	jsonw_key(w, "network_interfaces");
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		jsonw_object(w);
		jsonw_kstr(w, "Name", list[i]->name);
		jsonw_ku64(w, "RxBytes", list[i]->rx_bytes);
		jsonw_ku64(w, "RxPackets", list[i]->rx_packets);
		jsonw_ku64(w, "RxErrors", list[i]->rx_errors);
		jsonw_ku64(w, "RxDropped", list[i]->rx_dropped);
		jsonw_ku64(w, "TxBytes", list[i]->tx_bytes);
		jsonw_ku64(w, "TxPackets", list[i]->tx_packets);
		jsonw_ku64(w, "TxErrors", list[i]->tx_errors);
		jsonw_ku64(w, "TxDropped", list[i]->tx_dropped);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

int stats_print(const char *id, const Agent__StatsContainerResponse *stats,
		struct err *err)
{
	struct jsonw *w = jsonw_new(false);

	if (!w)
		return err_set(err, ENOMEM, "out of memory");
	jsonw_object(w);
	jsonw_kstr(w, "type", "stats");
	jsonw_kstr(w, "id", id);
	jsonw_key(w, "data");
	jsonw_object(w);
	if (stats->cgroup_stats)
		write_cgroup(w, stats->cgroup_stats);
	write_network(w, stats->n_network_stats, stats->network_stats);
	jsonw_end_object(w);
	jsonw_end_object(w);
	return cli_print_json(w, err);
}

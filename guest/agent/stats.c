/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent/pressure.h"

#define FILE_MAX (64u << 10)

/* Of a file with one number; "max" is all ones, no file is 0. */
static uint64_t number(int dir, const char *file)
{
	AUTO_FREE char *text = NULL;

	if (file_read(dir, file, FILE_MAX, &text, NULL) < 0)
		return 0;
	if (strncmp(text, "max", 3) == 0)
		return UINT64_MAX;
	return strtoull(text, NULL, 10);
}

static uint64_t word(const struct cgroup *cg, const char *file, const char *key)
{
	uint64_t value = 0;

	if (cgroup_word(cg, file, key, &value) < 0)
		return 0;
	return value;
}

static void set_psi_data(Agent__PsiData *data, const struct pressure_line *line)
{
	agent__psi_data__init(data);
	data->avg10 = line->avg10;
	data->avg60 = line->avg60;
	data->avg300 = line->avg300;
	data->total = line->total;
}

/* NULL from a kernel that keeps no account of it. */
static Agent__PsiStats *read_psi(struct stats_pressure *p, int dir,
				 const char *file)
{
	struct pressure pressure;

	if (pressure_read(dir, file, &pressure) < 0)
		return NULL;
	agent__psi_stats__init(&p->psi);
	set_psi_data(&p->some, &pressure.some);
	set_psi_data(&p->full, &pressure.full);
	p->psi.some = &p->some;
	p->psi.full = &p->full;
	return &p->psi;
}

static void read_cpu(struct stats *s, const struct cgroup *cg)
{
	agent__cpu_stats__init(&s->cpu);
	agent__cpu_usage__init(&s->cpu_usage);
	agent__throttling_data__init(&s->throttling);
	s->cgroup.cpu_stats = &s->cpu;
	s->cpu.cpu_usage = &s->cpu_usage;
	s->cpu.throttling_data = &s->throttling;
	/* cpu.stat has microseconds, the protocol nanoseconds. */
	s->cpu_usage.total_usage = word(cg, "cpu.stat", "usage_usec") * 1000;
	s->cpu_usage.usage_in_usermode =
		word(cg, "cpu.stat", "user_usec") * 1000;
	s->cpu_usage.usage_in_kernelmode =
		word(cg, "cpu.stat", "system_usec") * 1000;
	s->throttling.periods = word(cg, "cpu.stat", "nr_periods");
	s->throttling.throttled_periods = word(cg, "cpu.stat", "nr_throttled");
	s->throttling.throttled_time =
		word(cg, "cpu.stat", "throttled_usec") * 1000;
	s->throttling.bursts = word(cg, "cpu.stat", "nr_bursts");
	s->throttling.burst_time = word(cg, "cpu.stat", "burst_usec") * 1000;
	s->cpu.psi = read_psi(&s->cpu_psi, cg->dir, "cpu.pressure");
}

/* memory.stat as it is; the keys point into the text. */
static void read_memory_stat(struct stats *s, int dir)
{
	char *save = NULL;

	if (file_read(dir, "memory.stat", FILE_MAX, &s->memory_text, NULL) < 0)
		return;
	for (char *line = strtok_r(s->memory_text, "\n", &save);
	     line && s->memory.n_stats < STATS_MEMORY_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		size_t n = s->memory.n_stats;
		char *space = strchr(line, ' ');

		if (!space)
			continue;
		*space = '\0';
		agent__stat_entry__init(&s->entries[n]);
		s->entries[n].key = line;
		s->entries[n].value = strtoull(space + 1, NULL, 10);
		if (strcmp(line, "file") == 0)
			s->memory.cache = s->entries[n].value;
		if (strcmp(line, "kernel") == 0)
			s->kernel.usage = s->entries[n].value;
		s->entry_list[n] = &s->entries[n];
		s->memory.n_stats++;
	}
	s->memory.stats = s->entry_list;
}

static void read_memory_events(struct stats *s, const struct cgroup *cg)
{
	Agent__MemoryEvents *e = &s->memory_events;

	agent__memory_events__init(e);
	s->memory.events = e;
	e->low = word(cg, "memory.events", "low");
	e->high = word(cg, "memory.events", "high");
	e->max = word(cg, "memory.events", "max");
	e->oom = word(cg, "memory.events", "oom");
	e->oom_kill = word(cg, "memory.events", "oom_kill");
	e->oom_group_kill = word(cg, "memory.events", "oom_group_kill");
}

static void read_swap(struct stats *s, const struct cgroup *cg)
{
	Agent__SwapEvents *e = &s->swap_events;

	agent__memory_data__init(&s->swap_only);
	agent__swap_events__init(e);
	s->memory.swap_only_usage = &s->swap_only;
	s->memory.swap_events = e;
	s->swap_only.usage = number(cg->dir, "memory.swap.current");
	s->swap_only.max_usage = number(cg->dir, "memory.swap.peak");
	s->swap_only.limit = number(cg->dir, "memory.swap.max");
	e->high = word(cg, "memory.swap.events", "high");
	e->max = word(cg, "memory.swap.events", "max");
	e->fail = word(cg, "memory.swap.events", "fail");
	s->swap_only.failcnt = e->max;
	/* Version 1 counts memory and swap together. */
	s->swap.usage = s->usage.usage + s->swap_only.usage;
	if (s->swap_only.limit != UINT64_MAX && s->usage.limit != UINT64_MAX)
		s->swap.limit = s->usage.limit + s->swap_only.limit;
	else
		s->swap.limit = UINT64_MAX;
}

static void read_memory(struct stats *s, const struct cgroup *cg)
{
	agent__memory_stats__init(&s->memory);
	agent__memory_data__init(&s->usage);
	agent__memory_data__init(&s->swap);
	agent__memory_data__init(&s->kernel);
	s->cgroup.memory_stats = &s->memory;
	s->memory.usage = &s->usage;
	s->memory.swap_usage = &s->swap;
	s->memory.kernel_usage = &s->kernel;
	s->memory.use_hierarchy = true;
	s->usage.usage = number(cg->dir, "memory.current");
	s->usage.max_usage = number(cg->dir, "memory.peak");
	s->usage.limit = number(cg->dir, "memory.max");
	s->usage.failcnt = word(cg, "memory.events", "max");
	read_swap(s, cg);
	read_memory_events(s, cg);
	read_memory_stat(s, cg->dir);
	s->memory.psi = read_psi(&s->memory_psi, cg->dir, "memory.pressure");
}

static void read_pids(struct stats *s, const struct cgroup *cg)
{
	uint64_t limit = number(cg->dir, "pids.max");

	agent__pids_stats__init(&s->pids);
	s->cgroup.pids_stats = &s->pids;
	s->pids.current = number(cg->dir, "pids.current");
	s->pids.limit = limit == UINT64_MAX ? 0 : limit; /* 0: none */
	s->pids.peak = number(cg->dir, "pids.peak");
	s->pids.failcnt = word(cg, "pids.events", "max");
}

static void set_block(Agent__BlkioStatsEntry *entry,
		      Agent__BlkioStatsEntry **at, const uint64_t *device,
		      const char *op, uint64_t value)
{
	agent__blkio_stats_entry__init(entry);
	entry->major = device[0];
	entry->minor = device[1];
	entry->op = (char *)(uintptr_t)op;
	entry->value = value;
	*at = entry;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6" a line; what follows
 * is of controllers that few have. The operations are named as in version 1. */
static size_t read_block_line(struct stats *s, const char *line, size_t n)
{
	static const char *const ops[] = {"Read", "Write", "Discard"};
	uint64_t device[2], bytes[3] = {0}, ios[3] = {0};

	if (sscanf(line,
		   "%" SCNu64 ":%" SCNu64 " rbytes=%" SCNu64 " wbytes=%" SCNu64
		   " rios=%" SCNu64 " wios=%" SCNu64 " dbytes=%" SCNu64
		   " dios=%" SCNu64,
		   &device[0], &device[1], &bytes[0], &bytes[1], &ios[0],
		   &ios[1], &bytes[2], &ios[2]) < 6)
		return n;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++, n++) {
		set_block(&s->bytes[n], &s->byte_list[n], device, ops[i],
			  bytes[i]);
		set_block(&s->ios[n], &s->io_list[n], device, ops[i], ios[i]);
	}
	return n;
}

static void read_block(struct stats *s, const struct cgroup *cg)
{
	AUTO_FREE char *text = NULL;
	char *save = NULL;
	size_t n = 0;

	agent__blkio_stats__init(&s->blkio);
	s->cgroup.blkio_stats = &s->blkio;
	s->blkio.psi = read_psi(&s->block_psi, cg->dir, "io.pressure");
	if (file_read(cg->dir, "io.stat", FILE_MAX, &text, NULL) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save);
	     line && n + 3 <= STATS_BLOCK_MAX;
	     line = strtok_r(NULL, "\n", &save))
		n = read_block_line(s, line, n);
	s->blkio.n_io_service_bytes_recursive = n;
	s->blkio.io_service_bytes_recursive = s->byte_list;
	s->blkio.n_io_serviced_recursive = n;
	s->blkio.io_serviced_recursive = s->io_list;
}

/* "2MB" of "hugetlb.2MB.current"; false: another file. */
static bool page_size(const char *file, char *name)
{
	static const char prefix[] = "hugetlb.";
	const char *size = file + sizeof(prefix) - 1;
	size_t len;

	if (strncmp(file, prefix, sizeof(prefix) - 1) != 0)
		return false;
	len = strcspn(size, ".");
	if (len >= STATS_HUGETLB_NAME_MAX ||
	    strcmp(size + len, ".current") != 0)
		return false;
	memcpy(name, size, len);
	name[len] = '\0';
	return true;
}

static void add_hugetlb(struct stats *s, const struct cgroup *cg, size_t n)
{
	Agent__HugetlbStats *h = &s->huge[n];
	Agent__HugetlbEntry *e = &s->huge_entries[n];
	char file[64];

	agent__hugetlb_stats__init(h);
	agent__hugetlb_entry__init(e);
	e->key = s->huge_names[n];
	e->value = h;
	s->huge_list[n] = e;
	(void)snprintf(file, sizeof(file), "hugetlb.%s.current", e->key);
	h->usage = number(cg->dir, file);
	(void)snprintf(file, sizeof(file), "hugetlb.%s.events", e->key);
	h->failcnt = word(cg, file, "max");
}

static void read_hugetlb(struct stats *s, const struct cgroup *cg)
{
	AUTO_FD int fd =
		openat(cg->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	size_t n = 0;

	if (!d)
		return;
	(void)steal_fd(&fd);
	while (n < STATS_HUGETLB_MAX && (e = readdir(d))) {
		if (page_size(e->d_name, s->huge_names[n]))
			add_hugetlb(s, cg, n++);
	}
	s->cgroup.n_hugetlb_stats = n;
	s->cgroup.hugetlb_stats = s->huge_list;
}

static uint32_t rdma_number(const char *text)
{
	if (strncmp(text, "max", 3) == 0)
		return UINT32_MAX;
	return (uint32_t)strtoul(text, NULL, 10);
}

/* "mlx5_0 hca_handle=2 hca_object=max" a line. */
static size_t read_rdma(struct stats_rdma *r, int dir, const char *file)
{
	char *save = NULL;
	size_t n = 0;

	if (file_read(dir, file, FILE_MAX, &r->text, NULL) < 0)
		return 0;
	for (char *line = strtok_r(r->text, "\n", &save);
	     line && n < STATS_RDMA_MAX; line = strtok_r(NULL, "\n", &save)) {
		const char *handles = strstr(line, " hca_handle=");
		const char *objects = strstr(line, " hca_object=");
		Agent__RdmaEntry *e = &r->entries[n];

		if (!handles || !objects)
			continue;
		agent__rdma_entry__init(e);
		e->hca_handles = rdma_number(handles + 12);
		e->hca_objects = rdma_number(objects + 12);
		line[strcspn(line, " ")] = '\0';
		e->device = line;
		r->list[n++] = e;
	}
	return n;
}

static void read_rdma_files(struct stats *s, int dir)
{
	s->cgroup.n_rdma_current =
		read_rdma(&s->rdma_current, dir, "rdma.current");
	s->cgroup.rdma_current = s->rdma_current.list;
	s->cgroup.n_rdma_max = read_rdma(&s->rdma_max, dir, "rdma.max");
	s->cgroup.rdma_max = s->rdma_max.list;
}

static void read_net(struct stats *s, pid_t pid)
{
	char path[48];
	char *save = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)pid);
	if (pid <= 0 ||
	    file_read(AT_FDCWD, path, FILE_MAX, &s->net_text, NULL) < 0)
		return;
	for (char *line = strtok_r(s->net_text, "\n", &save);
	     line && s->reply.n_network_stats < STATS_INTERFACES_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		size_t n = s->reply.n_network_stats;
		Agent__NetworkStats *net = &s->nets[n];
		char *colon = strchr(line, ':');

		agent__network_stats__init(net);
		/* bytes packets errs drop fifo frame compressed multicast */
		if (!colon ||
		    sscanf(colon + 1,
			   "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64
			   " %*u %*u %*u %*u %" SCNu64 "%" SCNu64 "%" SCNu64
			   "%" SCNu64,
			   &net->rx_bytes, &net->rx_packets, &net->rx_errors,
			   &net->rx_dropped, &net->tx_bytes, &net->tx_packets,
			   &net->tx_errors, &net->tx_dropped) != 8)
			continue;
		*colon = '\0';
		net->name = line + strspn(line, " ");
		s->net_list[n] = net;
		s->reply.n_network_stats++;
	}
	s->reply.network_stats = s->net_list;
}

struct stats *stats_read(const struct cgroup *cg, pid_t pid)
{
	struct stats *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	agent__stats_container_response__init(&s->reply);
	agent__cgroup_stats__init(&s->cgroup);
	s->reply.cgroup_stats = &s->cgroup;
	read_cpu(s, cg);
	read_memory(s, cg);
	read_pids(s, cg);
	read_block(s, cg);
	read_hugetlb(s, cg);
	read_rdma_files(s, cg->dir);
	read_net(s, pid);
	return s;
}

void stats_free(struct stats *s)
{
	free(s->memory_text);
	free(s->net_text);
	free(s->rdma_current.text);
	free(s->rdma_max.text);
	free(s);
}

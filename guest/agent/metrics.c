/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/metrics.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define PROC_MAX (256u << 10)

static char *slurp(const char *path)
{
	char *text = NULL;

	return file_read(AT_FDCWD, path, PROC_MAX, &text, NULL) < 0 ? NULL
								    : text;
}

static void head(FILE *out, const char *name, const char *type,
		 const char *help)
{
	(void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
		      type);
}

static void agent_metrics(FILE *out)
{
	static unsigned long long scrapes;
	AUTO_FREE char *stat = slurp("/proc/self/stat");
	unsigned long long utime, stime, threads, vsize, rss;
	double hz = (double)sysconf(_SC_CLK_TCK);
	const char *p = stat ? strrchr(stat, ')') : NULL;

	head(out, "kata_agent_scrape_count", "counter", "Calls of GetMetrics");
	(void)fprintf(out, "kata_agent_scrape_count %llu\n", ++scrapes);
	/* proc(5): fields 14, 15, 20, 23 and 24; the name precedes field 3. */
	if (!p || sscanf(p + 1,
			 " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu "
			 "%llu %*s %*s %*s %*s %llu %*s %*s %llu %llu",
			 &utime, &stime, &threads, &vsize, &rss) != 5)
		return;
	head(out, "kata_agent_total_time", "gauge",
	     "Processor time of the agent in seconds");
	(void)fprintf(out, "kata_agent_total_time %.2f\n",
		      (double)(utime + stime) / hz);
	head(out, "kata_agent_threads", "gauge", "Threads of the agent");
	(void)fprintf(out, "kata_agent_threads %llu\n", threads);
	head(out, "kata_agent_total_vm", "gauge",
	     "Address space of the agent in bytes");
	(void)fprintf(out, "kata_agent_total_vm %llu\n", vsize);
	head(out, "kata_agent_total_rss", "gauge",
	     "Resident memory of the agent in bytes");
	(void)fprintf(out, "kata_agent_total_rss %llu\n",
		      rss * (unsigned long long)sysconf(_SC_PAGESIZE));
}

static unsigned long long count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned long long n = 0;
	int c;

	while (f && (c = getc_unlocked(f)) != EOF)
		n += c == '\n';
	if (f)
		(void)fclose(f);
	return n;
}

/* proc(5), stat: field 9, flags; linux/sched.h: PF_KTHREAD. */
static bool is_kernel_thread(const char *pid)
{
	const unsigned kthread = 0x00200000;
	char path[64];
	AUTO_FREE char *stat = NULL;
	const char *p;
	unsigned flags;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	stat = slurp(path);
	p = stat ? strrchr(stat, ')') : NULL;
	return !p ||
	       sscanf(p + 1, " %*c %*s %*s %*s %*s %*s %u", &flags) != 1 ||
	       (flags & kthread);
}

static unsigned long long count_entries(const char *path, bool processes)
{
	AUTO_DIR DIR *d = opendir(path);
	const struct dirent *ent;
	unsigned long long n = 0;

	while (d && (ent = readdir(d))) {
		if (!isdigit((unsigned char)ent->d_name[0]))
			continue;
		n += !processes || !is_kernel_thread(ent->d_name);
	}
	return n;
}

/* What must not grow for good, however many containers come and go. */
static void census(FILE *out)
{
	AUTO_FREE char *stat = slurp("/sys/fs/cgroup/cgroup.stat");
	unsigned long long groups;

	head(out, "nacre_agent_descriptors", "gauge",
	     "Open descriptors of the agent");
	(void)fprintf(out, "nacre_agent_descriptors %llu\n",
		      count_entries("/proc/self/fd", false));
	head(out, "nacre_agent_mounts", "gauge",
	     "Mounts in the namespace of the agent");
	(void)fprintf(out, "nacre_agent_mounts %llu\n",
		      count_lines("/proc/self/mountinfo"));
	head(out, "nacre_guest_processes", "gauge",
	     "Processes of the guest, kernel threads not counted");
	(void)fprintf(out, "nacre_guest_processes %llu\n",
		      count_entries("/proc", true));
	if (!stat || sscanf(stat, "nr_descendants %llu", &groups) != 1)
		return;
	head(out, "nacre_guest_cgroups", "gauge",
	     "Control groups below the root");
	(void)fprintf(out, "nacre_guest_cgroups %llu\n", groups);
}

/* "MemTotal:" becomes "mem_total", "Active(anon):" "active_anon". */
static void put_item(FILE *out, const char *word, size_t len)
{
	bool gap = false;

	for (size_t i = 0; i < len; i++) {
		if (!isalnum((uint8_t)word[i])) {
			gap = true;
			continue;
		}
		if (i > 0 && isupper((uint8_t)word[i]) &&
		    islower((uint8_t)word[i - 1]))
			gap = true;
		if (gap)
			(void)fputc('_', out);
		gap = false;
		(void)fputc(tolower((uint8_t)word[i]), out);
	}
}

/* A file of lines "name[:] number ...". */
static void word_file(FILE *out, const char *path, const char *name,
		      const char *type, const char *help)
{
	AUTO_FREE char *text = slurp(path);
	char *save = NULL;

	if (!text)
		return;
	head(out, name, type, help);
	for (const char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		size_t len = strcspn(line, " \t");
		char *end;
		unsigned long long value = strtoull(line + len, &end, 10);

		if (len == 0 || end == line + len)
			continue;
		(void)fprintf(out, "%s{item=\"", name);
		put_item(out, line, len);
		(void)fprintf(out, "\"} %llu\n", value);
	}
}

static void cpu_metrics(FILE *out)
{
	static const char *const items[] = {
		"user", "nice",	   "system", "idle",  "iowait",
		"irq",	"softirq", "steal",  "guest", "nice_guest",
	};
	AUTO_FREE char *text = slurp("/proc/stat");
	long hz = sysconf(_SC_CLK_TCK);
	char *save = NULL;

	if (!text)
		return;
	head(out, "kata_guest_cpu_time", "counter",
	     "Processor time of the guest in milliseconds");
	for (const char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		size_t len = strcspn(line, " ");
		const char *p = line + len;

		if (strncmp(line, "cpu", 3) != 0)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
			char *end;
			unsigned long long ticks = strtoull(p, &end, 10);

			if (end == p)
				break;
			p = end;
			(void)fprintf(out,
				      "kata_guest_cpu_time{cpu=\"%.*s\","
				      "item=\"%s\"} %llu\n",
				      len == 3 ? 5 : (int)len,
				      len == 3 ? "total" : line, items[i],
				      ticks * 1000 / (unsigned long long)hz);
		}
	}
}

static void load_metrics(FILE *out)
{
	AUTO_FREE char *text = slurp("/proc/loadavg");
	double load[3];
	unsigned running, all;

	if (!text || sscanf(text, "%lf %lf %lf %u/%u", &load[0], &load[1],
			    &load[2], &running, &all) != 5)
		return;
	head(out, "kata_guest_load", "gauge", "Load of the guest");
	(void)fprintf(out,
		      "kata_guest_load{item=\"load1\"} %.2f\n"
		      "kata_guest_load{item=\"load5\"} %.2f\n"
		      "kata_guest_load{item=\"load15\"} %.2f\n",
		      load[0], load[1], load[2]);
	head(out, "kata_guest_tasks", "gauge", "Tasks of the guest");
	(void)fprintf(out,
		      "kata_guest_tasks{item=\"cur\"} %u\n"
		      "kata_guest_tasks{item=\"max\"} %u\n",
		      running, all);
}

/* Lines "some avg10=0.00 avg60=0.00 avg300=0.00 total=0". */
static void pressure(FILE *out, const char *resource)
{
	AUTO_FREE char *text = NULL;
	char path[32], *save = NULL;

	(void)snprintf(path, sizeof(path), "/proc/pressure/%s", resource);
	text = slurp(path);
	if (!text)
		return;
	for (const char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char kind[8];
		double avg10;
		unsigned long long total;

		if (sscanf(line,
			   "%7s avg10=%lf avg60=%*f avg300=%*f total=%llu",
			   kind, &avg10, &total) != 3)
			continue;
		(void)fprintf(
			out,
			"nacre_guest_pressure{resource=\"%s\",kind=\"%s\","
			"item=\"avg10\"} %.2f\n"
			"nacre_guest_pressure{resource=\"%s\",kind=\"%s\","
			"item=\"total_us\"} %llu\n",
			resource, kind, avg10, resource, kind, total);
	}
}

static void net_metrics(FILE *out)
{
	static const char *const items[] = {
		"recv_bytes",	   "recv_packets",   "recv_errs",
		"recv_drop",	   "recv_fifo",	     "recv_frame",
		"recv_compressed", "recv_multicast", "sent_bytes",
		"sent_packets",	   "sent_errs",	     "sent_drop",
		"sent_fifo",	   "sent_colls",     "sent_carrier",
		"sent_compressed",
	};
	AUTO_FREE char *text = slurp("/proc/net/dev");
	char *save = NULL;

	if (!text)
		return;
	head(out, "kata_guest_netdev_stat", "counter",
	     "Network interfaces of the guest");
	for (const char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		const char *name = line + strspn(line, " ");
		const char *p = strchr(name, ':');
		int len = p ? (int)(p - name) : 0;

		if (!p) /* the two lines of titles */
			continue;
		p++;
		for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
			char *end;
			unsigned long long value = strtoull(p, &end, 10);

			if (end == p)
				break;
			p = end;
			(void)fprintf(out,
				      "kata_guest_netdev_stat{interface=\"%.*s"
				      "\",item=\"%s\"} %llu\n",
				      len, name, items[i], value);
		}
	}
}

char *metrics_text(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	agent_metrics(out);
	census(out);
	load_metrics(out);
	cpu_metrics(out);
	word_file(out, "/proc/meminfo", "kata_guest_meminfo", "gauge",
		  "Memory of the guest in KiB");
	word_file(out, "/proc/vmstat", "kata_guest_vm_stat", "gauge",
		  "Virtual memory of the guest");
	net_metrics(out);
	head(out, "nacre_guest_pressure", "gauge",
	     "Time that tasks stall for lack of a resource");
	pressure(out, "cpu");
	pressure(out, "memory");
	pressure(out, "io");
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

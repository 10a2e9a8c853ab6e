/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/mem_compact.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/signals.h"

#define COMPACT "/proc/sys/vm/compact_memory"
#define PAGE_TYPES "/proc/pagetypeinfo"
#define TEXT_MAX (1u << 20)
#define SECOND_MS 1000u

/* "Node    0, zone   Normal, type      Movable      1      0 ...": blocks of
 * each order; a count that was not finished is ">100000". */
uint64_t mem_compact_scattered(const char *text, unsigned order)
{
	static const char type[] = "type      Movable ";
	uint64_t pages = 0;

	while ((text = strstr(text, type))) {
		text += strlen(type);
		for (unsigned i = 0; i < order; i++) {
			char *end;
			uint64_t n;

			text += strspn(text, " >");
			n = strtoull(text, &end, 10);
			if (end == text)
				break;
			pages += n << i;
			text = end;
		}
	}
	return pages;
}

bool mem_compact_due(const struct mem_compact_config *config,
		     const struct mem_compact_free *now,
		     const struct mem_compact_free *after, uint64_t idle_times)
{
	uint64_t threshold = config->compact_threshold;

	if (config->compact_force_times != MEM_COMPACT_NEVER &&
	    idle_times >= config->compact_force_times)
		return true;
	return (after->all > now->all && after->all - now->all > threshold) ||
	       (now->scattered > after->scattered &&
		now->scattered - after->scattered > threshold);
}

static int read_free(const struct mem_compact *compact,
		     struct mem_compact_free *now)
{
	AUTO_FREE char *text = NULL;
	struct sysinfo info;
	int ret = file_read(AT_FDCWD, PAGE_TYPES, TEXT_MAX, &text, NULL);

	if (ret < 0)
		return ret;
	if (sysinfo(&info) < 0)
		return -errno;
	now->all = (uint64_t)info.freeram * info.mem_unit /
		   (uint64_t)sysconf(_SC_PAGESIZE);
	now->scattered =
		mem_compact_scattered(text, compact->config.compact_order);
	return 0;
}

static void rest(struct mem_compact *compact)
{
	evtimer_start(&compact->timer, compact->config.period_secs * 1000);
}

/* Of the window, which it closes; negative: unknown. */
static int64_t percent(const struct mem_compact *compact,
		       struct pressure_window *window)
{
	uint64_t now = monotonic_us(), stalled;
	int ret = pressure_stalled(compact->pressure, &pressure_of_system,
				   &stalled);
	int64_t value;

	if (ret < 0)
		return ret;
	value = (int64_t)MIN(pressure_percent(window, stalled, now),
			     (uint64_t)INT64_MAX);
	pressure_open(window, stalled, now);
	return value;
}

static NORETURN void work(void)
{
	int fd = open(COMPACT, O_WRONLY | O_CLOEXEC);

	/* Pipes of containers shall end when the agent closes them. */
	if (fd < 0 || dup2(fd, 0) < 0 ||
	    syscall(SYS_close_range, 1u, ~0u, 0u) < 0)
		_exit(1);
	signals_reset();
	_exit(write(0, "1", 1) != 1);
}

static void ended(struct evsource *src, uint32_t revents)
{
	struct mem_compact *compact =
		container_of(src, struct mem_compact, ended);

	/* The reaper takes its status. */
	evsource_close(&compact->ended);
	compact->works = false;
	compact->idle_times = 0;
	log_info("memory agent: compacted for %llu ms",
		 (unsigned long long)(monotonic_us() - compact->began) / 1000);
	if (read_free(compact, &compact->after) < 0)
		compact->after = (struct mem_compact_free){0};
	if (!compact->config.disabled)
		rest(compact);
}

static int launch(struct mem_compact *compact)
{
	int fd, ret;
	pid_t pid = fork();

	if (pid == 0)
		work();
	if (pid < 0)
		return -errno;
	fd = pidfd_open(pid, 0);
	ret = fd < 0 ? -errno
		     : evsource_add(compact->timer.src.loop, &compact->ended,
				    fd, EPOLLIN, ended);
	if (ret < 0) {
		kill(pid, SIGKILL);
		if (fd >= 0)
			close(fd);
		return ret;
	}
	compact->works = true;
	compact->began = monotonic_us();
	compact->working.open = false;
	(void)percent(compact, &compact->working);
	evtimer_start(&compact->timer, SECOND_MS);
	return 0;
}

static void period_over(struct mem_compact *compact)
{
	int64_t waited = percent(compact, &compact->waiting);
	struct mem_compact_free now = {0};
	int ret = (int)MIN(waited, (int64_t)0);

	if (!ret)
		ret = read_free(compact, &now);
	if (!ret && waited <= compact->config.period_psi_percent_limit &&
	    mem_compact_due(&compact->config, &now, &compact->after,
			    compact->idle_times)) {
		ret = launch(compact);
		if (!ret)
			return;
	}
	if (ret < 0)
		log_warn("memory agent: compaction: %s", strerror(-ret));
	compact->idle_times++;
	rest(compact);
}

/* Not by its pid, which the reaper may have set free. */
static void interrupt(const struct mem_compact *compact)
{
	(void)pidfd_send_signal(compact->ended.fd, SIGKILL, NULL, 0);
}

/* Each second while the child works. */
static void look(struct mem_compact *compact)
{
	const struct mem_compact_config *config = &compact->config;
	int64_t waited = percent(compact, &compact->working);
	uint64_t us = monotonic_us() - compact->began;

	if (waited < 0 || waited > config->compact_psi_percent_limit ||
	    us / 1000000 >= config->compact_sec_max)
		interrupt(compact);
	evtimer_start(&compact->timer, SECOND_MS);
}

static void expired(struct evtimer *timer)
{
	struct mem_compact *compact =
		container_of(timer, struct mem_compact, timer);

	if (compact->works)
		look(compact);
	else
		period_over(compact);
}

static int try_start(struct mem_compact *compact, struct err *err)
{
	AUTO_FD int dir = -1;
	uint64_t stalled;

	if (access(COMPACT, W_OK) < 0 || access(PAGE_TYPES, R_OK) < 0)
		return err_set(err, ENOTSUP,
			       "compact: this kernel has no compaction");
	dir = open("/proc/pressure", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || pressure_stalled(dir, &pressure_of_system, &stalled) < 0)
		return err_set(err, ENOTSUP,
			       "compact: this kernel keeps no pressure stall "
			       "information");
	compact->pressure = steal_fd(&dir);
	return 0;
}

static void stop(struct mem_compact *compact)
{
	/* ended() sees it off. */
	if (compact->works)
		interrupt(compact);
	evtimer_stop(&compact->timer);
	if (compact->pressure >= 0)
		close(steal_fd(&compact->pressure));
}

int mem_compact_init(struct mem_compact *compact, struct evloop *loop)
{
	*compact = (struct mem_compact){
		.config =
			{
				.disabled = true,
				.period_secs = 600,
				.period_psi_percent_limit = 1,
				.compact_psi_percent_limit = 5,
				.compact_sec_max = 180,
				.compact_order = 9,
				.compact_threshold = 1024,
				.compact_force_times = MEM_COMPACT_NEVER,
			},
		.pressure = -1,
	};
	compact->ended.fd = -1;
	return evtimer_init(loop, &compact->timer, expired);
}

int mem_compact_set(struct mem_compact *compact,
		    const struct mem_compact_config *config, struct err *err)
{
	bool was_off = compact->config.disabled;
	bool period = config->period_secs != compact->config.period_secs;

	if (was_off && !config->disabled) {
		int ret = try_start(compact, err);

		if (ret < 0)
			return ret;
		compact->waiting.open = false;
		(void)percent(compact, &compact->waiting);
	}
	compact->config = *config;
	if (config->disabled)
		stop(compact);
	else if (!compact->works && (was_off || period))
		rest(compact);
	return 0;
}

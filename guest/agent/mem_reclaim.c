/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/mem_reclaim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "guest/agent/cgroup.h"
#include "guest/agent/pressure.h"

/* A generation younger than this, or than nine tenths of a shorter period, is
 * not aged again: what is in it had no time to be used. */
#define FRESH_MS 60000u
/* Of one call; the kernel takes up to 64 more. */
#define BATCH_PAGES 256u
/* Swap that is nearly full is none. */
#define SWAP_PAGES_MIN 256u

struct mem_group {
	struct mem_group *next;
	struct lru_gen lru; /* its path is the one below */
	struct lru_gen last;
	ino_t ino; /* numbers and paths of groups are used again */
	uint64_t aged;
	struct pressure_window waiting, eviction;
	bool seen, chosen, begun, only_swap;
	char path[];
};

/* Where the files of a group are. */
static int directory_of(const char *path, char name[PATH_MAX])
{
	int len = snprintf(name, PATH_MAX, CGROUP_ROOT "%s", path);

	return len < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/*
 * Stall times of the group itself, without those of the groups inside of it:
 * they are looked at by themselves. The difference may shrink in passing.
 */
static int stalled_of(const char *path, uint64_t *us)
{
	char name[PATH_MAX];
	AUTO_DIR DIR *dir = NULL;
	const struct dirent *e;
	uint64_t inside = 0;
	int ret = directory_of(path, name);

	if (ret < 0)
		return ret;
	dir = opendir(name);
	if (!dir)
		return -errno;
	ret = pressure_stalled(dirfd(dir), &pressure_of_group, us);
	while (!ret && (e = readdir(dir))) {
		AUTO_FD int fd = -1;
		uint64_t one;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		fd = openat(dirfd(dir), e->d_name,
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		/* It may be gone since. */
		if (fd >= 0 &&
		    pressure_stalled(fd, &pressure_of_group, &one) == 0)
			inside += one;
	}
	*us = !ret && *us > inside ? *us - inside : 0;
	return ret;
}

static ino_t inode_of(const char *path)
{
	char name[PATH_MAX];
	struct stat st;

	if (directory_of(path, name) < 0 || stat(name, &st) < 0)
		return 0;
	return st.st_ino;
}

static struct mem_group *group_of(struct mem_reclaim *reclaim,
				  const struct lru_gen *lru, ino_t ino)
{
	size_t len = strlen(lru->path);
	struct mem_group *g = reclaim->groups;

	while (g && (g->lru.group != lru->group || g->lru.node != lru->node ||
		     g->ino != ino || strcmp(g->path, lru->path) != 0))
		g = g->next;
	if (g)
		return g;
	g = calloc(1, sizeof(*g) + len + 1);
	if (!g)
		return NULL;
	memcpy(g->path, lru->path, len + 1);
	g->ino = ino;
	g->next = reclaim->groups;
	reclaim->groups = g;
	return g;
}

static int update(void *arg, const struct lru_gen *lru)
{
	struct mem_reclaim *reclaim = arg;
	ino_t ino = inode_of(lru->path);
	struct mem_group *g;

	/* A group that was removed lives on in the kernel while it has pages.
	 */
	if (!ino)
		return 0;
	g = group_of(reclaim, lru, ino);
	if (!g)
		return -ENOMEM;
	g->lru = *lru;
	g->lru.path = g->path;
	g->seen = true;
	return 0;
}

/* All groups as they are now; those that are gone are freed. */
static int refresh(struct mem_reclaim *reclaim)
{
	struct mem_group **link = &reclaim->groups;
	int ret;

	for (struct mem_group *g = reclaim->groups; g; g = g->next)
		g->seen = false;
	ret = lru_gen_each(&reclaim->lru, update, reclaim);
	while (!ret && *link) {
		struct mem_group *g = *link;

		if (g->seen) {
			link = &g->next;
			continue;
		}
		if (reclaim->at == g)
			reclaim->at = g->next;
		*link = g->next;
		free(g);
	}
	return ret;
}

static void rest(struct mem_reclaim *reclaim)
{
	if (reclaim->pages)
		log_info("memory agent: %" PRIu64 " pages reclaimed",
			 reclaim->pages);
	reclaim->phase = MEM_RECLAIM_RESTS;
	reclaim->at = NULL;
	reclaim->pages = 0;
	evtimer_start(&reclaim->timer, reclaim->config.period_secs * 1000);
}

static bool rested(const struct mem_reclaim *reclaim, const struct mem_group *g)
{
	uint64_t period_ms = reclaim->config.period_secs * 1000;

	return g->lru.age_ms >= MIN(FRESH_MS, period_ms - period_ms / 10);
}

/* Looks at the period that is over, and begins the next window. */
static void choose(struct mem_reclaim *reclaim, struct mem_group *g)
{
	uint64_t now = monotonic_us(), stalled, percent;
	int ret = stalled_of(g->path, &stalled);

	g->chosen = g->begun = g->only_swap = false;
	if (ret < 0) {
		log_debug("memory agent: %s: %s", g->path, strerror(-ret));
		return;
	}
	percent = pressure_percent(&g->waiting, stalled, now);
	pressure_open(&g->waiting, stalled, now);
	g->chosen = percent <= reclaim->config.period_psi_percent_limit &&
		    rested(reclaim, g);
	log_debug("memory agent: %s: waited %" PRIu64 " %%%s", g->path, percent,
		  g->chosen ? "" : ", left alone");
}

static void begin(struct mem_reclaim *reclaim)
{
	int ret = refresh(reclaim);

	if (ret < 0) {
		log_warn("memory agent: lru_gen: %s", strerror(-ret));
		rest(reclaim);
		return;
	}
	for (struct mem_group *g = reclaim->groups; g; g = g->next)
		choose(reclaim, g);
	reclaim->phase = MEM_RECLAIM_AGES;
	reclaim->at = reclaim->groups;
	evtimer_start(&reclaim->timer, 0);
}

static void age(struct mem_reclaim *reclaim, struct mem_group *g)
{
	int ret = lru_gen_age(&reclaim->lru, &g->lru, reclaim->config.swap);

	/* A group that ended meanwhile, most often. */
	if (ret < 0)
		log_debug("memory agent: %s: aging: %s", g->path,
			  strerror(-ret));
	else
		g->aged++;
	g->chosen =
		!ret && g->aged >= reclaim->config.eviction_run_aging_count_min;
}

static bool swap_there(void)
{
	struct sysinfo info;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return sysinfo(&info) == 0 &&
	       (uint64_t)info.freeswap * info.mem_unit > SWAP_PAGES_MIN * page;
}

int mem_reclaim_swappiness(const struct mem_reclaim_config *config,
			   const struct lru_gen *now,
			   const struct lru_gen *last, bool swap_is_there,
			   bool *only_swap)
{
	bool swap = config->swap && swap_is_there;
	uint64_t all = now->anon + now->file;

	/* The kernel made the oldest one part of its successor. */
	if (now->max_seq - now->min_seq + 1 != LRU_GEN_FULL)
		return -ENODATA;
	if (!last)
		*only_swap = !now->file;
	else if (now->file >= last->file && now->anon >= last->anon)
		return -ENODATA;
	if (*only_swap)
		return swap && now->anon ? (int)MEM_RECLAIM_SWAPPINESS_MAX
					 : -ENODATA;
	if (!now->file)
		return -ENODATA;
	if (!swap || !now->anon)
		return 0;
	return (int)MIN((MEM_RECLAIM_SWAPPINESS_MAX * now->anon + all / 2) /
				all,
			(uint64_t)config->swappiness_max);
}

/* Beyond the limit since its eviction began? That window opens here. */
static bool waits(struct mem_reclaim *reclaim, struct mem_group *g)
{
	uint64_t now = monotonic_us(), stalled;

	if (stalled_of(g->path, &stalled) < 0)
		return true;
	if (!g->begun)
		pressure_open(&g->eviction, stalled, now);
	return pressure_percent(&g->eviction, stalled, now) >
	       reclaim->config.eviction_psi_percent_limit;
}

static void count(struct mem_reclaim *reclaim, const struct mem_group *g)
{
	uint64_t was = g->last.anon + g->last.file;
	uint64_t is = g->lru.anon + g->lru.file;

	if (g->begun && was > is)
		reclaim->pages += was - is;
}

/* One batch of one group. */
static void evict(struct mem_reclaim *reclaim, struct mem_group *g)
{
	int swappiness = mem_reclaim_swappiness(&reclaim->config, &g->lru,
						g->begun ? &g->last : NULL,
						swap_there(), &g->only_swap);
	int ret = 0;

	count(reclaim, g);
	if (swappiness < 0 || waits(reclaim, g)) {
		g->chosen = false;
		return;
	}
	g->begun = true;
	g->last = g->lru;
	ret = lru_gen_evict(&reclaim->lru, &g->lru, (unsigned)swappiness,
			    BATCH_PAGES);
	if (ret < 0) {
		log_debug("memory agent: %s: eviction: %s", g->path,
			  strerror(-ret));
		g->chosen = false;
	}
}

static struct mem_group *next_chosen(struct mem_group *g)
{
	while (g && !g->chosen)
		g = g->next;
	return g;
}

/* One call of the kernel that works. */
static void step(struct mem_reclaim *reclaim)
{
	reclaim->at = next_chosen(reclaim->at);
	if (!reclaim->at && reclaim->phase == MEM_RECLAIM_AGES) {
		reclaim->phase = MEM_RECLAIM_EVICTS;
		reclaim->at = next_chosen(reclaim->groups);
	}
	if (reclaim->at && reclaim->phase == MEM_RECLAIM_EVICTS &&
	    refresh(reclaim) < 0)
		reclaim->at = NULL;
	if (!reclaim->at) {
		rest(reclaim);
		return;
	}
	if (reclaim->phase == MEM_RECLAIM_AGES) {
		age(reclaim, reclaim->at);
		reclaim->at = reclaim->at->next;
	} else if (reclaim->at->chosen) {
		evict(reclaim, reclaim->at);
	}
	evtimer_start(&reclaim->timer, 0);
}

static void expired(struct evtimer *timer)
{
	struct mem_reclaim *reclaim =
		container_of(timer, struct mem_reclaim, timer);

	if (reclaim->phase == MEM_RECLAIM_RESTS)
		begin(reclaim);
	else
		step(reclaim);
}

static void stop(struct mem_reclaim *reclaim)
{
	evtimer_stop(&reclaim->timer);
	lru_gen_close(&reclaim->lru);
	reclaim->phase = MEM_RECLAIM_RESTS;
	reclaim->at = NULL;
	while (reclaim->groups) {
		struct mem_group *g = reclaim->groups;

		reclaim->groups = g->next;
		free(g);
	}
}

static int try_start(struct mem_reclaim *reclaim, struct err *err)
{
	uint64_t stalled;
	int ret;

	if (stalled_of("/", &stalled) < 0)
		return err_set(err, ENOTSUP,
			       "memcg: this kernel keeps no pressure stall "
			       "information");
	ret = lru_gen_open(&reclaim->lru, err);
	return ret < 0 ? err_wrap(err, "memcg") : 0;
}

int mem_reclaim_init(struct mem_reclaim *reclaim, struct evloop *loop)
{
	*reclaim = (struct mem_reclaim){
		.config =
			{
				.disabled = true,
				.swappiness_max = 50,
				.period_secs = 600,
				.period_psi_percent_limit = 1,
				.eviction_psi_percent_limit = 1,
				.eviction_run_aging_count_min = 3,
			},
		.lru = {.fd = -1},
	};
	return evtimer_init(loop, &reclaim->timer, expired);
}

int mem_reclaim_set(struct mem_reclaim *reclaim,
		    const struct mem_reclaim_config *config, struct err *err)
{
	bool was_off = reclaim->config.disabled;
	bool period = config->period_secs != reclaim->config.period_secs;

	if (was_off && !config->disabled) {
		int ret = try_start(reclaim, err);

		if (ret < 0)
			return ret;
	}
	reclaim->config = *config;
	if (config->disabled)
		stop(reclaim);
	else if (was_off || (period && reclaim->phase == MEM_RECLAIM_RESTS))
		rest(reclaim);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/hostile_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_groups.h"
#include "integration/virtiofs/hostile_tree.h"
#include "integration/virtiofs/hostile_watch.h"

/* KiB: what a server may have more of between two sessions, its caches. */
#define MEMORY_MORE (48ul << 10)

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{"session", group_session}, {"names", group_names},
	{"nodes", group_nodes},	    {"handles", group_handles},
	{"lengths", group_lengths}, {"layout", group_layout},
	{"rings", group_rings},	    {"kinds", group_kinds},
	{"links", group_links},	    {"mounts", group_mounts},
	{"magic", group_magic},	    {"readonly", group_readonly},
	{"limits", group_limits},   {"forget", group_forget},
	{"caps", group_caps},	    {"dax", group_dax},
	{"queues", group_queues},   {"registers", group_registers},
	{"memory", group_memory},   {"flips", group_flips},
	{"race", group_race},	    {"noise", group_noise},
};

/* A guest with manners is served. */
static void alive(void)
{
	uint64_t node = hostile_lookup(HOSTILE_ROOT, "alive");
	uint64_t fh;

	hostile_check(node, "LOOKUP of what is there");
	hostile_want("OPEN", hostile_open(node, O_RDONLY, &fh), 0);
	hostile_want("READ", hostile_read(node, fh, 0, 64), 0);
	hostile_check(
		hostile.reply_len == strlen(TREE_ALIVE) &&
			!memcmp(hostile_reply(), TREE_ALIVE, hostile.reply_len),
		"READ: %u bytes", hostile.reply_len);
	hostile_want("RELEASE", hostile_release(node, fh), 0);
	hostile_forget(node, 1);
}

/* What the server holds is what it held before. */
static void settle(const char *name)
{
	static unsigned long most;
	static unsigned fds;
	unsigned long kib;
	unsigned n;

	hostile_destroy();
	n = watch_descriptors();
	hostile_check(!fds || n == fds, "%u descriptors, were %u", n, fds);
	fds = n;
	kib = watch_memory();
	hostile_check(!most || kib <= most, "%lu KiB of memory, at most %lu",
		      kib, most);
	if (!most)
		most = kib + MEMORY_MORE;
	tree_check();
	if (!hostile.readonly)
		tree_repair();
	else if (strcmp(name, "race") != 0)
		tree_share_check();
	if (!strcmp(name, "race"))
		tree_repair();
	if (hostile.readonly)
		tree_share_note();
	hostile_want("INIT", hostile_init(), 0);
	alive();
}

static unsigned run_all(const char *title, const char *only)
{
	unsigned bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		unsigned long before = hostile.requests;
		unsigned long races = tree_races();
		uint64_t start = monotonic_ns();

		if (only && strcmp(only, groups[i].name) != 0)
			continue;
		hostile.wrong = 0;
		hostile.skipped = NULL;
		groups[i].run();
		settle(groups[i].name);
		races = tree_races() - races;
		bad += hostile.wrong != 0;
		printf("%s %s: %s, %lu requests in %llu ms",
		       hostile.wrong ? "not ok" : "ok", title, groups[i].name,
		       hostile.requests - before,
		       (unsigned long long)(monotonic_ns() - start) / 1000000);
		if (races)
			printf(", the host swapped %lu times", races);
		if (hostile.skipped)
			printf(" # SKIP %s", hostile.skipped);
		printf("\n");
		fflush(stdout);
	}
	return bad;
}

unsigned hostile_all(const char *title, const char *only)
{
	unsigned bad;

	hostile_want("INIT", hostile_init(), 0);
	if (hostile.readonly)
		tree_share_note();
	settle("begin");
	bad = hostile.wrong != 0;
	return bad + run_all(title, only);
}

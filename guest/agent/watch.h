/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_WATCH_H
#define GUEST_AGENT_WATCH_H

/*
 * Changes of cgroup files (cgroup.events, memory.events), by one inotify
 * descriptor for all of them.
 */

#include "base/compiler.h"
#include "base/evloop.h"

struct watch_entry {
	struct watch_entry *next;
	int wd; /* -1: not added */
	void (*changed)(struct watch_entry *entry);
};

struct watch {
	struct evsource src;
	int fd;
	struct watch_entry *entries;
};

int watch_init(struct watch *watch, struct evloop *loop) MUST_CHECK;
void watch_release(struct watch *watch);
/* changed may remove entries. 0 or -errno. */
int watch_add(struct watch *watch, struct watch_entry *entry, const char *path,
	      void (*changed)(struct watch_entry *)) MUST_CHECK;
void watch_del(struct watch *watch, struct watch_entry *entry);

#endif

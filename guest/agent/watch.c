/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/watch.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"

static void dispatch(struct watch *watch, int wd)
{
	for (struct watch_entry *e = watch->entries; e; e = e->next) {
		if (e->wd == wd) {
			e->changed(e);
			return;
		}
	}
}

static void watch_ready(struct evsource *src, uint32_t revents)
{
	struct watch *watch = container_of(src, struct watch, src);
	union {
		struct inotify_event first;
		char bytes[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
	} buf;
	ssize_t n = read(watch->fd, &buf, sizeof(buf));

	for (ssize_t at = 0; at < n;) {
		struct inotify_event ev;

		memcpy(&ev, buf.bytes + at, sizeof(ev));
		at += (ssize_t)(sizeof(ev) + ev.len);
		if (ev.mask & IN_MODIFY)
			dispatch(watch, ev.wd);
	}
}

int watch_init(struct watch *watch, struct evloop *loop)
{
	int ret;

	watch->entries = NULL;
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd < 0)
		return -errno;
	ret = evsource_add(loop, &watch->src, watch->fd, EPOLLIN, watch_ready);
	if (ret < 0)
		close(steal_fd(&watch->fd));
	return ret;
}

void watch_release(struct watch *watch)
{
	evsource_del(&watch->src);
	if (watch->fd >= 0)
		close(steal_fd(&watch->fd));
}

int watch_add(struct watch *watch, struct watch_entry *entry, const char *path,
	      void (*changed)(struct watch_entry *))
{
	entry->wd = inotify_add_watch(watch->fd, path, IN_MODIFY);
	if (entry->wd < 0)
		return -errno;
	entry->changed = changed;
	entry->next = watch->entries;
	watch->entries = entry;
	return 0;
}

void watch_del(struct watch *watch, struct watch_entry *entry)
{
	struct watch_entry **p = &watch->entries;

	while (*p && *p != entry)
		p = &(*p)->next;
	if (!*p)
		return;
	*p = entry->next;
	/* Fails when the file is gone, and the watch with it. */
	(void)inotify_rm_watch(watch->fd, entry->wd);
	entry->wd = -1;
}

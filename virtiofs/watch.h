/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_WATCH_H
#define VIRTIOFS_WATCH_H

/*
 * Changes that others than this process make in directories that it serves, or
 * to files that are served as such: fanotify(7) on each directory of a tree, or
 * on the file, up to a number of them. What the guest does through the server
 * is this process's doing, and the guest's kernel knows it; of that, the tree
 * alone is kept up to date.
 *
 * Events wait in a queue until they are taken, and the kernel's are not read
 * meanwhile: it merges what happens to one file, and says when it lost some.
 * Then each directory and file is told to have changed (FILE_EVENT_ATTRIB).
 *
 * Needs CAP_SYS_ADMIN when it is made, not afterwards, and Linux 5.13; before
 * 5.17, a rename is a deletion and a creation. System calls afterwards, beside
 * those of virtio-fs: read, fanotify_mark, name_to_handle_at.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/evloop.h"
#include "base/replay.h"

struct fs_event {
	enum file_event_kind kind;
	bool directory;
	uint64_t dir;
	uint64_t to_dir;
	const char *name;    /* never NULL, as the next */
	const char *to_name; /* of a rename */
};

struct fs_watch_config {
	struct evloop *loop;
	int root_fd;	/* taken; an O_PATH directory */
	int proc_fd;	/* taken; this process's /proc/self/fd */
	unsigned limit; /* directories and files */
	/* On the loop: there are events, after there were none. */
	void (*ready)(void *arg);
	/* One line on what is not watched. */
	void (*warn)(void *arg, const char *text);
	void *arg;
};

struct fs_watch;

/* NULL: err. Takes root_fd and proc_fd in every case. */
struct fs_watch *fs_watch_new(const struct fs_watch_config *config,
			      struct err *err);
void fs_watch_free(struct fs_watch *w);

/* Watches the directory at a path below the root, and what is in it; or the
 * regular file there, whose events have the name "". */
void fs_watch_add(struct fs_watch *w, const char *path);
/* Those whose path begins with prefix. */
void fs_watch_remove(struct fs_watch *w, const char *prefix);

/* The oldest event, NULL: none. Valid until it is dropped. */
const struct fs_event *fs_watch_first(const struct fs_watch *w);
void fs_watch_drop(struct fs_watch *w);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_WATCH_TREE_H
#define VIRTIOFS_WATCH_TREE_H

/* The directories that are watched (watch.c): a tree for each root, and the
 * way from the kernel's file handles to them. A root may be a file. */

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/statfs.h>

#include "base/compiler.h"
#include "virtiofs/watch.h"

#define WATCH_HANDLE_MAX 128u
#define WATCH_BUCKETS 1024u

/* As fanotify names a directory or a file. */
struct watch_key {
	int fsid[2];
	int type;
	unsigned len;
	uint8_t bytes[WATCH_HANDLE_MAX];
};

struct watch_dir {
	struct watch_dir *next_same; /* in its bucket */
	struct watch_dir *parent;    /* NULL: a root */
	struct watch_dir *root;
	struct watch_dir *children;
	struct watch_dir *next; /* sibling, or root */
	struct watch_dir *next_scan;
	uint64_t id;
	bool file; /* a root that is no directory: a regular file */
	bool scanning;
	bool announce; /* what is found in it is new */
	int fd;	       /* O_PATH */
	struct watch_key key;
	char *name; /* of a root, its path */
};

struct watch_event {
	struct watch_event *next;
	struct fs_event event;
	char names[];
};

struct fs_watch {
	struct fs_watch_config config;
	int fan;
	uint64_t mask;
	pid_t self;
	struct evsource src;
	struct evtimer scan;   /* the next piece of it */
	struct evtimer settle; /* all of them are looked for */
	bool unsettled;	       /* settle is started */
	uint64_t last_id;
	unsigned ndirs;
	bool full; /* and said so */
	struct watch_dir *roots;
	struct watch_dir *buckets[WATCH_BUCKETS];
	struct watch_dir *scans; /* to be read; the first one has scan_fd */
	int scan_fd;
	struct watch_event *first;
	struct watch_event *last;
	unsigned nevents;
	bool lost; /* some, since there were none */
	_Alignas(8) char buf[16384];
};

int watch_tree_init(struct fs_watch *w) MUST_CHECK;
/* Appends an event. Names are copied. */
void watch_emit(struct fs_watch *w, const struct fs_event *event);
/* One of a name in dir; "": of dir. */
void watch_tell(struct fs_watch *w, enum file_event_kind kind, bool directory,
		const struct watch_dir *dir, const char *name);
void watch_warn(struct fs_watch *w, const char *fmt, ...) PRINTF(2, 3);

/* NULL: not watched, and why was said. Without a parent, a root. */
struct watch_dir *watch_dir_add(struct fs_watch *w, struct watch_dir *parent,
				const char *name, bool announce);
/* With all below it. */
void watch_dir_drop(struct fs_watch *w, struct watch_dir *dir);
/* The child is in another place, in the same tree. -ELOOP: that is below it, as
 * the tree knows it by now. */
int watch_dir_move(struct watch_dir *dir, struct watch_dir *parent,
		   const char *name) MUST_CHECK;
struct watch_dir *watch_dir_child(struct watch_dir *dir, const char *name);
/* Whether above is dir, or above it. */
bool watch_dir_holds(const struct watch_dir *above,
		     const struct watch_dir *dir);
/* Those with the key: the first, and each next one. */
struct watch_dir *watch_dir_find(struct fs_watch *w,
				 const struct watch_key *key,
				 const struct watch_dir *after);
/* Whether it is where the tree has it; if not, or if dir is NULL, all of them
 * are looked for a little later. */
void watch_dir_check(struct fs_watch *w, const struct watch_dir *dir);
/* Events were lost: every directory may have changed. */
void watch_tree_check(struct fs_watch *w);

#endif

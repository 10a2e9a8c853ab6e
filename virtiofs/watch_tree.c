/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/watch_tree.h"

#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SCAN_PIECES 16u	  /* in a turn of the loop */
#define SCAN_EVENTS 1024u /* more must not wait */
#define SCAN_WAIT_MS 10u
#define SETTLE_MS 200u

#ifndef FAN_RENAME
#define FAN_RENAME 0x10000000
#endif
#define FILE_MASK (FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ATTRIB)

static bool key_equal(const struct watch_key *a, const struct watch_key *b)
{
	return a->fsid[0] == b->fsid[0] && a->fsid[1] == b->fsid[1] &&
	       a->type == b->type && a->len == b->len &&
	       memcmp(a->bytes, b->bytes, a->len) == 0;
}

static struct watch_dir **bucket_of(struct fs_watch *w,
				    const struct watch_key *key)
{
	uint32_t h = 0x811c9dc5u;

	for (unsigned i = 0; i < key->len; i++)
		h = (h ^ key->bytes[i]) * 0x01000193u;
	return &w->buckets[(h ^ h >> 16) % WATCH_BUCKETS];
}

struct watch_dir *watch_dir_find(struct fs_watch *w,
				 const struct watch_key *key,
				 const struct watch_dir *after)
{
	struct watch_dir *dir = after ? after->next_same : *bucket_of(w, key);

	while (dir && !key_equal(&dir->key, key))
		dir = dir->next_same;
	return dir;
}

struct watch_dir *watch_dir_child(struct watch_dir *dir, const char *name)
{
	struct watch_dir *child = dir->children;

	while (child && strcmp(child->name, name) != 0)
		child = child->next;
	return child;
}

bool watch_dir_holds(const struct watch_dir *above, const struct watch_dir *dir)
{
	while (dir && dir != above)
		dir = dir->parent;
	return dir != NULL;
}

static int key_read(int fd, struct watch_key *key)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + WATCH_HANDLE_MAX];
	} u = {.handle.handle_bytes = WATCH_HANDLE_MAX};
	struct statfs st;
	int mount;

	if (fstatfs(fd, &st) ||
	    name_to_handle_at(fd, "", &u.handle, &mount, AT_EMPTY_PATH))
		return -errno;
	memcpy(key->fsid, &st.f_fsid, sizeof(key->fsid));
	key->type = u.handle.handle_type;
	key->len = u.handle.handle_bytes;
	memcpy(key->bytes, u.handle.f_handle, MIN(key->len, WATCH_HANDLE_MAX));
	return 0;
}

/* By its descriptor: its name may be another's by now. */
static int mark_file(struct fs_watch *w, unsigned what, int fd)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", fd);
	return fanotify_mark(w->fan, what, FILE_MASK, w->config.proc_fd, name)
		       ? -errno
		       : 0;
}

static int mark_dir(struct fs_watch *w, unsigned what, int fd)
{
	int ret = fanotify_mark(w->fan, what | FAN_MARK_ONLYDIR, w->mask, fd,
				".");

	/* Before Linux 5.17: a rename is two events of their own. */
	if (ret && errno == EINVAL && (w->mask & FAN_RENAME)) {
		w->mask = (w->mask & ~(uint64_t)FAN_RENAME) | FAN_MOVED_FROM |
			  FAN_MOVED_TO;
		return mark_dir(w, what, fd);
	}
	return ret ? -errno : 0;
}

static int mark(struct fs_watch *w, unsigned what, const struct watch_dir *dir)
{
	return dir->file ? mark_file(w, what, dir->fd)
			 : mark_dir(w, what, dir->fd);
}

/* A name of a directory that is held open, or a path below the root; neither
 * leaves it, nor, but for a root, its mount. A directory, or at the path,
 * whatever there is. */
static int open_dir(const struct fs_watch *w, const struct watch_dir *parent,
		    const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC |
			 (parent ? (unsigned)O_DIRECTORY : 0u),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_SYMLINKS | (parent ? RESOLVE_NO_XDEV : 0),
	};
	long fd = syscall(SYS_openat2, parent ? parent->fd : w->config.root_fd,
			  name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int dir_open(struct fs_watch *w, struct watch_dir *dir)
{
	struct stat st;
	int ret;

	dir->fd = open_dir(w, dir->parent, dir->name);
	if (dir->fd < 0)
		return dir->fd;
	if (fstat(dir->fd, &st))
		return -errno;
	dir->file = S_ISREG(st.st_mode);
	if (!dir->file && !S_ISDIR(st.st_mode))
		return -ENOTDIR;
	ret = key_read(dir->fd, &dir->key);
	return ret ? ret : mark(w, FAN_MARK_ADD, dir);
}

static void dir_free(struct watch_dir *dir)
{
	if (dir->fd >= 0)
		close(dir->fd);
	free(dir->name);
	free(dir);
}

static bool room_for(struct fs_watch *w, const char *name)
{
	if (w->ndirs < w->config.limit)
		return true;
	if (!w->full)
		watch_warn(w,
			   "%u directories and files are watched, which is the "
			   "limit: %.100s and others are not",
			   w->ndirs, name);
	w->full = true;
	return false;
}

static void scan_later(struct fs_watch *w, struct watch_dir *dir)
{
	struct watch_dir **end = &w->scans;

	if (dir->scanning || dir->file)
		return;
	while (*end)
		end = &(*end)->next_scan;
	*end = dir;
	dir->next_scan = NULL;
	dir->scanning = true;
	evtimer_start(&w->scan, 0);
}

static void dir_link(struct fs_watch *w, struct watch_dir *dir)
{
	struct watch_dir **list =
		dir->parent ? &dir->parent->children : &w->roots;
	struct watch_dir **bucket = bucket_of(w, &dir->key);

	dir->root = dir->parent ? dir->parent->root : dir;
	dir->id = ++w->last_id;
	dir->next = *list;
	*list = dir;
	dir->next_same = *bucket;
	*bucket = dir;
	w->ndirs++;
}

struct watch_dir *watch_dir_add(struct fs_watch *w, struct watch_dir *parent,
				const char *name, bool announce)
{
	struct watch_dir *dir;
	int ret;

	if (parent && watch_dir_child(parent, name))
		return NULL;
	if (!room_for(w, name))
		return NULL;
	dir = calloc(1, sizeof(*dir));
	if (!dir)
		return NULL;
	dir->fd = -1;
	dir->parent = parent;
	dir->announce = announce;
	dir->name = strdup(name);
	ret = dir->name ? dir_open(w, dir) : -ENOMEM;
	if (ret) {
		/* Gone again, a mount of its own, or of a kind that has no
		 * events: nothing to watch. A root that is on another device
		 * than its file system says, as with btrfs, should be. */
		if (ret != -ENOENT && ret != -ENOTDIR &&
		    (ret != -EXDEV || !parent))
			watch_warn(w, "%.100s is not watched: %s", name,
				   strerror(-ret));
		dir_free(dir);
		return NULL;
	}
	dir_link(w, dir);
	watch_emit(w, &(struct fs_event){
			      .kind = parent ? FILE_EVENT_DIRECTORY
					     : FILE_EVENT_ROOT,
			      .directory = !dir->file,
			      .dir = parent ? parent->id : 0,
			      .to_dir = dir->id,
			      .name = name,
			      .to_name = "",
		      });
	scan_later(w, dir);
	return dir;
}

/* Whoever is read begins anew, or the next one does. */
static void scan_close(struct fs_watch *w)
{
	if (w->scan_fd >= 0)
		close(w->scan_fd);
	w->scan_fd = -1;
}

static void scan_end(struct fs_watch *w, struct watch_dir *dir)
{
	struct watch_dir **p = &w->scans;

	if (!dir->scanning)
		return;
	if (w->scans == dir)
		scan_close(w);
	while (*p != dir)
		p = &(*p)->next_scan;
	*p = dir->next_scan;
	dir->scanning = false;
	dir->announce = false;
}

static void dir_unlink(struct watch_dir **list, struct watch_dir *dir)
{
	while (*list != dir)
		list = &(*list)->next;
	*list = dir->next;
}

/* One without children. */
static void leaf_drop(struct fs_watch *w, struct watch_dir *dir)
{
	struct watch_dir **p = bucket_of(w, &dir->key);

	scan_end(w, dir);
	dir_unlink(dir->parent ? &dir->parent->children : &w->roots, dir);
	while (*p != dir)
		p = &(*p)->next_same;
	*p = dir->next_same;
	/* It may be gone, and its mark with it. */
	if (!watch_dir_find(w, &dir->key, NULL))
		(void)mark(w, FAN_MARK_REMOVE, dir);
	watch_tell(w, FILE_EVENT_FORGET, !dir->file, dir, "");
	w->ndirs--;
	w->full = false;
	dir_free(dir);
}

void watch_dir_drop(struct fs_watch *w, struct watch_dir *dir)
{
	struct watch_dir *at = dir;

	for (;;) {
		struct watch_dir *parent = at->parent;
		bool last = at == dir;

		if (at->children) {
			at = at->children;
			continue;
		}
		leaf_drop(w, at);
		if (last)
			return;
		at = parent;
	}
}

int watch_dir_move(struct watch_dir *dir, struct watch_dir *parent,
		   const char *name)
{
	char *copy;

	if (watch_dir_holds(dir, parent))
		return -ELOOP;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	free(dir->name);
	dir->name = copy;
	dir_unlink(&dir->parent->children, dir);
	dir->parent = parent;
	dir->next = parent->children;
	parent->children = dir;
	return 0;
}

/* Reading directories, a piece at a time. --------------------------------- */

static void found(struct fs_watch *w, struct watch_dir *dir,
		  const struct dirent64 *d)
{
	bool directory = d->d_type == DT_DIR;

	if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..") ||
	    strlen(d->d_name) > REPLAY_NAME_MAX)
		return;
	if (d->d_type == DT_UNKNOWN) {
		int fd = open_dir(w, dir, d->d_name);

		directory = fd >= 0;
		if (fd >= 0)
			close(fd);
	}
	if (dir->announce && !(directory && watch_dir_child(dir, d->d_name)))
		watch_tell(w, FILE_EVENT_CREATE, directory, dir, d->d_name);
	if (directory)
		watch_dir_add(w, dir, d->d_name, dir->announce);
}

/* False: the directory is read. */
static bool scan_piece(struct fs_watch *w, struct watch_dir *dir)
{
	_Alignas(8) char buf[8192];
	ssize_t n;

	if (w->scan_fd < 0)
		w->scan_fd = openat(dir->fd, ".",
				    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	n = w->scan_fd < 0 ? -1 : getdents64(w->scan_fd, buf, sizeof(buf));
	for (ssize_t at = 0; at < n;) {
		const struct dirent64 *d = (const void *)(buf + at);

		at += d->d_reclen;
		found(w, dir, d);
	}
	return n > 0;
}

static void on_scan(struct evtimer *timer)
{
	struct fs_watch *w = container_of(timer, struct fs_watch, scan);

	for (unsigned i = 0; i < SCAN_PIECES && w->scans; i++) {
		/* Whoever takes the events sets the pace. */
		if (w->nevents > SCAN_EVENTS) {
			evtimer_start(&w->scan, SCAN_WAIT_MS);
			return;
		}
		if (!scan_piece(w, w->scans))
			scan_end(w, w->scans);
	}
	if (w->scans)
		evtimer_start(&w->scan, 0);
}

/* Still where it was. */
static bool in_place(const struct fs_watch *w, const struct watch_dir *dir)
{
	struct watch_key key = {0};
	int fd = open_dir(w, dir->parent, dir->name);
	bool same = fd >= 0 && key_read(fd, &key) == 0 &&
		    key_equal(&key, &dir->key);

	if (fd >= 0)
		close(fd);
	return same;
}

static struct watch_dir *next_of(const struct watch_dir *dir)
{
	while (dir && !dir->next)
		dir = dir->parent;
	return dir ? dir->next : NULL;
}

static void tree_check(struct fs_watch *w, bool changed)
{
	struct watch_dir *next;

	scan_close(w);
	for (struct watch_dir *dir = w->roots; dir; dir = next) {
		if (dir->parent && !in_place(w, dir)) {
			next = next_of(dir);
			watch_dir_drop(w, dir);
			continue;
		}
		next = dir->children ? dir->children : next_of(dir);
		if (changed)
			watch_tell(w, FILE_EVENT_ATTRIB, !dir->file, dir, "");
		scan_later(w, dir);
	}
}

void watch_tree_check(struct fs_watch *w)
{
	tree_check(w, true);
}

static void on_settle(struct evtimer *timer)
{
	struct fs_watch *w = container_of(timer, struct fs_watch, settle);

	w->unsettled = false;
	tree_check(w, false);
}

void watch_dir_check(struct fs_watch *w, const struct watch_dir *dir)
{
	if (w->unsettled || (dir && in_place(w, dir)))
		return;
	w->unsettled = true;
	evtimer_start(&w->settle, SETTLE_MS);
}

int watch_tree_init(struct fs_watch *w)
{
	int ret = evtimer_init(w->config.loop, &w->scan, on_scan);

	w->scan_fd = -1;
	return ret ? ret : evtimer_init(w->config.loop, &w->settle, on_settle);
}

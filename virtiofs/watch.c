/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "virtiofs/watch_tree.h"

/* Linux 5.17, and later than some headers. */
#ifndef FAN_RENAME
#define FAN_RENAME 0x10000000
#endif
#ifndef FAN_REPORT_TARGET_FID
#define FAN_REPORT_TARGET_FID 0x00001000
#endif
#define INFO_OLD_NAME 10
#define INFO_NEW_NAME 12

/* Of what happened to files; what is lost beyond is said. */
#define EVENTS_MAX 32768u

#define MASK                                                                   \
	(FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_MODIFY | FAN_CLOSE_WRITE | \
	 FAN_ATTRIB | FAN_ONDIR | FAN_EVENT_ON_CHILD)

/* Of one event: a directory and a name in it, or a file and no name. */
struct place {
	bool there;
	struct watch_key key;
	char name[REPLAY_NAME_MAX + 1];
};

void watch_warn(struct fs_watch *w, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->config.warn(w->config.arg, text);
}

static void read_again(struct fs_watch *w)
{
	watch_warn(w, "changes were too many and are lost: watched "
		      "directories are read again");
	watch_tree_check(w);
}

/* The queue. -------------------------------------------------------------- */

static bool is_structure(enum file_event_kind kind)
{
	return kind <= FILE_EVENT_FORGET;
}

void watch_emit(struct fs_watch *w, const struct fs_event *event)
{
	size_t len = strlen(event->name) + 1;
	size_t to_len = strlen(event->to_name) + 1;
	struct watch_event *e;

	if (w->nevents >= EVENTS_MAX && !is_structure(event->kind)) {
		w->lost = true;
		return;
	}
	e = malloc(sizeof(*e) + len + to_len);
	if (!e) {
		w->lost = true;
		return;
	}
	e->next = NULL;
	e->event = *event;
	e->event.name = memcpy(e->names, event->name, len);
	e->event.to_name = memcpy(e->names + len, event->to_name, to_len);
	if (w->last)
		w->last->next = e;
	else
		w->first = e;
	w->last = e;
	w->nevents++;
	if (w->nevents > 1)
		return;
	/* The kernel keeps the rest until this is taken. */
	(void)!evsource_modify(&w->src, 0);
	w->config.ready(w->config.arg);
}

void watch_tell(struct fs_watch *w, enum file_event_kind kind, bool directory,
		const struct watch_dir *dir, const char *name)
{
	watch_emit(w, &(struct fs_event){
			      .kind = kind,
			      .directory = directory,
			      .dir = dir->id,
			      .name = name,
			      .to_name = "",
		      });
}

const struct fs_event *fs_watch_first(const struct fs_watch *w)
{
	return w->first ? &w->first->event : NULL;
}

void fs_watch_drop(struct fs_watch *w)
{
	struct watch_event *e = w->first;

	if (!e)
		return;
	w->first = e->next;
	if (!w->first)
		w->last = NULL;
	free(e);
	if (--w->nevents > 0)
		return;
	(void)!evsource_modify(&w->src, EPOLLIN);
	if (w->lost) {
		w->lost = false;
		read_again(w);
	}
}

/* The kernel's events. ---------------------------------------------------- */

static void created(struct fs_watch *w, struct watch_dir *dir, const char *name,
		    bool directory, bool own)
{
	if (!own)
		watch_tell(w, FILE_EVENT_CREATE, directory, dir, name);
	if (directory)
		watch_dir_add(w, dir, name, !own);
}

static void deleted(struct fs_watch *w, struct watch_dir *dir, const char *name,
		    bool directory, bool own)
{
	struct watch_dir *child = directory ? watch_dir_child(dir, name) : NULL;

	if (!own)
		watch_tell(w, FILE_EVENT_DELETE, directory, dir, name);
	if (child)
		watch_dir_drop(w, child);
}

/* From elsewhere: complete as it comes, as what is moved in by a program that
 * others wait for usually is. */
static void moved_in(struct fs_watch *w, struct watch_dir *dir,
		     const char *name, bool directory, bool own)
{
	if (!own)
		watch_tell(w, FILE_EVENT_CREATE, directory, dir, name);
	if (directory)
		watch_dir_add(w, dir, name, false);
	else if (!own)
		watch_tell(w, FILE_EVENT_CLOSE_WRITE, false, dir, name);
}

static bool exists(const struct watch_dir *dir, const char *name)
{
	struct stat st;

	return fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Directories are read as they are by then, and what is told of them is older:
 * one may be known where it came to later, or twice. */
static void renamed_dir(struct fs_watch *w, struct watch_dir *dir,
			const char *name, struct watch_dir *to_dir,
			const char *to_name)
{
	struct watch_dir *child = watch_dir_child(dir, name);
	struct watch_dir *replaced = watch_dir_child(to_dir, to_name);

	if (replaced == child && child)
		return;
	if (replaced && watch_dir_holds(replaced, dir)) {
		child = NULL;
		watch_dir_check(w, NULL);
	}
	if (replaced)
		watch_dir_drop(w, replaced);
	if (child && watch_dir_move(child, to_dir, to_name) < 0) {
		watch_dir_drop(w, child);
		watch_dir_check(w, NULL);
	} else if (child) {
		watch_dir_check(w, child);
	} else {
		watch_dir_add(w, to_dir, to_name, false);
	}
}

static void renamed(struct fs_watch *w, struct watch_dir *dir, const char *name,
		    struct watch_dir *to_dir, const char *to_name,
		    bool directory, bool own)
{
	if (!own)
		watch_emit(w, &(struct fs_event){
				      .kind = FILE_EVENT_RENAME,
				      .directory = directory,
				      .dir = dir->id,
				      .to_dir = to_dir->id,
				      .name = name,
				      .to_name = to_name,
			      });
	if (directory)
		renamed_dir(w, dir, name, to_dir, to_name);
	/* Made again, which the kernel has merged with the first time. */
	if (!own && !directory && exists(dir, name))
		watch_tell(w, FILE_EVENT_CREATE, false, dir, name);
}

static struct watch_dir *in_tree(struct fs_watch *w, const struct place *place,
				 const struct watch_dir *root)
{
	struct watch_dir *dir = NULL;

	if (!place->there)
		return NULL;
	do
		dir = watch_dir_find(w, &place->key, dir);
	while (dir && dir->root != root);
	return dir;
}

/* One directory may be watched in several trees. */
static void on_rename(struct fs_watch *w, const struct place *from,
		      const struct place *to, bool directory, bool own)
{
	struct watch_dir *next;

	for (struct watch_dir *root = w->roots; root; root = next) {
		struct watch_dir *a = in_tree(w, from, root);
		struct watch_dir *b = in_tree(w, to, root);

		next = root->next;
		if (a && b)
			renamed(w, a, from->name, b, to->name, directory, own);
		else if (a)
			deleted(w, a, from->name, directory, own);
		else if (b)
			moved_in(w, b, to->name, directory, own);
	}
}

static void on_change(struct fs_watch *w, struct watch_dir *dir,
		      const char *name, uint64_t mask, bool own)
{
	bool directory = (mask & FAN_ONDIR) != 0;
	bool gone = (mask & (FAN_DELETE | FAN_MOVED_FROM)) != 0;
	/* Both, in an order that the kernel does not tell. */
	bool first = gone && (mask & (FAN_CREATE | FAN_MOVED_TO)) &&
		     exists(dir, name);

	if (first)
		deleted(w, dir, name, directory, own);
	if (mask & FAN_CREATE)
		created(w, dir, name, directory, own);
	if (mask & FAN_MOVED_TO)
		moved_in(w, dir, name, directory, own);
	if (!own && !directory && (mask & FAN_MODIFY))
		watch_tell(w, FILE_EVENT_MODIFY, false, dir, name);
	if (!own && !directory && (mask & FAN_CLOSE_WRITE))
		watch_tell(w, FILE_EVENT_CLOSE_WRITE, false, dir, name);
	if (!own && !gone && (mask & FAN_ATTRIB))
		watch_tell(w, FILE_EVENT_ATTRIB, directory, dir, name);
	if (gone && !first)
		deleted(w, dir, name, directory, own);
}

/* The directory itself, not an entry of it. */
static void on_self(struct fs_watch *w, const struct watch_dir *dir,
		    uint64_t mask, bool own)
{
	if (!own && (mask & FAN_ATTRIB))
		watch_tell(w, FILE_EVENT_ATTRIB, true, dir, "");
}

static void on_place(struct fs_watch *w, const struct place *at, uint64_t mask,
		     bool own)
{
	struct watch_dir *next;

	/* What happens in one tree leaves those of others alone. */
	for (struct watch_dir *root = w->roots; root; root = next) {
		struct watch_dir *dir = in_tree(w, at, root);

		next = root->next;
		if (!dir)
			continue;
		if (strcmp(at->name, ".") != 0)
			on_change(w, dir, at->name, mask, own);
		else
			on_self(w, dir, mask, own);
	}
}

/* Whichever name and directory the host's program came by, if any: the source
 * of a bind mount lies elsewhere, and one that lost its name lies nowhere. */
static void on_file(struct fs_watch *w, const struct watch_key *key,
		    uint64_t mask)
{
	static const struct {
		uint64_t mask;
		enum file_event_kind kind;
	} kinds[] = {
		{FAN_MODIFY, FILE_EVENT_MODIFY},
		{FAN_CLOSE_WRITE, FILE_EVENT_CLOSE_WRITE},
		{FAN_ATTRIB, FILE_EVENT_ATTRIB},
	};
	struct watch_dir *file = NULL;

	while ((file = watch_dir_find(w, key, file))) {
		for (size_t i = 0; i < ARRAY_SIZE(kinds) && file->file; i++)
			if (mask & kinds[i].mask)
				watch_tell(w, kinds[i].kind, false, file, "");
	}
}

/* fanotify(7): the header, the file system, the handle; the name of all but a
 * file that is told by itself. */
static void place_read(const char *at, size_t len, struct place *place)
{
	struct fanotify_event_info_fid info;
	struct file_handle handle;
	const char *name;

	if (len < sizeof(info) + sizeof(handle))
		return;
	memcpy(&info, at, sizeof(info));
	memcpy(&handle, at + sizeof(info), sizeof(handle));
	at += sizeof(info) + sizeof(handle);
	len -= sizeof(info) + sizeof(handle);
	if (handle.handle_bytes > MIN(len, WATCH_HANDLE_MAX))
		return;
	memcpy(place->key.fsid, &info.fsid, sizeof(place->key.fsid));
	place->key.type = handle.handle_type;
	place->key.len = handle.handle_bytes;
	memcpy(place->key.bytes, at, handle.handle_bytes);
	name = at + handle.handle_bytes;
	len -= handle.handle_bytes;
	if (info.hdr.info_type == FAN_EVENT_INFO_TYPE_FID)
		len = 0;
	else if (strnlen(name, len) == len || strlen(name) > REPLAY_NAME_MAX)
		return;
	memcpy(place->name, name, len ? strlen(name) + 1 : 0);
	place->there = true;
}

static void on_event(struct fs_watch *w, const char *at,
		     const struct fanotify_event_metadata *m)
{
	struct place plain = {0}, from = {0}, to = {0}, file = {0};
	bool own = m->pid == w->self;

	for (size_t pos = m->metadata_len; pos < m->event_len;) {
		struct fanotify_event_info_header head;

		memcpy(&head, at + pos, sizeof(head));
		if (head.len < sizeof(head) || head.len > m->event_len - pos)
			break;
		if (head.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME)
			place_read(at + pos, head.len, &plain);
		else if (head.info_type == FAN_EVENT_INFO_TYPE_FID)
			place_read(at + pos, head.len, &file);
		else if (head.info_type == INFO_OLD_NAME)
			place_read(at + pos, head.len, &from);
		else if (head.info_type == INFO_NEW_NAME)
			place_read(at + pos, head.len, &to);
		pos += head.len;
	}
	if (m->mask & FAN_RENAME)
		on_rename(w, &from, &to, (m->mask & FAN_ONDIR) != 0, own);
	else if (plain.there)
		on_place(w, &plain, m->mask, own);
	if (file.there && !own)
		on_file(w, &file.key, m->mask);
}

static void on_readable(struct evsource *src, uint32_t revents)
{
	struct fs_watch *w = container_of(src, struct fs_watch, src);
	ssize_t n = w->first ? 0 : read(w->fan, w->buf, sizeof(w->buf));

	for (ssize_t at = 0; at < n;) {
		struct fanotify_event_metadata m;

		memcpy(&m, w->buf + at, sizeof(m));
		BUG_ON(m.vers != FANOTIFY_METADATA_VERSION ||
		       m.event_len < sizeof(m) || m.event_len > n - at);
		if (m.mask & FAN_Q_OVERFLOW)
			read_again(w);
		else
			on_event(w, w->buf + at, &m);
		at += m.event_len;
	}
}

/* Since Linux 5.17 with the target's id in all events, without which the kernel
 * would not merge the creation of a file with what is written to it. */
static int group_open(void)
{
	unsigned flags = FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK |
			 FAN_REPORT_FID | FAN_REPORT_DFID_NAME;
	int fd = fanotify_init(flags | FAN_REPORT_TARGET_FID, O_RDONLY);

	if (fd < 0 && errno == EINVAL)
		fd = fanotify_init(flags, O_RDONLY);
	return fd;
}

static int watch_open(struct fs_watch *w, struct err *err)
{
	int ret;

	w->fan = group_open();
	if (w->fan < 0 && errno == EMFILE)
		return err_set(err, EMFILE,
			       "fanotify: all of fs.fanotify.max_user_groups "
			       "are in use");
	if (w->fan < 0)
		return err_sys(err, "fanotify");
	ret = watch_tree_init(w);
	if (!ret)
		ret = evsource_add(w->config.loop, &w->src, w->fan, EPOLLIN,
				   on_readable);
	return ret < 0 ? err_ret(err, ret, "event loop") : 0;
}

struct fs_watch *fs_watch_new(const struct fs_watch_config *config,
			      struct err *err)
{
	struct fs_watch *w = calloc(1, sizeof(*w));

	if (!w) {
		close(config->root_fd);
		close(config->proc_fd);
		err_set(err, ENOMEM, "file events: out of memory");
		return NULL;
	}
	w->config = *config;
	w->mask = MASK;
	w->self = getpid();
	w->fan = -1;
	w->scan_fd = -1;
	if (watch_open(w, err) == 0)
		return w;
	err_wrap(err, "file events");
	fs_watch_free(w);
	return NULL;
}

void fs_watch_free(struct fs_watch *w)
{
	if (!w)
		return;
	while (w->roots)
		watch_dir_drop(w, w->roots);
	while (w->first)
		fs_watch_drop(w);
	if (w->scan.expired)
		evtimer_release(&w->scan);
	if (w->settle.expired)
		evtimer_release(&w->settle);
	evsource_del(&w->src);
	if (w->fan >= 0)
		close(w->fan);
	close(w->config.root_fd);
	close(w->config.proc_fd);
	free(w);
}

void fs_watch_add(struct fs_watch *w, const char *path)
{
	watch_dir_add(w, NULL, path, false);
}

void fs_watch_remove(struct fs_watch *w, const char *prefix)
{
	struct watch_dir *next;

	for (struct watch_dir *root = w->roots; root; root = next) {
		next = root->next;
		if (!strncmp(root->name, prefix, strlen(prefix)))
			watch_dir_drop(w, root);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent-proto/agent.pb-c.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/replay.h"
#include "guest/agent/file_events.h"
#include "guest/agent/ids.h"
#include "guest/agent/rootfs.h"

#define SHARED AGENT_RUN "/shared/containers/"
#define AGENT_RUN "/run/kata-containers"

/* Held open: a directory that the host has removed must still be reached. A
 * root may be a regular file. */
struct directory {
	uint64_t id;
	uint64_t root; /* id of it */
	bool file;
	int fd; /* O_PATH */
	char container[ID_MAX + 1];
};

static struct {
	struct directory *all; /* by id */
	size_t n, room;
} dirs;

/* An event, with names that end. */
struct change {
	enum file_event_kind kind;
	bool directory;
	uint64_t dir, to_dir;
	char name[2 * REPLAY_NAME_MAX + 2];
	char to_name[REPLAY_NAME_MAX + 1];
};

/* Directories. ------------------------------------------------------------ */

static const struct directory *find(uint64_t id)
{
	size_t low = 0, high = dirs.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (dirs.all[mid].id == id)
			return &dirs.all[mid];
		if (dirs.all[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* Takes fd. Ids come in order. */
static int add(const struct directory *dir)
{
	size_t room = dirs.room ? dirs.room * 2 : 64;
	struct directory *all;

	if (dirs.n && dirs.all[dirs.n - 1].id >= dir->id)
		return -EINVAL;
	if (dirs.n == dirs.room) {
		all = realloc(dirs.all, room * sizeof(*all));
		if (!all)
			return -ENOMEM;
		dirs.all = all;
		dirs.room = room;
	}
	dirs.all[dirs.n++] = *dir;
	return 0;
}

static void remove_if(bool (*gone)(const struct directory *, const void *),
		      const void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < dirs.n; i++) {
		if (gone(&dirs.all[i], arg))
			close(dirs.all[i].fd);
		else
			dirs.all[kept++] = dirs.all[i];
	}
	dirs.n = kept;
}

static bool has_id(const struct directory *dir, const void *id)
{
	return dir->id == *(const uint64_t *)id;
}

static bool of_container(const struct directory *dir, const void *container)
{
	return strcmp(dir->container, container) == 0;
}

/* Saying what comes. ------------------------------------------------------ */

/* The server takes it by an error, so that it is no event. */
static int announce(int fd, enum replay_kind kind, bool directory,
		    const char *name)
{
	char value[2 + REPLAY_NAME_MAX] = {(char)kind, directory ? 'd' : '-'};
	size_t len = strlen(name);

	memcpy(value + 2, name, len);
	if (setxattr(fd_path(fd).text, REPLAY_XATTR, value, len + 2, 0) == 0)
		return -EPROTO;
	return errno == REPLAY_ACCEPTED ? 0 : -errno;
}

static int announce_done(int fd, int ret)
{
	int error = ret < 0 ? errno : 0;

	/* What did not reach the server is announced no more. */
	if (error && announce(fd, REPLAY_NONE, false, "") < 0)
		return -EIO;
	return -error;
}

/* A server that does not know us would do what we do. */
static int introduce(const struct directory *dir)
{
	struct stat st;

	if (!dir->file)
		return announce(dir->fd, REPLAY_WATCH, true, "");
	if (fstat(dir->fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? announce(dir->fd, REPLAY_NONE, false, "")
				   : -EINVAL;
}

static int take_directory(const struct change *c)
{
	const struct directory *parent = NULL;
	struct directory dir = {.id = c->to_dir};
	char path[sizeof(SHARED) + sizeof(c->name)];
	int from = AT_FDCWD;
	int ret;

	if (c->kind == FILE_EVENT_ROOT) {
		dir.root = dir.id;
		dir.file = !c->directory;
		(void)snprintf(path, sizeof(path), SHARED "%s", c->name);
		(void)snprintf(dir.container, sizeof(dir.container), "%.*s",
			       (int)strcspn(c->name, "/"), c->name);
	} else {
		parent = find(c->dir);
		if (!parent)
			return -ENOENT;
		if (!file_event_fits(c->kind, true, parent->file))
			return -EINVAL;
		dir.root = parent->root;
		from = parent->fd;
		memcpy(dir.container, parent->container, sizeof(dir.container));
		(void)snprintf(path, sizeof(path), "%s", c->name);
	}
	dir.fd = openat(from, path,
			O_PATH | (dir.file ? 0 : O_DIRECTORY) | O_NOFOLLOW |
				O_CLOEXEC);
	if (dir.fd < 0)
		return -errno;
	ret = introduce(&dir);
	if (!ret)
		ret = add(&dir);
	if (ret < 0)
		close(dir.fd);
	return ret;
}

/* Changes, of a name in fd, or of what fd is: "". -------------------------- */

/* With what the guest caches of it brought up to date. */
static int look(int fd, const char *name, struct statx *stx)
{
	const int flags =
		AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC;

	return statx(fd, name, flags, STATX_BASIC_STATS, stx) < 0 ? -errno : 0;
}

static struct timespec time_of(const struct statx_timestamp *t)
{
	return (struct timespec){.tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec};
}

/* Setting one time is a modification, both are one of attributes. */
static int touch(int fd, const char *name, bool modify)
{
	struct timespec times[2];
	struct statx stx;
	int ret = look(fd, name, &stx);

	if (ret < 0)
		return ret;
	times[0] = time_of(&stx.stx_atime);
	if (modify)
		times[0].tv_nsec = UTIME_OMIT;
	times[1] = time_of(&stx.stx_mtime);
	/* Without a name, not before Linux 5.8. */
	ret = name[0] ? utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW)
		      : utimensat(AT_FDCWD, fd_path(fd).text, times, 0);
	return ret < 0 ? -errno : 0;
}

static int open_and_close(int dir, const char *name)
{
	const int flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct statx stx;
	int ret = look(dir, name, &stx);
	int fd;

	if (ret < 0)
		return ret;
	if (!S_ISREG(stx.stx_mode))
		return 0;
	fd = name[0] ? openat(dir, name, flags | O_NOFOLLOW)
		     : open(fd_path(dir).text, flags);
	/* A program that runs: it changed all the same. */
	if (fd < 0)
		return touch(dir, name, true);
	close(fd);
	return 0;
}

static int create(const struct change *c, int fd)
{
	int ret = announce(fd, REPLAY_CREATE, c->directory, c->name);

	if (ret < 0)
		return ret;
	ret = c->directory ? mkdirat(fd, c->name, 0755)
			   : mknodat(fd, c->name, S_IFREG | 0644, 0);
	return announce_done(fd, ret);
}

static int delete (const struct change *c, int fd)
{
	int ret = announce(fd, REPLAY_DELETE, c->directory, c->name);

	if (ret < 0)
		return ret;
	return announce_done(
		fd, unlinkat(fd, c->name, c->directory ? AT_REMOVEDIR : 0));
}

static int move(const struct change *c, int fd)
{
	const struct directory *to = find(c->to_dir);
	int ret;

	if (!to)
		return -ENOENT;
	if (!file_event_fits(c->kind, true, to->file))
		return -EINVAL;
	ret = announce(to->fd, REPLAY_TO, c->directory, c->to_name);
	if (!ret)
		ret = announce(fd, REPLAY_FROM, c->directory, c->name);
	if (ret < 0)
		return ret;
	return announce_done(fd, renameat(fd, c->name, to->fd, c->to_name));
}

static int repeat(const struct change *c)
{
	const struct directory *dir = find(c->dir);
	int fd;

	if (c->kind == FILE_EVENT_ROOT || c->kind == FILE_EVENT_DIRECTORY)
		return take_directory(c);
	/* It went before it could be opened. */
	if (!dir)
		return -ENOENT;
	if (!file_event_fits(c->kind, c->name[0] != '\0', dir->file))
		return -EINVAL;
	fd = dir->fd;
	switch (c->kind) {
	case FILE_EVENT_FORGET:
		remove_if(has_id, &c->dir);
		return 0;
	case FILE_EVENT_CREATE:
		return create(c, fd);
	case FILE_EVENT_DELETE:
		return delete (c, fd);
	case FILE_EVENT_RENAME:
		return move(c, fd);
	case FILE_EVENT_MODIFY:
		return touch(fd, c->name, true);
	case FILE_EVENT_CLOSE_WRITE:
		return open_and_close(fd, c->name);
	case FILE_EVENT_ATTRIB:
		return touch(fd, c->name, false);
	default:
		return -EINVAL;
	}
}

/* Messages. --------------------------------------------------------------- */

static void copy(char *to, const ProtobufCBinaryData *from)
{
	if (from->len)
		memcpy(to, from->data, from->len);
	to[from->len] = '\0';
}

static void repeat_all(const uint8_t *data, size_t len)
{
	Agent__ReplayEventsRequest *msg =
		agent__replay_events_request__unpack(NULL, len, data);
	struct change c;
	int ret;

	if (!msg || file_events_check(msg) < 0)
		BUG("file events: a message that the agent did not check");
	for (size_t i = 0; i < msg->n_events; i++) {
		const Agent__FileEvent *e = msg->events[i];

		c.kind = (enum file_event_kind)e->kind;
		c.directory = e->directory;
		c.dir = e->dir;
		c.to_dir = e->to_dir;
		copy(c.name, &e->name);
		copy(c.to_name, &e->to_name);
		ret = repeat(&c);
		/* Names come and go faster than they can be repeated. */
		if (ret < 0 && ret != -ENOENT)
			log_warn("file event %d of %s: %s", (int)c.kind, c.name,
				 strerror(-ret));
	}
	agent__replay_events_request__free_unpacked(msg, NULL);
}

/* As the one that the server knows, with all that root may. */
static int become(void)
{
	int bits = prctl(PR_GET_SECUREBITS);

	if (bits < 0 ||
	    prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) < 0)
		return -errno;
	setfsgid(REPLAY_GID);
	setfsuid(REPLAY_UID);
	/* They say what was before, and nothing of errors. */
	if ((gid_t)setfsgid(REPLAY_GID) != REPLAY_GID ||
	    (uid_t)setfsuid(REPLAY_UID) != REPLAY_UID)
		return -EPERM;
	return 0;
}

void replay_serve(int fd)
{
	static char buf[1 + FILE_EVENTS_SIZE + 1];
	int ret = become();

	if (ret < 0) {
		log_error("file events: %s", strerror(-ret));
		return;
	}
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		buf[n] = '\0';
		if (buf[0] == REPLAY_MESSAGE_FORGET) {
			remove_if(of_container, buf + 1);
			continue;
		}
		repeat_all((const uint8_t *)buf + 1, (size_t)n - 1);
		if (send(fd, "", 1, MSG_NOSIGNAL) < 0)
			return;
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/stale_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "guest/agent/beside.h"
#include "guest/agent/copy_file.h"
#include "guest/agent/pending.h"

#define MOUNTINFO_MAX (16u << 20)

/* The one that is under way: its loop is NULL when there is none. */
static struct {
	struct evloop *loop;
	struct pending *asked;
	char *text;
	char **paths; /* into text */
	size_t n, at; /* at: the one that is being looked at */
	unsigned silent;
	size_t first_silent;
	struct beside process;
	struct evtimer limit;
} search;
/* What came meanwhile, and asks for what is there when that has ended. */
static struct pending *waiting;

static void begin(struct evloop *loop);

/* Which there are. --------------------------------------------------------- */

/* Mount points are octal-escaped (proc(5), mountinfo). */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; out++) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*out = (char)((s[1] & 7) << 6 | (s[2] & 7) << 3 |
				      (s[3] & 7));
			s += 4;
		} else {
			*out = *s++;
		}
	}
	*out = '\0';
}

/* The mount point of a line of mountinfo if it is one of the host's: the fifth
 * field; the type follows " - ". Else NULL. */
static char *shared_mount(char *line)
{
	static const char below[] = SHARED_DIR "/";
	const char *type = strstr(line, " - ");
	char *field = line;

	if (!type || strncmp(type + 3, "virtiofs ", 9) != 0)
		return NULL;
	for (int i = 0; i < 4 && field; i++) {
		field = strchr(field, ' ');
		field = field ? field + 1 : NULL;
	}
	if (!field)
		return NULL;
	field[strcspn(field, " ")] = '\0';
	unescape(field);
	return strncmp(field, below, sizeof(below) - 1) == 0 ? field : NULL;
}

static int find(void)
{
	size_t lines = 0;
	char *save = NULL;
	int ret = file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX,
			    &search.text, NULL);

	if (ret < 0)
		return ret;
	for (const char *p = search.text; (p = strchr(p, '\n')); p++)
		lines++;
	search.paths = calloc(lines + 1, sizeof(*search.paths));
	if (!search.paths)
		return -ENOMEM;
	for (char *line = strtok_r(search.text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *path = shared_mount(line);

		if (path)
			search.paths[search.n++] = path;
	}
	/* What was mounted last lies on top. */
	for (size_t i = 0; i < search.n / 2; i++) {
		char *other = search.paths[i];

		search.paths[i] = search.paths[search.n - 1 - i];
		search.paths[search.n - 1 - i] = other;
	}
	return 0;
}

/* The process. ------------------------------------------------------------- */

/*
 * Of a mount, as the process tells it: 0 it is fine, 1 it was stale and is
 * gone, or -errno of unmounting it. Asking makes the kernel ask the host, and
 * not its cache, which remembers what is gone (statx(2), AT_STATX_FORCE_SYNC).
 */
static int verdict(const char *path)
{
	struct statx stx;

	if (statx(AT_FDCWD, path,
		  AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_FORCE_SYNC,
		  STATX_BASIC_STATS, &stx) == 0 ||
	    (errno != ENOENT && errno != ESTALE && errno != ENOTCONN))
		return 0;
	return umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 1;
}

/*
 * What the host does not answer ends by the alarm, or, if the kernel waits for
 * the host whatever comes, with the answer.
 */
static void examine(const void *arg)
{
	for (size_t i = search.at; i < search.n; i++) {
		int result;

		(void)alarm(STALE_MOUNT_LIMIT_S);
		result = verdict(search.paths[i]);
		beside_tell(&result, sizeof(result));
	}
}

/* The search. -------------------------------------------------------------- */

static void answer(int ret)
{
	struct err err = {0};

	if (ret < 0)
		(void)err_ret(&err, ret, "mounts of the host's");
	else if (search.silent)
		(void)err_set(&err, ETIMEDOUT,
			      "%.200s: its file system does not answer%s",
			      search.paths[search.first_silent],
			      search.silent > 1 ? ", nor do others" : "");
	if (err.code)
		pending_fail_all(&search.asked, ttrpc_code_of_errno(err.code),
				 err.text);
	else
		pending_reply_all(&search.asked, NULL);
}

static void finish(int ret)
{
	struct evloop *loop = search.loop;

	answer(ret);
	beside_close(&search.process);
	evtimer_release(&search.limit);
	free(search.paths);
	free(search.text);
	memset(&search, 0, sizeof(search));
	if (waiting)
		begin(loop);
}

static void take(int result)
{
	const char *path = search.paths[search.at];

	if (result == 1)
		log_info("%s: the host has taken it away", path);
	else if (result < 0)
		log_warn("stale mount %s: %s", path, strerror(-result));
	search.at++;
	evtimer_start(&search.limit, STALE_MOUNT_LIMIT_S * 1000);
}

static void skip(void);

static void told(struct beside *process)
{
	int result, ret;

	while (search.at < search.n) {
		ret = beside_hear(process, &result, sizeof(result));
		if (ret == -EAGAIN)
			return;
		if (ret < 0) {
			skip();
			return;
		}
		take(result);
	}
	finish(0);
}

/* From the present one on. */
static int look(void)
{
	static const struct beside_work work = {
		.name = "nacre-mounts",
		.run = examine,
	};
	int ret = beside_start(&search.process, search.loop, &work, told);

	if (!ret)
		evtimer_start(&search.limit, STALE_MOUNT_LIMIT_S * 1000);
	return ret;
}

/* The present one does not answer: that process stays behind with it. */
static void skip(void)
{
	int ret = 0;

	beside_close(&search.process);
	if (!search.silent)
		search.first_silent = search.at;
	search.silent++;
	search.at++;
	if (search.at < search.n && search.silent < STALE_MOUNTS_SILENT_MAX)
		ret = look();
	else
		search.at = search.n;
	if (ret < 0 || search.at == search.n)
		finish(ret);
}

static void expired(struct evtimer *timer)
{
	skip();
}

static void begin(struct evloop *loop)
{
	int ret = evtimer_init(loop, &search.limit, expired);

	search.loop = loop;
	search.asked = steal_ptr(&waiting);
	if (!ret)
		ret = find();
	if (!ret && search.n)
		ret = look();
	if (ret < 0 || !search.n)
		finish(ret);
}

void stale_mounts_drop(struct evloop *loop, struct ttrpc_request *req)
{
	pending_add(&waiting, req);
	if (waiting && !search.loop)
		begin(loop);
}

void stale_mounts_forget(void)
{
	pending_drop(&waiting);
	pending_drop(&search.asked);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: inotify KEPT PATH...
 *
 * Says what inotify tells of the PATHs, and of directories that are made in
 * them, a line each:
 *
 *	PATH EVENT[/] [NAME] [= TEXT]
 *
 * TEXT is the first line of what changed, read at once: by a descriptor that
 *was open all the time, when it is the file KEPT; of "..data/key", when
 *"..data" changed. The first line of all is "ready".
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCHES_MAX 64
#define MASK                                                              \
	(IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | \
	 IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF)

static const struct {
	uint32_t mask;
	const char *name;
} kinds[] = {
	{IN_CREATE, "CREATE"},	       {IN_DELETE, "DELETE"},
	{IN_MODIFY, "MODIFY"},	       {IN_CLOSE_WRITE, "CLOSE_WRITE"},
	{IN_ATTRIB, "ATTRIB"},	       {IN_MOVED_FROM, "MOVED_FROM"},
	{IN_MOVED_TO, "MOVED_TO"},     {IN_DELETE_SELF, "DELETE_SELF"},
	{IN_Q_OVERFLOW, "Q_OVERFLOW"}, {IN_IGNORED, "IGNORED"},
	{IN_UNMOUNT, "UNMOUNT"},
};

static struct watch {
	int wd;
	char path[PATH_MAX];
} watches[WATCHES_MAX];
static unsigned nwatches;
static const char *kept;
static int kept_fd = -1;
static int inotify;

static void watch(const char *path)
{
	int wd = inotify_add_watch(inotify, path, MASK);

	if (wd < 0 || nwatches == WATCHES_MAX) {
		printf("%s %s\n", path, strerror(errno));
		return;
	}
	watches[nwatches].wd = wd;
	snprintf(watches[nwatches++].path, PATH_MAX, "%s", path);
}

static const char *path_of(int wd)
{
	for (unsigned i = nwatches; i--;)
		if (watches[i].wd == wd)
			return watches[i].path;
	return "?";
}

static void show(const char *path, bool modified)
{
	char text[128];
	struct stat st;
	ssize_t n;
	int fd = kept_fd;

	if (!modified || strcmp(path, kept) != 0) {
		if (stat(path, &st) || !S_ISREG(st.st_mode))
			return;
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	n = pread(fd, text, sizeof(text) - 1, 0);
	if (fd != kept_fd)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	printf(" = %s", text);
}

static void tell(const struct inotify_event *e)
{
	const char *dir = path_of(e->wd);
	const char *kind = "?";
	char path[2 * PATH_MAX];
	bool data;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (e->mask & kinds[i].mask)
			kind = kinds[i].name;
	printf("%s %s%s", dir, kind, e->mask & IN_ISDIR ? "/" : "");
	if (e->len)
		printf(" %s", e->name);
	data = e->len && !strcmp(e->name, "..data");
	snprintf(path, sizeof(path), "%s/%s%s", dir, e->len ? e->name : "",
		 data ? "/key" : "");
	if (e->len && (e->mask & (IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO)))
		show(path, (e->mask & IN_MODIFY) != 0);
	putchar('\n');
	if ((e->mask & IN_ISDIR) && (e->mask & (IN_CREATE | IN_MOVED_TO)))
		watch(path);
}

int main(int argc, char **argv)
{
	_Alignas(struct inotify_event) char buf[8192];
	ssize_t n;

	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	inotify = inotify_init1(IN_CLOEXEC);
	kept = argv[1];
	kept_fd = open(kept, O_RDONLY | O_CLOEXEC);
	/* So that the guest has it in its page cache. */
	if (kept_fd < 0 || pread(kept_fd, buf, sizeof(buf), 0) < 0)
		printf("%s: %s\n", kept, strerror(errno));
	for (int i = 2; i < argc; i++)
		watch(argv[i]);
	puts("ready");
	while ((n = read(inotify, buf, sizeof(buf))) > 0) {
		for (ssize_t pos = 0; pos < n;) {
			const struct inotify_event *e = (void *)(buf + pos);

			tell(e);
			pos += (ssize_t)(sizeof(*e) + e->len);
		}
	}
	return 1;
}

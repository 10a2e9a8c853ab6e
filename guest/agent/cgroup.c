/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "guest/agent/ids.h"

#define FILE_MAX (64u << 10)

/* "slice:prefix:name" is the group systemd would make, without systemd. */
static int systemd_path(const char *spec, char *out, size_t size)
{
	char slice[256], prefix[256], name[256];
	int n;

	if (sscanf(spec, "%255[^:]:%255[^:]:%255[^:]", slice, prefix, name) !=
	    3)
		return -EINVAL;
	n = snprintf(out, size, "/%s/%s-%s.scope", slice, prefix, name);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int cgroup_path(const char *spec, const char *id, char *out, size_t size,
		struct err *err)
{
	char rel[PATH_MAX / 2];
	int ret = 0, n;

	if (strchr(spec, ':')) {
		ret = systemd_path(spec, rel, sizeof(rel));
	} else {
		const char *path = spec + strspn(spec, "/");

		n = snprintf(rel, sizeof(rel), "/%s", *path ? path : id);
		if (n < 0 || (size_t)n >= sizeof(rel))
			ret = -ENAMETOOLONG;
	}
	if (ret < 0 || !path_valid(rel))
		return err_set(err, EINVAL, "cgroupsPath: not a usable path");
	/* "/" and "." alone are the guest's own group. */
	if (strspn(rel, "/.") == strlen(rel))
		return err_set(err, EINVAL, "cgroupsPath: names no group");
	n = snprintf(out, size, CGROUP_ROOT "%s", rel);
	if (n < 0 || (size_t)n >= size)
		return err_set(err, ENAMETOOLONG, "cgroupsPath: too long");
	return 0;
}

void cgroup_init(struct cgroup *cg)
{
	cg->path[0] = '\0';
	cg->dir = cg->devices = -1;
}

void cgroup_release(struct cgroup *cg)
{
	if (cg->devices >= 0)
		close(steal_fd(&cg->devices));
	if (cg->dir >= 0)
		close(steal_fd(&cg->dir));
}

/* One at a time: one that refuses must not hold up the others. */
static void delegate_each(int dir, char *line)
{
	char *save = NULL;

	for (char *word = strtok_r(line, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		int ret = file_write(dir, "cgroup.subtree_control", word);

		if (ret < 0)
			log_debug("cgroup controller %s: %s", word,
				  strerror(-ret));
	}
}

void cgroup_delegate(int dir)
{
	AUTO_FREE char *have = NULL, *set = NULL;
	char line[512];
	char *save = NULL;
	size_t len = 0;

	if (file_read(dir, "cgroup.controllers", FILE_MAX, &have, NULL) < 0 ||
	    file_read(dir, "cgroup.subtree_control", FILE_MAX, &set, NULL) < 0)
		return;
	/* Nothing is in the one list that is not in the other. */
	if (strcmp(have, set) == 0)
		return;
	for (char *word = strtok_r(have, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save)) {
		int n = snprintf(line + len, sizeof(line) - len, "%s+%s",
				 len ? " " : "", word);

		if (n < 0 || (size_t)n >= sizeof(line) - len)
			return;
		len += (size_t)n;
	}
	/* Each write waits for all processors: one for all of them. */
	if (len && file_write(dir, "cgroup.subtree_control", line) < 0)
		delegate_each(dir, line);
}

/* Opens the child `name` of dir, making it when there is none. */
static int child_dir(int dir, const char *name, bool *made)
{
	int fd;

	*made = mkdirat(dir, name, 0755) == 0;
	if (!*made && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int populated(int dir)
{
	AUTO_FREE char *text = NULL;
	int ret = file_read(dir, "cgroup.events", FILE_MAX, &text, NULL);

	if (ret < 0)
		return ret;
	return strstr(text, "populated 1") != NULL;
}

int cgroup_create(struct cgroup *cg, const char *path, struct err *err)
{
	AUTO_FREE char *copy = strdup(path + strlen(CGROUP_ROOT));
	char *save = NULL;
	struct statfs fs;
	AUTO_FD int dir = -1;
	bool made = true;

	if (!copy)
		return err_set(err, ENOMEM, "cgroup: out of memory");
	dir = open(CGROUP_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstatfs(dir, &fs) < 0)
		return err_sys(err, "open %s", CGROUP_ROOT);
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return err_set(err, ENOTSUP,
			       CGROUP_ROOT ": not a cgroup version 2 tree");
	for (char *name = strtok_r(copy, "/", &save); name;
	     name = strtok_r(NULL, "/", &save)) {
		int child;

		cgroup_delegate(dir);
		child = child_dir(dir, name, &made);
		if (child < 0)
			return err_ret(err, child, "cgroup %s", path);
		close(dir);
		dir = child;
	}
	if (!made && populated(dir) != 0)
		return err_set(err, EEXIST, "cgroup %s: in use already", path);
	(void)snprintf(cg->path, sizeof(cg->path), "%s", path);
	cg->dir = steal_fd(&dir);
	return 0;
}

int cgroup_word(const struct cgroup *cg, const char *file, const char *key,
		uint64_t *value)
{
	AUTO_FREE char *text = NULL;
	size_t len = strlen(key);
	char *save = NULL;
	int ret = file_read(cg->dir, file, FILE_MAX, &text, NULL);

	if (ret < 0)
		return ret;
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, key, len) == 0 && line[len] == ' ') {
			*value = strtoull(line + len + 1, NULL, 10);
			return 0;
		}
	}
	return -ENOENT;
}

int cgroup_freeze(const struct cgroup *cg, bool freeze)
{
	return file_write(cg->dir, "cgroup.freeze", freeze ? "1" : "0");
}

/* Calls fn for each group inside of dir, the innermost first. */
static int for_children(int dir,
			int (*fn)(int parent, const char *name, int child))
{
	AUTO_DIR DIR *d = NULL;
	struct dirent *ent;
	AUTO_FD int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int first = 0;

	if (copy < 0)
		return -errno;
	d = fdopendir(copy);
	if (!d)
		return -errno;
	(void)steal_fd(&copy);
	while ((ent = readdir(d))) {
		AUTO_FD int child = -1;
		int ret;

		if (ent->d_type != DT_DIR || ent->d_name[0] == '.')
			continue;
		child = openat(dir, ent->d_name,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child < 0)
			continue;
		ret = fn(dir, ent->d_name, child);
		if (ret < 0 && !first)
			first = ret;
	}
	return first;
}

static int kill_listed(int dir)
{
	AUTO_FREE char *text = NULL;
	char *save = NULL;
	int ret = file_read(dir, "cgroup.procs", 1u << 20, &text, NULL);

	if (ret < 0)
		return ret;
	for (char *word = strtok_r(text, "\n", &save); word;
	     word = strtok_r(NULL, "\n", &save)) {
		long pid = strtol(word, NULL, 10);

		/* 0: a process of a namespace that is not ours to see. */
		if (pid > 1)
			kill((pid_t)pid, SIGKILL);
	}
	return 0;
}

static int kill_child(int parent, const char *name, int child)
{
	int ret = for_children(child, kill_child);
	int own = kill_listed(child);

	return ret < 0 ? ret : own;
}

int cgroup_kill(const struct cgroup *cg)
{
	int ret, frozen;

	if (cg->dir < 0)
		return 0;
	ret = file_write(cg->dir, "cgroup.kill", "1");
	if (ret != -ENOENT)
		return ret;
	/* Before Linux 5.14. Frozen, nothing forks away from under the list. */
	frozen = cgroup_freeze(cg, true);
	ret = kill_child(-1, "", cg->dir);
	if (frozen == 0)
		frozen = cgroup_freeze(cg, false);
	return ret < 0 ? ret : frozen;
}

static int remove_child(int parent, const char *name, int child)
{
	int ret = for_children(child, remove_child);

	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return ret;
}

int cgroup_remove(struct cgroup *cg)
{
	if (cg->dir < 0)
		return 0;
	(void)for_children(cg->dir, remove_child);
	if (rmdir(cg->path) < 0 && errno != ENOENT)
		return -errno;
	cgroup_release(cg);
	cg->path[0] = '\0';
	return 0;
}

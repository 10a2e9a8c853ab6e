/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts, control group, and what lies in the root file system. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "integration/compare/probe.h"

#define MOUNTS_MAX 256

/* "shared:12 master:3": the numbers say nothing. */
static void propagation(char *out, size_t size, char **save)
{
	char *word;

	out[0] = '\0';
	while ((word = strtok_r(NULL, " ", save)) && strcmp(word, "-") != 0) {
		size_t len = strlen(out);

		word[strcspn(word, ":")] = '\0';
		(void)snprintf(out + len, size - len, "%s%s", len ? "+" : "",
			       word);
	}
}

/* proc_pid_mountinfo(5); a line each mount, later ones on the same place
 * with their number. */
void probe_mounts(void)
{
	static char *seen[MOUNTS_MAX];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[8192];
	size_t n = 0;

	while (f && n < MOUNTS_MAX && fgets(line, sizeof(line), f)) {
		char key[4200], spread[128], *field[6], *save = NULL;
		const char *type, *source, *options;
		unsigned below = 0;

		for (int i = 0; i < 6; i++)
			field[i] = strtok_r(i ? NULL : line, " ", &save);
		propagation(spread, sizeof(spread), &save);
		type = strtok_r(NULL, " ", &save);
		source = strtok_r(NULL, " ", &save);
		options = strtok_r(NULL, " \n", &save);
		if (!options)
			continue;
		for (size_t i = 0; i < n; i++)
			below += strcmp(seen[i], field[4]) == 0;
		seen[n++] = strdup(field[4]);
		(void)snprintf(key, sizeof(key), "mount.%s%s%.0u", field[4],
			       below ? "#" : "", below);
		tell(key, "%s %s %s %s %s %s", type, source, field[3], field[5],
		     options, spread[0] ? spread : "private");
	}
	if (f)
		(void)fclose(f);
}

static bool is_limit(const char *name)
{
	static const char *const readings[] = {
		".stat", ".current", ".pressure", ".events",	".local",
		".peak", ".procs",   ".threads",  ".numa_stat", ".rsvd.current",
	};

	for (size_t i = 0; i < ARRAY_SIZE(readings); i++) {
		const char *at = strstr(name, readings[i]);

		if (at && at[strlen(readings[i])] == '\0')
			return false;
	}
	return true;
}

void probe_cgroup(void)
{
	DIR *dir = opendir("/sys/fs/cgroup");
	struct dirent *ent;
	struct statfs fs;

	tell_file("cgroup.path", "/proc/self/cgroup");
	if (!dir || fstatfs(dirfd(dir), &fs) < 0 ||
	    fs.f_type != CGROUP2_SUPER_MAGIC) {
		tell("cgroup", "no version 2");
		return;
	}
	while ((ent = readdir(dir))) {
		char path[512], key[300];

		if (ent->d_type == DT_DIR || !is_limit(ent->d_name))
			continue;
		(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/%s",
			       ent->d_name);
		(void)snprintf(key, sizeof(key), "cgroup.%s", ent->d_name);
		tell_file(key, path);
	}
	tell("cgroup.writable", "%s",
	     mkdir("/sys/fs/cgroup/below", 0755) == 0 ? "yes"
						      : strerrorname_np(errno));
	(void)rmdir("/sys/fs/cgroup/below");
	(void)closedir(dir);
}

/* They change while one looks, and are the kernel's. */
static bool is_kernels(const char *path)
{
	return strcmp(path, "/proc") == 0 || strcmp(path, "/sys") == 0;
}

static int tell_node(const char *path, const struct stat *st, int type,
		     struct FTW *ftw)
{
	char key[4200], target[4096] = "";

	(void)ftw;
	if (is_kernels(path))
		return FTW_SKIP_SUBTREE;
	if (type == FTW_NS)
		return FTW_CONTINUE;
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlink(path, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
	}
	(void)snprintf(key, sizeof(key), "file.%s", path);
	tell(key, "%o %u:%u %u:%u%s%s", st->st_mode, st->st_uid, st->st_gid,
	     major(st->st_rdev), minor(st->st_rdev), target[0] ? " -> " : "",
	     target);
	/* What hooks have left. */
	if (strncmp(path, "/hook.", 6) == 0)
		tell_file(path + 1, path);
	return FTW_CONTINUE;
}

void probe_tree(void)
{
	(void)nftw("/", tell_node, 32, FTW_PHYS | FTW_ACTIONRETVAL);
}

static void try_open(const char *what, const char *path)
{
	static const struct {
		const char *name;
		int flags;
	} ways[] = {{"read", O_RDONLY}, {"write", O_WRONLY}};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		char key[128];
		int fd = open(path, ways[i].flags | O_CLOEXEC | O_NONBLOCK |
					    O_NOCTTY);

		(void)snprintf(key, sizeof(key), "device.%s.%s", what,
			       ways[i].name);
		tell(key, "%s", fd < 0 ? strerrorname_np(errno) : "yes");
		if (fd >= 0)
			close(fd);
	}
}

/* What the rules of the control group let through. */
void probe_devices(void)
{
	static const struct {
		const char *name;
		mode_t type;
		unsigned major, minor;
	} nodes[] = {
		{"null", S_IFCHR, 1, 3},     {"kmsg", S_IFCHR, 1, 11},
		{"mem", S_IFCHR, 1, 1},	     {"console", S_IFCHR, 5, 1},
		{"ptmx", S_IFCHR, 5, 2},     {"fuse", S_IFCHR, 10, 229},
		{"tun", S_IFCHR, 10, 200},   {"loop", S_IFBLK, 7, 0},
		{"virtio", S_IFBLK, 254, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		char key[64], path[64];
		int ret;

		(void)snprintf(key, sizeof(key), "device.%s.mknod",
			       nodes[i].name);
		(void)snprintf(path, sizeof(path), "/probe-%s", nodes[i].name);
		ret = mknod(path, nodes[i].type | 0600,
			    makedev(nodes[i].major, nodes[i].minor));
		tell(key, "%s", ret < 0 ? strerrorname_np(errno) : "yes");
		if (ret < 0)
			continue;
		try_open(nodes[i].name, path);
		(void)unlink(path);
	}
	tell("device./dev/console", "%s",
	     access("/dev/console", F_OK) == 0 ? "yes" : "no");
	try_open("/dev/fuse", "/dev/fuse");
	try_open("/dev/null", "/dev/null");
}

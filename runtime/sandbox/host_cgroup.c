/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/host_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define REMOVE_TIMEOUT_MS 5000

/* The v2 hierarchy is the only one here, with memory and pids. */
static bool unified(void)
{
	AUTO_FREE char *text = NULL;

	return file_read(AT_FDCWD, CGROUP_ROOT "/cgroup.controllers", 4096,
			 &text, NULL) == 0 &&
	       strstr(text, "memory") && strstr(text, "pids");
}

/* "a.slice/a-b.slice" from "a-b.slice": a dash is a level (systemd.slice(5)).
 * NULL: not the name of a slice, or out of memory. */
static char *expand_slice(const char *slice)
{
	static const char suffix[] = ".slice";
	size_t len = strlen(slice);
	AUTO_FREE char *path = NULL;
	size_t size = 0;
	FILE *out;

	if (!strcmp(slice, "-.slice"))
		return strdup(".");
	if (len <= strlen(suffix) ||
	    strcmp(slice + len - strlen(suffix), suffix) ||
	    strchr(slice, '/') || slice[0] == '-' || strstr(slice, "--") ||
	    strstr(slice, "-."))
		return NULL;
	out = open_memstream(&path, &size);
	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (slice[i] == '-')
			fprintf(out, "%.*s%s/", (int)i, slice, suffix);
	fputs(slice, out);
	return fclose(out) ? NULL : steal_ptr(&path);
}

char *host_cgroup_of_systemd(const char *given)
{
	char slice[256], prefix[256], name[256];
	AUTO_FREE char *dir = NULL;
	char *path;
	int end = 0;

	if (sscanf(given, "%255[^:/]:%255[^:/]:%255[^:/]%n", slice, prefix,
		   name, &end) != 3 ||
	    given[end])
		return NULL;
	dir = expand_slice(slice);
	if (!dir || asprintf(&path, "%s/%s-%s.scope", dir, prefix, name) < 0)
		return NULL;
	return path;
}

/* "a/b" from "/a/b", or what "slice:prefix:name" stands for. */
static char *relative_path(const Oci__Spec *spec, const char *id, bool systemd)
{
	const char *given =
		spec->linux_config ? spec->linux_config->cgroups_path : "";
	char *path = NULL;

	if (!*given)
		return asprintf(&path, "nacre/%s", id) < 0 ? NULL : path;
	if (systemd)
		return host_cgroup_of_systemd(given);
	return strdup(given + strspn(given, "/"));
}

static bool escapes(const char *path)
{
	size_t len = strlen(path);

	return !strncmp(path, "../", 3) || strstr(path, "/../") ||
	       !strcmp(path, "..") ||
	       (len > 3 && !strcmp(path + len - 3, "/.."));
}

/* Lets the children of a cgroup have its controllers. */
static void delegate(const char *dir)
{
	static const char *const controllers[] = {"+cpu", "+memory", "+pids",
						  "+cpuset", "+io"};
	AUTO_FREE char *file = NULL;

	if (asprintf(&file, "%s/cgroup.subtree_control", dir) < 0) {
		file = NULL;
		return;
	}
	/* One by one: a kernel without one of them refuses all at once. */
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
		if (file_write(AT_FDCWD, file, controllers[i]) < 0)
			log_debug("%s: %s refused", file, controllers[i]);
}

static int make_dirs(char *path, struct err *err)
{
	delegate(CGROUP_ROOT);
	for (char *p = path + strlen(CGROUP_ROOT) + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return err_sys(err, "cgroup %s", path);
		delegate(path);
		*p = '/';
	}
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "cgroup %s", path);
	return 0;
}

static bool populated(const char *path)
{
	AUTO_FREE char *file = NULL;
	AUTO_FREE char *text = NULL;

	if (asprintf(&file, "%s/cgroup.events", path) < 0) {
		file = NULL;
		return true;
	}
	return file_read(AT_FDCWD, file, 4096, &text, NULL) < 0 ||
	       strstr(text, "populated 1");
}

int host_cgroup_plan(const Oci__Spec *spec, const char *id, bool systemd,
		     char **path, struct err *err)
{
	AUTO_FREE char *relative = NULL;
	AUTO_FREE char *full = NULL;

	*path = NULL;
	if (!unified()) {
		log_info("no cgroup v2 hierarchy with memory and pids "
			 "at " CGROUP_ROOT
			 ": the sandbox has no limits on the host");
		return 0;
	}
	relative = relative_path(spec, id, systemd);
	if (!relative || !*relative || escapes(relative))
		return err_set(err, EINVAL, "linux.cgroupsPath \"%s\": %s",
			       spec->linux_config->cgroups_path,
			       systemd ? "expected NAME.slice:PREFIX:NAME"
				       : "not a path below the hierarchy");
	if (asprintf(&full, CGROUP_ROOT "/%s", relative) < 0) {
		full = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (access(full, F_OK) == 0 && populated(full))
		return err_set(err, EBUSY,
			       "cgroup %s exists and holds processes", full);
	*path = steal_ptr(&full);
	return 0;
}

int host_cgroup_make(const char *path, struct err *err)
{
	AUTO_FREE char *dirs = strdup(path);

	return dirs ? make_dirs(dirs, err)
		    : err_set(err, ENOMEM, "out of memory");
}

static int set(const char *dir, const char *file, const char *value,
	       struct err *err)
{
	AUTO_FREE char *path = NULL;
	int ret;

	if (asprintf(&path, "%s/%s", dir, file) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	ret = file_write(AT_FDCWD, path, value);
	return ret < 0 ? err_ret(err, ret, "write \"%s\" to %s", value, path)
		       : 0;
}

static int set_memory(const char *path, int64_t limit, uint64_t memory,
		      struct err *err)
{
	char value[32] = "max";

	if (limit == 0)
		return 0;
	if (limit > 0)
		snprintf(value, sizeof(value), "%" PRIu64, memory);
	return set(path, "memory.max", value, err);
}

static int set_cpu(const char *path, const Oci__LinuxCPU *cpu, struct err *err)
{
	char value[64];
	int ret = 0;

	if (cpu->quota || cpu->period) {
		uint64_t period = cpu->period ? cpu->period : 100000;

		if (cpu->quota > 0)
			snprintf(value, sizeof(value), "%" PRId64 " %" PRIu64,
				 cpu->quota, period);
		else
			snprintf(value, sizeof(value), "max %" PRIu64, period);
		ret = set(path, "cpu.max", value, err);
	}
	if (!ret && cpu->shares) {
		/* 2..262144 to 1..10000, the mapping that all runtimes use. */
		uint64_t shares =
			MIN(MAX(cpu->shares, (uint64_t)2), (uint64_t)262144);

		snprintf(value, sizeof(value), "%" PRIu64,
			 1 + (shares - 2) * 9999 / 262142);
		ret = set(path, "cpu.weight", value, err);
	}
	if (!ret && cpu->cpus[0])
		ret = set(path, "cpuset.cpus", cpu->cpus, err);
	if (!ret && cpu->mems[0])
		ret = set(path, "cpuset.mems", cpu->mems, err);
	return ret;
}

int host_cgroup_limit(const char *path, const Oci__LinuxResources *r,
		      uint64_t memory, struct err *err)
{
	int ret = 0;

	if (r->memory)
		ret = set_memory(path, r->memory->limit, memory, err);
	if (!ret && r->cpu)
		ret = set_cpu(path, r->cpu, err);
	/* pids.limit is the guest's affair: its processes are not here. */
	return ret;
}

/* Waits until nothing runs in it: cgroup.events changes then. */
static void wait_empty(const char *path)
{
	AUTO_FREE char *events = NULL;
	AUTO_FD int watch = inotify_init1(IN_CLOEXEC);
	struct pollfd pfd = {.fd = watch, .events = POLLIN};
	char buf[4096];

	if (watch < 0 || asprintf(&events, "%s/cgroup.events", path) < 0 ||
	    inotify_add_watch(watch, events, IN_MODIFY) < 0)
		return;
	while (populated(path) && poll(&pfd, 1, REMOVE_TIMEOUT_MS) > 0)
		if (read(watch, buf, sizeof(buf)) < 0)
			return;
}

int host_cgroup_remove(const char *path)
{
	struct err ignored;

	if (!rmdir(path) || errno == ENOENT)
		return 0;
	if (set(path, "cgroup.kill", "1", &ignored) < 0)
		log_debug("%s", ignored.text);
	wait_empty(path);
	if (!rmdir(path) || errno == ENOENT)
		return 0;
	return -errno;
}

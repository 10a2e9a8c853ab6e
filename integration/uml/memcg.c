/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/uml/memcg.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

static int write_at(const char *dir, const char *name, const char *text)
{
	AUTO_FD int fd = -1;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

static int read_at(const char *dir, const char *name, char *text, size_t size)
{
	AUTO_FD int fd = -1;
	char path[256];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return 0;
}

/* Whether the words of a file hold this one. */
static bool has_word(const char *dir, const char *name, const char *word)
{
	char text[1024], *rest = text, *s;

	if (read_at(dir, name, text, sizeof(text)) < 0)
		return false;
	while ((s = strsep(&rest, " \n")))
		if (strcmp(s, word) == 0)
			return true;
	return false;
}

/* Where the hierarchy with the memory controller is mounted. On a host with
 * both versions the controller is in one of them. */
static bool find_top(struct memcg *cg, char *top, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *m;
	bool found = false;

	while (mounts && !found && (m = getmntent(mounts))) {
		cg->v2 = strcmp(m->mnt_type, "cgroup2") == 0;
		found = cg->v2 ? has_word(m->mnt_dir, "cgroup.controllers",
					  "memory")
			       : strcmp(m->mnt_type, "cgroup") == 0 &&
					 hasmntopt(m, "memory");
		if (found)
			found = snprintf(top, size, "%s", m->mnt_dir) <
				(int)size;
	}
	if (mounts)
		endmntent(mounts);
	return found;
}

/* An end of a process leaves the cgroup a little after it is reported, and
 * version 1 has no event for that. */
static int remove_dir(const char *path)
{
	for (unsigned i = 0; i < 1000; i++) {
		if (rmdir(path) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			break;
		usleep(10000);
	}
	return -errno;
}

/* A process that removes the cgroup when this one is gone. It is nobody's
 * child, so that it is not among the machine's processes, and no group's. */
static int keep_watch(const struct memcg *cg)
{
	int ends[2];
	pid_t pid;
	char byte;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		if (fork() != 0)
			_exit(0);
		setsid();
		dup2(ends[0], 0);
		syscall(SYS_close_range, 1u, ~0u, 0);
		while (read(0, &byte, 1) < 0 && errno == EINTR)
			;
		_exit(remove_dir(cg->path) < 0);
	}
	close(ends[0]);
	if (pid < 0) {
		close(ends[1]);
		return -EAGAIN;
	}
	waitpid(pid, NULL, 0);
	return ends[1];
}

int memcg_new(struct memcg *cg, struct err *err)
{
	static unsigned made;
	char top[96];
	int ret;

	*cg = (struct memcg){.lifeline = -1, .ballast = -1};
	if (!find_top(cg, top, sizeof(top)))
		return err_set(err, ENOENT, "no memory cgroups are mounted");
	if (cg->v2 && !has_word(top, "cgroup.subtree_control", "memory")) {
		ret = write_at(top, "cgroup.subtree_control", "+memory");
		if (ret < 0)
			return err_ret(err, ret, "memory cgroups below %s",
				       top);
	}
	/* Who watches the last one may not have removed it yet. */
	snprintf(cg->path, sizeof(cg->path), "%s/nacre-uml-%d-%u", top,
		 getpid(), made++);
	cg->lifeline = keep_watch(cg);
	if (cg->lifeline < 0)
		return err_ret(err, cg->lifeline, "fork");
	ret = mkdir(cg->path, 0755) < 0 ? -errno : memcg_kills(cg);
	if (ret < 0) {
		(void)!memcg_remove(cg);
		return err_ret(err, ret, "%s", cg->path);
	}
	/* The host may have swap: a limit is to kill, not to swap. Kernels
	 * that count none have no such file, nor need it. */
	if (cg->v2)
		(void)write_at(cg->path, "memory.swap.max", "0");
	else
		(void)write_at(cg->path, "memory.swappiness", "0");
	return 0;
}

int memcg_remove(struct memcg *cg)
{
	int ret = remove_dir(cg->path);

	if (cg->ballast >= 0)
		close(steal_fd(&cg->ballast));
	if (cg->lifeline >= 0)
		close(steal_fd(&cg->lifeline));
	return ret;
}

int memcg_move(const struct memcg *cg, pid_t pid, struct err *err)
{
	char text[16];
	int ret;

	snprintf(text, sizeof(text), "%d", pid);
	ret = write_at(cg->path, "cgroup.procs", text);
	return ret < 0 ? err_ret(err, ret, "%s/cgroup.procs", cg->path) : 0;
}

/* By a process that is gone again, as we stay where we are. */
int memcg_load(struct memcg *cg, uint64_t len, struct err *err)
{
	int status;
	pid_t pid;

	cg->ballast = memfd_create("ballast", MFD_CLOEXEC);
	if (cg->ballast < 0)
		return err_sys(err, "memfd_create");
	pid = fork();
	if (pid == 0) {
		int ret = write_at(cg->path, "cgroup.procs", "0");

		if (!ret && fallocate(cg->ballast, 0, 0, (off_t)len) < 0)
			ret = -errno;
		_exit(-ret);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return err_sys(err, "fork");
	if (status != 0)
		return err_ret(
			err, WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR,
			"%s: a process's memory", cg->path);
	return 0;
}

static const char *limit_file(const struct memcg *cg)
{
	return cg->v2 ? "memory.max" : "memory.limit_in_bytes";
}

int memcg_limit(const struct memcg *cg, uint64_t room, struct err *err)
{
	const char *usage = cg->v2 ? "memory.current" : "memory.usage_in_bytes";
	char text[32];
	int ret;

	/* Version 1 takes none that is below the use; that may be growing. */
	for (unsigned i = 0; i < 100; i++) {
		ret = read_at(cg->path, usage, text, sizeof(text));
		if (ret < 0)
			return err_ret(err, ret, "%s/%s", cg->path, usage);
		snprintf(text, sizeof(text), "%llu",
			 strtoull(text, NULL, 10) + room);
		ret = write_at(cg->path, limit_file(cg), text);
		if (ret != -EBUSY)
			break;
	}
	if (ret < 0)
		return err_ret(err, ret, "%s/%s", cg->path, limit_file(cg));
	return 0;
}

int memcg_unlimit(const struct memcg *cg, struct err *err)
{
	int ret = write_at(cg->path, limit_file(cg), cg->v2 ? "max" : "-1");

	if (ret < 0)
		return err_ret(err, ret, "%s/%s", cg->path, limit_file(cg));
	return 0;
}

int memcg_kills(const struct memcg *cg)
{
	static const char key[] = "\noom_kill "; /* never the first line */
	const char *name = cg->v2 ? "memory.events" : "memory.oom_control";
	char text[512];
	const char *s;
	int ret = read_at(cg->path, name, text, sizeof(text));

	if (ret < 0)
		return ret;
	s = strstr(text, key);
	return s ? atoi(s + sizeof(key) - 1) : -ENOTSUP;
}

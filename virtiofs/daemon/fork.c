/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "virtiofs/daemon/confine.h"

/* The processes of confine_fork, and the ids of the inner one. */

#define NAMESPACES                                                  \
	(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | \
	 CLONE_NEWUTS)
/* An id, a blank or newline. */
#define ID_TEXT 11

static bool wants_user_namespace(const struct daemon_options *o)
{
	return geteuid() != 0 || o->uid_map.n || o->gid_map.n;
}

/* Without a map, the caller is root inside and nobody else is there. */
static struct daemon_id_map map_or_own(const struct daemon_id_map *map,
				       uint32_t own)
{
	if (map->n)
		return *map;
	return (struct daemon_id_map){.n = 1, .lines = {{0, own, 1}}};
}

/* What the kernel lets anyone write. */
static bool is_own(const struct daemon_id_map *map, uint32_t own)
{
	return map->n == 1 && map->lines[0].count == 1 &&
	       map->lines[0].outside == own;
}

static int map_write(pid_t pid, const char *name,
		     const struct daemon_id_map *map, struct err *err)
{
	char text[DAEMON_ID_LINES * 3 * ID_TEXT + 1];
	char path[48];
	size_t len = 0;
	int ret;

	for (unsigned i = 0; i < map->n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%u %u %u\n", map->lines[i].inside,
					map->lines[i].outside,
					map->lines[i].count);
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	ret = file_write(AT_FDCWD, path, text);
	return ret < 0 ? err_ret(err, ret, "%s", name) : 0;
}

/*
 * newuidmap(1) or newgidmap(1), which know what /etc/subuid and /etc/subgid
 * give the caller. Numbers are all that it is told.
 */
static int map_by_program(pid_t pid, const char *program,
			  const struct daemon_id_map *map, struct err *err)
{
	char text[1 + DAEMON_ID_LINES * 3][ID_TEXT];
	char *argv[ARRAY_SIZE(text) + 2] = {(char *)program};
	unsigned n = 0;
	pid_t child;
	int status;

	snprintf(text[n++], ID_TEXT, "%d", (int)pid);
	for (unsigned i = 0; i < map->n; i++) {
		snprintf(text[n++], ID_TEXT, "%u", map->lines[i].inside);
		snprintf(text[n++], ID_TEXT, "%u", map->lines[i].outside);
		snprintf(text[n++], ID_TEXT, "%u", map->lines[i].count);
	}
	for (unsigned i = 0; i < n; i++)
		argv[i + 1] = text[i];
	child = fork();
	if (child < 0)
		return err_sys(err, "fork");
	if (child == 0) {
		execvp(program, argv);
		_exit(127);
	}
	if (waitpid(child, &status, 0) < 0)
		return err_sys(err, "%s", program);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, ENOENT, "%s: cannot be run", program);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, EPERM, "%s: refused the map", program);
	return 0;
}

static int map_ids(const struct daemon_options *o, pid_t pid, struct err *err)
{
	struct daemon_id_map uids = map_or_own(&o->uid_map, geteuid());
	struct daemon_id_map gids = map_or_own(&o->gid_map, getegid());
	bool root = geteuid() == 0;
	char path[48];
	int ret = 0;

	if (!root && is_own(&gids, getegid())) {
		/* user_namespaces(7): the price of mapping one's group. */
		snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
		ret = file_write(AT_FDCWD, path, "deny");
		if (ret < 0)
			return err_ret(err, ret, "setgroups");
	}
	if (root || is_own(&gids, getegid()))
		ret = map_write(pid, "gid_map", &gids, err);
	else
		ret = map_by_program(pid, "newgidmap", &gids, err);
	if (ret < 0)
		return ret;
	if (root || is_own(&uids, geteuid()))
		return map_write(pid, "uid_map", &uids, err);
	return map_by_program(pid, "newuidmap", &uids, err);
}

/* Root, or the first one that there is. */
static uint32_t id_inside(const struct daemon_id_map *map)
{
	for (unsigned i = 0; i < map->n; i++) {
		if (map->lines[i].inside == 0)
			return 0;
	}
	return map->n ? map->lines[0].inside : 0;
}

static int take_ids(const struct daemon_options *o, struct err *err)
{
	uid_t uid = id_inside(&o->uid_map);
	gid_t gid = id_inside(&o->gid_map);

	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return err_sys(err, "setgroups");
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(err, "ids %u, %u of the user namespace", uid,
			       gid);
	return 0;
}

/* Two pipes: to go on once the ids are mapped, and to see the parent end. */
struct pipes {
	int go[2];
	int alive[2];
};

static void pipes_close(struct pipes *pipes)
{
	for (int i = 0; i < 2; i++) {
		if (pipes->go[i] >= 0)
			close(steal_fd(&pipes->go[i]));
		if (pipes->alive[i] >= 0)
			close(steal_fd(&pipes->alive[i]));
	}
}

static int become_child(const struct daemon_options *o, bool user,
			struct pipes *pipes, int *parent_fd, struct err *err)
{
	char byte;
	int ret = 0;

	close(steal_fd(&pipes->go[1]));
	close(steal_fd(&pipes->alive[1]));
	/* The parent has said what went wrong. */
	if (read_full(pipes->go[0], &byte, 1) < 0)
		_exit(1);
	*parent_fd = steal_fd(&pipes->alive[0]);
	if (user)
		ret = take_ids(o, err);
	/* Changed ids have cleared it. It covers the time until the pipe is
	 * looked at. */
	if (!ret && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		ret = err_sys(err, "PR_SET_PDEATHSIG");
	return ret;
}

static pid_t become_parent(const struct daemon_options *o, bool user, pid_t pid,
			   struct pipes *pipes, int *alive_fd, struct err *err)
{
	int ret = user ? map_ids(o, pid, err) : 0;

	if (!ret)
		ret = write_full(pipes->go[1], "", 1);
	if (ret < 0) {
		/* It reads the end of the pipe. */
		pipes_close(pipes);
		waitpid(pid, NULL, 0);
		return ret;
	}
	*alive_fd = steal_fd(&pipes->alive[1]);
	return pid;
}

pid_t confine_fork(const struct daemon_options *o, int *alive_fd,
		   int *parent_fd, struct err *err)
{
	struct pipes pipes = {{-1, -1}, {-1, -1}};
	bool user = wants_user_namespace(o);
	unsigned long flags = NAMESPACES | (user ? CLONE_NEWUSER : 0);
	pid_t ret;

	if (pipe2(pipes.go, O_CLOEXEC) < 0 ||
	    pipe2(pipes.alive, O_CLOEXEC) < 0) {
		pipes_close(&pipes);
		return err_sys(err, "pipe");
	}
	ret = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);
	if (ret < 0)
		ret = err_sys(err, "namespaces%s (--sandbox chroot needs none)",
			      user ? " with a user namespace" : "");
	else if (ret == 0)
		ret = become_child(o, user, &pipes, parent_fd, err);
	else
		ret = become_parent(o, user, ret, &pipes, alive_fd, err);
	pipes_close(&pipes);
	return ret;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Init of a guest with one virtio-fs device, tag "test": runs the programs of
 * bin/ in the shared tree, and powers off.
 *
 *	bin/conform against a tmpfs, all cases or those of $part
 *	bin/fsx twice at the same time, $fsx operations each, and beside them
 *	bin/load $load, if it is there, with the shared tree as its root
 *	then times of simple work
 *
 * The numbers are parameters of the kernel. Lines for the host: "guest: PROGRAM
 * exits with N", "time: WHAT N us".
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILES 1000
#define BIG (64u << 20)

static pid_t start(const char *const *argv, const char *root)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (root && (chroot(root) || chdir("/")))
		perror(root);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	perror(argv[0]);
	_exit(127);
}

static void finish(pid_t pid, const char *name)
{
	int status = -1;

	waitpid(pid, &status, 0);
	printf("guest: %s exits with %d\n", name,
	       WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	fflush(stdout);
}

static int mounted(const char *source, const char *dir, const char *type)
{
	mkdir(dir, 0755);
	if (mount(source, dir, type, 0, NULL) == 0)
		return 1;
	printf("guest: mount %s: %s\n", dir, strerror(errno));
	return 0;
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static uint64_t started;

static void timed(const char *what, unsigned n)
{
	uint64_t us = now_us() - started;

	printf("time: %s %llu us, %.1f each\n", what, (unsigned long long)us,
	       (double)us / n);
	fflush(stdout);
	started = now_us();
}

static void small_files(void)
{
	char name[64];
	struct stat st;
	int fd;

	mkdir("/mnt/small", 0755);
	started = now_us();
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "/mnt/small/%u", i);
		fd = open(name, O_WRONLY | O_CREAT, 0644);
		if (write(fd, name, sizeof(name)) < 0)
			perror("write");
		close(fd);
	}
	timed("create small files", FILES);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "/mnt/small/%u", i);
		fd = open(name, O_RDONLY);
		if (read(fd, name, sizeof(name)) < 0)
			perror("read");
		close(fd);
	}
	timed("read small files", FILES);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "/mnt/none/%u", i);
		if (stat(name, &st) == 0)
			printf("guest: %s is there\n", name);
	}
	timed("look for what is not there", FILES);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "/mnt/small/%u", i);
		unlink(name);
	}
	timed("unlink", FILES);
}

static void big_file(void)
{
	static char buf[1 << 20];
	int fd = open("/mnt/big", O_RDWR | O_CREAT, 0644);

	started = now_us();
	for (unsigned i = 0; i < BIG / sizeof(buf); i++)
		if (write(fd, buf, sizeof(buf)) != sizeof(buf))
			perror("write");
	timed("write MiB", BIG >> 20);
	close(fd);
	fd = open("/mnt/big", O_RDONLY);
	started = now_us();
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	timed("read MiB", BIG >> 20);
	close(fd);
}

static void run_conform(void)
{
	/* Before Linux 6.3, FUSE does not tell supplementary groups, before
	 * 6.6 nothing of statx, nor is anything shared mapped that is not
	 * cached; our kernel refuses leases of its files. */
	const char *const uncached = getenv("uncached")
					     ? "mmap: shared mapping, writable"
					     : "birth time";
	const char *part = getenv("part");
	const char *const conform[] = {"/mnt/bin/conform",
				       "-p",
				       part ? part : "0/1",
				       "-s",
				       "set-group-ID directory: group 50",
				       "-s",
				       "lease",
				       "-s",
				       "birth time",
				       "-s",
				       "statvfs: size", /* not the same */
				       "-s",
				       uncached,
				       "/mnt/work",
				       "/other",
				       NULL};

	if (access(conform[0], X_OK) == 0)
		finish(start(conform, NULL), "conform");
}

static void run_loads(void)
{
	const char *fsx = getenv("fsx");
	const char *seconds = getenv("load");
	const char *one[] = {"/mnt/bin/fsx", "-s", "3",	  "-n", fsx,
			     "/mnt/one",     "-u", "map", NULL};
	const char *two[] = {"/mnt/bin/fsx", "-s", "4",	  "-n", fsx,
			     "/mnt/two",     "-u", "map", NULL};
	const char *load[] = {"/bin/busybox", "sh", "/bin/load", seconds, NULL};
	pid_t pids[3] = {0};

	/* As with conform. */
	if (!getenv("uncached"))
		one[6] = two[6] = NULL;
	if (fsx && access(one[0], X_OK) == 0) {
		pids[0] = start(one, NULL);
		pids[1] = start(two, NULL);
	}
	if (seconds)
		pids[2] = start(load, "/mnt");
	if (pids[0]) {
		finish(pids[0], "fsx one");
		finish(pids[1], "fsx two");
	}
	if (pids[2])
		finish(pids[2], "load");
}

int main(void)
{
	if (mounted("proc", "/proc", "proc") &&
	    mounted("tmpfs", "/other", "tmpfs") &&
	    mounted("test", "/mnt", "virtiofs")) {
		run_conform();
		run_loads();
		small_files();
		big_file();
		umount2("/mnt/proc", MNT_DETACH);
		umount2("/mnt/dev", MNT_DETACH);
		if (umount("/mnt"))
			perror("guest: umount");
	}
	printf("guest: done\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 1;
}

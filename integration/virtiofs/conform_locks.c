/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Locks. This server asks for no request for one: they are the guest's
 * kernel's, for all of the guest, and as with any file system of its own they
 * can be waited for, and waits be called off.
 */

#include "integration/virtiofs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum api {
	API_FCNTL,
	API_OFD,
	API_FLOCK,
	APIS,
};

static const char *const api_names[APIS] = {"fcntl", "OFD", "flock"};

/* Of `type` on 10 bytes from the start, or the whole file. */
static int lock(enum api api, int fd, int type, bool wait)
{
	struct flock fl = {.l_type = (short)type, .l_len = 10};
	int op = type == F_RDLCK   ? LOCK_SH
		 : type == F_WRLCK ? LOCK_EX
				   : LOCK_UN;

	if (api == API_FLOCK)
		return flock(fd, wait ? op : op | LOCK_NB);
	if (api == API_OFD)
		return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &fl);
	return fcntl(fd, wait ? F_SETLKW : F_SETLK, &fl);
}

struct attempt {
	enum api api;
	int type;
};

static int attempt_run(void *arg)
{
	const struct attempt *a = arg;
	int fd = open("f", O_RDWR);

	return lock(a->api, fd, a->type, false) ? errno : 0;
}

static void try_lock(struct trial *t, enum api api, int type)
{
	struct attempt a = {api, type};

	note_child(t, "other", in_child(attempt_run, &a));
}

static void lock_run(struct trial *t, unsigned i)
{
	enum api api = i % APIS;
	int ours = i / APIS & 1 ? F_RDLCK : F_WRLCK;
	int theirs = i / APIS & 2 ? F_RDLCK : F_WRLCK;
	int fd;

	label(t, "%s, %d against %d", api_names[api], ours, theirs);
	put(t, "f", "hello", 0644);
	fd = open("f", O_RDWR);
	ret(t, "lock", lock(api, fd, ours, false));
	try_lock(t, api, theirs);
	ret(t, "other type", lock(api, fd, theirs, false));
	try_lock(t, api, ours);
	ret(t, "unlock", lock(api, fd, F_UNLCK, false));
	try_lock(t, api, theirs);
	ret(t, "lock", lock(api, fd, ours, false));
	/* Closed again: the process has no lock of fcntl's any more. */
	close(open("f", O_RDONLY));
	try_lock(t, api, theirs);
	close(fd);
	try_lock(t, api, theirs);
}

/* Each kind against each other, and what the mode of the file allows. */
static void mode_run(struct trial *t, unsigned i)
{
	static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_PATH};
	enum api api = i % APIS;
	int mode = modes[i / APIS % 4];
	int type = i / APIS / 4 ? F_RDLCK : F_WRLCK;
	int fd;

	label(t, "%s, mode %d, type %d", api_names[api], mode, type);
	put(t, "f", "hello", 0644);
	fd = open("f", mode);
	ret(t, "lock", lock(api, fd, type, false));
	for (enum api other = 0; other < APIS; other++)
		try_lock(t, other, F_WRLCK);
	close(fd);
}

#define RANGE_END 32

/* What F_GETLK says of each byte, in memory of both processes. */
static int getlk_run(void *arg)
{
	struct flock *found = arg;
	int fd = open("f", O_RDWR);

	for (off_t at = 0; at < RANGE_END; at++) {
		found[at] = (struct flock){
			.l_type = F_WRLCK, .l_start = at, .l_len = 1};
		if (fcntl(fd, F_GETLK, &found[at]))
			return errno;
	}
	return 0;
}

static void note_ranges(struct trial *t)
{
	size_t size = RANGE_END * sizeof(struct flock);
	struct flock *found = mmap(NULL, size, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (found == MAP_FAILED)
		abort();
	note_child(t, "other", in_child(getlk_run, found));
	for (off_t at = 0; at < RANGE_END; at++)
		note(t, "%ld: type %d %ld+%ld, ours %d", (long)at,
		     found[at].l_type, (long)found[at].l_start,
		     (long)found[at].l_len, found[at].l_pid == getpid());
	munmap(found, size);
}

/* Ranges that meet, overlap, and are cut by an unlock in their middle. */
static void range_run(struct trial *t, unsigned i)
{
	static const off_t spans[][2] = {{0, 0},  {0, 10}, {5, 10},
					 {10, 5}, {4, 1},  {20, 0}};
	const off_t *ours = spans[i % 6];
	const off_t *cut = spans[i / 6];
	struct flock fl = {
		.l_type = F_WRLCK, .l_start = ours[0], .l_len = ours[1]};
	int fd;

	label(t, "lock %ld+%ld, unlock %ld+%ld", (long)ours[0], (long)ours[1],
	      (long)cut[0], (long)cut[1]);
	put(t, "f", "hello", 0644);
	fd = open("f", O_RDWR);
	ret(t, "lock", fcntl(fd, F_SETLK, &fl));
	fl = (struct flock){
		.l_type = F_UNLCK, .l_start = cut[0], .l_len = cut[1]};
	ret(t, "unlock", fcntl(fd, F_SETLK, &fl));
	note_ranges(t);
	close(fd);
}

static void on_alarm(int sig)
{
}

/* Again and again, so that one comes after the wait has begun. */
static void alarms_start(void)
{
	const struct itimerval every = {{0, 5000}, {0, 5000}};
	struct sigaction action = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static int interrupted_run(void *arg)
{
	const struct attempt *a = arg;
	int fd = open("f", O_RDWR);

	alarms_start();
	return lock(a->api, fd, a->type, true) ? errno : 0;
}

/* It ends by the signal's default, in the wait. */
static int killed_run(void *arg)
{
	const struct itimerval once = {{0, 0}, {0, 5000}};
	const struct attempt *a = arg;
	int fd = open("f", O_RDWR);

	setitimer(ITIMER_REAL, &once, NULL);
	return lock(a->api, fd, a->type, true) ? errno : 0;
}

/* The lock is given up only when the other one waits, or is about to. */
static void wait_granted(struct trial *t, const struct attempt *a, int fd)
{
	int ends[2];
	int status = 0;
	char c = 0;
	pid_t pid;

	if (pipe(ends))
		return;
	pid = fork();
	if (pid == 0) {
		int other = open("f", O_RDWR);

		if (write(ends[1], &c, 1) != 1)
			_exit(1);
		_exit(lock(a->api, other, a->type, true) ? errno : 0);
	}
	ret(t, "about to wait", read(ends[0], &c, 1));
	ret(t, "unlock", lock(a->api, fd, F_UNLCK, false));
	waitpid(pid, &status, 0);
	note_child(t, "granted", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	close(ends[0]);
	close(ends[1]);
}

/* A wait ends with EINTR, with the process, or with the lock. */
static void wait_run(struct trial *t, unsigned i)
{
	struct attempt a = {i % APIS, i / APIS & 1 ? F_RDLCK : F_WRLCK};
	int fd;

	label(t, "%s, type %d", api_names[a.api], a.type);
	put(t, "f", "hello", 0644);
	fd = open("f", O_RDWR);
	ret(t, "lock", lock(a.api, fd, F_WRLCK, false));
	note_child(t, "interrupted", in_child(interrupted_run, &a));
	note_child(t, "killed", in_child(killed_run, &a));
	wait_granted(t, &a, fd);
	try_lock(t, a.api, F_WRLCK);
	close(fd);
}

const struct case_group conform_locks_groups[] = {
	{"lock", APIS * 4, lock_run},
	{"lock mode", APIS * 4 * 2, mode_run},
	{"lock range", 36, range_run},
	{"lock wait", APIS * 2, wait_run},
	{NULL, 0, NULL},
};

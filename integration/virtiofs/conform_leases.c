/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Leases, and dnotify. FUSE has no request for either: they are the guest's
 * kernel's, for all of the guest.
 */

#include "integration/virtiofs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define USER 1000
#define OTHER 2000

static int set_lease(int fd, int type)
{
	return fcntl(fd, F_SETLEASE, type);
}

struct opening {
	int flags;
};

static int opening_run(void *arg)
{
	const struct opening *o = arg;

	return open("f", o->flags | O_NONBLOCK) < 0 ? errno : 0;
}

static void lease_breaks(struct trial *t, int fd)
{
	struct opening reads = {O_RDONLY};
	struct opening writes = {O_WRONLY};

	ret(t, "lease", fcntl(fd, F_GETLEASE));
	note_child(t, "open to read", in_child(opening_run, &reads));
	ret(t, "lease", fcntl(fd, F_GETLEASE));
	note_child(t, "open to write", in_child(opening_run, &writes));
	ret(t, "lease", fcntl(fd, F_GETLEASE));
	ret(t, "give up", set_lease(fd, F_UNLCK));
	note_child(t, "open to write", in_child(opening_run, &writes));
	ret(t, "lease", fcntl(fd, F_GETLEASE));
}

/* Of each type, on a file opened in each mode, beside another descriptor, as
 * root, as the owner and as somebody else. */
static void lease_run(struct trial *t, unsigned i)
{
	static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR};
	static const int types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
	static const int others[] = {-1, O_RDONLY, O_WRONLY};
	static const uid_t users[] = {0, USER, OTHER};
	int mode = modes[i % 3];
	int type = types[i / 3 % 3];
	int other = others[i / 9 % 3];
	uid_t user = users[i / 27];
	int fds[2] = {-1, -1};

	label(t, "mode %d, type %d, other %d, user %u", mode, type, other,
	      user);
	/* Who has a lease is told of it by this. */
	signal(SIGIO, SIG_IGN);
	put(t, "f", "hello", 0666);
	ret(t, "chown", chown("f", USER, USER));
	fds[0] = fd_ret(t, "open", open("f", mode));
	if (other >= 0)
		fds[1] = fd_ret(t, "open", open("f", other));
	if (geteuid() == 0 && seteuid(user) == 0) {
		ret(t, "set", set_lease(fds[0], type));
		if (seteuid(0))
			abort();
		lease_breaks(t, fds[0]);
	}
	close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	signal(SIGIO, SIG_DFL);
}

static void lease_of_run(struct trial *t, unsigned i)
{
	static const unsigned kinds[] = {KIND_DIR, KIND_FILE, KIND_FIFO};
	static const int types[] = {F_RDLCK, F_WRLCK, F_UNLCK, 77};
	unsigned kind = kinds[i / 4];
	int fd;

	label(t, "%s, type %d", kind_name(kind), types[i % 4]);
	make(t, "f", kind);
	fd = fd_ret(t, "open", open("f", O_RDONLY | O_NONBLOCK));
	/* For those of a directory there is another group. */
	if (kind != KIND_DIR || types[i % 4] == 77)
		ret(t, "set", set_lease(fd, types[i % 4]));
	ret(t, "get", fcntl(fd, F_GETLEASE));
	close(fd);
	fd = fd_ret(t, "open", open("f", O_PATH));
	ret(t, "set", set_lease(fd, types[i % 4]));
	close(fd);
}

/* Of a directory, Linux 6.19 and later know leases. */
static void lease_directory_run(struct trial *t, unsigned i)
{
	static const int types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
	int fd;

	label(t, "type %d", types[i]);
	make(t, "f", KIND_DIR);
	fd = fd_ret(t, "open", open("f", O_RDONLY));
	ret(t, "set", set_lease(fd, types[i]));
	ret(t, "get", fcntl(fd, F_GETLEASE));
	close(fd);
}

/* A signal that waits, with the descriptor that it is about. */
#define TOLD SIGRTMIN
/* Well below /proc/sys/fs/lease-break-time, which is 45 s. */
#define LIMIT_S 20

static void tell(struct trial *t, int fd)
{
	const struct timespec now = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, TOLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Those of the case before. */
	while (sigtimedwait(&set, NULL, &now) == TOLD)
		continue;
	ret(t, "F_SETSIG", fcntl(fd, F_SETSIG, TOLD));
}

static void note_told(struct trial *t, int fd, time_t seconds)
{
	const struct timespec limit = {.tv_sec = seconds};
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, TOLD);
	if (sigtimedwait(&set, &info, &limit) != TOLD)
		note(t, "not told");
	else
		note(t, "told, of %s", info.si_fd == fd ? "it" : "another");
}

static int lease_with(struct trial *t, int type)
{
	int fd;

	put(t, "f", "hello", 0644);
	fd = fd_ret(t, "open", open("f", O_RDONLY));
	tell(t, fd);
	ret(t, "set", set_lease(fd, type));
	return fd;
}

static int do_open(int flags)
{
	return open("f", flags, 0644) < 0 ? -1 : 0;
}

static int do_truncate(int flags)
{
	return truncate("f", 1);
}

static const struct breaker {
	const char *name;
	int (*run)(int flags);
	int flags;
} breakers[] = {
	{"read", do_open, O_RDONLY},
	{"write", do_open, O_WRONLY},
	{"open and truncate", do_open, O_RDWR | O_TRUNC},
	{"open or create", do_open, O_RDONLY | O_CREAT},
	{"truncate", do_truncate, O_WRONLY},
};

#define BREAKERS 5u

static pid_t break_start(const struct breaker *b, int fd)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	/* It would hold the lease as well. */
	close(fd);
	_exit(b->run(b->flags) ? errno : 0);
}

enum answer {
	ANSWER_UNLOCK,
	ANSWER_CLOSE,
	ANSWER_SHARE, /* for a reader */
	ANSWERS,
};

static int answer(enum answer a, int fd)
{
	if (a == ANSWER_CLOSE)
		return close(fd);
	return set_lease(fd, a == ANSWER_SHARE ? F_RDLCK : F_UNLCK);
}

/* Whoever breaks a lease waits until it is given up, in one way or another. */
static void lease_wait_run(struct trial *t, unsigned i)
{
	const struct breaker *b = &breakers[i % BREAKERS];
	enum answer a = i / BREAKERS % ANSWERS;
	int type = i / BREAKERS / ANSWERS ? F_RDLCK : F_WRLCK;
	bool reads = (b->flags & O_ACCMODE) == O_RDONLY;
	int fd = lease_with(t, type);
	int status = 0;
	pid_t pid;

	label(t, "type %d, %s, answer %d", type, b->name, (int)a);
	if (fcntl(fd, F_GETLEASE) != type) {
		close(fd);
		return;
	}
	pid = break_start(b, fd);
	if (type == F_WRLCK || !reads) {
		note_told(t, fd, LIMIT_S);
		ret(t, "breaking", fcntl(fd, F_GETLEASE));
		if (a == ANSWER_SHARE && !reads)
			a = ANSWER_UNLOCK;
		ret(t, "answer", answer(a, fd));
	}
	waitpid(pid, &status, 0);
	note_child(t, b->name, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	note_told(t, fd, 0);
	ret(t, "lease", fcntl(fd, F_GETLEASE));
	close(fd);
	content(t, "f");
}

static int none_run(void *arg)
{
	return 0;
}

/* What a lease does not mind. */
static int harmless(unsigned what, int fd)
{
	struct stat st;

	switch (what) {
	case 0:
		return close(dup(fd));
	case 1:
		return in_child(none_run, NULL);
	case 2:
		return rename("f", "g");
	case 3:
		return link("f", "g");
	case 4:
		return unlink("f");
	case 5:
		return chmod("f", 0600);
	case 6:
		return stat("f", &st);
	default:
		return close(open("f", O_PATH));
	}
}

static void lease_kept_run(struct trial *t, unsigned i)
{
	int type = i % 2 ? F_RDLCK : F_WRLCK;
	int fd = lease_with(t, type);
	struct opening writes = {O_WRONLY};

	label(t, "type %d, %u", type, i / 2);
	ret(t, "harmless", harmless(i / 2, fd));
	note_told(t, fd, 0);
	ret(t, "lease", fcntl(fd, F_GETLEASE));
	note_child(t, "open to write", in_child(opening_run, &writes));
	note_told(t, fd, 0);
	close(fd);
	note_child(t, "open to write", in_child(opening_run, &writes));
}

static const int events[] = {DN_ACCESS, DN_MODIFY, DN_CREATE,
			     DN_DELETE, DN_RENAME, DN_ATTRIB};

#define EVENTS 6u

/* Something of each kind, in the directory or below it. */
static int happen(unsigned what)
{
	int fd = open(what < 2 ? "d/f" : "d", what == 1 ? O_WRONLY : O_RDONLY);
	char c = 'x';
	int r;

	switch (what) {
	case 0:
		r = (int)read(fd, &c, 1);
		break;
	case 1:
		r = (int)write(fd, &c, 1);
		break;
	case 2:
		r = mkdirat(fd, "new", 0755);
		break;
	case 3:
		r = unlinkat(fd, "f", 0);
		break;
	case 4:
		r = renameat(fd, "f", fd, "g");
		break;
	default:
		r = fchmodat(fd, "f", 0600, 0);
		break;
	}
	close(fd);
	return r;
}

/* Once for one wish, again and again for another. */
static void notify_run(struct trial *t, unsigned i)
{
	int event = events[i % EVENTS];
	bool always = i / EVENTS & 1;
	int fd;

	label(t, "event %d%s", event, always ? ", always" : "");
	for (unsigned what = 0; what < EVENTS; what++) {
		make(t, "d", KIND_DIR);
		put(t, "d/f", "hello", 0644);
		fd = fd_ret(t, "open", open("d", O_RDONLY));
		tell(t, fd);
		ret(t, "notify",
		    fcntl(fd, F_NOTIFY,
			  always ? event | (int)DN_MULTISHOT : event));
		ret(t, "happens", happen(what));
		note_told(t, fd, 0);
		ret(t, "chmod", chmod("d/f", 0640));
		note_told(t, fd, 0);
		ret(t, "no more", fcntl(fd, F_NOTIFY, 0));
		ret(t, "chmod", chmod("d", 0700));
		note_told(t, fd, 0);
		close(fd);
		unlink("d/f");
		unlink("d/g");
		rmdir("d/new");
		ret(t, "rmdir", rmdir("d"));
	}
}

static void notify_of_run(struct trial *t, unsigned i)
{
	static const unsigned kinds[] = {KIND_DIR, KIND_FILE, KIND_FIFO};
	unsigned kind = kinds[i % 3];
	int mode = i / 3 ? O_PATH : O_RDONLY | O_NONBLOCK;
	int fd;

	label(t, "%s, mode %x", kind_name(kind), (unsigned)mode);
	make(t, "f", kind);
	fd = fd_ret(t, "open", open("f", mode));
	ret(t, "notify", fcntl(fd, F_NOTIFY, DN_MODIFY));
	ret(t, "none", fcntl(fd, F_NOTIFY, 0));
	close(fd);
}

const struct case_group conform_leases_groups[] = {
	{"lease", 81, lease_run},
	{"lease of", 12, lease_of_run},
	{"lease directory", 3, lease_directory_run},
	{"lease wait", BREAKERS *ANSWERS * 2, lease_wait_run},
	{"lease kept", 16, lease_kept_run},
	{"notify", EVENTS * 2, notify_run},
	{"notify of", 6, notify_of_run},
	{NULL, 0, NULL},
};

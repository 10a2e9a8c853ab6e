/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/signals.h"
#include "vmm/machine/uml.h"

/* Of the kernel, before it is one. */
#define TRIAL_CHILDREN 4

struct spawner {
	struct uml_guest guest;
	struct uml_filter *filter;
	int control;
	int children;	 /* signalfd of SIGCHLD */
	pid_t kernel;	 /* 0: not started */
	unsigned probes; /* children made by has_guests() */
};

/* Messages. -------------------------------------------------------------- */

int uml_send(int sock, enum uml_message_type type, int value, const char *text,
	     int fd)
{
	struct uml_message m = {.type = (int32_t)type, .value = value};
	ssize_t n;

	if (text)
		memcpy(m.text, text, strnlen(text, sizeof(m.text) - 1));
	n = fd_send(sock, &m, sizeof(m), &fd, fd >= 0, 0);
	return n < 0 ? (int)n : 0;
}

int uml_receive(int sock, struct uml_message *m, int *fd, int flags)
{
	unsigned nfds = 1;
	ssize_t n = fd_recv(sock, m, sizeof(*m), fd, &nfds, flags);

	/* Once, where the peer left something unread; what it said before
	 * it left comes after that. */
	if (n == -ECONNRESET) {
		nfds = 1;
		n = fd_recv(sock, m, sizeof(*m), fd, &nfds, flags);
	}
	if (n < 0 || nfds == 0)
		*fd = -1;
	if (n <= 0)
		return (int)n;
	m->text[sizeof(m->text) - 1] = '\0';
	if (n == sizeof(*m))
		return 1;
	fds_close(fd, nfds);
	return -EPROTO;
}

/* The spawner's process. Its answers can fail only when nobody is there to
 * get them; the next receive then ends it. ------------------------------- */

static void answer(struct spawner *sp, enum uml_message_type type, int value,
		   const char *text)
{
	int ret = uml_send(sp->control, type, value, text, -1);

	if (ret < 0)
		_exit(1);
}

static pid_t fork_plainly(void)
{
	/* Not fork(3): whoever made us may have had locks to hand over. */
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}

static void start_kernel(struct spawner *sp)
{
	struct err err = {0};
	pid_t pid;

	if (sp->kernel)
		return;
	pid = fork_plainly();
	if (pid < 0) {
		err_sys(&err, "fork");
		answer(sp, UML_FAILED, 0, err.text);
		return;
	}
	if (pid > 0) {
		sp->kernel = pid;
		return;
	}
	uml_exec(&sp->guest, sp->filter, sp->control, &err);
	answer(sp, UML_FAILED, 0, err.text);
	_exit(1);
}

/*
 * Whether a guest process was ever made, by the namespace's next process ID:
 * 1 is ours, 2 the kernel's, and its start-up code tries ptrace on children
 * of its own first (arch/um/os-Linux/start_up.c), which must not be disturbed.
 */
static bool has_guests(struct spawner *sp)
{
	pid_t pid = fork_plainly();

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return true;
	return pid - (pid_t)sp->probes++ > sp->kernel + TRIAL_CHILDREN + 1;
}

/*
 * A stopped kernel leaves the guest process that it last let go running. The
 * alarm, which the kernel itself uses to get hold of it, stops it by ptrace;
 * the others are stopped already and lose no more than a turn. SIGSTOP would
 * do the same but is not among the signals the kernel expects there.
 */
static void pause_kernel(struct spawner *sp)
{
	siginfo_t info;

	if (!sp->kernel)
		return;
	kill(sp->kernel, SIGSTOP);
	/* Ends are left for reap() to see. */
	while (waitid(P_PID, (id_t)sp->kernel, &info,
		      WSTOPPED | WEXITED | WNOWAIT) < 0 &&
	       errno == EINTR)
		;
	/* To all in this namespace but ourselves. */
	if (has_guests(sp))
		kill(-1, SIGALRM);
}

static void add_device(struct spawner *sp, int fd, int id)
{
	unsigned n = sp->guest.ndevices;

	if (fd < 0 || n == VM_DEVICES_MAX)
		_exit(1);
	sp->guest.devices[n].fd = fd;
	sp->guest.devices[n].id = (uint16_t)id;
	sp->guest.ndevices++;
}

/* False when it is time to end. */
static bool serve(struct spawner *sp)
{
	struct uml_message m;
	int fd, ret = uml_receive(sp->control, &m, &fd, 0);

	if (ret <= 0)
		return false;
	if (m.type == UML_DEVICE) {
		add_device(sp, fd, m.value);
		return true;
	}
	if (fd >= 0)
		close(fd);
	switch (m.type) {
	case UML_START:
		start_kernel(sp);
		return true;
	case UML_PAUSE:
		pause_kernel(sp);
		answer(sp, UML_DONE, 0, NULL);
		return true;
	case UML_RESUME:
		if (sp->kernel)
			kill(sp->kernel, SIGCONT);
		answer(sp, UML_DONE, 0, NULL);
		return true;
	default:
		return false;
	}
}

/* False when the kernel is gone. */
static bool reap(struct spawner *sp)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	if (read(sp->children, &info, sizeof(info)) < 0 && errno != EAGAIN)
		return false;
	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		if (pid != sp->kernel)
			continue;
		answer(sp, UML_EXITED, status, NULL);
		return false;
	}
	return true;
}

static void run(struct spawner *sp)
{
	struct pollfd fds[] = {
		{.fd = sp->control, .events = POLLIN},
		{.fd = sp->children, .events = POLLIN},
	};

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[1].revents && !reap(sp))
			return;
		if (fds[0].revents && !serve(sp))
			return;
	}
}

/* Nothing of the sandbox process but what the guest gets. */
static int keep_fds(struct spawner *sp, struct err *err)
{
	int *const kept[] = {
		&sp->guest.kernel_fd,
		&sp->guest.memory_fd,
		&sp->guest.initramfs_fd,
		&sp->guest.console_fd,
		&sp->control,
	};
	int next = 3;

	/* Above all numbers in use below, so that no move hits another. */
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (*kept[i] < 0)
			continue;
		*kept[i] = fcntl(*kept[i], F_DUPFD_CLOEXEC, 64);
		if (*kept[i] < 0)
			return err_sys(err, "fcntl");
	}
	for (int fd = 0; fd < 3; fd++)
		if (dup2(sp->guest.console_fd, fd) < 0)
			return err_sys(err, "dup2");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (*kept[i] < 0)
			continue;
		if (dup3(*kept[i], next, O_CLOEXEC) < 0)
			return err_sys(err, "dup3");
		*kept[i] = next++;
	}
	if (syscall(SYS_close_range, (unsigned)next, ~0u, 0) < 0)
		return err_sys(err, "close_range");
	return 0;
}

static int watch_children(struct spawner *sp, struct err *err)
{
	sigset_t set;

	signals_default();
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sp->children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return sp->children < 0 ? err_sys(err, "signalfd") : 0;
}

/* The parent gets at our ID maps by our /proc/self. */
static int get_mapped(const struct spawner *sp, struct err *err)
{
	AUTO_FD int proc = -1;
	AUTO_FD int none = -1;
	struct uml_message m;

	/* Otherwise its files are root's, and so closed to a parent that is
	 * not. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return err_sys(err, "prctl");
	proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return err_sys(err, "open /proc/self");
	if (uml_send(sp->control, UML_PROC, 0, NULL, proc) < 0 ||
	    uml_receive(sp->control, &m, &none, 0) != 1 || m.type != UML_MAPPED)
		_exit(1); /* the parent has the reason */
	return 0;
}

static int set_up(struct spawner *sp, bool mapped, struct err *err)
{
	int ret = keep_fds(sp, err);

	(void)prctl(PR_SET_NAME, "nacre-spawner");
	/* What a terminal or a shell sends to the caller's process group is
	 * not for the guest. */
	(void)setsid();
	if (!ret && mapped)
		ret = get_mapped(sp, err);
	if (!ret)
		ret = watch_children(sp, err);
	if (!ret)
		ret = uml_jail_enter(mapped, err);
	if (!ret) {
		sp->filter = uml_filter_new(err);
		ret = sp->filter ? 0 : -err->code;
	}
	return ret;
}

NORETURN static void spawner_main(const struct uml_guest *guest, int control,
				  bool mapped)
{
	struct spawner sp = {.guest = *guest, .control = control};
	struct err err = {0};

	if (set_up(&sp, mapped, &err) < 0) {
		answer(&sp, UML_FAILED, err.code, err.text);
		_exit(1);
	}
	answer(&sp, UML_READY, 0, NULL);
	run(&sp);
	/* PID 1: the host kills what is left. */
	_exit(0);
}

/* The sandbox process. --------------------------------------------------- */

/* Up to UML_READY. */
static int accompany(struct uml_spawner *spawner, struct err *err)
{
	for (;;) {
		struct uml_message m;
		AUTO_FD int fd = -1;
		int ret = uml_receive(spawner->control, &m, &fd, 0);

		if (ret < 0)
			return err_ret(err, ret, "spawner");
		if (ret == 0)
			return err_set(err, EPIPE, "the spawner died");
		switch (m.type) {
		case UML_PROC:
			ret = uml_jail_map(fd, err);
			if (ret < 0)
				return ret;
			ret = uml_send(spawner->control, UML_MAPPED, 0, NULL,
				       -1);
			if (ret < 0)
				return err_ret(err, ret, "spawner");
			break;
		case UML_READY:
			return 0;
		default:
			return err_set(err, m.value, "spawner: %s", m.text);
		}
	}
}

int uml_spawner_start(struct uml_spawner *spawner,
		      const struct uml_guest *guest, struct err *err)
{
	AUTO_FD int theirs = -1;
	bool mapped;
	int pair[2], ret;
	pid_t pid;

	*spawner = (struct uml_spawner){-1, -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "socketpair");
	spawner->control = pair[0];
	theirs = pair[1];
	pid = uml_jail_fork(&spawner->pidfd, &mapped);
	if (pid == 0)
		spawner_main(guest, theirs, mapped);
	if (pid < 0) {
		spawner->pidfd = -1;
		uml_spawner_end(spawner);
		return err_ret(err, pid, "spawner: new namespaces");
	}
	close(steal_fd(&theirs));
	ret = accompany(spawner, err);
	if (ret < 0)
		uml_spawner_end(spawner);
	return ret;
}

void uml_spawner_end(struct uml_spawner *spawner)
{
	siginfo_t info;

	if (spawner->control >= 0)
		close(steal_fd(&spawner->control));
	if (spawner->pidfd < 0)
		return;
	/* It is reported dead when all in its namespace is (pid_namespaces(7)).
	 * Whoever waits for any child may have been first: ECHILD. */
	while (waitid(P_PIDFD, (id_t)spawner->pidfd, &info, WEXITED) < 0 &&
	       errno == EINTR)
		;
	close(steal_fd(&spawner->pidfd));
}

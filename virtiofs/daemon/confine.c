/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/daemon/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/landlock.h"
#include "base/log.h"
#include "base/privilege.h"
#include "base/syscall_filter.h"
#include "virtiofs/needs.h"

/* The root. ------------------------------------------------------------- */

/* A mount that is attached nowhere yet. options: pairs, then NULL. */
static int new_mount(const char *type, const char *const *options,
		     struct err *err)
{
	AUTO_FD int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return err_sys(err, "fsopen %s", type);
	for (size_t i = 0; options && options[i]; i += 2) {
		if (fsconfig(fs, FSCONFIG_SET_STRING, options[i],
			     options[i + 1], 0) < 0)
			return err_sys(err, "%s: %s=%s", type, options[i],
				       options[i + 1]);
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, "making a %s", type);
	fd = fsmount(fs, FSMOUNT_CLOEXEC,
		     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? err_sys(err, "mounting a %s", type) : fd;
}

/* Of the PID namespace, and mounted nowhere: no path leads there. */
static int open_own_proc(struct err *err)
{
	AUTO_FD int proc = new_mount("proc", NULL, err);
	int fd;

	if (proc < 0)
		return proc;
	fd = openat(proc, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open proc/self/fd") : fd;
}

static int open_tree_of(const struct daemon_options *o, struct err *err)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			    MOUNT_ATTR_NOEXEC,
	};
	AUTO_FD int tree = -1;

	if (o->fs.readonly)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	tree = open_tree(AT_FDCWD, o->shared_dir,
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return err_sys(err, "%s", o->shared_dir);
	if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
			  sizeof(attr)) < 0)
		return err_sys(err, "%s: mount_setattr (Linux 5.12)",
			       o->shared_dir);
	return steal_fd(&tree);
}

/* Any directory will do as the root's place; this one exists. */
static int attach(int root, int tree, struct err *err)
{
	if (move_mount(root, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) <
	    0)
		return err_sys(err, "move_mount /proc");
	if (mkdirat(root, "shared", 0755) < 0)
		return err_sys(err, "mkdir shared");
	if (move_mount(tree, "", root, "shared", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "move_mount shared");
	return 0;
}

static int pivot(int root, struct err *err)
{
	struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};

	/* The old root ends up on top of the new one (pivot_root(2)). */
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(err, "leaving the host's tree");
	if (mount_setattr(AT_FDCWD, "/", 0, &readonly, sizeof(readonly)) < 0)
		return err_sys(err, "making the root read-only");
	return 0;
}

static int enter_namespace(const struct daemon_options *o, struct confined *c,
			   struct err *err)
{
	static const char *const options[] = {
		"size", "16k", "nr_inodes", "4", "mode", "0755", NULL,
	};
	AUTO_FD int root = -1;
	AUTO_FD int tree = -1;
	int ret;

	/* Nothing of what happens here reaches the host; its mounts still
	 * come in. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_sys(err, "making mounts slaves");
	c->proc_fd = open_own_proc(err);
	if (c->proc_fd < 0)
		return c->proc_fd;
	tree = open_tree_of(o, err);
	if (tree < 0)
		return tree;
	root = new_mount("tmpfs", options, err);
	if (root < 0)
		return root;
	ret = attach(root, tree, err);
	if (!ret)
		ret = pivot(root, err);
	if (ret < 0)
		return ret;
	c->root_fd = open("/shared", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return c->root_fd < 0 ? err_sys(err, "open /shared") : 0;
}

static int enter_plain(const struct daemon_options *o, struct confined *c,
		       struct err *err)
{
	c->root_fd = open(o->shared_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->root_fd < 0)
		return err_sys(err, "%s", o->shared_dir);
	c->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->proc_fd < 0)
		return err_sys(err, "open /proc/self/fd");
	if (o->sandbox == DAEMON_SANDBOX_NONE)
		return 0;
	if (fchdir(c->root_fd) < 0 || chroot(".") < 0)
		return err_sys(err, "chroot %s", o->shared_dir);
	return 0;
}

int confine_enter(const struct daemon_options *o, struct confined *confined,
		  struct err *err)
{
	int ret;

	confined->root_fd = confined->proc_fd = -1;
	if (o->sandbox == DAEMON_SANDBOX_NAMESPACE)
		ret = enter_namespace(o, confined, err);
	else
		ret = enter_plain(o, confined, err);
	return ret < 0 ? err_wrap(err, "sandbox") : 0;
}

/* System calls. --------------------------------------------------------- */

/* The event loop and the transport. */
static const struct syscall_rule loop_rules[] = {
	SYSCALL_RULE(epoll_wait),
	SYSCALL_RULE(epoll_pwait),
	SYSCALL_RULE(epoll_ctl),
	SYSCALL_RULE(eventfd2),
	SYSCALL_RULE(timerfd_create),
	SYSCALL_RULE(timerfd_settime),
	SYSCALL_RULE(recvmsg),
	SYSCALL_RULE(accept4),
	SYSCALL_RULE(getrandom),
	SYSCALL_RULE(tgkill),
	SYSCALL_RULE(rt_sigaction), /* the first pthread_create */
	SYSCALL_RULE(sched_getaffinity),
	SYSCALL_RULE(memfd_create), /* requests in flight */
	{SCMP_SYS(fcntl), SYSCALL_EQUAL, 1, F_ADD_SEALS},
	{SCMP_SYS(fcntl), SYSCALL_EQUAL, 1, F_GET_SEALS},
	/* Threads, but no processes. */
	{SCMP_SYS(clone), SYSCALL_MASK_SET, 0, CLONE_VM | CLONE_THREAD},
};

/* Async-signal-safe. */
static void on_sigsys(int signo, siginfo_t *info, void *context)
{
	static const char head[] =
		"nacre-virtiofsd: error: system call refused by seccomp: "
		"number ";
	char text[sizeof(head) + 16];
	char *p = text + sizeof(text);
	unsigned nr = (unsigned)info->si_syscall;

	*--p = '\n';
	do
		*--p = (char)('0' + nr % 10);
	while (nr /= 10);
	p -= sizeof(head) - 1;
	memcpy(p, head, sizeof(head) - 1);
	(void)!write(log_fd(), p, (size_t)(text + sizeof(text) - p));
	_exit(128 + SIGSYS);
}

static int filter(const struct daemon_options *o, bool handles, struct err *err)
{
	static const enum syscall_refusal refusals[] = {
		[DAEMON_SECCOMP_KILL] = SYSCALL_REFUSE_KILL,
		[DAEMON_SECCOMP_LOG] = SYSCALL_REFUSE_LOG,
		[DAEMON_SECCOMP_TRAP] = SYSCALL_REFUSE_TRAP,
	};
	const struct sigaction action = {
		.sa_sigaction = on_sigsys,
		.sa_flags = SA_SIGINFO,
	};
	static const struct syscall_list none;
	const struct syscall_list lists[] = {
		syscalls_common,
		virtiofs_syscalls,
		SYSCALL_LIST(loop_rules),
		handles ? virtiofs_handle_syscalls : none,
	};
	struct syscall_filter filter;
	int ret;

	if (o->seccomp == DAEMON_SECCOMP_NONE)
		return 0;
	sigaction(SIGSYS, &action, NULL);
	ret = syscall_filter_make(&filter, refusals[o->seccomp], lists,
				  ARRAY_SIZE(lists), err);
	if (ret < 0)
		return ret;
	ret = syscall_filter_install(&filter);
	syscall_filter_release(&filter);
	return ret < 0 ? err_ret(err, ret, "seccomp") : 0;
}

/* The filter is inherited. A SIGSYS that is blocked kills without a word. */
int confine_thread(void *arg, const char *name)
{
	sigset_t refused;

	sigemptyset(&refused);
	sigaddset(&refused, SIGSYS);
	return -pthread_sigmask(SIG_UNBLOCK, &refused, NULL);
}

int confine_lock(const struct daemon_options *o, bool handles, int root_fd,
		 struct err *err)
{
	uint64_t caps = (VIRTIOFS_CAPS | o->add_caps) & ~o->drop_caps;
	int ret;

	if (o->add_caps & ~privilege_permitted())
		return err_set(err, EPERM,
			       "--modcaps: a capability that the process does "
			       "not have");
	if (handles)
		caps |= VIRTIOFS_HANDLE_CAPS & ~o->drop_caps;
	ret = privilege_reduce(caps, err);
	/* Landlock asks for the path to a file, which one that was opened by
	 * its handle need not have. */
	if (!ret && o->sandbox != DAEMON_SANDBOX_NONE && !handles)
		ret = landlock_confine(root_fd, err);
	return ret < 0 ? ret : filter(o, handles, err);
}

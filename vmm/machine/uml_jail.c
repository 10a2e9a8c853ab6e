/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "vmm/machine/uml.h"

#define NAMESPACES                                                  \
	(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | \
	 CLONE_NEWUTS | CLONE_NEWCGROUP)
/* Of nobody, inside and, where the caller may choose, outside. */
#define JAIL_ID 65534u

static pid_t fork_into(unsigned long namespaces, int *pidfd)
{
	long pid = syscall(SYS_clone, namespaces | CLONE_PIDFD | SIGCHLD, NULL,
			   pidfd, NULL, 0);

	return pid < 0 ? -errno : (pid_t)pid;
}

pid_t uml_jail_fork(int *pidfd, bool *mapped)
{
	pid_t pid, plain;

	/* What is outside lets a process of another user namespace alone,
	 * even where both run as nobody. */
	*mapped = true;
	pid = fork_into(NAMESPACES | CLONE_NEWUSER, pidfd);
	if (pid >= 0 || geteuid() != 0)
		return pid;
	/* Root needs none to make the others. */
	*mapped = false;
	plain = fork_into(NAMESPACES, pidfd);
	return plain >= 0 ? plain : pid;
}

static int map_to(int proc_fd, uid_t uid, gid_t gid, struct err *err)
{
	char text[64];
	int ret;

	snprintf(text, sizeof(text), "%u %u 1", JAIL_ID, gid);
	ret = file_write(proc_fd, "gid_map", text);
	if (ret < 0)
		return err_ret(err, ret, "mapping group %u", gid);
	snprintf(text, sizeof(text), "%u %u 1", JAIL_ID, uid);
	ret = file_write(proc_fd, "uid_map", text);
	return ret < 0 ? err_ret(err, ret, "mapping user %u", uid) : 0;
}

/* Whether the user ID 0 here is another one outside. */
static bool root_is_other(void)
{
	AUTO_FREE char *map = NULL;
	unsigned inside, outside;

	return file_read(AT_FDCWD, "/proc/self/uid_map", 4096, &map, NULL) ==
		       0 &&
	       sscanf(map, "%u %u", &inside, &outside) == 2 && inside == 0 &&
	       outside != 0;
}

int uml_jail_map(int proc_fd, struct err *err)
{
	int ret;

	if (geteuid() == 0) {
		ret = map_to(proc_fd, JAIL_ID, JAIL_ID, err);
		/* There may be no nobody here, and root be one. */
		if (ret != -EPERM || !root_is_other())
			return ret;
	}
	/* user_namespaces(7): the price of mapping one's own group. */
	ret = file_write(proc_fd, "setgroups", "deny");
	if (ret < 0)
		return err_ret(err, ret, "setgroups of the spawner");
	return map_to(proc_fd, geteuid(), getegid(), err);
}

/* A tmpfs that holds nothing and takes nothing. */
static int empty_root(struct err *err)
{
	/* Any directory will do to mount it; this one exists. */
	static const char place[] = "/proc";
	char options[64];

	snprintf(options, sizeof(options),
		 "size=4k,nr_inodes=2,mode=555,uid=%u,gid=%u", JAIL_ID,
		 JAIL_ID);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "private mounts");
	if (mount("none", place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  options) < 0)
		return err_sys(err, "mounting an empty root");
	/* The old root ends up on top of the new one (pivot_root(2)). */
	if (chdir(place) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "entering the empty root");
	if (mount(NULL, "/", NULL,
		  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV |
			  MS_NOEXEC,
		  NULL) < 0 ||
	    chdir("/") < 0)
		return err_sys(err, "making the empty root read-only");
	return 0;
}

static int drop_capabilities(struct err *err)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2] = {{0, 0, 0}};

	if (syscall(SYS_capset, &head, none) < 0)
		return err_sys(err, "dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "no_new_privs");
	return 0;
}

static int drop_bounding_set(struct err *err)
{
	for (unsigned long cap = 0;; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return errno == EINVAL ? 0
					       : err_sys(err, "bounding set");
}

/* By system call: the C library's functions would address all threads that
 * it believes to exist. */
static int set_ids(bool mapped, struct err *err)
{
	bool denied = mapped && syscall(SYS_setgroups, 0L, NULL) < 0;

	/* Only a caller without privilege keeps his groups; he cannot drop
	 * them. */
	if (denied && errno != EPERM)
		return err_sys(err, "setgroups");
	if (!mapped && syscall(SYS_setgroups, 0L, NULL) < 0)
		return err_sys(err, "setgroups");
	if (syscall(SYS_setresgid, JAIL_ID, JAIL_ID, JAIL_ID) < 0)
		return err_sys(err, "setresgid");
	if (syscall(SYS_setresuid, JAIL_ID, JAIL_ID, JAIL_ID) < 0)
		return err_sys(err, "setresuid");
	return 0;
}

/* The host's would be for every guest to read (/proc/cpuinfo, "host"). */
static int set_names(struct err *err)
{
	static const char name[] = "nacre";

	if (sethostname(name, sizeof(name) - 1) < 0 || setdomainname("", 0) < 0)
		return err_sys(err, "setting the host name");
	return 0;
}

int uml_jail_enter(bool mapped, struct err *err)
{
	int ret = empty_root(err);

	if (!ret)
		ret = set_names(err);
	if (!ret)
		ret = drop_bounding_set(err);
	if (!ret)
		ret = set_ids(mapped, err);
	if (!ret)
		ret = drop_capabilities(err);
	if (ret < 0)
		return ret;
	/* Both are lost when IDs change. The kernel has our user ID, and is
	 * not to trace us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, "prctl");
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/*
 * What virtio-fs does in the name of guest users: create and chown files of
 * any owner, ignore modes as the guest's root does, keep set-id bits, make
 * overlay whiteouts, store file capabilities.
 */
static const unsigned kept_caps[] = {
	CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
	CAP_SETGID, CAP_SETUID,	      CAP_MKNOD,  CAP_SETFCAP,
};

static int bind_into(int root, const char *from, const char *name,
		     unsigned long flags, struct err *err)
{
	char target[64];

	if (mkdirat(root, name, 0755) < 0)
		return err_sys(err, "jail: mkdir %s", name);
	snprintf(target, sizeof(target), "/proc/self/fd/%d/%s", root, name);
	if (mount(from, target, NULL, MS_BIND | flags, NULL) < 0)
		return err_sys(err, "jail: bind %s", from);
	/* Of this mount alone, not of what is mounted below: the supervisor
	 * goes through these directories by path, as root, and nobody but
	 * itself puts anything there. */
	if (mount(NULL, target, NULL,
		  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV | MS_NOSUID |
			  MS_NOEXEC,
		  NULL) < 0)
		return err_sys(err, "jail: remount %s", from);
	return 0;
}

/*
 * The descriptor outlives the mount, so that files can be opened again by
 * number while no path leads there. Needs the PID namespace's own procfs.
 */
static int open_proc(struct jail *jail, struct err *err)
{
	char target[64];

	if (mkdirat(jail->root_fd, "proc", 0555) < 0)
		return err_sys(err, "jail: mkdir proc");
	snprintf(target, sizeof(target), "/proc/self/fd/%d/proc",
		 jail->root_fd);
	if (mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  NULL) < 0)
		return err_sys(err, "jail: mount proc");
	jail->proc_fd = openat(jail->root_fd, "proc/self/fd",
			       O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (jail->proc_fd < 0)
		return err_sys(err, "jail: open proc/self/fd");
	if (umount2(target, MNT_DETACH) < 0 ||
	    unlinkat(jail->root_fd, "proc", AT_REMOVEDIR) < 0)
		return err_sys(err, "jail: remove proc");
	return 0;
}

static int open_root(struct jail *jail, const char *path, struct err *err)
{
	/* Nothing of what happens here reaches the host; its mounts, and the
	 * supervisor's, still come in. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_sys(err, "jail: make mounts slaves");
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=64k,nr_inodes=16,mode=755") < 0)
		return err_sys(err, "jail: mount tmpfs on %s", path);
	jail->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return jail->root_fd < 0 ? err_sys(err, "jail: open %s", path) : 0;
}

int jail_build(struct jail *jail, const char *dir, struct err *err)
{
	AUTO_FREE char *root = NULL;
	AUTO_FREE char *shared = NULL;
	AUTO_FREE char *vsock = NULL;
	int ret;

	*jail = (struct jail){-1, -1, -1};
	if (asprintf(&root, "%s/jail", dir) < 0 ||
	    asprintf(&shared, "%s/shared", dir) < 0 ||
	    asprintf(&vsock, "%s/vsock", dir) < 0)
		return err_set(err, ENOMEM, "out of memory");
	ret = open_root(jail, root, err);
	if (!ret)
		ret = bind_into(jail->root_fd, shared, "shared", MS_REC, err);
	if (!ret)
		ret = bind_into(jail->root_fd, vsock, "vsock", 0, err);
	if (!ret)
		ret = open_proc(jail, err);
	if (ret < 0)
		return ret;
	jail->shared_fd = openat(jail->root_fd, "shared",
				 O_PATH | O_DIRECTORY | O_CLOEXEC);
	return jail->shared_fd < 0 ? err_sys(err, "jail: open shared") : 0;
}

int jail_enter(struct jail *jail, struct err *err)
{
	/* pivot_root(".", "."): the old root ends up on top of the new one,
	 * and is unmounted from there (pivot_root(2), NOTES). */
	if (fchdir(jail->root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, "jail: pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "jail: leave the host's tree");
	if (mount(NULL, "/", NULL,
		  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV |
			  MS_NOEXEC,
		  NULL) < 0)
		return err_sys(err, "jail: remount / read-only");
	if (chdir("/vsock") < 0)
		return err_sys(err, "jail: chdir /vsock");
	close(steal_fd(&jail->root_fd));
	return 0;
}

static int set_caps(uint64_t caps)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
		{.effective = (uint32_t)(caps >> 32),
		 .permitted = (uint32_t)(caps >> 32)},
	};

	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* Those of the wanted that the process has: an unprivileged caller has few. */
static uint64_t available(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {{0, 0, 0}};
	uint64_t want = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept_caps); i++)
		want |= 1ull << kept_caps[i];
	if (syscall(SYS_capget, &head, data) < 0)
		return 0;
	return want & (data[0].permitted | (uint64_t)data[1].permitted << 32);
}

int jail_drop_privileges(struct err *err)
{
	uint64_t keep = available();
	int ret;

	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return err_sys(err, "jail: setgroups");
	for (unsigned cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 &&
		    errno != EINVAL && errno != EPERM)
			return err_sys(err, "jail: bounding set");
	ret = set_caps(keep);
	if (ret < 0)
		return err_ret(err, ret, "jail: capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "jail: no_new_privs");
	return 0;
}

int jail_drop_thread(void)
{
	return set_caps(0);
}

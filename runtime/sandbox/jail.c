/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/privilege.h"
#include "virtiofs/needs.h"

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

int jail_drop_privileges(bool file_handles, struct err *err)
{
	uint64_t more = file_handles ? VIRTIOFS_HANDLE_CAPS : 0;
	int ret = privilege_reduce(VIRTIOFS_CAPS | more, err);

	return ret < 0 ? err_wrap(err, "jail") : 0;
}

int jail_drop_thread(void)
{
	return privilege_set(0);
}

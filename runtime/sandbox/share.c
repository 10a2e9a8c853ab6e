/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/share.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* Mount namespaces: of whoever started us, and our own. */
static int host_ns = -1, own_ns = -1;

static int open_own(struct err *err)
{
	int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "open /proc/self/ns/mnt") : fd;
}

int share_leave_host(struct err *err)
{
	host_ns = open_own(err);
	if (host_ns < 0)
		return host_ns;
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(err, "new mount namespace (nacre needs root)");
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_sys(err, "make mounts slaves");
	own_ns = open_own(err);
	return MIN(own_ns, 0);
}

static int enter_host(void)
{
	return setns(host_ns, CLONE_NEWNS) < 0 ? -errno : 0;
}

static void come_back(void)
{
	/* Nothing of ours would be where it belongs. */
	BUG_ON(setns(own_ns, CLONE_NEWNS) < 0);
}

int share_open(const char *path, int flags)
{
	int ret = enter_host();

	if (ret < 0)
		return ret;
	ret = open(path, O_PATH | O_CLOEXEC | flags);
	if (ret < 0)
		ret = -errno;
	come_back();
	return ret;
}

/* Only whoever is in a mount namespace may copy what is mounted there. */
static int clone_tree(int from, unsigned deep)
{
	int ret = enter_host();

	if (ret < 0)
		return ret;
	ret = open_tree(from, "",
			AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
				deep);
	if (ret < 0)
		ret = -errno;
	come_back();
	return ret;
}

/* Once, before it is attached: later it cannot be changed. */
static int map_ids(int tree, unsigned flags, int userns, struct err *err)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_IDMAP,
		.userns_fd = (uint32_t)userns,
	};
	unsigned deep = flags & SHARE_IDMAP_RECURSIVE ? AT_RECURSIVE : 0;

	if (userns < 0)
		return 0;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | deep, &attr,
			  sizeof(attr)) == 0)
		return 0;
	return errno == EINVAL ? err_set(err, EOPNOTSUPP,
					 "id mapping: the host cannot do it "
					 "for this file system")
			       : err_sys(err, "id mapping");
}

int share_bind(int from, const char *target, unsigned flags, int userns,
	       struct err *err)
{
	unsigned deep = flags & SHARE_RECURSIVE ? AT_RECURSIVE : 0;
	/* A slave of the host's: what is mounted there arrives, and what is
	 * unmounted here does not go there. */
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID |
			    (flags & SHARE_READ_ONLY ? MOUNT_ATTR_RDONLY : 0),
		.propagation = MS_SLAVE,
	};
	struct mount_attr top = {.attr_set = MOUNT_ATTR_RDONLY};
	AUTO_FD int tree = clone_tree(from, deep);
	int ret;

	if (tree < 0)
		return err_ret(err, tree, "open_tree");
	ret = map_ids(tree, flags, userns, err);
	if (ret < 0)
		return ret;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | deep, &attr, sizeof(attr)) <
	    0)
		return err_sys(err, "mount_setattr");
	if ((flags & SHARE_READ_ONLY_AT_TOP) &&
	    mount_setattr(tree, "", AT_EMPTY_PATH, &top, sizeof(top)) < 0)
		return err_sys(err, "mount_setattr");
	if (move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "mount on %s", target);
	return 0;
}

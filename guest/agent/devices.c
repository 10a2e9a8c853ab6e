/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/ids.h"
#include "guest/agent/rootfs.h"

/* runtime-spec, config-linux.md, "Default Devices". */
static const struct {
	const char *path;
	unsigned major, minor;
} default_devices[] = {
	{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
	{"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};

/* runtime-spec, runtime-linux.md, "Dev symbolic links". */
static const struct {
	const char *path, *target;
} default_links[] = {
	{"/dev/fd", "/proc/self/fd"},
	{"/dev/stdin", "/proc/self/fd/0"},
	{"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"},
	/* Not the spec's, but runc and crun make it. */
	{"/dev/core", "/proc/kcore"},
};

struct node {
	const char *path;
	mode_t mode;
	dev_t dev;
	uid_t uid;
	gid_t gid;
};

/* Where nodes cannot be made (user namespaces), the guest's own is bound. */
static int bind_node(int root, const struct node *node)
{
	AUTO_FD int fd = -1;
	struct stat st;

	if (!path_valid(node->path) || strncmp(node->path, "/dev/", 5) != 0 ||
	    stat(node->path, &st) < 0)
		return -EPERM;
	if ((st.st_mode & S_IFMT) != (node->mode & S_IFMT) ||
	    st.st_rdev != node->dev)
		return -EPERM;
	fd = rootfs_make(root, node->path, false);
	if (fd < 0)
		return fd;
	if (mount(node->path, fd_path(fd).text, NULL, MS_BIND, NULL) < 0)
		return -errno;
	return 0;
}

static int make_node(int root, const struct node *node)
{
	char name[NAME_MAX + 1];
	AUTO_FD int dir = rootfs_parent(root, node->path, name);

	if (dir < 0)
		return dir;
	if (mknodat(dir, name, node->mode, node->dev) < 0) {
		if (errno == EEXIST)
			return 0;
		return errno == EPERM ? bind_node(root, node) : -errno;
	}
	if (fchownat(dir, name, node->uid, node->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int make_spec_device(int root, const Oci__LinuxDevice *d,
			    struct err *err)
{
	struct node node = {
		.path = d->path,
		.mode = d->file_mode ? d->file_mode & 07777 : 0666,
		.uid = d->uid,
		.gid = d->gid,
	};
	int ret;

	if (!path_valid(d->path))
		return err_set(err, EINVAL, "device: path not usable");
	if (strcmp(d->type, "c") == 0 || strcmp(d->type, "u") == 0)
		node.mode |= S_IFCHR;
	else if (strcmp(d->type, "b") == 0)
		node.mode |= S_IFBLK;
	else if (strcmp(d->type, "p") == 0)
		node.mode |= S_IFIFO;
	else
		return err_set(err, EINVAL, "device %s: type %.8s", d->path,
			       d->type);
	if (!S_ISFIFO(node.mode)) {
		if (d->major < 0 || d->major > 0xfff || d->minor < 0 ||
		    d->minor > 0xfffff)
			return err_set(err, EINVAL, "device %s: number",
				       d->path);
		node.dev = makedev((unsigned)d->major, (unsigned)d->minor);
	}
	ret = make_node(root, &node);
	return ret < 0 ? err_ret(err, ret, "device %s", d->path) : 0;
}

static int make_link(int root, const char *path, const char *target,
		     bool replace)
{
	char base[NAME_MAX + 1];
	AUTO_FD int dir = rootfs_parent(root, path, base);

	if (dir < 0)
		return dir;
	if (replace)
		(void)unlinkat(dir, base, 0);
	if (symlinkat(target, dir, base) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int devices_make(int root, Oci__LinuxDevice *const *devices, size_t n,
		 struct err *err)
{
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(default_devices); i++) {
		struct node node = {
			.path = default_devices[i].path,
			.mode = S_IFCHR | 0666,
			.dev = makedev(default_devices[i].major,
				       default_devices[i].minor),
		};

		ret = make_node(root, &node);
		if (ret < 0)
			return err_ret(err, ret, "device %s", node.path);
	}
	for (size_t i = 0; i < n; i++) {
		ret = make_spec_device(root, devices[i], err);
		if (ret < 0)
			return ret;
	}
	for (size_t i = 0; i < ARRAY_SIZE(default_links); i++) {
		ret = make_link(root, default_links[i].path,
				default_links[i].target, false);
		if (ret < 0)
			return err_ret(err, ret, "link %s",
				       default_links[i].path);
	}
	ret = make_link(root, "/dev/ptmx", "pts/ptmx", true);
	return ret < 0 ? err_ret(err, ret, "link /dev/ptmx") : 0;
}

int terminal_open(int root, const Oci__Box *size, int *slave, struct err *err)
{
	struct open_how how = {
		.flags = O_RDWR | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	AUTO_FD int master = (int)syscall(SYS_openat2, root, "dev/pts/ptmx",
					  &how, sizeof(how));
	int unlocked = 0;

	*slave = -1;
	if (master < 0)
		return err_sys(err, "terminal: open /dev/pts/ptmx");
	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return err_sys(err, "terminal: TIOCSPTLCK");
	*slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*slave < 0)
		return err_sys(err, "terminal: TIOCGPTPEER");
	if (size && size->height && size->width) {
		struct winsize ws = {
			.ws_row = (unsigned short)size->height,
			.ws_col = (unsigned short)size->width,
		};

		if (ioctl(master, TIOCSWINSZ, &ws) < 0)
			return err_sys(err, "terminal: TIOCSWINSZ");
	}
	return steal_fd(&master);
}

int terminal_bind_console(int root, int slave, struct err *err)
{
	AUTO_FD int fd = rootfs_make(root, "/dev/console", false);

	if (fd < 0)
		return err_ret(err, fd, "terminal: /dev/console");
	if (mount(fd_path(slave).text, fd_path(fd).text, NULL, MS_BIND, NULL) <
	    0)
		return err_sys(err, "terminal: bind /dev/console");
	return 0;
}

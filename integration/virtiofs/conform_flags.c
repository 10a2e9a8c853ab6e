/* SPDX-License-Identifier: Apache-2.0 */

/* The flags of inodes, as chattr and lsattr use them. */

#include "integration/virtiofs/conform.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWNER 1000
#define OTHER 2000

static void look_at_flags(struct trial *t, int fd)
{
	struct fsxattr attr = {0};
	unsigned flags = 0;

	ret(t, "flags", ioctl(fd, FS_IOC_GETFLAGS, &flags));
	note(t, "%x", flags);
	ret(t, "attributes", ioctl(fd, FS_IOC_FSGETXATTR, &attr));
	note(t, "%x, extents of %u, project %u", attr.fsx_xflags,
	     attr.fsx_extsize, attr.fsx_projid);
}

/* A flag goes on and off, of a file and of a directory, by root, the owner and
 * another user. */
static void flags_run(struct trial *t, unsigned i)
{
	static const unsigned tried[] = {
		FS_NODUMP_FL,
		FS_NOATIME_FL,
		FS_SYNC_FL,
		FS_DIRSYNC_FL,
		FS_NODUMP_FL | FS_NOATIME_FL,
		FS_TOPDIR_FL,
	};
	static const uid_t users[] = {0, OWNER, OTHER};
	bool dir = i % 2;
	uid_t user = users[i / 2 % 3];
	unsigned flag = tried[i / 6];
	unsigned flags;
	int fd;

	label(t, "%x of a %s by %u", flag, dir ? "directory" : "file", user);
	make(t, "f", dir ? KIND_DIR : KIND_FILE);
	ret(t, "chown", chown("f", OWNER, OWNER));
	fd = open("f", O_RDONLY);
	look_at_flags(t, fd);
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= flag;
		ret(t, "seteuid", seteuid(user));
		ret(t, "set", ioctl(fd, FS_IOC_SETFLAGS, &flags));
		look_at_flags(t, fd);
		flags &= ~flag;
		ret(t, "clear", ioctl(fd, FS_IOC_SETFLAGS, &flags));
		ret(t, "seteuid", seteuid(0));
		look_at_flags(t, fd);
	}
	close(fd);
}

const struct case_group conform_flags_groups[] = {
	{"inode flags", 36, flags_run},
	{NULL, 0, NULL},
};

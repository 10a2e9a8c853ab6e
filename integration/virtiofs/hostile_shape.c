/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/hostile_shape.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "integration/virtiofs/hostile.h"
#include "virtiofs/attr.h"

#define SETXATTR_LEN sizeof(struct fuse_setxattr_in)

const struct shape shapes[] = {
	{.opcode = FUSE_LOOKUP, .names = 1},
	{.opcode = FUSE_FORGET,
	 .fixed = sizeof(struct fuse_forget_in),
	 .no_node = true},
	{.opcode = FUSE_GETATTR, .fixed = sizeof(struct fuse_getattr_in)},
	{.opcode = FUSE_SETATTR,
	 .fixed = sizeof(struct fuse_setattr_in),
	 .handle = 9,
	 .writes = true},
	{.opcode = FUSE_READLINK},
	{.opcode = FUSE_SYMLINK, .names = 2, .writes = true},
	{.opcode = FUSE_MKNOD,
	 .fixed = sizeof(struct fuse_mknod_in),
	 .names = 1,
	 .writes = true},
	{.opcode = FUSE_MKDIR,
	 .fixed = sizeof(struct fuse_mkdir_in),
	 .names = 1,
	 .writes = true},
	{.opcode = FUSE_UNLINK, .names = 1, .writes = true},
	{.opcode = FUSE_RMDIR, .names = 1, .writes = true},
	{.opcode = FUSE_RENAME,
	 .fixed = sizeof(struct fuse_rename_in),
	 .names = 2,
	 .writes = true},
	{.opcode = FUSE_LINK,
	 .fixed = sizeof(struct fuse_link_in),
	 .names = 1,
	 .writes = true},
	{.opcode = FUSE_OPEN, .fixed = sizeof(struct fuse_open_in)},
	{.opcode = FUSE_READ,
	 .fixed = sizeof(struct fuse_read_in),
	 .handle = 1},
	{.opcode = FUSE_WRITE,
	 .fixed = sizeof(struct fuse_write_in),
	 .handle = 1,
	 .writes = true},
	{.opcode = FUSE_STATFS},
	{.opcode = FUSE_RELEASE,
	 .fixed = sizeof(struct fuse_release_in),
	 .handle = 1},
	{.opcode = FUSE_FSYNC,
	 .fixed = sizeof(struct fuse_fsync_in),
	 .handle = 1},
	{.opcode = FUSE_SETXATTR,
	 .fixed = SETXATTR_LEN,
	 .names = 1,
	 .writes = true},
	{.opcode = FUSE_GETXATTR,
	 .fixed = sizeof(struct fuse_getxattr_in),
	 .names = 1},
	{.opcode = FUSE_LISTXATTR, .fixed = sizeof(struct fuse_getxattr_in)},
	{.opcode = FUSE_REMOVEXATTR, .names = 1, .writes = true},
	{.opcode = FUSE_FLUSH,
	 .fixed = sizeof(struct fuse_flush_in),
	 .handle = 1},
	{.opcode = FUSE_OPENDIR, .fixed = sizeof(struct fuse_open_in)},
	{.opcode = FUSE_READDIR,
	 .fixed = sizeof(struct fuse_read_in),
	 .handle = 1,
	 .dir = true},
	{.opcode = FUSE_RELEASEDIR,
	 .fixed = sizeof(struct fuse_release_in),
	 .handle = 1,
	 .dir = true},
	{.opcode = FUSE_FSYNCDIR,
	 .fixed = sizeof(struct fuse_fsync_in),
	 .handle = 1,
	 .dir = true},
	{.opcode = FUSE_GETLK,
	 .fixed = sizeof(struct fuse_lk_in),
	 .unknown = true},
	{.opcode = FUSE_SETLK,
	 .fixed = sizeof(struct fuse_lk_in),
	 .unknown = true},
	{.opcode = FUSE_SETLKW,
	 .fixed = sizeof(struct fuse_lk_in),
	 .unknown = true},
	{.opcode = FUSE_ACCESS,
	 .fixed = sizeof(struct fuse_access_in),
	 .unknown = true},
	{.opcode = FUSE_CREATE,
	 .fixed = sizeof(struct fuse_create_in),
	 .names = 1,
	 .writes = true},
	{.opcode = FUSE_INTERRUPT,
	 .fixed = sizeof(struct fuse_interrupt_in),
	 .no_node = true},
	{.opcode = FUSE_BMAP,
	 .fixed = sizeof(struct fuse_bmap_in),
	 .unknown = true},
	{.opcode = FUSE_IOCTL,
	 .fixed = sizeof(struct fuse_ioctl_in),
	 .unknown = true},
	{.opcode = FUSE_POLL,
	 .fixed = sizeof(struct fuse_poll_in),
	 .unknown = true},
	{.opcode = FUSE_NOTIFY_REPLY, .fixed = 40, .unknown = true},
	{.opcode = FUSE_BATCH_FORGET,
	 .fixed = sizeof(struct fuse_batch_forget_in),
	 .no_node = true},
	{.opcode = FUSE_FALLOCATE,
	 .fixed = sizeof(struct fuse_fallocate_in),
	 .handle = 1,
	 .writes = true},
	{.opcode = FUSE_READDIRPLUS,
	 .fixed = sizeof(struct fuse_read_in),
	 .handle = 1,
	 .dir = true},
	{.opcode = FUSE_RENAME2,
	 .fixed = sizeof(struct fuse_rename2_in),
	 .names = 2,
	 .writes = true},
	{.opcode = FUSE_LSEEK,
	 .fixed = sizeof(struct fuse_lseek_in),
	 .handle = 1},
	{.opcode = FUSE_COPY_FILE_RANGE,
	 .fixed = sizeof(struct fuse_copy_file_range_in),
	 .handle = 1,
	 .writes = true},
	{.opcode = FUSE_SETUPMAPPING,
	 .fixed = sizeof(struct fuse_setupmapping_in)},
	{.opcode = FUSE_REMOVEMAPPING,
	 .fixed = sizeof(struct fuse_removemapping_in)},
	{.opcode = FUSE_SYNCFS, .fixed = sizeof(struct fuse_syncfs_in)},
	{.opcode = FUSE_TMPFILE,
	 .fixed = sizeof(struct fuse_create_in),
	 .names = 1,
	 .writes = true},
	{.opcode = FS_STATX, .fixed = sizeof(struct fs_statx_in)},
	/* Later than the protocol that is spoken, and made up. */
	{.opcode = 53, .fixed = 128, .unknown = true},
	{.opcode = 0, .unknown = true},
	{.opcode = 4095, .fixed = 16, .unknown = true},
	{.opcode = 4096, .fixed = 16, .unknown = true},
	{.opcode = UINT32_MAX, .fixed = 16, .unknown = true},
};
const unsigned shapes_n = ARRAY_SIZE(shapes);

/* Where zeros would not do. */
static void fixed_fill(uint32_t opcode, uint8_t *buf)
{
	struct fuse_create_in create = {O_RDWR | O_CREAT, S_IFREG | 0644, 0, 0};
	struct fuse_mknod_in mknod = {.mode = S_IFREG | 0644};
	struct fuse_mkdir_in mkdir = {.mode = 0755};
	struct fuse_rename_in rename = {.newdir = HOSTILE_ROOT};
	struct fuse_link_in link = {.oldnodeid = HOSTILE_ROOT};
	struct fuse_lseek_in seek = {.whence = SEEK_DATA};
	struct fuse_setattr_in attr = {.valid = FATTR_FH | FATTR_SIZE};
	struct fuse_getxattr_in get = {.size = 64};
	uint32_t size = 64;

	switch (opcode) {
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		memcpy(buf, &create, sizeof(create));
		break;
	case FUSE_MKNOD:
		memcpy(buf, &mknod, sizeof(mknod));
		break;
	case FUSE_MKDIR:
		memcpy(buf, &mkdir, sizeof(mkdir));
		break;
	case FUSE_RENAME:
	case FUSE_RENAME2:
		memcpy(buf, &rename, sizeof(rename));
		break;
	case FUSE_LINK:
		memcpy(buf, &link, sizeof(link));
		break;
	case FUSE_LSEEK:
		memcpy(buf, &seek, sizeof(seek));
		break;
	case FUSE_SETATTR:
		memcpy(buf, &attr, sizeof(attr));
		break;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		memcpy(buf, &get, sizeof(get));
		break;
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		memcpy(buf + offsetof(struct fuse_read_in, size), &size,
		       sizeof(size));
		break;
	default:
		break;
	}
}

size_t shape_fill(const struct shape *shape, uint8_t buf[SHAPE_ROOM],
		  uint64_t handle, const char *name)
{
	size_t len = shape->fixed;

	memset(buf, 0, SHAPE_ROOM);
	fixed_fill(shape->opcode, buf);
	if (shape->handle)
		memcpy(buf + shape->handle - 1, &handle, sizeof(handle));
	for (unsigned i = 0; i < shape->names; i++) {
		size_t n = strlen(name) + 1;

		if (len + n > SHAPE_ROOM)
			break;
		memcpy(buf + len, name, n);
		len += n;
	}
	return len;
}

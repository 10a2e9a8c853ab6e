/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/fileattr.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "virtiofs/handle.h"

/* What a guest may change. Of the rest, some change how the host finds names
 * (casefold) or whom it counts files for (projects). Immutable and append-only
 * are up to the host, which wants a capability for them. */
#define FLAGS_GUEST                                                      \
	(FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL |           \
	 FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | \
	 FS_NOCOMP_FL | FS_NOTAIL_FL | FS_DIRSYNC_FL | FS_TOPDIR_FL |    \
	 FS_NOCOW_FL)

/* Flags have four bytes, whatever their ioctl's number says. */
static int get_flags(const struct fs_req *req, int fd, const void *in,
		     void *out)
{
	return ioctl(fd, FS_IOC_GETFLAGS, out) ? -errno : 0;
}

static int set_flags(const struct fs_req *req, int fd, const void *in,
		     void *out)
{
	unsigned wanted;
	unsigned flags;

	if (req->fs->config.readonly)
		return -EROFS;
	memcpy(&wanted, in, sizeof(wanted));
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return -errno;
	if ((wanted ^ flags) & ~(unsigned)FLAGS_GUEST)
		return -EOPNOTSUPP;
	return ioctl(fd, FS_IOC_SETFLAGS, &wanted) ? -errno : 0;
}

static int get_xattr(const struct fs_req *req, int fd, const void *in,
		     void *out)
{
	return ioctl(fd, FS_IOC_FSGETXATTR, out) ? -errno : 0;
}

static const struct request {
	uint32_t cmd;
	uint32_t in_size;
	uint32_t out_size;
	int (*run)(const struct fs_req *req, int fd, const void *in, void *out);
} requests[] = {
	{FS_IOC_GETFLAGS, 0, sizeof(unsigned), get_flags},
	{FS_IOC_SETFLAGS, sizeof(unsigned), 0, set_flags},
	{FS_IOC_FSGETXATTR, 0, sizeof(struct fsxattr), get_xattr},
};

static const struct request *request_find(const struct fuse_ioctl_in *in)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		if (requests[i].cmd == in->cmd)
			return &requests[i];
	}
	return NULL;
}

int fs_ioctl(struct fs_req *req)
{
	const struct fuse_ioctl_in *in = req->args;
	bool dir = (in->flags & FUSE_IOCTL_DIR) != 0;
	const struct request *request = request_find(in);
	struct fuse_ioctl_out *out;
	struct fs_handle *handle;
	int ret;

	if (!request)
		return -ENOTTY;
	if (in->in_size != request->in_size ||
	    in->out_size != request->out_size ||
	    req->args_len - sizeof(*in) < request->in_size)
		return -EINVAL;
	handle = fs_handle_get(req->fs, in->fh, dir ? FS_DIR : FS_FILE,
			       req->in.nodeid);
	if (!handle)
		return -EBADF;
	out = fs_reply(req, sizeof(*out) + request->out_size);
	ret = request->run(req, handle->fd, in + 1, out + 1);
	fs_handle_put(req->fs, handle);
	return ret;
}

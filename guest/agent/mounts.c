/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/cgroup.h"
#include "guest/agent/copy_up.h"
#include "guest/agent/ids.h"
#include "guest/agent/mount_options.h"
#include "guest/agent/rootfs.h"

#define ATIME_FLAGS (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)
/* What a bind mount can have of its own (mount(2), MS_REMOUNT | MS_BIND). */
#define BIND_FLAGS                                                      \
	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NODIRATIME | \
	 MS_NOSYMFOLLOW | ATIME_FLAGS)

bool mount_wants_bind(const Oci__Mount *m, const struct mount_options *o)
{
	return (o->flags & MS_BIND) || strcmp(m->type, "bind") == 0;
}

/* Opens the target again: what was mounted lies on top of the descriptor. */
static int reopen(const struct mounts_context *ctx, const Oci__Mount *m,
		  struct err *err)
{
	int fd = rootfs_open(ctx->root, m->destination, 0);

	return fd < 0 ? err_ret(err, fd, "open") : fd;
}

/*
 * In a user namespace flags the source had are locked, and a remount without
 * them is refused (mount_namespaces(7)).
 */
static int remount_bind(const char *path, unsigned long flags)
{
	const unsigned long lock = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	struct statvfs st;

	if (mount(NULL, path, NULL, flags, NULL) == 0)
		return 0;
	if (errno != EPERM || statvfs(path, &st) < 0)
		return -errno;
	/* ST_ and MS_ have the same values for these four. */
	flags |= st.f_flag & lock;
	if (!(flags & ATIME_FLAGS))
		flags |= st.f_flag & ST_NOATIME	   ? MS_NOATIME
			 : st.f_flag & ST_RELATIME ? MS_RELATIME
						   : 0;
	return mount(NULL, path, NULL, flags, NULL) < 0 ? -errno : 0;
}

/* Propagation and recursive attributes, once the mount is there. */
static int finish(const struct mounts_context *ctx, const Oci__Mount *m,
		  const struct mount_options *o, struct err *err)
{
	AUTO_FD int fd = -1;

	if (!o->n_propagation && !o->rec_set && !o->rec_clear)
		return 0;
	fd = reopen(ctx, m, err);
	if (fd < 0)
		return fd;
	if (o->rec_set || o->rec_clear) {
		struct mount_attr attr = {
			.attr_set = o->rec_set,
			.attr_clr = o->rec_clear,
		};

		if (syscall(SYS_mount_setattr, fd, "",
			    AT_EMPTY_PATH | AT_RECURSIVE, &attr,
			    sizeof(attr)) < 0)
			return err_sys(err, "mount_setattr");
	}
	for (unsigned i = 0; i < o->n_propagation; i++) {
		if (mount(NULL, fd_path(fd).text, NULL, o->propagation[i],
			  NULL) < 0)
			return err_sys(err, "setting propagation");
	}
	return 0;
}

static int attach(int mapped, int target, struct err *err)
{
	if (move_mount(mapped, "", target, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_sys(err, "move_mount");
	return 0;
}

/* mapped: a mount of the source, or -1. */
static int do_bind(const struct mounts_context *ctx, const Oci__Mount *m,
		   const char *source, const struct mount_options *o,
		   int mapped, struct err *err)
{
	unsigned long own = o->flags & BIND_FLAGS;
	AUTO_FD int target = -1, top = -1;
	struct stat st;
	int ret = 0;

	if (o->data[0] || o->copy_up)
		return err_set(err, EINVAL, "a bind mount has no option %.64s",
			       o->data[0] ? o->data : "tmpcopyup");
	if (!path_valid(source))
		return err_set(err, EINVAL, "source: not an absolute path");
	if ((mapped >= 0 ? fstat(mapped, &st) : stat(source, &st)) < 0)
		return err_sys(err, "source %s", source);
	target = rootfs_make(ctx->root, m->destination, S_ISDIR(st.st_mode));
	if (target < 0)
		return err_ret(err, target, "making the mount point");
	if (mapped >= 0)
		ret = attach(mapped, target, err);
	else if (mount(source, fd_path(target).text, NULL,
		       MS_BIND | (o->flags & MS_REC), NULL) < 0)
		return err_sys(err, "bind %s", source);
	if (ret < 0)
		return ret;
	if (!own && !(o->cleared & BIND_FLAGS))
		return finish(ctx, m, o, err);
	top = reopen(ctx, m, err);
	if (top < 0)
		return top;
	ret = remount_bind(fd_path(top).text, MS_REMOUNT | MS_BIND | own);
	if (ret < 0)
		return err_ret(err, ret, "setting flags");
	return finish(ctx, m, o, err);
}

/* A file system of the kernel's: its tree must stand where the spec says. */
static bool is_api_fs(const char *type)
{
	return strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0;
}

/* With what the mount hides, which below still shows. */
static int fill(const struct mounts_context *ctx, const Oci__Mount *m,
		int below, struct err *err)
{
	AUTO_FD int top = reopen(ctx, m, err);
	int ret = top < 0 ? top : copy_up(below, top);

	return top >= 0 && ret < 0 ? err_ret(err, ret, "tmpcopyup") : ret;
}

/* What lies in memory alone: no journal is replayed when it is writable. */
bool mounts_sealed_later(const char *type)
{
	static const char *const types[] = {
		"cgroup2", "devpts", "mqueue", "proc",
		"ramfs",   "sysfs",  "tmpfs",
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(type, types[i]) == 0)
			return true;
	}
	return false;
}

static int seal_later(struct mounts_context *ctx, const Oci__Mount *m,
		      struct err *err)
{
	int fd = reopen(ctx, m, err);

	if (fd < 0)
		return fd;
	ctx->sealed[ctx->n_sealed++] = fd;
	return 0;
}

/*
 * sysfs belongs to the network namespace, and only who has rights over that
 * may mount it. In a user namespace with the guest's network it is the guest's
 * own tree, of which the control groups stay out of sight.
 */
static int bind_sysfs(const struct mounts_context *ctx, const Oci__Mount *m,
		      int target, unsigned long flags, struct err *err)
{
	struct mount_attr attr = {
		.attr_set = mount_attributes(
			flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)),
	};
	AUTO_FD int top = -1, groups = -1;

	/* All of it: what lies below is locked to it (mount_namespaces(7)). */
	if (mount("/sys", fd_path(target).text, NULL, MS_BIND | MS_REC, NULL) <
	    0)
		return err_sys(err, "bind /sys");
	top = reopen(ctx, m, err);
	if (top < 0)
		return top;
	if (syscall(SYS_mount_setattr, top, "", AT_EMPTY_PATH | AT_RECURSIVE,
		    &attr, sizeof(attr)) < 0)
		return err_sys(err, "bind /sys: mount_setattr");
	groups = rootfs_open(top, "fs/cgroup", RESOLVE_NO_SYMLINKS);
	if (groups < 0)
		return 0;
	if (mount("tmpfs", fd_path(groups).text, "tmpfs",
		  MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k") < 0)
		return err_sys(err, "bind /sys: hiding fs/cgroup");
	return 0;
}

static int do_mount(struct mounts_context *ctx, const Oci__Mount *m,
		    const char *type, const struct mount_options *o, int mapped,
		    struct err *err)
{
	unsigned long flags = o->flags & ~(unsigned long)MS_REC;
	bool later = (flags & MS_RDONLY) && mounts_sealed_later(type);
	/* That of another type would be misleading. */
	bool named = m->source[0] && strcmp(m->type, type) == 0;
	const char *source = named ? m->source : type;
	AUTO_FD int target = -1, checked = -1;
	int ret;

	target = rootfs_make(ctx->root, m->destination, true);
	if (target < 0)
		return err_ret(err, target, "making the mount point");
	if (is_api_fs(type)) {
		/* Else masked paths could miss it (CVE-2019-16884). */
		checked = rootfs_open(ctx->root, m->destination,
				      RESOLVE_NO_SYMLINKS);
		if (checked < 0)
			return err_ret(err, checked, "%s on a link", type);
	}
	if (mapped >= 0) {
		ret = attach(mapped, target, err);
		if (ret < 0)
			return ret;
	} else if (mount(source, fd_path(target).text, type,
			 later ? flags & ~(unsigned long)MS_RDONLY : flags,
			 o->data) < 0) {
		if (errno == EPERM && strcmp(type, "sysfs") == 0)
			return bind_sysfs(ctx, m, target, flags, err);
		return err_sys(err, "mount %s", type);
	}
	ret = o->copy_up ? fill(ctx, m, target, err) : 0;
	if (!ret && later)
		ret = seal_later(ctx, m, err);
	return ret < 0 ? ret : finish(ctx, m, o, err);
}

static int do_remount(const struct mounts_context *ctx, const Oci__Mount *m,
		      const struct mount_options *o, struct err *err)
{
	AUTO_FD int fd = reopen(ctx, m, err);

	if (fd < 0)
		return fd;
	if (mount(NULL, fd_path(fd).text, NULL,
		  o->flags & ~(unsigned long)MS_REC, o->data) < 0)
		return err_sys(err, "remount");
	return finish(ctx, m, o, err);
}

static int do_cgroup(struct mounts_context *ctx, const Oci__Mount *m,
		     struct mount_options *o, int mapped, struct err *err)
{
	/* Options of version 1's hierarchies mean nothing here. */
	o->data[0] = '\0';
	if (ctx->cgroup_ns)
		return do_mount(ctx, m, "cgroup2", o, mapped, err);
	return do_bind(ctx, m, ctx->cgroup, o, mapped, err);
}

static int apply_one(struct mounts_context *ctx, const Oci__Mount *m,
		     int mapped, struct err *err)
{
	struct mount_options o;
	int ret;

	if (!path_valid(m->destination) ||
	    strspn(m->destination, "/") == strlen(m->destination))
		return err_set(err, EINVAL, "destination: not usable");
	ret = mount_options_parse(m->options, m->n_options, &o, err);
	if (ret < 0)
		return ret;
	if (o.flags & MS_REMOUNT)
		return do_remount(ctx, m, &o, err);
	if (mount_wants_bind(m, &o))
		return do_bind(ctx, m, m->source, &o, mapped, err);
	if (strcmp(m->type, "cgroup") == 0 || strcmp(m->type, "cgroup2") == 0)
		return do_cgroup(ctx, m, &o, mapped, err);
	if (!m->type[0])
		return err_set(err, EINVAL, "no type");
	return do_mount(ctx, m, m->type, &o, mapped, err);
}

int mounts_apply(struct mounts_context *ctx, Oci__Mount *const *mounts,
		 size_t n, struct err *err)
{
	ctx->n_sealed = 0;
	ctx->sealed = calloc(n + 1, sizeof(*ctx->sealed));
	if (!ctx->sealed)
		return err_set(err, ENOMEM, "mounts: out of memory");
	for (size_t i = 0; i < n; i++) {
		int ret = apply_one(ctx, mounts[i],
				    ctx->mapped ? ctx->mapped[i] : -1, err);

		if (ret < 0)
			return err_wrap(err, "mount %.256s",
					mounts[i]->destination);
	}
	return 0;
}

int mounts_seal(struct mounts_context *ctx, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < ctx->n_sealed; i++) {
		if (!ret)
			ret = remount_readonly(fd_path(ctx->sealed[i]).text);
		close(ctx->sealed[i]);
	}
	free(steal_ptr(&ctx->sealed));
	ctx->n_sealed = 0;
	return ret < 0 ? err_ret(err, ret, "mounts: read-only") : 0;
}

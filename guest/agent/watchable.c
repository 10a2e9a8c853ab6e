/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/watchable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "guest/agent/ids.h"
#include "guest/agent/mount_options.h"

#define PARENT "/watchable"
#define OWN_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

static bool is_mount_point(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, 0,
		     &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int watchable_prepare(const Agent__Storage *s, struct err *err)
{
	AUTO_FREE char *parent = strdup(s->mount_point);
	char *slash;
	int ret;

	if (!parent)
		return err_set(err, ENOMEM, "out of memory");
	slash = strrchr(parent, '/');
	if (!slash)
		return err_set(err, EINVAL, "mount point: not usable");
	*slash = '\0';
	slash = strrchr(parent, '/');
	if (!slash || strcmp(slash, PARENT) != 0 || is_mount_point(parent))
		return 0;
	ret = mkdir_all(parent, 0755);
	if (ret < 0)
		return err_ret(err, ret, "mkdir %.128s", parent);
	if (mount("watchable", parent, "tmpfs", MS_NOSUID | MS_NODEV,
		  "size=1m,mode=755") < 0)
		return err_sys(err, "mount tmpfs on %.128s", parent);
	return 0;
}

/* A file is bound on a file. */
static int make_file(const char *path, struct err *err)
{
	int fd;

	if (rmdir(path) < 0)
		return err_sys(err, "rmdir");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(err, "create");
	close(fd);
	return 0;
}

static int bind(const Agent__Storage *s, const struct mount_options *o,
		struct err *err)
{
	unsigned long own = o->flags & OWN_FLAGS;

	if (mount(s->source, s->mount_point, NULL, MS_BIND | MS_REC, NULL) < 0)
		return err_sys(err, "bind %.128s", s->source);
	if (own && mount(NULL, s->mount_point, NULL, MS_REMOUNT | MS_BIND | own,
			 NULL) < 0)
		return err_sys(err, "remount");
	for (unsigned i = 0; i < o->n_propagation; i++)
		if (mount(NULL, s->mount_point, NULL, o->propagation[i], NULL) <
		    0)
			return err_sys(err, "setting propagation");
	return 0;
}

int watchable_mount(const Agent__Storage *s, struct err *err)
{
	struct mount_options o;
	struct stat st;
	int ret = mount_options_parse(s->options, s->n_options, &o, err);

	if (ret < 0)
		return ret;
	if (!path_valid(s->source))
		return err_set(err, EINVAL, "source: not usable");
	if (o.rec_set || o.rec_clear || o.data[0])
		return err_set(err, EINVAL, "options: not for a bind mount");
	if (stat(s->source, &st) < 0)
		return err_sys(err, "source %.128s", s->source);
	ret = S_ISDIR(st.st_mode) ? 0 : make_file(s->mount_point, err);
	if (!ret)
		ret = bind(s, &o, err);
	if (ret < 0) {
		(void)umount2(s->mount_point, MNT_DETACH);
		return ret;
	}
	log_info("storage %s: bound, so that changes raise no events",
		 s->mount_point);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/storage.h"

#include <errno.h>
#include <stdio.h>
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

const char *const storage_drivers[] = {"virtio-fs", "ephemeral", "local", NULL};

static int mount_fs(const Agent__Storage *s, const char *fstype,
		    struct err *err)
{
	struct mount_options o;
	int ret = mount_options_parse(s->options, s->n_options, &o, err);

	if (ret < 0)
		return ret;
	if (o.rec_set || o.rec_clear || (o.flags & MS_REMOUNT))
		return err_set(err, EINVAL, "options: not for a new mount");
	if (mount(s->source, s->mount_point, fstype, o.flags, o.data) < 0)
		return err_sys(err, "mount %s %.64s", fstype, s->source);
	for (unsigned i = 0; i < o.n_propagation; i++) {
		if (mount(NULL, s->mount_point, NULL, o.propagation[i], NULL) <
		    0)
			return err_sys(err, "setting propagation");
	}
	return 0;
}

static int mount_virtiofs(const Agent__Storage *s, struct err *err)
{
	if (s->fstype[0] && strcmp(s->fstype, "virtiofs") != 0)
		return err_set(err, EINVAL, "fstype %.32s", s->fstype);
	return mount_fs(s, "virtiofs", err);
}

static int mount_ephemeral(const Agent__Storage *s, struct err *err)
{
	if (strcmp(s->fstype, "tmpfs") != 0 &&
	    strcmp(s->fstype, "hugetlbfs") != 0)
		return err_set(err, EINVAL, "fstype %.32s", s->fstype);
	return mount_fs(s, s->fstype, err);
}

/* A directory of the guest's own file system; the option is its mode. */
static int make_local(const Agent__Storage *s, struct err *err)
{
	unsigned mode = 0755;

	for (size_t i = 0; i < s->n_options; i++) {
		const char *o = s->options[i];
		char *end;

		if (strncmp(o, "mode=", 5) != 0)
			return err_set(err, EINVAL, "option %.64s", o);
		mode = (unsigned)strtoul(o + 5, &end, 8);
		if (*end || end == o + 5 || mode > 07777)
			return err_set(err, EINVAL, "option %.64s", o);
	}
	return chmod(s->mount_point, (mode_t)mode) < 0 ? err_sys(err, "chmod")
						       : 0;
}

static int apply_group(const Agent__Storage *s, struct err *err)
{
	struct stat st;

	if (!s->fs_group)
		return 0;
	if (stat(s->mount_point, &st) < 0)
		return err_sys(err, "fs_group: stat");
	if (s->fs_group->group_change_policy == 1 &&
	    st.st_gid == s->fs_group->group_id)
		return 0;
	/* The directory is new and empty: there is no more to change. */
	if (chown(s->mount_point, (uid_t)-1, s->fs_group->group_id) < 0 ||
	    chmod(s->mount_point, (st.st_mode & 07777) | S_ISGID | 0070) < 0)
		return err_sys(err, "fs_group: chown");
	return 0;
}

static int apply(const Agent__Storage *s, bool *mounted, struct err *err)
{
	int ret = mkdir_all(s->mount_point, 0755);

	*mounted = false;
	if (ret < 0)
		return err_ret(err, ret, "mkdir");
	if (s->n_driver_options)
		return err_set(err, ENOTSUP,
			       "driver option %.64s: not "
			       "supported",
			       s->driver_options[0]);
	if (strcmp(s->driver, "local") == 0) {
		ret = make_local(s, err);
		return ret < 0 ? ret : apply_group(s, err);
	}
	if (strcmp(s->driver, "virtio-fs") == 0) {
		if (s->fs_group)
			return err_set(err, ENOTSUP,
				       "fs_group: the host's to "
				       "set");
		ret = mount_virtiofs(s, err);
	} else if (strcmp(s->driver, "ephemeral") == 0) {
		ret = mount_ephemeral(s, err);
	} else {
		return err_set(err, ENOTSUP, "driver %.32s: not supported",
			       s->driver);
	}
	if (ret < 0)
		return ret;
	*mounted = true;
	return apply_group(s, err);
}

static struct storage_mount *find(struct storage_mount *all, const char *path)
{
	while (all && strcmp(all->path, path) != 0)
		all = all->next;
	return all;
}

static int take(struct storage_mount **all, const Agent__Storage *s,
		struct err *err)
{
	struct storage_mount *m;
	int ret;

	if (!path_valid(s->mount_point))
		return err_set(err, EINVAL, "mount point: not usable");
	m = find(*all, s->mount_point);
	if (m) {
		m->refs++;
		return 0;
	}
	m = calloc(1, sizeof(*m));
	if (m)
		m->path = strdup(s->mount_point);
	if (!m || !m->path) {
		free(m);
		return err_set(err, ENOMEM, "out of memory");
	}
	ret = apply(s, &m->mounted, err);
	if (ret < 0) {
		if (m->mounted)
			(void)umount2(m->path, MNT_DETACH);
		free(m->path);
		free(m);
		return ret;
	}
	m->refs = 1;
	m->next = *all;
	*all = m;
	return 0;
}

static void give_back(struct storage_mount **all, const char *path)
{
	while (*all && strcmp((*all)->path, path) != 0)
		all = &(*all)->next;
	if (!*all || --(*all)->refs)
		return;
	struct storage_mount *m = *all;

	*all = m->next;
	if (m->mounted && umount2(m->path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		log_warn("storage %s: unmount: %s", m->path, strerror(errno));
	if (m->mounted)
		(void)rmdir(m->path);
	free(m->path);
	free(m);
}

int storages_mount(struct storage_mount **all, Agent__Storage *const *storages,
		   size_t n, char ***taken, struct err *err)
{
	char **v = calloc(n + 1, sizeof(*v));

	*taken = v;
	if (!v)
		return err_set(err, ENOMEM, "storages: out of memory");
	for (size_t i = 0; i < n; i++) {
		int ret = take(all, storages[i], err);

		if (ret < 0)
			return err_wrap(err, "storage %.128s",
					storages[i]->mount_point);
		v[i] = strdup(storages[i]->mount_point);
		if (!v[i]) {
			give_back(all, storages[i]->mount_point);
			return err_set(err, ENOMEM, "storages: out of memory");
		}
	}
	return 0;
}

void storages_unmount(struct storage_mount **all, char **taken)
{
	size_t n = 0;

	if (!taken)
		return;
	while (taken[n])
		n++;
	while (n-- > 0) { /* the last one may lie inside of an earlier one */
		give_back(all, taken[n]);
		free(taken[n]);
	}
	free(taken);
}

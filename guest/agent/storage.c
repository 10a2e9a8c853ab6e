/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "guest/agent/block.h"
#include "guest/agent/fs_group.h"
#include "guest/agent/huge_pages.h"
#include "guest/agent/ids.h"
#include "guest/agent/mount_options.h"
#include "guest/agent/read_ahead.h"
#include "guest/agent/storage_options.h"
#include "guest/agent/watchable.h"

const char *const storage_drivers[] = {
	"virtio-fs", "ephemeral", "local",	    "blk", "mmioblk",
	"nvdimm",    "overlayfs", "watchable-bind", NULL,
};

/* Kata's way to have a device's node where its file system would be. */
static bool is_bind(const char *fstype)
{
	return strcmp(fstype, "bind") == 0;
}

static int mount_fs(const Agent__Storage *s, const char *source,
		    const char *fstype, struct err *err)
{
	struct mount_options o;
	int ret = mount_options_parse(s->options, s->n_options, &o, err);

	if (ret < 0)
		return ret;
	if (o.rec_set || o.rec_clear || o.idmap || (o.flags & MS_REMOUNT))
		return err_set(err, EINVAL, "options: not for a new mount");
	if (is_bind(fstype))
		o.flags |= MS_BIND;
	if (mount(source, s->mount_point, fstype, o.flags, o.data) < 0)
		return err_sys(err, "mount %.32s %.64s", fstype, source);
	for (unsigned i = 0; i < o.n_propagation; i++) {
		if (mount(NULL, s->mount_point, NULL, o.propagation[i], NULL) <
		    0)
			return err_sys(err, "setting propagation");
	}
	return 0;
}

static bool is_dax(const char *option)
{
	return strncmp(option, "dax", 3) == 0 &&
	       (option[3] == 0 || option[3] == '=');
}

/*
 * DAX only spares memory. A kernel that does not know it, or not per inode, or
 * a device without a window refuses the mount.
 */
static int mount_without_dax(const Agent__Storage *s, struct err *err)
{
	AUTO_FREE char **rest = calloc(s->n_options + 1, sizeof(*rest));
	Agent__Storage plain = *s;

	if (!rest)
		return err_set(err, ENOMEM, "out of memory");
	plain.options = rest;
	plain.n_options = 0;
	for (size_t i = 0; i < s->n_options; i++) {
		if (!is_dax(s->options[i]))
			rest[plain.n_options++] = s->options[i];
	}
	if (plain.n_options == s->n_options)
		return -err->code;
	log_warn("storage %s: without DAX: %s", s->mount_point, err->text);
	return mount_fs(&plain, s->source, "virtiofs", err);
}

static int mount_virtiofs(const Agent__Storage *s, struct storage_mount *m,
			  struct err *err)
{
	int ret;

	if (s->fstype[0] && strcmp(s->fstype, "virtiofs") != 0)
		return err_set(err, EINVAL, "fstype %.32s", s->fstype);
	ret = mount_fs(s, s->source, "virtiofs", err);
	if (ret < 0 && err->code == EINVAL)
		ret = mount_without_dax(s, err);
	if (!ret)
		read_ahead_enlarge(s->mount_point);
	return ret;
}

/* Adds the pages of a volume to the pool. */
static int reserve_pages(const Agent__Storage *s, struct storage_mount *m,
			 struct err *err)
{
	uint64_t page = storage_size(storage_option(s, "pagesize"));
	uint64_t size = storage_size(storage_option(s, "size"));

	if (!page || !size || size % page || size > INT64_MAX)
		return err_set(err, EINVAL,
			       "hugetlbfs: pagesize= and size= are needed");
	m->page_size = page;
	return huge_pages_add(page, size / page, &m->pages, err);
}

static void give_back_pages(const struct storage_mount *m)
{
	struct err err;

	if (m->pages && huge_pages_remove(m->page_size, m->pages, &err) < 0)
		log_warn("storage %s: %s", m->path, err.text);
}

static int mount_ephemeral(const Agent__Storage *s, struct storage_mount *m,
			   struct err *err)
{
	int ret = 0;

	if (strcmp(s->fstype, "hugetlbfs") == 0)
		ret = reserve_pages(s, m, err);
	else if (strcmp(s->fstype, "tmpfs") != 0)
		return err_set(err, EINVAL, "fstype %.32s", s->fstype);
	return ret < 0 ? ret : mount_fs(s, s->source, s->fstype, err);
}

static int mount_block(const Agent__Storage *s, struct storage_mount *m,
		       struct err *err)
{
	char path[BLOCK_PATH_MAX];
	int ret = block_find(s->source, path, NULL, err);

	if (ret < 0)
		return ret;
	if (!s->fstype[0])
		return err_set(err, EINVAL, "fstype: missing");
	return mount_fs(s, path, s->fstype, err);
}

/* Its upper and work directory need not be there yet. */
static int mount_overlay(const Agent__Storage *s, struct storage_mount *m,
			 struct err *err)
{
	static const char *const made[] = {"upperdir", "workdir"};

	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		const char *dir = storage_option(s, made[i]);
		int ret;

		if (!dir)
			continue;
		if (!path_valid(dir))
			return err_set(err, EINVAL, "%s: not usable", made[i]);
		ret = mkdir_all(dir, 0755);
		if (ret < 0)
			return err_ret(err, ret, "%s", made[i]);
	}
	if (!storage_option(s, "lowerdir"))
		return err_set(err, EINVAL, "lowerdir: missing");
	return mount_fs(s, "overlay", "overlay", err);
}

/* A directory of the guest's own file system; the option is its mode. */
static int make_local(const Agent__Storage *s, struct storage_mount *m,
		      struct err *err)
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

static int mount_watchable(const Agent__Storage *s, struct storage_mount *m,
			   struct err *err)
{
	return watchable_mount(s, err);
}

static const struct driver {
	const char *name;
	int (*mount)(const Agent__Storage *s, struct storage_mount *m,
		     struct err *err);
	/* Before there is a mount point; may be NULL. */
	int (*prepare)(const Agent__Storage *s, struct err *err);
	bool directory; /* nothing is mounted */
	bool block;
	bool device; /* whose file system is the same wherever it is mounted */
	bool memory; /* of the guest: unmounting waits for nobody */
} drivers[] = {
	{.name = "virtio-fs", .mount = mount_virtiofs, .device = true},
	{.name = "ephemeral", .mount = mount_ephemeral, .memory = true},
	{.name = "local", .mount = make_local, .directory = true},
	{.name = "blk", .mount = mount_block, .block = true, .device = true},
	{.name = "mmioblk",
	 .mount = mount_block,
	 .block = true,
	 .device = true},
	{.name = "nvdimm", .mount = mount_block, .block = true, .device = true},
	{.name = "overlayfs", .mount = mount_overlay},
	{.name = "watchable-bind",
	 .mount = mount_watchable,
	 .prepare = watchable_prepare},
};

static const struct driver *driver_of(const Agent__Storage *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		if (strcmp(drivers[i].name, s->driver) == 0)
			return &drivers[i];
	}
	return NULL;
}

/* A node is bound on a file, all else is mounted on a directory. */
static int make_place(const Agent__Storage *s, const struct driver *driver,
		      struct err *err)
{
	bool file = driver && driver->block && is_bind(s->fstype);
	AUTO_FREE char *parent = strdup(s->mount_point);
	AUTO_FD int fd = -1;
	int ret;

	if (!parent)
		return err_set(err, ENOMEM, "out of memory");
	if (file)
		*strrchr(parent, '/') = '\0';
	ret = *parent ? mkdir_all(parent, 0755) : 0;
	if (ret < 0)
		return err_ret(err, ret, "mkdir");
	if (!file)
		return 0;
	fd = open(s->mount_point, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
		  0644);
	return fd < 0 ? err_sys(err, "making a file") : 0;
}

static int check(const Agent__Storage *s, const struct driver *driver,
		 struct err *err)
{
	if (s->n_driver_options)
		return err_set(err, ENOTSUP,
			       "driver option %.64s: not "
			       "supported",
			       s->driver_options[0]);
	if (!driver)
		return err_set(err, ENOTSUP, "driver %.32s: not supported",
			       s->driver);
	if (s->fs_group && driver->mount == mount_virtiofs)
		return err_set(err, ENOTSUP, "fs_group: the host's to set");
	return 0;
}

/* s: with the options of o. */
static int apply_plain(const Agent__Storage *s, const struct storage_options *o,
		       struct storage_mount *m, struct err *err)
{
	const struct driver *driver = driver_of(s);
	int ret = check(s, driver, err);

	if (!ret && driver->prepare)
		ret = driver->prepare(s, err);
	if (!ret)
		ret = make_place(s, driver, err);
	if (!ret)
		ret = driver->mount(s, m, err);
	if (ret < 0)
		return ret;
	m->mounted = !driver->directory;
	if (o->has_group)
		ret = fs_group_of_directory(s->mount_point, o->group, err);
	return ret < 0 ? ret : fs_group_apply(s->mount_point, s->fs_group, err);
}

/* Those that Kata's runtimes give a group by an option. */
static bool knows_group(const Agent__Storage *s)
{
	const struct driver *driver = driver_of(s);

	return driver && (driver->directory || driver->memory);
}

static int apply(const Agent__Storage *s, struct storage_mount *m,
		 struct err *err)
{
	Agent__Storage plain = *s;
	struct storage_options o;
	int ret = storage_options_parse(s, knows_group(s), &o, err);

	if (ret < 0)
		return ret;
	plain.options = o.list;
	plain.n_options = o.n;
	ret = apply_plain(&plain, &o, m, err);
	storage_options_release(&o);
	return ret;
}

/* Not one that is being unmounted. */
static struct storage_mount *find(const struct storages *all, const char *path)
{
	struct storage_mount *m = all->first;

	while (m && (m->refs == 0 || strcmp(m->path, path) != 0))
		m = m->next;
	return m;
}

/* Whether one is the other, or lies in it. */
static bool nested(const char *a, const char *b)
{
	size_t i = 0;

	while (a[i] && a[i] == b[i])
		i++;
	return (!a[i] || a[i] == '/') && (!b[i] || b[i] == '/');
}

/*
 * While something is unmounted, its place is not to be used; nor is its device:
 * mount(2) of a file system that is about to end waits for the end.
 */
static int check_place(const struct storages *all, const Agent__Storage *s,
		       struct err *err)
{
	const struct driver *driver = driver_of(s);
	bool device = driver && driver->device;

	if (find(all, s->mount_point))
		return 0;
	for (const struct storage_mount *m = all->first; m; m = m->next) {
		if (m->refs == 0 && (nested(m->path, s->mount_point) ||
				     (device && m->device &&
				      strcmp(m->device, s->source) == 0)))
			return err_set(err, EAGAIN,
				       "%.200s is still being unmounted",
				       m->path);
	}
	return 0;
}

static void free_mount(struct storage_mount *m)
{
	give_back_pages(m);
	free(m->path);
	free(m->device);
	free(m);
}

/* Unmounting. -------------------------------------------------------------- */

static int unmount(const struct unmount *u)
{
	const struct storage_mount *m =
		container_of(u, const struct storage_mount, unmount);

	if (!m->mounted)
		return 0;
	if (umount2(u->path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return -errno;
	(void)remove(u->path); /* a file, too */
	return 0;
}

static void unmounted(struct unmount *u, int ret)
{
	struct storage_mount *m =
		container_of(u, struct storage_mount, unmount);
	struct storages *all = m->all;
	struct storage_mount **at = &all->first;

	if (ret < 0)
		log_warn("storage %s: unmount: %s", m->path, strerror(-ret));
	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	free_mount(m);
	if (all->gone)
		all->gone(all);
}

/* Of a directory or of memory. */
static const struct unmount_ops own_ops = {
	.run = unmount,
	.gone = unmounted,
};
static const struct unmount_ops mount_ops = {
	.run = unmount,
	.waits = true,
	.gone = unmounted,
};

void storages_unmount(struct storage_mount **taken, struct unmounts *unmounts)
{
	size_t n = 0;

	if (!taken)
		return;
	while (taken[n])
		n++;
	while (n-- > 0) { /* the last one may lie inside of an earlier one */
		if (--taken[n]->refs == 0)
			unmounts_add(unmounts, &taken[n]->unmount);
	}
	free(taken);
}

/* Mounting. ---------------------------------------------------------------- */

static struct storage_mount *new_mount(struct storages *all,
				       const Agent__Storage *s)
{
	struct storage_mount *m = calloc(1, sizeof(*m));
	const struct driver *driver = driver_of(s);

	if (!m)
		return NULL;
	m->path = strdup(s->mount_point);
	if (driver && driver->device)
		m->device = strdup(s->source);
	if (!m->path || (driver && driver->device && !m->device)) {
		free_mount(m);
		return NULL;
	}
	m->all = all;
	m->refs = 1;
	m->unmount.path = m->path;
	m->unmount.ops = driver && (driver->directory || driver->memory)
				 ? &own_ops
				 : &mount_ops;
	return m;
}

/* *taken: NULL unless there is something to give back, in failure too. */
static int take(struct storages *all, const Agent__Storage *s,
		struct storage_mount **taken, struct err *err)
{
	struct storage_mount *m;
	int ret;

	*taken = NULL;
	if (!path_valid(s->mount_point))
		return err_set(err, EINVAL, "mount point: not usable");
	ret = check_place(all, s, err);
	if (ret < 0)
		return ret;
	m = find(all, s->mount_point);
	if (m) {
		m->refs++;
		*taken = m;
		return 0;
	}
	m = new_mount(all, s);
	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	ret = apply(s, m, err);
	if (ret < 0 && !m->mounted) {
		free_mount(m);
		return ret;
	}
	m->next = all->first;
	all->first = m;
	*taken = m;
	return ret;
}

static int check_ready(const struct storages *all, const Agent__Storage *s,
		       struct err *err)
{
	const struct driver *driver = driver_of(s);
	char path[BLOCK_PATH_MAX];
	int ret = check_place(all, s, err);

	if (!ret && driver && driver->block)
		ret = block_find(s->source, path, NULL, err);
	return ret;
}

int storages_ready(const struct storages *all, Agent__Storage *const *storages,
		   size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (check_ready(all, storages[i], err) < 0)
			return err_wrap(err, "storage %.128s",
					storages[i]->mount_point);
	}
	return 0;
}

/* Its group is as it was given when it was mounted. */
static int change_options(const Agent__Storage *s,
			  const struct storage_options *own, struct err *err)
{
	struct mount_options o;
	int ret;

	if (!own->n) /* all flags would be cleared */
		return 0;
	ret = mount_options_parse(own->list, own->n, &o, err);
	if (ret < 0)
		return ret;
	if (o.rec_set || o.rec_clear || o.n_propagation)
		return err_set(err, EINVAL, "options: not for a remount");
	if (mount(s->source, s->mount_point, "tmpfs", o.flags | MS_REMOUNT,
		  o.data) < 0)
		return err_sys(err, "remount");
	return 0;
}

static int remount(const struct storages *all, const Agent__Storage *s,
		   struct err *err)
{
	const struct storage_mount *m = find(all, s->mount_point);
	struct storage_options o;
	int ret;

	if (strcmp(s->driver, "ephemeral") != 0 ||
	    strcmp(s->fstype, "tmpfs") != 0)
		return err_set(err, ENOTSUP, "not an ephemeral tmpfs");
	if (!m || !m->mounted)
		return err_set(err, ENOENT, "not mounted");
	ret = storage_options_parse(s, true, &o, err);
	if (ret < 0)
		return ret;
	ret = change_options(s, &o, err);
	storage_options_release(&o);
	return ret;
}

int storage_remount(const struct storages *all, const Agent__Storage *s,
		    struct err *err)
{
	return remount(all, s, err) < 0
		       ? err_wrap(err, "storage %.128s", s->mount_point)
		       : 0;
}

int storages_mount(struct storages *all, Agent__Storage *const *storages,
		   size_t n, struct storage_mount ***taken, struct err *err)
{
	struct storage_mount **v =
		calloc(n + 1, sizeof(struct storage_mount *));

	*taken = v;
	if (!v)
		return err_set(err, ENOMEM, "storages: out of memory");
	for (size_t i = 0; i < n; i++) {
		if (take(all, storages[i], &v[i], err) < 0)
			return err_wrap(err, "storage %.128s",
					storages[i]->mount_point);
	}
	return 0;
}

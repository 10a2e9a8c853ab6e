/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/mapped_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent-proto/idmap.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent/ids.h"
#include "guest/agent/mount_options.h"
#include "guest/agent/mounts.h"

#define TYPE_MAX 64

/* Type of the file system that path is on, for a message: "?" if unknown. */
static void type_of(const char *path, char type[TYPE_MAX])
{
	AUTO_FREE char *text = NULL;
	char *save = NULL;
	struct statx st;

	(void)snprintf(type, TYPE_MAX, "?");
	if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &st) < 0 ||
	    file_read(AT_FDCWD, "/proc/self/mountinfo", 16u << 20, &text,
		      NULL) < 0)
		return;
	for (const char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		const char *sep = strstr(line, " - ");

		if (sep && strtoull(line, NULL, 10) == st.stx_mnt_id) {
			(void)snprintf(type, TYPE_MAX, "%.*s",
				       (int)strcspn(sep + 3, " "), sep + 3);
			return;
		}
	}
}

static int map(const Oci__Mount *m, const Oci__Linux *l, bool deep, int tree,
	       const char *type, struct err *err)
{
	AUTO_FD int userns = idmap_userns(m, l, err);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP};
	struct utsname linux_is;
	char found[TYPE_MAX];

	if (userns < 0)
		return userns;
	attr.userns_fd = (uint32_t)userns;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | (deep ? AT_RECURSIVE : 0),
			  &attr, sizeof(attr)) == 0)
		return 0;
	if (errno != EINVAL)
		return err_sys(err, "id mapping");
	if (!type)
		type_of(m->source, found);
	(void)uname(&linux_is);
	return err_set(err, ENOTSUP,
		       "id mapping: Linux %.64s has none for %s%s",
		       linux_is.release, type ? type : found,
		       deep ? " or what is mounted below it" : "");
}

static int open_bind(const Oci__Mount *m, const struct mount_options *o,
		     unsigned long propagation, struct err *err)
{
	unsigned deep = o->flags & MS_REC ? AT_RECURSIVE : 0;
	/* As all that the container's mount namespace has a copy of. */
	struct mount_attr attr = {
		.propagation = propagation & MS_SLAVE ? MS_SLAVE : MS_PRIVATE,
	};
	AUTO_FD int tree = -1;

	if (!path_valid(m->source))
		return err_set(err, EINVAL, "source: not an absolute path");
	tree = open_tree(AT_FDCWD, m->source,
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | deep);
	if (tree < 0)
		return err_sys(err, "source %s", m->source);
	if (mount_setattr(tree, "", AT_EMPTY_PATH | deep, &attr, sizeof(attr)) <
	    0)
		return err_sys(err, "bind %s: mount_setattr", m->source);
	return steal_fd(&tree);
}

/* data: words separated by commas, which it loses. */
static int set_data(int fs, char *data, struct err *err)
{
	char *save = NULL;

	for (char *word = strtok_r(data, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		char *value = strchr(word, '=');

		if (value)
			*value++ = '\0';
		if (fsconfig(fs,
			     value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			     word, value, 0) < 0)
			return err_sys(err, "option %s", word);
	}
	return 0;
}

/* What is the file system's, not the mount's. */
static int set_flags(int fs, unsigned long flags, struct err *err)
{
	static const struct {
		unsigned long ms;
		const char *name;
	} all[] = {
		{MS_RDONLY, "ro"},	 {MS_SYNCHRONOUS, "sync"},
		{MS_DIRSYNC, "dirsync"}, {MS_LAZYTIME, "lazytime"},
		{MS_MANDLOCK, "mand"},
	};

	if (flags & MS_I_VERSION)
		return err_set(err, ENOTSUP,
			       "id mapping: not with option iversion");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if ((flags & all[i].ms) &&
		    fsconfig(fs, FSCONFIG_SET_FLAG, all[i].name, NULL, 0) < 0)
			return err_sys(err, "option %s", all[i].name);
	}
	return 0;
}

static int open_new(const Oci__Mount *m, const char *type,
		    struct mount_options *o, struct err *err)
{
	unsigned long flags = o->flags;
	const char *source = m->source[0] ? m->source : type;
	AUTO_FD int fs = fsopen(type, FSOPEN_CLOEXEC);
	int tree, ret;

	if (fs < 0)
		return err_sys(err, "mount %s", type);
	if (mounts_sealed_later(type))
		flags &= ~(unsigned long)MS_RDONLY;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return err_sys(err, "mount %s: source %s", type, source);
	ret = set_flags(fs, flags, err);
	if (!ret)
		ret = set_data(fs, o->data, err);
	if (ret < 0)
		return ret;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, "mount %s", type);
	tree = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)mount_attributes(flags));
	return tree < 0 ? err_sys(err, "mount %s", type) : tree;
}

static int open_one(const Oci__Mount *m, const Oci__Linux *l, bool deep,
		    struct err *err)
{
	/* There are no others. */
	const char *type = strcmp(m->type, "cgroup") == 0 ? "cgroup2" : m->type;
	unsigned long propagation = 0;
	struct mount_options o;
	AUTO_FD int tree = -1;
	bool bind;
	int ret = mount_options_parse(m->options, m->n_options, &o, err);

	if (ret < 0)
		return ret;
	if (mount_propagation(l->rootfs_propagation, &propagation) < 0)
		return err_set(err, EINVAL, "rootfsPropagation: %.32s",
			       l->rootfs_propagation);
	if (o.flags & MS_REMOUNT)
		return err_set(err, EINVAL, "id mapping: not of a remount");
	bind = mount_wants_bind(m, &o);
	tree = bind ? open_bind(m, &o, propagation, err)
		    : open_new(m, type, &o, err);
	if (tree < 0)
		return tree;
	ret = map(m, l, deep, tree, bind ? NULL : type, err);
	return ret < 0 ? ret : steal_fd(&tree);
}

int mapped_mounts_open(const Oci__Spec *spec, int **fds, struct err *err)
{
	AUTO_FREE int *found = malloc(spec->n_mounts * sizeof(int) + 1);
	bool deep, any = false;

	*fds = NULL;
	if (!found)
		return err_set(err, ENOMEM, "mounts: out of memory");
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const Oci__Mount *m = spec->mounts[i];

		found[i] = -1;
		if (!idmap_wanted(m, &deep))
			continue;
		found[i] = open_one(m, spec->linux_config, deep, err);
		if (found[i] < 0)
			return err_wrap(err, "mount %.256s", m->destination);
		any = true;
	}
	if (any)
		*fds = steal_ptr(&found);
	return 0;
}

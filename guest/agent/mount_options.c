/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/mount_options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

static const struct {
	const char *name;
	bool clear;
	unsigned long flag;
} flag_options[] = {
	{"async", true, MS_SYNCHRONOUS},
	{"atime", true, MS_NOATIME},
	{"bind", false, MS_BIND},
	{"defaults", false, 0},
	{"dev", true, MS_NODEV},
	{"diratime", true, MS_NODIRATIME},
	{"dirsync", false, MS_DIRSYNC},
	{"exec", true, MS_NOEXEC},
	{"iversion", false, MS_I_VERSION},
	{"lazytime", false, MS_LAZYTIME},
	{"loud", true, MS_SILENT},
	{"mand", false, MS_MANDLOCK},
	{"noatime", false, MS_NOATIME},
	{"nodev", false, MS_NODEV},
	{"nodiratime", false, MS_NODIRATIME},
	{"noexec", false, MS_NOEXEC},
	{"noiversion", true, MS_I_VERSION},
	{"nolazytime", true, MS_LAZYTIME},
	{"nomand", true, MS_MANDLOCK},
	{"norelatime", true, MS_RELATIME},
	{"nostrictatime", true, MS_STRICTATIME},
	{"nosuid", false, MS_NOSUID},
	{"nosymfollow", false, MS_NOSYMFOLLOW},
	{"rbind", false, MS_BIND | MS_REC},
	{"relatime", false, MS_RELATIME},
	{"remount", false, MS_REMOUNT},
	{"ro", false, MS_RDONLY},
	{"rw", true, MS_RDONLY},
	{"silent", false, MS_SILENT},
	{"strictatime", false, MS_STRICTATIME},
	{"suid", true, MS_NOSUID},
	{"symfollow", true, MS_NOSYMFOLLOW},
	{"sync", false, MS_SYNCHRONOUS},
};

/*
 * off: what an earlier option may have set. The access time is one value of
 * three, which is cleared as a whole or not at all (mount_setattr(2)), and
 * what is not noatime or strictatime then is relatime.
 */
#define ATIME MOUNT_ATTR__ATIME
static const struct {
	const char *name;
	uint64_t set, off, clear;
} recursive_options[] = {
	{"rro", MOUNT_ATTR_RDONLY, 0, 0},
	{"rrw", 0, MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY},
	{"rnosuid", MOUNT_ATTR_NOSUID, 0, 0},
	{"rsuid", 0, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSUID},
	{"rnodev", MOUNT_ATTR_NODEV, 0, 0},
	{"rdev", 0, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODEV},
	{"rnoexec", MOUNT_ATTR_NOEXEC, 0, 0},
	{"rexec", 0, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOEXEC},
	{"rnodiratime", MOUNT_ATTR_NODIRATIME, 0, 0},
	{"rdiratime", 0, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NODIRATIME},
	{"rrelatime", MOUNT_ATTR_RELATIME, ATIME, ATIME},
	{"rnorelatime", MOUNT_ATTR_STRICTATIME, ATIME, ATIME},
	{"rnoatime", MOUNT_ATTR_NOATIME, ATIME, ATIME},
	{"ratime", 0, MOUNT_ATTR_NOATIME, ATIME},
	{"rstrictatime", MOUNT_ATTR_STRICTATIME, ATIME, ATIME},
	{"rnostrictatime", 0, MOUNT_ATTR_STRICTATIME, ATIME},
	{"rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0, 0},
	{"rsymfollow", 0, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
};

int mount_propagation(const char *name, unsigned long *flags)
{
	static const struct {
		const char *name;
		unsigned long flags;
	} known[] = {
		{"", 0},
		{"private", MS_PRIVATE},
		{"rprivate", MS_PRIVATE | MS_REC},
		{"shared", MS_SHARED},
		{"rshared", MS_SHARED | MS_REC},
		{"slave", MS_SLAVE},
		{"rslave", MS_SLAVE | MS_REC},
		{"unbindable", MS_UNBINDABLE},
		{"runbindable", MS_UNBINDABLE | MS_REC},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(name, known[i].name) == 0) {
			*flags = known[i].flags;
			return 0;
		}
	}
	return -EINVAL;
}

uint64_t mount_attributes(unsigned long flags)
{
	static const struct {
		unsigned long ms;
		uint64_t attr;
	} all[] = {
		{MS_RDONLY, MOUNT_ATTR_RDONLY},
		{MS_NOSUID, MOUNT_ATTR_NOSUID},
		{MS_NODEV, MOUNT_ATTR_NODEV},
		{MS_NOEXEC, MOUNT_ATTR_NOEXEC},
		{MS_NOATIME, MOUNT_ATTR_NOATIME},
		{MS_STRICTATIME, MOUNT_ATTR_STRICTATIME},
		{MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
		{MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
	};
	uint64_t attr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (flags & all[i].ms)
			attr |= all[i].attr;
	}
	/* As mount(2) takes the two. */
	if (flags & MS_STRICTATIME)
		attr &= ~(uint64_t)MOUNT_ATTR_NOATIME;
	return attr;
}

static bool take_flag(const char *name, struct mount_options *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_options); i++) {
		if (strcmp(name, flag_options[i].name) != 0)
			continue;
		if (flag_options[i].clear) {
			out->flags &= ~flag_options[i].flag;
			out->cleared |= flag_options[i].flag;
		} else {
			out->flags |= flag_options[i].flag;
			out->cleared &= ~flag_options[i].flag;
		}
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(recursive_options); i++) {
		if (strcmp(name, recursive_options[i].name) != 0)
			continue;
		out->rec_set &= ~recursive_options[i].off;
		out->rec_set |= recursive_options[i].set;
		out->rec_clear |= recursive_options[i].clear;
		return true;
	}
	return false;
}

static bool take_idmap(const char *name, struct mount_options *out)
{
	if (strcmp(name, "ridmap") == 0)
		out->ridmap = true;
	else if (strcmp(name, "idmap") != 0)
		return false;
	out->idmap = true;
	return true;
}

int mount_options_parse(char *const *options, size_t n,
			struct mount_options *out, struct err *err)
{
	size_t len = 0;

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < n; i++) {
		const char *o = options[i];
		unsigned long prop;
		int added;

		if (take_flag(o, out))
			continue;
		if (*o && mount_propagation(o, &prop) == 0) {
			if (out->n_propagation == ARRAY_SIZE(out->propagation))
				return err_set(err, EINVAL,
					       "too many propagation options");
			out->propagation[out->n_propagation++] = prop;
			continue;
		}
		if (strcmp(o, "tmpcopyup") == 0) {
			out->copy_up = true;
			continue;
		}
		if (take_idmap(o, out))
			continue;
		if (strncmp(o, "idmap=", 6) == 0 ||
		    strncmp(o, "ridmap=", 7) == 0)
			return err_set(err, ENOTSUP,
				       "option %.64s: not supported, as "
				       "uidMappings and gidMappings are",
				       o);
		added = snprintf(out->data + len, sizeof(out->data) - len,
				 "%s%s", len ? "," : "", o);
		if (added < 0 || (size_t)added >= sizeof(out->data) - len)
			return err_set(err, E2BIG, "options: too long");
		len += (size_t)added;
	}
	return 0;
}

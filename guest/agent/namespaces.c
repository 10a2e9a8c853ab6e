/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent/ids.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* In the order in which they are joined: the user namespace first gives the
 * right to join those it owns. */
static const struct {
	const char *type;
	unsigned long flag;
} types[] = {
	{"user", CLONE_NEWUSER},   {"pid", CLONE_NEWPID},
	{"network", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC},
	{"uts", CLONE_NEWUTS},	   {"cgroup", CLONE_NEWCGROUP},
	{"time", CLONE_NEWTIME},   {"mount", CLONE_NEWNS},
};

static unsigned long type_flag(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(type, types[i].type) == 0)
			return types[i].flag;
	}
	return 0;
}

int namespaces_parse(const Oci__Linux *l, unsigned long *fresh,
		     unsigned long *joined, struct err *err)
{
	*fresh = *joined = 0;
	for (size_t i = 0; i < l->n_namespaces; i++) {
		const Oci__LinuxNamespace *ns = l->namespaces[i];
		unsigned long flag = type_flag(ns->type);

		if (!flag)
			return err_set(err, EINVAL, "namespace %.32s: unknown",
				       ns->type);
		if ((*fresh | *joined) & flag)
			return err_set(err, EINVAL, "namespace %s: given twice",
				       ns->type);
		if (ns->path[0] && !path_valid(ns->path))
			return err_set(err, EINVAL,
				       "namespace %s: path not usable",
				       ns->type);
		*(ns->path[0] ? joined : fresh) |= flag;
	}
	if (!(*fresh & CLONE_NEWNS))
		return err_set(err, EINVAL,
			       "a container needs a mount namespace of its "
			       "own");
	if ((*fresh & CLONE_NEWUSER) &&
	    (!l->n_uid_mappings || !l->n_gid_mappings))
		return err_set(err, EINVAL,
			       "a user namespace needs id mappings");
	if (!(*fresh & CLONE_NEWTIME) && l->n_time_offsets)
		return err_set(err, EINVAL,
			       "time offsets need a time namespace");
	return 0;
}

int namespaces_join(const Oci__Spec *spec, struct err *err)
{
	const Oci__Linux *l = spec->linux_config;

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		for (size_t i = 0; i < l->n_namespaces; i++) {
			const Oci__LinuxNamespace *ns = l->namespaces[i];
			AUTO_FD int fd = -1;

			if (!ns->path[0] ||
			    strcmp(ns->type, types[t].type) != 0)
				continue;
			fd = open(ns->path, O_RDONLY | O_CLOEXEC);
			if (fd < 0 || setns(fd, (int)types[t].flag) < 0)
				return err_sys(err, "namespace %s: %.200s",
					       ns->type, ns->path);
		}
	}
	return 0;
}

static int loopback_up(struct err *err)
{
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = {.ifr_name = "lo"};

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &req) < 0)
		return err_sys(err, "loopback device");
	req.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		return err_sys(err, "loopback device: up");
	return 0;
}

int namespaces_enter(unsigned long flags, struct err *err)
{
	const unsigned long both = CLONE_NEWUSER | CLONE_NEWIPC;

	/* Who makes it owns the root of its mqueue file system: that user must
	 * be there already. */
	if ((flags & both) == both && unshare(CLONE_NEWIPC) < 0)
		return err_sys(err, "ipc namespace");
	return flags & CLONE_NEWNET ? loopback_up(err) : 0;
}

int namespaces_time(const Oci__Spec *spec, struct err *err)
{
	const Oci__Linux *l = spec->linux_config;
	unsigned long fresh, joined;
	int ret = namespaces_parse(l, &fresh, &joined, err);

	if (ret < 0 || !(fresh & CLONE_NEWTIME))
		return ret;
	if (unshare(CLONE_NEWTIME) < 0)
		return err_sys(err, "time namespace");
	for (size_t i = 0; i < l->n_time_offsets; i++) {
		const Oci__LinuxTimeOffset *o = l->time_offsets[i];
		char line[96];

		if (strcmp(o->clock, "monotonic") != 0 &&
		    strcmp(o->clock, "boottime") != 0)
			return err_set(err, EINVAL, "time offset: clock %.32s",
				       o->clock);
		(void)snprintf(line, sizeof(line), "%s %" PRId64 " %" PRIu32,
			       o->clock, o->secs, o->nanosecs);
		ret = file_write(AT_FDCWD, "/proc/self/timens_offsets", line);
		if (ret < 0)
			return err_ret(err, ret, "time offset %s", line);
	}
	return 0;
}

char *namespaces_format_map(const char *name, size_t n,
			    Oci__LinuxIDMapping *const *maps, struct err *err)
{
	char text[4096];
	size_t len = 0;
	char *copy;

	for (size_t i = 0; i < n; i++) {
		int add = snprintf(text + len, sizeof(text) - len, "%u %u %u\n",
				   maps[i]->container_id, maps[i]->host_id,
				   maps[i]->size);

		/* The kernel takes it in one write of less than a page. */
		if (add < 0 || (size_t)add >= sizeof(text) - len) {
			err_set(err, EINVAL, "%s: too long", name);
			return NULL;
		}
		len += (size_t)add;
	}
	copy = strndup(text, len);
	if (!copy)
		err_set(err, ENOMEM, "%s: out of memory", name);
	return copy;
}

static int write_map(pid_t pid, const char *name, const char *text,
		     struct err *err)
{
	char path[64];
	int ret;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	ret = file_write(AT_FDCWD, path, text);
	return ret < 0 ? err_ret(err, ret, "%s", name) : 0;
}

int namespaces_map_ids(pid_t pid, const char *uid_map, const char *gid_map,
		       struct err *err)
{
	int ret = write_map(pid, "uid_map", uid_map, err);

	return ret < 0 ? ret : write_map(pid, "gid_map", gid_map, err);
}

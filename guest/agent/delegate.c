/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/delegate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define LIST "/sys/kernel/cgroup/delegate"
#define LIST_MAX 4096

static bool has_own(const Oci__Linux *l, const char *type)
{
	for (size_t i = 0; i < l->n_namespaces; i++) {
		if (strcmp(l->namespaces[i]->type, type) == 0)
			return !l->namespaces[i]->path[0];
	}
	return false;
}

static bool mounts_writable(const Oci__Spec *spec)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const Oci__Mount *m = spec->mounts[i];
		bool readonly = false;

		if (strcmp(m->source, "cgroup") != 0 ||
		    strcmp(m->destination, "/sys/fs/cgroup") != 0)
			continue;
		for (size_t j = 0; j < m->n_options; j++)
			readonly |= strcmp(m->options[j], "ro") == 0;
		return !readonly;
	}
	return false;
}

/* The guest's id of the container's; -1: it has none. */
static uid_t outside(const Oci__Linux *l, uint32_t uid)
{
	if (!has_own(l, "user"))
		return uid;
	for (size_t i = 0; i < l->n_uid_mappings; i++) {
		const Oci__LinuxIDMapping *m = l->uid_mappings[i];

		if (uid >= m->container_id && uid - m->container_id < m->size)
			return m->host_id + (uid - m->container_id);
	}
	return (uid_t)-1;
}

int cgroup_delegate_to_user(const struct cgroup *cg, const Oci__Spec *spec,
			    struct err *err)
{
	const Oci__Linux *l = spec->linux_config;
	const Oci__User *user = spec->process->user;
	uid_t uid = outside(l, user ? user->uid : 0);
	AUTO_FREE char *list = NULL;
	char *save = NULL;

	if (uid == 0 || uid == (uid_t)-1 || !has_own(l, "cgroup") ||
	    !mounts_writable(spec))
		return 0;
	/* Before Linux 4.15 there is no list. */
	if (file_read(AT_FDCWD, LIST, LIST_MAX, &list, NULL) < 0)
		list = strdup("cgroup.procs\ncgroup.subtree_control\n"
			      "cgroup.threads\n");
	if (!list)
		return err_set(err, ENOMEM, "cgroup: out of memory");
	if (fchown(cg->dir, uid, (gid_t)-1) < 0)
		return err_sys(err, "cgroup %s: chown", cg->path);
	for (char *name = strtok_r(list, "\n", &save); name;
	     name = strtok_r(NULL, "\n", &save)) {
		/* Those of a controller that is not there. */
		if (fchownat(cg->dir, name, uid, (gid_t)-1, 0) < 0 &&
		    errno != ENOENT)
			return err_sys(err, "cgroup %s: chown %s", cg->path,
				       name);
	}
	return 0;
}

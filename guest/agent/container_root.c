/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/container_root.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/devices.h"
#include "guest/agent/ids.h"
#include "guest/agent/mounts.h"
#include "guest/agent/rootfs.h"
#include "guest/agent/sysctl.h"

static int set_names(const Oci__Spec *spec, struct err *err)
{
	if (spec->hostname[0] &&
	    sethostname(spec->hostname, strlen(spec->hostname)) < 0)
		return err_sys(err, "hostname %.64s", spec->hostname);
	if (spec->domainname[0] &&
	    setdomainname(spec->domainname, strlen(spec->domainname)) < 0)
		return err_sys(err, "domainname %.64s", spec->domainname);
	return 0;
}

/* A /dev that is bound from elsewhere is left as it is. */
static bool owns_dev(const Oci__Spec *spec)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const Oci__Mount *m = spec->mounts[i];

		if (strcmp(m->destination, "/dev") != 0)
			continue;
		if (strcmp(m->type, "bind") == 0)
			return false;
		for (size_t j = 0; j < m->n_options; j++) {
			if (strcmp(m->options[j], "bind") == 0 ||
			    strcmp(m->options[j], "rbind") == 0)
				return false;
		}
	}
	return true;
}

/* procfs shows the pid its own namespace has for whoever looks. */
static pid_t guest_pid(void)
{
	char text[16];
	ssize_t n = readlink("/proc/self", text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return (pid_t)strtol(text, NULL, 10);
}

static int create_hooks(const Oci__Spec *spec, struct hook_state *state,
			struct err *err)
{
	state->pid = guest_pid();
	state->status = "creating";
	if (!spec->hooks)
		return 0;
	return hooks_run("createContainer", spec->hooks->create_container,
			 spec->hooks->n_create_container, state->bundle, state,
			 err);
}

static int fill(const struct child_config *config,
		struct mounts_context *mounts, struct err *err)
{
	const Oci__Spec *spec = config->spec;
	const Oci__Linux *l = spec->linux_config;
	int root = mounts->root, ret;

	mounts->mapped = config->mapped_mounts;
	mounts->cgroup = config->cgroup;
	mounts->cgroup_ns = (config->clone_flags & CLONE_NEWCGROUP) != 0;
	ret = mounts_apply(mounts, spec->mounts, spec->n_mounts, err);

	if (!ret && owns_dev(spec))
		ret = devices_make(root, l->devices, l->n_devices, err);
	if (!ret)
		ret = sysctl_apply(l->sysctl, l->n_sysctl, err);
	return ret;
}

static int finish(const struct child_config *config, int root, struct err *err)
{
	const Oci__Linux *l = config->spec->linux_config;
	int ret = rootfs_mask(root, l->masked_paths, l->n_masked_paths, err);

	if (!ret)
		ret = rootfs_make_readonly(root, l->readonly_paths,
					   l->n_readonly_paths, err);
	if (!ret)
		ret = rootfs_enter(root, l->rootfs_propagation, err);
	if (!ret && config->spec->root->readonly) {
		ret = remount_readonly("/");
		if (ret < 0)
			return err_ret(err, ret, "root: read-only");
	}
	return ret;
}

int container_root_setup(const struct child_config *config,
			 struct hook_state *state, int *slave, struct err *err)
{
	const Oci__Spec *spec = config->spec;
	struct mounts_context mounts = {.root = -1};
	AUTO_FD int root = -1, master = -ENOTTY;
	int ret = set_names(spec, err);

	*slave = -1;
	if (ret < 0)
		return ret;
	root = rootfs_bind(spec->root->path, config->rootfs,
			   spec->linux_config->rootfs_propagation, err);
	if (root < 0)
		return root;
	mounts.root = root;
	ret = fill(config, &mounts, err);
	if (ret < 0)
		return ret;
	if (spec->process->terminal) {
		master = terminal_open(root, spec->process->console_size, slave,
				       err);
		if (master < 0)
			return master;
		ret = terminal_bind_console(root, *slave, err);
	}
	if (!ret)
		ret = create_hooks(spec, state, err);
	if (!ret)
		ret = mounts_seal(&mounts, err);
	if (!ret)
		ret = finish(config, root, err);
	if (ret < 0)
		return ret;
	return steal_fd(&master);
}

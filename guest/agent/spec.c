/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/spec.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "guest/agent/ids.h"
#include "guest/agent/mount_options.h"
#include "guest/agent/namespaces.h"
#include "guest/agent/user.h"

#define HOST_NAME_MAX_LINUX 64

int spec_check_process(const Oci__Process *p, struct err *err)
{
	struct cap_sets caps;

	if (!p)
		return err_set(err, EINVAL, "process: missing");
	if (p->n_args == 0)
		return err_set(err, EINVAL, "process.args: empty");
	if (p->cwd[0] != '/' || !path_valid(p->cwd))
		return err_set(err, EINVAL, "process.cwd: not absolute");
	if (p->apparmor_profile[0])
		return err_set(err, ENOTSUP,
			       "process.apparmorProfile: the guest has no "
			       "AppArmor");
	if (p->selinux_label[0])
		return err_set(err, ENOTSUP,
			       "process.selinuxLabel: the guest has no "
			       "SELinux");
	for (size_t i = 0; i < p->n_env; i++) {
		if (!strchr(p->env[i], '='))
			return err_set(err, EINVAL,
				       "process.env[%zu]: no \"=\"", i);
	}
	if (p->oom_score_adj < -1000 || p->oom_score_adj > 1000)
		return err_set(err, EINVAL,
			       "process.oomScoreAdj: not -1000..1000");
	return cap_sets_parse(p->capabilities, &caps, err);
}

static int check_linux(const Oci__Linux *l, struct err *err)
{
	unsigned long fresh, joined, flags;

	if (!l)
		return err_set(err, EINVAL, "linux: missing");
	if (mount_propagation(l->rootfs_propagation, &flags) < 0)
		return err_set(err, EINVAL, "linux.rootfsPropagation: %.32s",
			       l->rootfs_propagation);
	if (l->mount_label[0])
		return err_set(err, ENOTSUP,
			       "linux.mountLabel: the guest has no SELinux");
	return namespaces_parse(l, &fresh, &joined, err);
}

int spec_check(const Oci__Spec *spec, struct err *err)
{
	int ret;

	if (!spec)
		return err_set(err, EINVAL, "spec: missing");
	if (!spec->root || !path_valid(spec->root->path))
		return err_set(err, EINVAL, "root.path: not usable");
	if (strlen(spec->hostname) > HOST_NAME_MAX_LINUX ||
	    strlen(spec->domainname) > HOST_NAME_MAX_LINUX)
		return err_set(err, EINVAL, "hostname: too long");
	ret = check_linux(spec->linux_config, err);
	return ret < 0 ? ret : spec_check_process(spec->process, err);
}

static int check_user(const Agent__StringUser *names, const Oci__Process *p,
		      struct err *err)
{
	bool any = names &&
		   (names->uid[0] || names->gid[0] || names->n_additional_gids);

	if (any && p && !p->user)
		return err_set(err, EINVAL,
			       "string_user: process.user is missing");
	return 0;
}

int spec_check_create(const Agent__CreateContainerRequest *msg, struct err *err)
{
	int ret = check_user(msg->string_user,
			     msg->oci ? msg->oci->process : NULL, err);

	return ret < 0 ? ret : spec_check(msg->oci, err);
}

int spec_check_exec(const Agent__ExecProcessRequest *msg, struct err *err)
{
	int ret = check_user(msg->string_user, msg->process, err);

	return ret < 0 ? ret : spec_check_process(msg->process, err);
}

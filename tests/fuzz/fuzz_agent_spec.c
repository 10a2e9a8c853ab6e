/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CreateContainer request, and all that is derived from it without touching
 * the system.
 */
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include "guest/agent/cgroup.h"
#include "guest/agent/cgroup_bpf.h"
#include "guest/agent/limits.h"
#include "guest/agent/mount_options.h"
#include "guest/agent/namespaces.h"
#include "guest/agent/seccomp.h"
#include "guest/agent/spec.h"
#include "guest/agent/sysctl.h"
#include "guest/agent/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void linux_part(const Oci__Linux *l)
{
	char path[PATH_MAX];
	struct err err;
	struct bpf_insn *insns = NULL;
	scmp_filter_ctx filter = NULL;
	size_t len;

	(void)!cgroup_path(l->cgroups_path, "id", path, sizeof(path), &err);
	free(namespaces_format_map("uid", l->n_uid_mappings, l->uid_mappings,
				   &err));
	for (size_t i = 0; i < l->n_sysctl; i++)
		(void)sysctl_path(l->sysctl[i]->key, path, 256);
	if (l->resources &&
	    cgroup_bpf_build(l->resources->devices, l->resources->n_devices,
			     &insns, &len, &err) == 0)
		free(insns);
	if (l->seccomp && seccomp_build(l->seccomp, &filter, &err) == 0)
		seccomp_release(filter);
}

static void spec_part(const Oci__Spec *spec)
{
	static struct mount_options options;
	struct rlimits limits;
	struct cap_sets caps;
	struct err err;

	for (size_t i = 0; i < spec->n_mounts; i++)
		(void)!mount_options_parse(spec->mounts[i]->options,
					   spec->mounts[i]->n_options, &options,
					   &err);
	if (spec->process) {
		(void)!rlimits_parse(spec->process, &limits, &err);
		(void)!cap_sets_parse(spec->process->capabilities, &caps, &err);
	}
	if (spec->linux_config)
		linux_part(spec->linux_config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Agent__CreateContainerRequest *msg =
		agent__create_container_request__unpack(NULL, size, data);
	char home[64];
	struct err err;

	if (!msg)
		return 0;
	(void)!spec_check_create(msg, &err);
	user_home(msg->container_id, 0, home, sizeof(home));
	if (msg->oci)
		spec_part(msg->oci);
	agent__create_container_request__free_unpacked(msg, NULL);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each request of the agent's, and all that is derived from it without
 * touching the system.
 */
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include "guest/agent/address.h"
#include "guest/agent/cgroup.h"
#include "guest/agent/cgroup_bpf.h"
#include "guest/agent/file_events.h"
#include "guest/agent/limits.h"
#include "guest/agent/mount_options.h"
#include "guest/agent/namespaces.h"
#include "guest/agent/pci_path.h"
#include "guest/agent/policy.h"
#include "guest/agent/rpc.h"
#include "guest/agent/seccomp.h"
#include "guest/agent/spec.h"
#include "guest/agent/sysctl.h"
#include "guest/agent/user.h"
#include "guest/agent/user_names.h"
#include "tests/fuzz/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void user_part(const Agent__StringUser *names, Oci__Process *process)
{
	static const char passwd[] = "a:x:7:8:a:/:/bin/sh\n";
	static const char group[] = "a:x:8:\nb:x:9:a\n";
	uint32_t *before;
	struct err err;

	if (!names || !process || !process->user)
		return;
	before = process->user->additional_gids;
	(void)!user_names_resolve(names, passwd, group, process->user, &err);
	/* As in the agent's child, nobody frees the former. */
	if (process->user->additional_gids != before)
		free(before);
}

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

static void create_part(const Agent__CreateContainerRequest *msg)
{
	struct pci_path path;
	char home[64];
	struct err err;

	(void)!spec_check_create(msg, &err);
	user_home(msg->container_id, 0, home, sizeof(home));
	for (size_t i = 0; i < msg->n_devices; i++)
		(void)pci_path_parse(msg->devices[i]->id, &path);
	for (size_t i = 0; i < msg->n_storages; i++)
		(void)pci_path_parse(msg->storages[i]->source, &path);
	if (msg->oci) {
		spec_part(msg->oci);
		user_part(msg->string_user, msg->oci->process);
	}
}

static void exec_part(const Agent__ExecProcessRequest *msg)
{
	struct rlimits limits;
	struct err err;

	(void)!spec_check_exec(msg, &err);
	if (msg->process)
		(void)!rlimits_parse(msg->process, &limits, &err);
	user_part(msg->string_user, msg->process);
}

static void interface_part(const Agent__UpdateInterfaceRequest *msg)
{
	struct ip_address address;
	uint8_t mac[6];

	if (!msg->interface)
		return;
	(void)mac_parse(msg->interface->hw_addr, mac);
	for (size_t i = 0; i < msg->interface->n_ip_addresses; i++)
		(void)ip_parse(msg->interface->ip_addresses[i]->address,
			       &address);
}

static void routes_part(const Agent__UpdateRoutesRequest *msg)
{
	struct ip_address address;

	for (size_t i = 0; msg->routes && i < msg->routes->n_routes; i++) {
		(void)ip_parse(msg->routes->routes[i]->dest, &address);
		(void)ip_parse(msg->routes->routes[i]->gateway, &address);
	}
}

static void derive(const ProtobufCMessage *msg)
{
	const ProtobufCMessageDescriptor *type = msg->descriptor;
	struct policy policy;
	struct err err;

	if (type == &agent__create_container_request__descriptor)
		create_part((const void *)msg);
	else if (type == &agent__exec_process_request__descriptor)
		exec_part((const void *)msg);
	else if (type == &agent__update_interface_request__descriptor)
		interface_part((const void *)msg);
	else if (type == &agent__update_routes_request__descriptor)
		routes_part((const void *)msg);
	else if (type == &agent__replay_events_request__descriptor)
		(void)!file_events_check((const void *)msg);
	else if (type == &agent__set_policy_request__descriptor)
		(void)!policy_parse(
			((const Agent__SetPolicyRequest *)(const void *)msg)
				->policy,
			rpc_methods, &policy, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ProtobufCMessage *msg = message_any(rpc_methods, data, size);

	if (!msg)
		return 0;
	derive(msg);
	protobuf_c_message_free_unpacked(msg, NULL);
	return 0;
}

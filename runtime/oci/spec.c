/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/oci/convert.h"

/* In force where none is named. podman names it always, and needs no agent with
 * extensions for that. */
#define UMASK_DEFAULT 0022

/*
 * What protobuf's defaults cannot say: a member that is 0 differs from one
 * that is missing. These travel as value + 1, or as a marker.
 */
static int fix_process(const struct json *obj, Oci__Process *process,
		       struct err *err)
{
	const struct json *user = json_get(obj, "user");
	const struct json *adj = json_get(obj, "oomScoreAdj");
	int64_t umask = UMASK_DEFAULT;
	int ret = json_int_opt(user, "umask", 0, 0777, &umask, err);

	if (ret < 0)
		return ret;
	if (process->user && umask != UMASK_DEFAULT)
		process->user->umask_plus_one = (uint32_t)(umask + 1);
	process->has_oom_score_adj = adj && json_type(adj) != JSON_NULL;
	return 0;
}

static int check_process(const struct json *obj, const Oci__Process *process,
			 struct err *err)
{
	const struct json *node = json_get(obj, "cwd");

	if (!process->n_args)
		return json_fail(obj, err, "args: at least one is needed");
	if (process->cwd[0] != '/')
		return json_fail(node ? node : obj, err,
				 "%snot an absolute path", node ? "" : "cwd: ");
	for (size_t i = 0; i < process->n_env; i++)
		if (!strchr(process->env[i], '='))
			return json_fail(json_at(json_get(obj, "env"), i), err,
					 "expected NAME=VALUE");
	if (process->oom_score_adj < -1000 || process->oom_score_adj > 1000)
		return json_fail(json_get(obj, "oomScoreAdj"), err,
				 "not in -1000..1000");
	if (process->selinux_label[0])
		return json_fail(json_get(obj, "selinuxLabel"), err,
				 "the guest has no SELinux");
	return 0;
}

static int fix_and_check_process(const struct json *obj, Oci__Process *process,
				 struct err *err)
{
	int ret = fix_process(obj, process, err);

	return ret < 0 ? ret : check_process(obj, process, err);
}

/* A device rule without major or minor is for all of them. */
static int fix_device_rules(const struct json *resources,
			    Oci__LinuxResources *out, struct err *err)
{
	const struct json *rules = json_get(resources, "devices");

	for (size_t i = 0; i < out->n_devices; i++) {
		const struct json *rule = json_at(rules, i);
		Oci__LinuxDeviceCgroup *d = out->devices[i];
		const char *type = d->type;

		if (!json_get(rule, "major"))
			d->major = -1;
		if (!json_get(rule, "minor"))
			d->minor = -1;
		if (*type && (strlen(type) != 1 || !strchr("abc", *type)))
			return json_fail(json_get(rule, "type"), err,
					 "expected a, b or c");
		if (d->access[strspn(d->access, "rwm")])
			return json_fail(json_get(rule, "access"), err,
					 "expected letters of rwm");
	}
	return 0;
}

static bool given(const struct json *obj, const char *key)
{
	const struct json *node = json_get(obj, key);

	return node && json_type(node) != JSON_NULL;
}

static int fix_resources(const struct json *obj, Oci__LinuxResources *out,
			 struct err *err)
{
	const struct json *cpu = json_get(obj, "cpu");

	if (json_count(json_get(obj, "rdma")))
		return json_fail(json_get(obj, "rdma"), err,
				 "the guest has no RDMA devices");
	if (out->cpu) {
		out->cpu->has_idle = given(cpu, "idle");
		out->cpu->has_burst = given(cpu, "burst");
	}
	return fix_device_rules(obj, out, err);
}

static int fix_seccomp(const struct json *obj, Oci__LinuxSeccomp *seccomp,
		       struct err *err)
{
	const struct json *listener = json_get(obj, "listenerPath");
	int64_t ret_errno = -1;
	int ret =
		json_int_opt(obj, "defaultErrnoRet", 0, 4095, &ret_errno, err);

	if (ret < 0)
		return ret;
	if (listener && json_type(listener) != JSON_NULL)
		return json_fail(listener, err,
				 "seccomp notifications do not leave the VM");
	seccomp->default_errno_plus_one = (uint32_t)(ret_errno + 1);
	if (!seccomp->default_action[0])
		return json_fail(obj, err, "defaultAction: missing");
	return 0;
}

/* "timeOffsets" is an object of clocks: {"boottime": {"secs": 1}}. */
static int fix_time_offsets(const struct json *obj, Oci__Linux *out,
			    struct err *err)
{
	size_t n = json_count(obj);

	out->time_offsets = calloc(n + 1, sizeof(*out->time_offsets));
	if (!out->time_offsets)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct json *node = json_at(obj, i);
		ProtobufCMessage *offset = json_to_message(
			node, &oci__linux_time_offset__descriptor, err);

		if (!offset)
			return -err->code;
		out->time_offsets[i] = (void *)offset;
		out->n_time_offsets = i + 1;
		out->time_offsets[i]->clock = strdup(json_key(obj, i));
		if (!out->time_offsets[i]->clock)
			return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

static const char *const namespace_types[] = {
	"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time", NULL,
};

static int check_namespaces(const struct json *list, const Oci__Linux *out,
			    struct err *err)
{
	for (size_t i = 0; i < out->n_namespaces; i++) {
		const char *type = out->namespaces[i]->type;
		const char *const *known = namespace_types;

		while (*known && strcmp(*known, type))
			known++;
		if (!*known)
			return json_fail(json_at(list, i), err,
					 "type: no namespace \"%s\"", type);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(out->namespaces[j]->type, type))
				return json_fail(json_at(list, i), err,
						 "type: \"%s\" is there twice",
						 type);
	}
	return 0;
}

static int fix_linux(const struct json *obj, Oci__Linux *out, struct err *err)
{
	const struct json *offsets = json_get(obj, "timeOffsets");
	int ret = check_namespaces(json_get(obj, "namespaces"), out, err);

	if (!ret && json_count(json_get(obj, "intelRdt")))
		ret = json_fail(json_get(obj, "intelRdt"), err,
				"the guest has no resctrl");
	if (!ret && out->resources)
		ret = fix_resources(json_get(obj, "resources"), out->resources,
				    err);
	if (!ret && out->seccomp)
		ret = fix_seccomp(json_get(obj, "seccomp"), out->seccomp, err);
	if (!ret && offsets && json_type(offsets) == JSON_OBJECT)
		ret = fix_time_offsets(offsets, out, err);
	return ret;
}

static int check_mounts(const struct json *list, const Oci__Spec *spec,
			struct err *err)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const char *dest = spec->mounts[i]->destination;

		if (dest[0] != '/')
			return json_fail(json_at(list, i), err,
					 "destination: \"%s\" is not an "
					 "absolute path",
					 dest);
	}
	return 0;
}

static int check_spec(const struct json *root, Oci__Spec *spec, struct err *err)
{
	const struct json *process = json_get(root, "process");
	int ret;

	if (strncmp(spec->version, "1.", 2))
		return json_fail(json_get(root, "ociVersion")
					 ? json_get(root, "ociVersion")
					 : root,
				 err, "ociVersion \"%s\": expected 1.x",
				 spec->version);
	if (!spec->root || !spec->root->path[0])
		return json_fail(root, err, "root.path: missing");
	if (!spec->process)
		return json_fail(root, err, "process: missing");
	ret = fix_and_check_process(process, spec->process, err);
	if (!ret)
		ret = check_mounts(json_get(root, "mounts"), spec, err);
	if (!ret && spec->linux_config)
		ret = fix_linux(json_get(root, "linux"), spec->linux_config,
				err);
	return ret;
}

Oci__Spec *oci_spec_from_json(const struct json *root, struct err *err)
{
	Oci__Spec *spec =
		(void *)json_to_message(root, &oci__spec__descriptor, err);

	if (spec && check_spec(root, spec, err) < 0) {
		oci__spec__free_unpacked(spec, NULL);
		return NULL;
	}
	return spec;
}

struct json *oci_json_load(const char *bundle, struct err *err)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s/config.json", bundle) < 0) {
		path = NULL;
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	return json_load(path, OCI_SPEC_MAX, 0, err);
}

Oci__Spec *oci_spec_load(const char *bundle, struct err *err)
{
	struct json *root = oci_json_load(bundle, err);
	Oci__Spec *spec;

	if (!root)
		return NULL;
	spec = oci_spec_from_json(root, err);
	json_free(root);
	return spec;
}

Oci__Process *oci_process_from_json(const struct json *obj, struct err *err)
{
	Oci__Process *process =
		(void *)json_to_message(obj, &oci__process__descriptor, err);

	if (process && fix_and_check_process(obj, process, err) < 0) {
		oci__process__free_unpacked(process, NULL);
		return NULL;
	}
	return process;
}

Oci__LinuxResources *oci_resources_from_json(const struct json *obj,
					     struct err *err)
{
	Oci__LinuxResources *out = (void *)json_to_message(
		obj, &oci__linux_resources__descriptor, err);

	if (out && fix_resources(obj, out, err) < 0) {
		oci__linux_resources__free_unpacked(out, NULL);
		return NULL;
	}
	return out;
}

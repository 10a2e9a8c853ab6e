/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent-proto/pb.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/task.h"
#include "runtime/oci/spec.h"

#define RESOURCES_TYPE \
	"types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"

/* Plain numbers, or with runc's suffixes k, m and g. */
static int parse_number(const char *option, const char *text, int64_t *out,
			struct err *err)
{
	static const char suffixes[] = "kmg";
	char suffix = 0;
	int end = 0;

	if (sscanf(text, "%" SCNd64 "%n", out, &end) != 1)
		end = -1;
	if (end > 0 && text[end]) {
		const char *s = strchr(suffixes, text[end] | 0x20);

		suffix = text[end + 1] || !s ? '?' : *s;
		if (s &&
		    __builtin_mul_overflow(
			    *out, INT64_C(1) << (10 * (s - suffixes + 1)), out))
			suffix = '?';
	}
	if (end <= 0 || suffix == '?')
		return err_set(err, EINVAL, "--%s \"%s\": not a number", option,
			       text);
	return 0;
}

struct knob {
	const char *option;
	const char *value;
	const char *group;
	const char *member;
};

static int write_group(struct jsonw *w, const struct knob *knobs, size_t n,
		       const char *group, struct err *err)
{
	bool open = false;

	for (size_t i = 0; i < n; i++) {
		int64_t number = 0;

		if (strcmp(knobs[i].group, group) || !knobs[i].value)
			continue;
		if (!open) {
			jsonw_key(w, group);
			jsonw_object(w);
			open = true;
		}
		if (!strcmp(knobs[i].member, "cpus")) {
			jsonw_kstr(w, knobs[i].member, knobs[i].value);
			continue;
		}
		if (parse_number(knobs[i].option, knobs[i].value, &number,
				 err) < 0)
			return -err->code;
		jsonw_kint(w, knobs[i].member, number);
	}
	if (open)
		jsonw_end_object(w);
	return 0;
}

static char *from_options(const struct cli *cli, struct err *err)
{
	const struct knob knobs[] = {
		{"memory", cli->memory, "memory", "limit"},
		{"memory-swap", cli->memory_swap, "memory", "swap"},
		{"cpu-shares", cli->cpu_shares, "cpu", "shares"},
		{"cpu-quota", cli->cpu_quota, "cpu", "quota"},
		{"cpu-period", cli->cpu_period, "cpu", "period"},
		{"cpuset-cpus", cli->cpuset_cpus, "cpu", "cpus"},
		{"pids-limit", cli->pids_limit, "pids", "limit"},
	};
	struct jsonw *w = jsonw_new(false);
	size_t n = ARRAY_SIZE(knobs);
	size_t len;
	char *text;

	if (!w) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	jsonw_object(w);
	if (write_group(w, knobs, n, "memory", err) < 0 ||
	    write_group(w, knobs, n, "cpu", err) < 0 ||
	    write_group(w, knobs, n, "pids", err) < 0) {
		jsonw_free(w);
		return NULL;
	}
	jsonw_end_object(w);
	text = jsonw_finish(w, &len);
	if (!text)
		err_set(err, ENOMEM, "out of memory");
	return text;
}

static char *from_file(const char *path, struct err *err)
{
	const char *real = strcmp(path, "-") ? path : "/dev/stdin";
	char *text = NULL;
	int ret = file_read(AT_FDCWD, real, OCI_SPEC_MAX, &text, NULL);

	if (ret < 0)
		err_ret(err, ret, "--resources %s", path);
	return ret < 0 ? NULL : text;
}

/* Here rather than in the supervisor, for a message with file and line. */
static int check(const char *text, const char *name, struct err *err)
{
	struct json *root = json_parse(text, strlen(text), name, 0, err);
	Oci__LinuxResources *resources;

	if (!root)
		return -err->code;
	resources = oci_resources_from_json(root, err);
	json_free(root);
	if (!resources)
		return -err->code;
	oci__linux_resources__free_unpacked(resources, NULL);
	return 0;
}

int cmd_update(const struct cli *cli, struct err *err)
{
	Task__UpdateTaskRequest request = TASK__UPDATE_TASK_REQUEST__INIT;
	Ttrpc__Any any = TTRPC__ANY__INIT;
	AUTO_FREE char *text = NULL;
	AUTO_FD int task = -1;
	int ret;

	text = cli->resources ? from_file(cli->resources, err)
			      : from_options(cli, err);
	if (!text)
		return -err->code;
	ret = check(text, cli->resources ? cli->resources : "options", err);
	if (ret < 0)
		return ret;
	task = task_open(cli->root, cli->argv[0], NULL, err);
	if (task < 0)
		return task;
	any.type_url = pb_str(RESOURCES_TYPE);
	any.value.data = (uint8_t *)text;
	any.value.len = strlen(text);
	request.id = cli->argv[0];
	request.resources = &any;
	return task_call(task, "Update", &request.base, NULL, NULL, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent must know of Kata's protocol and ours to take a container. */
#include "runtime/sandbox/extensions.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent-proto/oci.pb-c.h"
#include "base/json.h"
#include "runtime/oci/spec.h"

static const struct extensions none, all = {true, true};
static struct err err;

static int check_spec(const struct extensions *have, const char *text)
{
	struct json *root = json_parse(text, strlen(text), "spec", 0, &err);
	Oci__Spec *spec = root ? oci_spec_from_json(root, &err) : NULL;
	int ret;

	json_free(root);
	if (!spec)
		print_message("%s\n", err.text);
	assert_non_null(spec);
	err.text[0] = '\0';
	ret = extensions_check(have, "", &spec->base, &err);
	oci__spec__free_unpacked(spec, NULL);
	return ret;
}

/* A specification with more of the process and of linux, or of all. */
static const char *spec_with(const char *top, const char *process,
			     const char *lin)
{
	static char text[1024];

	(void)snprintf(text, sizeof(text),
		       "{\"ociVersion\": \"1.2.0\", "
		       "\"root\": {\"path\": \"rootfs\"}, "
		       "\"hostname\": \"h\", %s"
		       "\"process\": {\"args\": [\"x\"], \"cwd\": \"/\", "
		       "\"oomScoreAdj\": 0, \"env\": [\"A=b\"], %s"
		       "\"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", "
		       "\"hard\": 1, \"soft\": 1}]}, "
		       "\"linux\": {%s\"cgroupsPath\": \"/x\"}}",
		       top, process, lin);
	return text;
}

static const struct {
	const char *name, *top, *process, *lin;
} cases[] = {
	{"domainname", "\"domainname\": \"d\", ", "", ""},
	{"process.user.umask", "",
	 "\"user\": {\"uid\": 0, \"gid\": 0, \"umask\": 0}, ", ""},
	{"process.scheduler", "",
	 "\"scheduler\": {\"policy\": \"SCHED_OTHER\"}, ", ""},
	{"process.ioPriority", "",
	 "\"ioPriority\": {\"class\": \"IOPRIO_CLASS_IDLE\"}, ", ""},
	{"linux.personality", "", "",
	 "\"personality\": {\"domain\": \"LINUX\"}, "},
	{"linux.timeOffsets", "", "",
	 "\"timeOffsets\": {\"monotonic\": {\"secs\": 1}}, "},
	{"linux.resources.unified", "", "",
	 "\"resources\": {\"unified\": {\"memory.high\": \"1\"}}, "},
	{"linux.resources.memory.checkBeforeUpdate", "", "",
	 "\"resources\": {\"memory\": {\"checkBeforeUpdate\": true}}, "},
	{"linux.resources.cpu.burst", "", "",
	 "\"resources\": {\"cpu\": {\"burst\": 0}}, "},
	{"linux.resources.cpu.idle", "", "",
	 "\"resources\": {\"cpu\": {\"idle\": 1}}, "},
	{"linux.seccomp.defaultErrnoRet", "", "",
	 "\"seccomp\": {\"defaultAction\": \"SCMP_ACT_ERRNO\", "
	 "\"defaultErrnoRet\": 38}, "},
	{"mounts[0].uidMappings",
	 "\"mounts\": [{\"destination\": \"/m\", \"type\": \"tmpfs\", "
	 "\"uidMappings\": [{\"containerID\": 0, \"hostID\": 1, "
	 "\"size\": 1}], \"gidMappings\": [{\"containerID\": 0, "
	 "\"hostID\": 1, \"size\": 1}]}], ",
	 "", ""},
};

static void each_is_named(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *text =
			spec_with(cases[i].top, cases[i].process, cases[i].lin);
		size_t len = strlen(cases[i].name);

		print_message("%s\n", cases[i].name);
		assert_int_equal(check_spec(&none, text), -EOPNOTSUPP);
		assert_memory_equal(err.text, cases[i].name, len);
		assert_int_equal(err.text[len], ':');
		assert_int_equal(check_spec(&all, text), 0);
	}
}

static void a_plain_one_needs_none(void **state)
{
	assert_int_equal(check_spec(&none, spec_with("", "", "")), 0);
	assert_int_equal(
		check_spec(&none,
			   spec_with("\"mounts\": [{\"destination\": \"/m\", "
				     "\"type\": \"tmpfs\"}], ",
				     "\"user\": {\"uid\": 5, \"gid\": 5}, ",
				     "\"resources\": {\"cpu\": {\"shares\": "
				     "5}, \"memory\": {\"limit\": 5}}, "
				     "\"seccomp\": {\"defaultAction\": "
				     "\"SCMP_ACT_ALLOW\", \"syscalls\": "
				     "[{\"names\": [\"a\"], \"action\": "
				     "\"SCMP_ACT_ERRNO\", "
				     "\"errnoRet\": 1}]}, ")),
		0);
}

static void features_are_two(void **state)
{
	const char *text;
	struct extensions have = {false, false};

	extensions_take(&have, "frobnication");
	assert_false(have.cgroup_unified || have.spec_extensions);
	extensions_take(&have, "spec_extensions");
	assert_true(have.spec_extensions && !have.cgroup_unified);
	text = spec_with("\"domainname\": \"d\", ", "",
			 "\"resources\": {\"unified\": {\"a.b\": \"1\"}}, ");
	assert_int_equal(check_spec(&have, text), -EOPNOTSUPP);
	assert_string_equal(err.text,
			    "linux.resources.unified: the agent in the guest "
			    "does not take it (cgroup_unified)");
	extensions_take(&have, "cgroup_unified");
	assert_int_equal(check_spec(&have, text), 0);
	have.spec_extensions = false;
	assert_int_equal(check_spec(&have, text), -EOPNOTSUPP);
	assert_string_equal(err.text, "domainname: the agent in the guest "
				      "does not take it (spec_extensions)");
}

static void parts_are_named(void **state)
{
	Oci__LinuxResources resources = OCI__LINUX_RESOURCES__INIT;
	Oci__LinuxCPU cpu = OCI__LINUX_CPU__INIT;

	assert_int_equal(
		extensions_check(&none, "resources", &resources.base, &err), 0);
	resources.cpu = &cpu;
	cpu.burst = 1000;
	assert_int_equal(
		extensions_check(&none, "resources", &resources.base, &err),
		-EOPNOTSUPP);
	assert_memory_equal(err.text, "resources.cpu.burst:", 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_named),
		cmocka_unit_test(a_plain_one_needs_none),
		cmocka_unit_test(features_are_two),
		cmocka_unit_test(parts_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

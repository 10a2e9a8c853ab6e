/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/oci/convert.h"
#include "runtime/oci/spec.h"

#define HEAD "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\"},"
#define PROCESS \
	"\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"env\":[\"A=b\"]}"

static Oci__Spec *parse(const char *text, struct err *err)
{
	struct json *root =
		json_parse(text, strlen(text), "config.json", 0, err);
	Oci__Spec *spec = root ? oci_spec_from_json(root, err) : NULL;

	json_free(root);
	return spec;
}

static Oci__Spec *good(const char *text)
{
	struct err err = {0, ""};
	Oci__Spec *spec = parse(text, &err);

	if (!spec)
		fail_msg("%s", err.text);
	return spec;
}

static void bad(const char *text, const char *message)
{
	struct err err = {0, ""};

	assert_null(parse(text, &err));
	if (!strstr(err.text, message))
		fail_msg("\"%s\" is not in \"%s\"", message, err.text);
}

static void test_snake_case(void **state)
{
	static const char *const pairs[][2] = {
		{"args", "args"},
		{"noNewPrivileges", "no_new_privileges"},
		{"oomScoreAdj", "oom_score_adj"},
		{"hostID", "host_id"},
		{"kernelTCP", "kernel_tcp"},
		{"disableOOMKiller", "disable_oom_killer"},
		{"throttleReadIOPSDevice", "throttle_read_iops_device"},
		{"blockIO", "block_io"},
	};
	char out[64];

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		assert_int_equal(0, snake_case(pairs[i][0], out, sizeof(out)));
		assert_string_equal(pairs[i][1], out);
	}
	assert_true(snake_case("aVeryLongName", out, 6) < 0);
}

#define RESOURCES(text) HEAD PROCESS ",\"linux\":{\"resources\":{" text "}}}"

/* 0 differs from what is not given. */
static void test_presence(void **state)
{
	Oci__Spec *spec = good(RESOURCES("\"cpu\":{\"idle\":0,\"burst\":0}"));
	const Oci__LinuxCPU *cpu = spec->linux_config->resources->cpu;

	assert_true(cpu->has_idle && cpu->has_burst);
	oci__spec__free_unpacked(spec, NULL);
	spec = good(RESOURCES("\"cpu\":{\"idle\":1,\"burst\":9,\"shares\":2},"
			      "\"memory\":{\"checkBeforeUpdate\":true}"));
	cpu = spec->linux_config->resources->cpu;
	assert_true(cpu->has_idle && cpu->has_burst);
	assert_int_equal(cpu->idle, 1);
	assert_int_equal(cpu->burst, 9);
	assert_true(spec->linux_config->resources->memory->check_before_update);
	oci__spec__free_unpacked(spec, NULL);
	spec = good(RESOURCES("\"cpu\":{\"idle\":null},\"rdma\":{}"));
	cpu = spec->linux_config->resources->cpu;
	assert_false(cpu->has_idle || cpu->has_burst);
	oci__spec__free_unpacked(spec, NULL);
}

static void test_not_there(void **state)
{
	bad(RESOURCES("\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3}}"),
	    "rdma: the guest has no RDMA devices");
	bad(HEAD PROCESS ",\"linux\":{\"intelRdt\":{\"closID\":\"a\"}}}",
	    "intelRdt: the guest has no resctrl");
	oci__spec__free_unpacked(
		good(HEAD PROCESS ",\"linux\":{\"intelRdt\":{}}}"), NULL);
}

static void test_minimal(void **state)
{
	Oci__Spec *spec = good(HEAD PROCESS "}");

	assert_string_equal("rootfs", spec->root->path);
	assert_int_equal(1, spec->process->n_args);
	assert_string_equal("sh", spec->process->args[0]);
	assert_false(spec->process->has_oom_score_adj);
	oci__spec__free_unpacked(spec, NULL);
	/* The usual one is no reason for an extension. */
	spec = good(HEAD "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\","
			 "\"user\":{\"umask\":18}}}");
	assert_int_equal(0, spec->process->user->umask_plus_one);
	oci__spec__free_unpacked(spec, NULL);
}

static void test_linux(void **state)
{
	Oci__Spec *spec = good(
		HEAD
		"\"process\":{\"args\":[\"a\"],\"cwd\":\"/x\","
		"\"user\":{\"uid\":5,\"umask\":63,\"additionalGids\":[7,8]},"
		"\"oomScoreAdj\":0,\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\","
		"\"hard\":18446744073709551615,\"soft\":4}]},"
		"\"annotations\":{\"k\":\"v\"},"
		"\"linux\":{\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"},"
		"\"namespaces\":[{\"type\":\"network\",\"path\":\"/n\"},"
		"{\"type\":\"pid\"}],"
		"\"timeOffsets\":{\"boottime\":{\"secs\":-3}},"
		"\"resources\":{\"devices\":[{\"allow\":false},"
		"{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":3,"
		"\"access\":\"rw\"}],\"memory\":{\"limit\":-1},"
		"\"unified\":{\"memory.high\":\"1\"}},"
		"\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\","
		"\"defaultErrnoRet\":0,\"syscalls\":[{\"names\":[\"read\"],"
		"\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":13}]}}}");
	Oci__Linux *l = spec->linux_config;

	assert_int_equal(64, spec->process->user->umask_plus_one);
	assert_int_equal(8, spec->process->user->additional_gids[1]);
	assert_true(spec->process->has_oom_score_adj);
	assert_true(spec->process->rlimits[0]->hard == UINT64_MAX);
	assert_string_equal("v", oci_annotation(spec, "k"));
	assert_null(oci_annotation(spec, "K"));
	assert_string_equal("/n", oci_namespace(spec, "network")->path);
	assert_null(oci_namespace(spec, "user"));
	assert_string_equal("net.ipv4.ip_forward", l->sysctl[0]->key);
	assert_string_equal("boottime", l->time_offsets[0]->clock);
	assert_int_equal(-3, l->time_offsets[0]->secs);
	assert_int_equal(-1, l->resources->devices[0]->major);
	assert_int_equal(3, l->resources->devices[1]->minor);
	assert_int_equal(-1, l->resources->memory->limit);
	assert_string_equal("memory.high", l->resources->unified[0]->key);
	assert_int_equal(1, l->seccomp->default_errno_plus_one);
	assert_int_equal(OCI__LINUX_SYSCALL__ERRNO_RET_ERRNORET,
			 l->seccomp->syscalls[0]->errno_ret_case);
	assert_int_equal(13, l->seccomp->syscalls[0]->errnoret);
	oci__spec__free_unpacked(spec, NULL);
}

static void test_refused(void **state)
{
	bad("[]", "expected an object");
	bad(HEAD "\"process\":{\"args\":[],\"cwd\":\"/\"}}", "args");
	bad(HEAD "\"process\":{\"args\":[\"a\"],\"cwd\":\"x\"}}",
	    "config.json:1: process.cwd: not an absolute path");
	bad(HEAD "\"process\":{\"args\":[1],\"cwd\":\"/\"}}",
	    "process.args[0]: expected a string");
	bad(HEAD "\"process\":{\"args\":\"sh\",\"cwd\":\"/\"}}",
	    "process.args: expected an array");
	bad(HEAD "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\","
		 "\"env\":[\"novalue\"]}}",
	    "process.env[0]: expected NAME=VALUE");
	bad(HEAD PROCESS ",\"linux\":{\"resources\":{\"blockIO\":{"
			 "\"throttleReadIOPSDevice\":[],"
			 "\"throttleReadIopsDevice\":[]}}}}",
	    "throttleReadIopsDevice: there in two spellings");
	bad(HEAD PROCESS ",\"linux\":{\"timeOffsets\":{\"boottime\":[1]}}}",
	    "linux.timeOffsets.boottime: expected an object");
	bad("{\"ociVersion\":\"2.0\",\"root\":{\"path\":\"r\"}," PROCESS "}",
	    "expected 1.x");
	bad("{\"ociVersion\":\"1.0.0\"," PROCESS "}", "root.path: missing");
	bad("{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}}",
	    "process: missing");
	bad(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"x\"}]}}",
	    "no namespace \"x\"");
	bad(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},"
			 "{\"type\":\"pid\"}]}}",
	    "there twice");
	bad(HEAD PROCESS ",\"mounts\":[{\"destination\":\"x\"}]}",
	    "not an absolute path");
	bad(HEAD PROCESS ",\"linux\":{\"seccomp\":{\"defaultAction\":\"A\","
			 "\"listenerPath\":\"/s\"}}}",
	    "seccomp notifications");
	bad(HEAD PROCESS ",\"annotations\":{\"a\":1}}", "expected a string");
	bad(HEAD PROCESS ",\"linux\":{\"resources\":{\"pids\":"
			 "{\"limit\":1.5}}}}",
	    "pids.limit");
}

/* What protobuf calls the fields is not what JSON does. */
static void test_spelling(void **state)
{
	Oci__Spec *spec =
		good(HEAD PROCESS ",\"Hostname\":\"a\",\"domain_name\":\"b\","
				  "\"linuxConfig\":{\"seccomp\":{}},"
				  "\"linux\":{\"Seccomp\":{}}}");

	(void)state;
	assert_string_equal("", spec->hostname);
	assert_non_null(spec->linux_config);
	assert_null(spec->linux_config->seccomp);
	oci__spec__free_unpacked(spec, NULL);
}

static void test_ids(void **state)
{
	struct err err;

	assert_int_equal(0, oci_check_id("a-b_c.D+9", &err));
	assert_true(oci_check_id("", &err) < 0);
	assert_true(oci_check_id(".", &err) < 0);
	assert_true(oci_check_id("..", &err) < 0);
	assert_true(oci_check_id("a/b", &err) < 0);
	assert_true(oci_check_id("a b", &err) < 0);
}

static void test_roles(void **state)
{
	static const struct {
		const char *annotations;
		int ret;
		enum oci_role role;
		const char *sandbox;
	} cases[] = {
		{"", 0, OCI_SINGLE, NULL},
		{"\"io.kubernetes.cri.container-type\":\"sandbox\"", 0,
		 OCI_POD_SANDBOX, NULL},
		{"\"io.kubernetes.cri.container-type\":\"container\","
		 "\"io.kubernetes.cri.sandbox-id\":\"pod1\"",
		 0, OCI_POD_CONTAINER, "pod1"},
		{"\"io.kubernetes.cri-o.ContainerType\":\"container\","
		 "\"io.kubernetes.cri-o.SandboxID\":\"pod2\"",
		 0, OCI_POD_CONTAINER, "pod2"},
		{"\"io.kubernetes.cri.container-type\":\"container\"", -22,
		 OCI_SINGLE, NULL},
		{"\"io.kubernetes.cri.container-type\":\"container\","
		 "\"io.kubernetes.cri.sandbox-id\":\"../x\"",
		 -22, OCI_SINGLE, NULL},
		{"\"io.kubernetes.cri.container-type\":\"vm\"", -22, OCI_SINGLE,
		 NULL},
		{"\"io.kubernetes.cri.container-type\":\"sandbox\","
		 "\"io.kubernetes.cri-o.ContainerType\":\"sandbox\"",
		 -22, OCI_SINGLE, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[512];
		const char *sandbox;
		enum oci_role role;
		struct err err;
		Oci__Spec *spec;

		snprintf(text, sizeof(text),
			 HEAD PROCESS ",\"annotations\":{%s}}",
			 cases[i].annotations);
		spec = good(text);
		assert_int_equal(cases[i].ret,
				 oci_role(spec, &role, &sandbox, &err));
		if (!cases[i].ret) {
			assert_int_equal(cases[i].role, role);
			if (cases[i].sandbox)
				assert_string_equal(cases[i].sandbox, sandbox);
			else
				assert_null(sandbox);
		}
		oci__spec__free_unpacked(spec, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snake_case),
		cmocka_unit_test(test_minimal),
		cmocka_unit_test(test_presence),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_linux),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_spelling),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "runtime/oci/spec.h"

#define MIB (1ull << 20)

static const struct config config = {
	.default_vcpus = 2,
	.default_memory = 256,
	.overhead_memory = 32,
};

/* Members of "resources" and of "annotations". */
static int sized(const char *resources, const char *annotations,
		 struct sandbox_size *size, Oci__Spec **spec, struct err *err)
{
	struct json *root;
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},"
		 "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\"},"
		 "\"linux\":{\"resources\":{%s}},\"annotations\":{%s}}",
		 resources, annotations);
	root = json_parse(text, strlen(text), "config.json", 0, err);
	assert_non_null(root);
	*spec = oci_spec_from_json(root, err);
	json_free(root);
	assert_non_null(*spec);
	return sandbox_size(size, *spec, &config, err);
}

static void is(const char *resources, const char *annotations, unsigned vcpus,
	       uint64_t memory, int64_t limit, uint64_t shares)
{
	struct sandbox_size size;
	Oci__Spec *spec;
	struct err err;

	if (sized(resources, annotations, &size, &spec, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(vcpus, size.vcpus);
	assert_int_equal(memory, size.vm_memory);
	assert_int_equal(memory + 32 * MIB, size.host_memory);
	assert_int_equal(limit, size.limits.memory->limit);
	assert_int_equal(shares, size.limits.cpu->shares);
	oci__spec__free_unpacked(spec, NULL);
}

static void test_configured(void **state)
{
	(void)state;
	is("", "", 2, 256 * MIB, 0, 0);
	is("\"memory\":{\"limit\":-1}", "", 2, 256 * MIB, -1, 0);
	is("\"memory\":{\"limit\":1048576}", "", 2, 256 * MIB, 1048576, 0);
}

static void test_by_limits(void **state)
{
	(void)state;
	/* 300 MiB and a byte, and 32: up to a multiple of 2 MiB */
	is("\"memory\":{\"limit\":314572801}", "", 2, 334 * MIB, 314572801, 0);
	is("\"cpu\":{\"quota\":150000,\"period\":50000,\"shares\":7}", "", 3,
	   256 * MIB, 0, 7);
	is("\"cpu\":{\"quota\":250001}", "", 3, 256 * MIB, 0, 0);
	is("\"cpu\":{\"quota\":1,\"period\":50000}", "", 1, 256 * MIB, 0, 0);
	is("\"cpu\":{\"quota\":9223372036854775807,\"period\":1}", "", 64,
	   256 * MIB, 0, 0);
}

static void test_by_the_pod(void **state)
{
	static const char pause[] =
		"\"memory\":{\"limit\":4096},\"cpu\":{\"shares\":2}";

	(void)state;
	is(pause,
	   "\"io.kubernetes.cri.container-type\":\"sandbox\","
	   "\"io.kubernetes.cri.sandbox-memory\":\"1073741824\","
	   "\"io.kubernetes.cri.sandbox-cpu-quota\":\"400000\","
	   "\"io.kubernetes.cri.sandbox-cpu-period\":\"100000\","
	   "\"io.kubernetes.cri.sandbox-cpu-shares\":\"512\"",
	   4, (1024 + 32) * MIB, 1073741824, 512);
	/* Nothing is limited; and nothing is told. */
	is(pause,
	   "\"io.kubernetes.cri.container-type\":\"sandbox\","
	   "\"io.kubernetes.cri.sandbox-memory\":\"0\"",
	   2, 256 * MIB, 0, 0);
	is(pause, "\"io.kubernetes.cri.container-type\":\"sandbox\"", 2,
	   256 * MIB, 4096, 2);
	/* Not of a pod. */
	is(pause, "\"io.kubernetes.cri.sandbox-memory\":\"1073741824\"", 2,
	   256 * MIB, 4096, 2);
}

static void test_no_number(void **state)
{
	static const char *const bad[] = {"", "1x", "99999999999999999999"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct sandbox_size size;
		char annotations[256];
		Oci__Spec *spec;
		struct err err;

		snprintf(annotations, sizeof(annotations),
			 "\"io.kubernetes.cri.container-type\":\"sandbox\","
			 "\"io.kubernetes.cri.sandbox-memory\":\"%s\"",
			 bad[i]);
		assert_int_equal(-22,
				 sized("", annotations, &size, &spec, &err));
		assert_non_null(strstr(err.text, "sandbox-memory"));
		oci__spec__free_unpacked(spec, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_configured),
		cmocka_unit_test(test_by_limits),
		cmocka_unit_test(test_by_the_pod),
		cmocka_unit_test(test_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: what is read, what they allow, and that they only narrow. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/agent/policy.h"

static const struct ttrpc_method methods[] = {
	{.service = "grpc.AgentService", .name = "One"},
	{.service = "grpc.Health", .name = "Check"},
	{.service = "grpc.AgentService", .name = "Two"},
	{0},
};

static int parse(const char *text, struct policy *p, struct err *err)
{
	memset(err, 0, sizeof(*err));
	return policy_parse(text, methods, p, err);
}

static void allows(void **state)
{
	struct policy p = {0};
	struct err err;

	assert_true(policy_allows(&p, methods, &methods[0]));
	assert_int_equal(parse("{\"allow\":[\"Two\"]}", &p, &err), 0);
	assert_false(policy_allows(&p, methods, &methods[0]));
	assert_true(policy_allows(&p, methods, &methods[1]));
	assert_true(policy_allows(&p, methods, &methods[2]));
	assert_true(p.containers == POLICY_NO_LIMIT);
	assert_int_equal(
		parse(" {\"limits\":{\"execs\":3},\"allow\":[]}", &p, &err), 0);
	assert_false(policy_allows(&p, methods, &methods[2]));
	assert_true(p.execs == 3 && p.copy_file_bytes == POLICY_NO_LIMIT);
}

static void refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"allow\":\"One\"}",
		"{\"allow\":[1]}",
		"{\"allow\":[\"one\"]}",
		"{\"allow\":[\"Check\"]}",
		"{\"allow\":[\"One\"],\"x\":1}",
		"{\"allow\":[\"One\"],\"allow\":[\"Two\"]}",
		"{\"allow\":[],\"limits\":{\"containers\":-1}}",
		"{\"allow\":[],\"limits\":{\"containers\":1.5}}",
		"{\"allow\":[],\"limits\":{\"frobs\":1}}",
		"{\"allow\":[],\"limits\":[]}",
		"{\"allow\":[]} x",
		"{\"allow\":[",
	};
	static char big[POLICY_TEXT_MAX + 2];
	struct policy p;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i], &p, &err), -EINVAL);
	assert_int_equal(parse("package agent_policy", &p, &err), -ENOTSUP);
	assert_int_equal(parse("", &p, &err), -ENOTSUP);
	assert_int_equal(parse("[]", &p, &err), -ENOTSUP);
	memset(big, ' ', sizeof(big) - 1);
	assert_int_equal(parse(big, &p, &err), -EINVAL);
}

static void narrows(void **state)
{
	struct policy p = {0}, next;
	struct err err;

	assert_int_equal(parse("{\"allow\":[\"One\",\"Two\"],\"limits\":"
			       "{\"containers\":2}}",
			       &next, &err),
			 0);
	assert_int_equal(policy_replace(&p, &next, &err), 0);
	assert_int_equal(parse("{\"allow\":[\"One\"]}", &next, &err), 0);
	assert_int_equal(policy_replace(&p, &next, &err), -EPERM);
	assert_int_equal(parse("{\"allow\":[\"One\"],\"limits\":"
			       "{\"containers\":2}}",
			       &next, &err),
			 0);
	assert_int_equal(policy_replace(&p, &next, &err), 0);
	assert_int_equal(parse("{\"allow\":[\"One\",\"Two\"],\"limits\":"
			       "{\"containers\":1}}",
			       &next, &err),
			 0);
	assert_int_equal(policy_replace(&p, &next, &err), -EPERM);
	assert_false(policy_allows(&p, methods, &methods[2]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allows),
		cmocka_unit_test(refused),
		cmocka_unit_test(narrows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

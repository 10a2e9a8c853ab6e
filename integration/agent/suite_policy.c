/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy forbids is refused, and it cannot be loosened. */
#include <string.h>
#include <sys/stat.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

static const Agent__Empty empty = AGENT__EMPTY__INIT;

static enum ttrpc_code set_policy(const char *text)
{
	Agent__SetPolicyRequest req = AGENT__SET_POLICY_REQUEST__INIT;

	req.policy = strdup(text);
	return call("SetPolicy", &req.base, &agent__empty__descriptor, NULL);
}

static enum ttrpc_code copy(int64_t size)
{
	Agent__CopyFileRequest req = AGENT__COPY_FILE_REQUEST__INIT;

	req.path = strdup("/run/kata-containers/shared/containers/sized");
	req.file_mode = S_IFREG | 0600;
	req.file_size = size;
	req.data.data = (uint8_t *)strdup("12345678");
	req.data.len = (size_t)size;
	return call("CopyFile", &req.base, &agent__empty__descriptor, NULL);
}

static void test_refused(void)
{
	check(set_policy("package agent_policy\ndefault AllowRequestsFail := "
			 "true\n") == TTRPC_UNIMPLEMENTED &&
		      strstr(call_text, "Rego"),
	      "SetPolicy: Rego");
	check(set_policy("{\"allow\": [\"Frob\"]}") == TTRPC_INVALID_ARGUMENT &&
		      strstr(call_text, "Frob"),
	      "SetPolicy: an unknown method");
	check(set_policy("{\"allow\": [], \"deny\": []}") ==
			      TTRPC_INVALID_ARGUMENT &&
		      strstr(call_text, "deny"),
	      "SetPolicy: an unknown member");
	check(set_policy("{\"allow\": [\"SetPolicy\"]") ==
		      TTRPC_INVALID_ARGUMENT,
	      "SetPolicy: half an object");
	check(set_policy("{}") == TTRPC_INVALID_ARGUMENT,
	      "SetPolicy: nothing said");
}

void test_policy_suite(const char *rootfs)
{
	struct test_spec s;

	test_refused();
	check(set_policy("{\"allow\": [\"SetPolicy\", \"CopyFile\", "
			 "\"DestroySandbox\", \"CreateContainer\", "
			 "\"StartContainer\", \"ExecProcess\", "
			 "\"RemoveContainer\"], \"limits\": {\"containers\": 2,"
			 " \"execs\": 1, \"copy_file_bytes\": 4}}") == TTRPC_OK,
	      "SetPolicy");
	check(call("ListRoutes", &empty.base, &agent__routes__descriptor,
		   NULL) == TTRPC_PERMISSION_DENIED,
	      "a method that is not in the list");
	check(copy(4) == TTRPC_OK && copy(5) == TTRPC_PERMISSION_DENIED,
	      "a limit for files");
	spec_init(&s, rootfs, "sleep", "1000", END);
	check(create("q1", &s) == TTRPC_OK && start("q1") == TTRPC_OK &&
		      create("q2", &s) == TTRPC_PERMISSION_DENIED,
	      "a limit for containers");
	check(exec_process("q1", "e1", &s) == TTRPC_OK &&
		      exec_process("q1", "e2", &s) == TTRPC_PERMISSION_DENIED,
	      "a limit for processes");
	check(set_policy("{\"allow\": [\"ListRoutes\"]}") ==
		      TTRPC_PERMISSION_DENIED,
	      "another method later");
	check(set_policy("{\"allow\": [\"DestroySandbox\"]}") ==
		      TTRPC_PERMISSION_DENIED,
	      "a limit less later");
	check(set_policy("{\"allow\": [\"DestroySandbox\"], \"limits\": "
			 "{\"containers\": 1, \"execs\": 0, "
			 "\"copy_file_bytes\": 0}}") == TTRPC_OK,
	      "a narrower policy");
	check(set_policy("{\"allow\": []}") == TTRPC_PERMISSION_DENIED,
	      "SetPolicy is a method like others");
}

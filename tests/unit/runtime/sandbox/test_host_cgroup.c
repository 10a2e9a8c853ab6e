/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/sandbox/host_cgroup.h"

static void becomes(const char *given, const char *wanted)
{
	char *path = host_cgroup_of_systemd(given);

	if (!path)
		fail_msg("%s: refused", given);
	assert_string_equal(wanted, path);
	free(path);
}

static void test_slices(void **state)
{
	becomes("system.slice:nacre:a", "system.slice/nacre-a.scope");
	becomes("kubepods-besteffort-pod1_2.slice:cri-containerd:ab",
		"kubepods.slice/kubepods-besteffort.slice/"
		"kubepods-besteffort-pod1_2.slice/cri-containerd-ab.scope");
	becomes("-.slice:p:n", "./p-n.scope");
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"a",
		"a.slice",
		"a.slice:p",
		"a.slice:p:",
		":p:n",
		"a:p:n",
		".slice:p:n",
		"-a.slice:p:n",
		"a-.slice:p:n",
		"a--b.slice:p:n",
		"../a.slice:p:n",
		"a.slice:../p:n",
		"a.slice:p:../n",
		"a.slice:p:n:more",
		"/a/b",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *path = host_cgroup_of_systemd(bad[i]);

		if (path)
			fail_msg("\"%s\" became %s", bad[i], path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "runtime/state.h"

#define S(text) ((char *)(uintptr_t)(text))

static char root[64];

static int setup(void **state)
{
	strcpy(root, "/tmp/test_state_XXXXXX");
	return mkdtemp(root) ? 0 : 1;
}

static int teardown(void **state)
{
	return remove_tree(AT_FDCWD, root);
}

static void test_round_trip(void **state)
{
	char *annotations[] = {S("a"), S("1"), S("b"), S("2")};
	struct state in = {
		.id = S("c1"),
		.sandbox = S("c1"),
		.bundle = S("/b"),
		.rootfs = S("/b/rootfs"),
		.created = S("2026-01-01T00:00:00Z"),
		.pid = 42,
		.pid_start = 7,
		.supervisor = 43,
		.supervisor_start = UINT64_C(1) << 40,
		.owner = 1000,
		.cgroup = S("/sys/fs/cgroup/x"),
		.netns_created = true,
		.nannotations = 4,
		.annotations = annotations,
	};
	struct state *out;
	struct err err = {0, ""};

	assert_int_equal(0, state_claim(root, "c1", &err));
	assert_int_equal(-EEXIST, state_claim(root, "c1", &err));
	assert_non_null(strstr(err.text, "already exists"));
	assert_int_equal(0, state_save(root, &in, &err));
	out = state_load(root, "c1", &err);
	if (!out)
		fail_msg("%s", err.text);
	assert_string_equal("/b/rootfs", out->rootfs);
	assert_int_equal(42, out->pid);
	assert_true(out->supervisor_start == UINT64_C(1) << 40);
	assert_string_equal("/sys/fs/cgroup/x", out->cgroup);
	assert_null(out->netns);
	assert_true(out->netns_created);
	assert_int_equal(4, out->nannotations);
	assert_string_equal("2", out->annotations[3]);
	state_free(out);
	assert_int_equal(0, state_remove(root, "c1"));
	assert_null(state_load(root, "c1", &err));
	assert_int_equal(ENOENT, err.code);
	assert_string_equal("container \"c1\" does not exist", err.text);
}

static void test_list(void **state)
{
	struct err err;
	char **ids;

	assert_int_equal(0, state_claim(root, "b", &err));
	assert_int_equal(0, state_claim(root, "a", &err));
	ids = state_list(root, &err);
	assert_non_null(ids);
	assert_string_equal("a", ids[0]);
	assert_string_equal("b", ids[1]);
	assert_null(ids[2]);
	free(ids[0]);
	free(ids[1]);
	free(ids);
	ids = state_list("/nonexistent", &err);
	assert_non_null(ids);
	assert_null(ids[0]);
	free(ids);
}

static void test_damaged(void **state)
{
	char path[128];
	struct err err;

	assert_int_equal(0, state_claim(root, "x", &err));
	snprintf(path, sizeof(path), "%s/x/state.json", root);
	assert_int_equal(
		0, file_replace(AT_FDCWD, path, "{\"id\":\"x\"}", 10, 0600));
	assert_null(state_load(root, "x", &err));
	assert_non_null(strstr(err.text, "incomplete"));
	assert_int_equal(0,
			 file_replace(AT_FDCWD, path, "{\"id\":1}", 8, 0600));
	assert_null(state_load(root, "x", &err));
	assert_non_null(strstr(err.text, "state.json"));
}

static void test_processes(void **state)
{
	uint64_t start = process_start_time(getpid());
	pid_t child;

	assert_true(start > 0);
	assert_true(process_alive(getpid(), start));
	assert_false(process_alive(getpid(), start + 1));
	assert_false(process_alive(0, 0));
	child = fork();
	if (!child)
		_exit(0);
	waitid(P_PID, (id_t)child, NULL, WEXITED | WNOWAIT);
	/* A zombie is not alive. */
	assert_int_equal(0, process_start_time(child));
	waitpid(child, NULL, 0);
	assert_int_equal(0, process_start_time(child));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_processes, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

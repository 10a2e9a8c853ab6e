/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks: the state they get, where they run, what their failure says. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "guest/agent/hooks.h"

static Oci__Pair pair;
static Oci__Pair *pairs[] = {&pair};
static char dir[] = "/tmp/nacre-hooks.XXXXXX";

static struct hook_state make_state(const char *value)
{
	oci__pair__init(&pair);
	pair.key = (char *)(uintptr_t) "a \"key\"";
	pair.value = (char *)(uintptr_t)value;
	return (struct hook_state){
		.id = "box",
		.bundle = "/bundle",
		.status = "creating",
		.annotations = pairs,
		.n_annotations = 1,
		.pid = 17,
	};
}

/* Runs a script by sh. */
static int run(const char *script, const struct hook_state *state,
	       struct err *err)
{
	char *args[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script};
	Oci__Hook hook = OCI__HOOK__INIT;
	Oci__Hook *list[] = {&hook};

	hook.path = (char *)(uintptr_t) "/bin/sh";
	hook.args = args;
	hook.n_args = 3;
	hook.timeout = 20;
	return hooks_run("createContainer", list, 1, dir, state, err);
}

static const char *member(const struct json *obj, const char *key)
{
	const char *value = NULL;
	struct err err;

	assert_int_equal(json_string_opt(obj, key, &value, &err), 0);
	return value;
}

static void the_state(void **unused)
{
	struct hook_state state = make_state("two\n\"lines\"");
	struct err err;
	char *text = hooks_state(&state);
	struct json *json;
	const struct json *notes;

	(void)unused;
	assert_non_null(text);
	json = json_parse(text, strlen(text), "state", 0, &err);
	assert_non_null(json);
	assert_string_equal(member(json, "id"), "box");
	assert_string_equal(member(json, "status"), "creating");
	assert_string_equal(member(json, "bundle"), "/bundle");
	notes = json_get(json, "annotations");
	assert_int_equal(json_count(notes), 1);
	assert_string_equal(member(notes, "a \"key\""), "two\n\"lines\"");
	json_free(json);
	free(text);
	state.n_annotations = 0;
	text = hooks_state(&state);
	assert_non_null(text);
	assert_null(strstr(text, "annotations"));
	free(text);
}

/* More than a pipe holds, whether the hook reads it or not. */
static void large_state(void **unused)
{
	const size_t size = 200000;
	char *value = malloc(size + 1), *text;
	struct hook_state state;
	struct err err = {0};

	(void)unused;
	assert_non_null(value);
	memset(value, 'x', size);
	value[size] = '\0';
	state = make_state(value);
	assert_int_equal(run("cat >state", &state, &err), 0);
	assert_true(file_read(AT_FDCWD, "state", 2 * size, &text, NULL) == 0);
	assert_non_null(strstr(text, value));
	free(text);
	assert_int_equal(run("true", &state, &err), 0);
	free(value);
}

static void surroundings(void **unused)
{
	struct hook_state state = make_state("");
	struct err err = {0};
	char cwd[PATH_MAX], *text;
	struct stat st;

	(void)unused;
	umask(0);
	assert_int_equal(run("pwd >where", &state, &err), 0);
	assert_int_equal(stat("where", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_true(file_read(AT_FDCWD, "where", PATH_MAX, &text, NULL) == 0);
	assert_memory_equal(text, cwd, strlen(cwd));
	free(text);
}

static void failures(void **unused)
{
	struct hook_state state = make_state("");
	struct err err = {0};

	(void)unused;
	assert_int_equal(run("exit 3", &state, &err), -ECANCELED);
	assert_non_null(strstr(err.text, "createContainer"));
	assert_non_null(strstr(err.text, "exit status 3"));
	assert_int_equal(run("kill -9 $$", &state, &err), -ECANCELED);
	assert_non_null(strstr(err.text, "signal 9"));
}

static int enter(void **unused)
{
	(void)unused;
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int leave(void **unused)
{
	(void)unused;
	(void)unlink("state");
	(void)unlink("where");
	return chdir("/") == 0 && rmdir(dir) == 0 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_state),
		cmocka_unit_test(large_state),
		cmocka_unit_test(surroundings),
		cmocka_unit_test(failures),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}

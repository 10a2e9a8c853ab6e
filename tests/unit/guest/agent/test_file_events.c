/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/replay.h"
#include "guest/agent/file_events.h"

static int check(unsigned kind, const char *name, size_t len,
		 const char *to_name)
{
	Agent__ReplayEventsRequest msg = AGENT__REPLAY_EVENTS_REQUEST__INIT;
	Agent__FileEvent event = AGENT__FILE_EVENT__INIT;
	Agent__FileEvent *events[] = {&event};

	event.kind = kind;
	event.name.data = (uint8_t *)(uintptr_t)name;
	event.name.len = len;
	event.to_name.data = (uint8_t *)(uintptr_t)to_name;
	event.to_name.len = strlen(to_name);
	msg.events = events;
	msg.n_events = 1;
	return file_events_check(&msg);
}

static int check_name(unsigned kind, const char *name)
{
	return check(kind, name, strlen(name), "");
}

static void test_names(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "/", "a/"};
	static const char *const good[] = {"a", "..data", ".a", "...", " "};
	char name[REPLAY_NAME_MAX + 2];

	for (unsigned kind = FILE_EVENT_CREATE; kind < FILE_EVENT_KINDS;
	     kind++) {
		if (kind == FILE_EVENT_RENAME)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(good); i++)
			assert_int_equal(check_name(kind, good[i]), 0);
		for (size_t i = kind >= FILE_EVENT_MODIFY ? 1 : 0;
		     i < ARRAY_SIZE(bad); i++)
			assert_int_equal(check_name(kind, bad[i]), -EINVAL);
	}
	/* The directory or file itself. */
	assert_int_equal(check_name(FILE_EVENT_MODIFY, ""), 0);
	assert_int_equal(check_name(FILE_EVENT_CLOSE_WRITE, ""), 0);
	assert_int_equal(check_name(FILE_EVENT_ATTRIB, ""), 0);
	assert_int_equal(check(FILE_EVENT_CREATE, "a\0b", 3, ""), -EINVAL);
	memset(name, 'n', sizeof(name));
	assert_int_equal(check(FILE_EVENT_CREATE, name, REPLAY_NAME_MAX, ""),
			 0);
	assert_int_equal(
		check(FILE_EVENT_CREATE, name, REPLAY_NAME_MAX + 1, ""),
		-EINVAL);
	assert_int_equal(check(FILE_EVENT_RENAME, "a", 1, "b"), 0);
	assert_int_equal(check(FILE_EVENT_RENAME, "a", 1, ".."), -EINVAL);
	assert_int_equal(check(FILE_EVENT_RENAME, "..", 2, "b"), -EINVAL);
	assert_int_equal(check_name(FILE_EVENT_DIRECTORY, ".."), -EINVAL);
}

static void test_roots(void **state)
{
	static const char *const bad[] = {
		"",	"a",	"/",   "a/",  "/a", "a/b/c",
		"../a", "a/..", "./a", "a/.", "..", "//",
	};

	assert_int_equal(check_name(FILE_EVENT_ROOT, "id/0-volume"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(check_name(FILE_EVENT_ROOT, bad[i]), -EINVAL);
}

static void test_kinds(void **state)
{
	assert_int_equal(check_name(0, "a"), -EINVAL);
	assert_int_equal(check_name(FILE_EVENT_KINDS, "a"), -EINVAL);
	assert_int_equal(check_name(FILE_EVENT_FORGET, ""), 0);
	assert_int_equal(check_name(FILE_EVENT_FORGET, "a"), -EINVAL);
}

/* A file has nothing in it, and a directory is not written. */
static void test_fitting(void **state)
{
	static const struct {
		enum file_event_kind kind;
		bool named;
		bool of_directory, of_file;
	} cases[] = {
		{FILE_EVENT_FORGET, false, true, true},
		{FILE_EVENT_DIRECTORY, true, true, false},
		{FILE_EVENT_CREATE, true, true, false},
		{FILE_EVENT_DELETE, true, true, false},
		{FILE_EVENT_RENAME, true, true, false},
		{FILE_EVENT_MODIFY, true, true, false},
		{FILE_EVENT_MODIFY, false, false, true},
		{FILE_EVENT_CLOSE_WRITE, true, true, false},
		{FILE_EVENT_CLOSE_WRITE, false, false, true},
		{FILE_EVENT_ATTRIB, true, true, false},
		{FILE_EVENT_ATTRIB, false, true, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(
			file_event_fits(cases[i].kind, cases[i].named, false),
			cases[i].of_directory);
		assert_int_equal(
			file_event_fits(cases[i].kind, cases[i].named, true),
			cases[i].of_file);
	}
}

static void test_size(void **state)
{
	static Agent__FileEvent *events[FILE_EVENTS_MAX + 1];
	Agent__ReplayEventsRequest msg = AGENT__REPLAY_EVENTS_REQUEST__INIT;
	Agent__FileEvent event = AGENT__FILE_EVENT__INIT;
	uint8_t name[REPLAY_NAME_MAX];

	memset(name, 'n', sizeof(name));
	event.kind = FILE_EVENT_MODIFY;
	event.name.data = name;
	event.name.len = 1;
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		events[i] = &event;
	msg.events = events;
	msg.n_events = FILE_EVENTS_MAX;
	assert_int_equal(file_events_check(&msg), 0);
	event.name.len = sizeof(name);
	assert_int_equal(file_events_check(&msg), -EINVAL);
	event.name.len = 1;
	msg.n_events++;
	assert_int_equal(file_events_check(&msg), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), cmocka_unit_test(test_roots),
		cmocka_unit_test(test_kinds), cmocka_unit_test(test_fitting),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

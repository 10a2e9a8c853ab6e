/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent that lies about what a client asked for, of which the client waits
 * for the answer; and about what nobody asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent-proto/ttrpc.h"
#include "base/compiler.h"
#include "tests/unit/runtime/sandbox/liar.h"

static const char *const asked_for[] = {
	"StatsContainer",  "PauseContainer", "ResumeContainer",
	"UpdateContainer", "TtyWinResize",   "ExecProcess",
	"RemoveContainer",
};

static bool is(const char *method, const char *name)
{
	return strcmp(method, name) == 0;
}

/* What the call needs before. */
static int begin(enum lie lie, const char *method)
{
	int fd = liar_start(lie, method);

	assert_int_equal(TTRPC_OK, client_create(fd));
	assert_int_equal(TTRPC_OK, client_start(fd, ""));
	if (is(method, "ResumeContainer"))
		assert_int_equal(TTRPC_OK, client_do(fd, "PauseContainer"));
	if (is(method, "ExecProcess"))
		assert_int_equal(TTRPC_OK, client_exec(fd, "e"));
	if (is(method, "RemoveContainer")) {
		assert_int_equal(TTRPC_OK, client_create_second(fd));
		assert_int_equal(TTRPC_OK, client_kill_second(fd));
	}
	return fd;
}

/* Whatever was said, it goes on and tells how it is. */
static void end(int fd)
{
	assert_int_equal(TTRPC_OK, client_state());
	client_kill(fd);
	client_delete(fd);
	liar_finish(fd);
}

/* A container's removal goes on without its guest's. */
static void check_answer(enum lie lie, const char *method, int code)
{
	bool removal = is(method, "RemoveContainer");

	assert_int_not_equal(-1, code);
	if (removal)
		assert_int_equal(TTRPC_OK, code);
	else if (lie <= CLAIMS_A_HUGE_FRAME)
		assert_int_not_equal(TTRPC_OK, code);
	if (code != TTRPC_OK)
		assert_true(*client_text);
	if (lie == REFUSES && !removal)
		assert_non_null(strstr(client_text, "no"));
}

static void test_answers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(asked_for); i++)
		for (int lie = CLOSES; lie <= LAST_QUICK_LIE; lie++) {
			int fd = begin((enum lie)lie, asked_for[i]);

			print_message("%s: lie %d\n", asked_for[i], lie);
			check_answer((enum lie)lie, asked_for[i],
				     client_do(fd, asked_for[i]));
			end(fd);
		}
}

static void test_honest_answers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(asked_for); i++) {
		int fd = begin(HONEST, asked_for[i]);

		assert_int_equal(TTRPC_OK, client_do(fd, asked_for[i]));
		end(fd);
	}
}

/* Others are answered meanwhile, and it is not waited for for ever. */
static void test_silence(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(asked_for); i++) {
		int fd = begin(IS_SILENT, asked_for[i]);
		int asker = client_new();

		print_message("%s\n", asked_for[i]);
		client_ask_for(asker, asked_for[i]);
		assert_int_equal(TTRPC_OK, client_state());
		assert_false(client_answered(asker, 0));
		assert_int_equal(is(asked_for[i], "RemoveContainer")
					 ? TTRPC_OK
					 : TTRPC_DEADLINE_EXCEEDED,
				 client_answer(asker));
		close(asker);
		end(fd);
	}
}

/* While the sandbox is made; code: of the creation. */
static void create(enum lie lie, const char *method, bool succeeds)
{
	int fd = liar_start(lie, method);
	int code = client_create(fd);

	print_message("%s: lie %d: %d\n", method, lie, code);
	assert_int_not_equal(-1, code);
	if (succeeds)
		assert_int_equal(TTRPC_OK, code);
	else
		assert_int_not_equal(TTRPC_OK, code);
	if (!succeeds)
		assert_true(*client_text);
	if (code == TTRPC_OK)
		end(fd);
	else
		liar_finish(fd);
}

static void test_network(void **state)
{
	static const char *const methods[] = {
		"UpdateInterface",
		"UpdateRoutes",
		"AddARPNeighbors",
	};

	if (!liar_network(true)) {
		liar_network(false);
		skip();
	}
	create(HONEST, "", true);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		for (int lie = CLOSES; lie <= CLAIMS_A_HUGE_FRAME; lie++)
			create((enum lie)lie, methods[i], false);
		create(SENDS_LONG_DATA, methods[i], true);
		create(SENDS_MANY, methods[i], true);
		create(IS_SILENT, methods[i], false);
	}
	liar_network(false);
}

static void test_details(void **state)
{
	for (int lie = CLOSES; lie <= CLAIMS_A_HUGE_FRAME; lie++)
		create((enum lie)lie, "GetGuestDetails", false);
	create(IS_SILENT, "GetGuestDetails", false);
}

/* Only those of a container that it has are counted. */
static void test_foreign_ids(void **state)
{
	int fd = liar_start(OTHERS_RUN_OUT_TOO, "GetOOMEvent");
	int watcher = client_new();

	assert_int_equal(TTRPC_OK, client_create(fd));
	assert_int_equal(TTRPC_OK, client_start(fd, ""));
	assert_int_equal(1, client_events(watcher, 0));
	/* Its end is an event as well. */
	assert_int_equal(1, client_events(watcher, 1));
	close(watcher);
	end(fd);
}

/* What it says last is why it is over. */
static void test_reason(void **state)
{
	int fd = begin(SAYS_WHY, "StatsContainer");

	assert_int_not_equal(TTRPC_OK, client_do(fd, "StatsContainer"));
	assert_non_null(strstr(client_reason(), "nacre-agent: ended by signal "
						"11 (SEGV): switching off"));
	end(fd);
}

/* An agent of Kata's, which has no fields for it. */
static void test_no_extensions(void **state)
{
	static const char unified[] =
		"\"resources\": {\"unified\": {\"memory.high\": \"1\"}}, ";
	int fd;

	client_linux(unified);
	fd = liar_start(HONEST, NULL);
	assert_int_equal(TTRPC_UNIMPLEMENTED, client_create(fd));
	assert_string_equal(client_text, "linux.resources.unified: the agent "
					 "in the guest does not take it "
					 "(cgroup_unified)");
	liar_finish(fd);
	client_linux("");
	fd = begin(HONEST, "");
	assert_int_equal(TTRPC_UNIMPLEMENTED,
			 client_exec_with(fd, "x",
					  ", \"user\": {\"uid\": 0, "
					  "\"gid\": 0, \"umask\": "
					  "23}"));
	assert_memory_equal(client_text, "process.user.umask:", 19);
	/* The id is free. */
	assert_int_equal(TTRPC_OK, client_exec(fd, "x"));
	assert_int_equal(TTRPC_UNIMPLEMENTED,
			 client_update(fd, "{\"cpu\": {\"idle\": 1}}"));
	assert_memory_equal(client_text, "resources.cpu.idle:", 19);
	assert_int_equal(TTRPC_OK,
			 client_update(fd, "{\"pids\": {\"limit\": 5}}"));
	/* A second one, in a sandbox that is ready. */
	client_linux(unified);
	assert_int_equal(TTRPC_UNIMPLEMENTED, client_create_second(fd));
	client_linux("");
	end(fd);
}

/* And one that has them. */
static void test_extensions(void **state)
{
	static const char unified[] =
		"\"resources\": {\"unified\": {\"memory.high\": \"1\"}}, ";
	int fd;

	client_linux(unified);
	fd = begin(ANNOUNCES_ALL, "");
	assert_int_equal(TTRPC_OK, client_exec_with(fd, "x",
						    ", \"user\": {\"uid\": 0, "
						    "\"gid\": 0, \"umask\": "
						    "23}"));
	client_linux("");
	end(fd);
}

/* Kata's agent does not say when it was, and one that lies says anything. */
static void test_exit_time(void **state)
{
	static const enum lie lies[] = {HONEST, ENDS_IN_THE_FUTURE};

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		time_t from = time(NULL);
		int fd = begin(lies[i], "WaitProcess");
		int waiter = client_new();

		client_ask_to_wait(waiter);
		client_kill(fd);
		assert_int_equal(TTRPC_OK, client_answer(waiter));
		assert_in_range(client_exited_at(), from, time(NULL));
		close(waiter);
		end(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_honest_answers),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_details),
		cmocka_unit_test(test_foreign_ids),
		cmocka_unit_test(test_reason),
		cmocka_unit_test(test_exit_time),
		cmocka_unit_test(test_no_extensions),
		cmocka_unit_test(test_extensions),
	};

	return cmocka_run_group_tests(tests, liar_set_up, liar_tear_down);
}

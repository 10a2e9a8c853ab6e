/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent and a sandbox process that lie, at each step and in each way,
 * cannot hang, crash or fill the supervisor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent-proto/ttrpc.h"
#include "base/compiler.h"
#include "tests/unit/runtime/sandbox/liar.h"

/* A whole life; any step may fail, none may hang. */
static void live(enum lie lie, const char *method)
{
	int fd = liar_start(lie, method);
	int waiter = client_new();

	if (client_create(fd) == TTRPC_OK) {
		client_ask_to_wait(waiter);
		client_start(fd, "");
		if (client_exec(fd, "e") == TTRPC_OK)
			client_start(fd, "e");
		client_kill(fd);
		/* A process without an end is waited for without one. */
		client_answered(waiter, lie == IS_SILENT ? 100 : 2000);
		client_delete(fd);
	}
	close(waiter);
	liar_finish(fd);
}

/* A whole life of which every step succeeds. */
static void live_honestly(enum lie lie, const char *method)
{
	int fd = liar_start(lie, method);
	int waiter = client_new();

	assert_int_equal(TTRPC_OK, client_create(fd));
	client_ask_to_wait(waiter);
	assert_int_equal(TTRPC_OK, client_start(fd, ""));
	assert_int_equal(TTRPC_OK, client_kill(fd));
	assert_true(client_answered(waiter, HANG_MS));
	assert_int_equal(TTRPC_OK, client_delete(fd));
	close(waiter);
	liar_finish(fd);
}

static void test_honest(void **state)
{
	live_honestly(HONEST, NULL);
}

static void test_lies_at_each_step(void **state)
{
	static const char *const methods[] = {
		"ReseedRandomDev", "CreateSandbox", "CreateContainer",
		"StartContainer",  "ExecProcess",   "WaitProcess",
		"ReadStdout",	   "ReadStderr",    "WriteStdin",
		"CloseStdin",	   "SignalProcess", "GetOOMEvent",
		"DestroySandbox",  "ReplayEvents",  "GetGuestDetails"};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		for (int lie = CLOSES; lie <= LAST_QUICK_LIE; lie++) {
			print_message("%s: lie %d\n", methods[i], lie);
			live((enum lie)lie, methods[i]);
		}
}

static void test_silence(void **state)
{
	static const char *const methods[] = {
		"ReseedRandomDev", "CreateSandbox", "CreateContainer",
		"StartContainer",  "WaitProcess",   "SignalProcess",
		"DestroySandbox",  "ReadStdout",    "ReadStderr",
		"CloseStdin",	   "WriteStdin",    "ReplayEvents"};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		live(IS_SILENT, methods[i]);
}

static void test_dial(void **state)
{
	for (int lie = TAKES_NO_CALL; lie <= SAYS_NO; lie++) {
		int fd = liar_start((enum lie)lie, NULL);

		assert_int_equal(TTRPC_INTERNAL, client_create(fd));
		liar_finish(fd);
	}
}

static void test_streams(void **state)
{
	for (int lie = IGNORES_STREAMS; lie <= ENDS_STREAMS; lie++) {
		print_message("streams: lie %d\n", lie);
		live((enum lie)lie, NULL);
	}
}

/* What changed is told when it is asked for, and well formed. */
static void test_files(void **state)
{
	int fd, waiter;

	live_honestly(TELLS_OF_FILES, "CreateContainer");
	for (int lie = TELLS_OF_FILES_TWICE; lie <= MISTELLS_OF_FILES; lie++) {
		fd = liar_start((enum lie)lie, "CreateContainer");
		waiter = client_new();
		if (client_create(fd) == TTRPC_OK) {
			client_ask_to_wait(waiter);
			/* Its sandbox is ended for that. */
			assert_true(client_answered(waiter, HANG_MS));
			client_delete(fd);
		}
		close(waiter);
		liar_finish(fd);
	}
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* It is asked for the next at most a hundred times a second. */
static void test_out_of_memory(void **state)
{
	int fd = liar_start(RUNS_OUT_OF_MEMORY, "GetOOMEvent");
	int watcher = client_new();
	uint64_t from = now_ms(), ooms = 0;

	assert_int_equal(TTRPC_OK, client_create(fd));
	while (ooms < 20) {
		uint64_t more = client_events(watcher, ooms);

		assert_true(more > ooms);
		ooms = more;
	}
	assert_true(now_ms() - from + 10 >= (ooms - 1) * 10);
	close(watcher);
	liar_finish(fd);
}

/* Watchers hear of the end; one that left before harms nobody. */
static void test_watchers(void **state)
{
	int fd = liar_start(HONEST, NULL);
	int leaver = client_new(), watcher = client_new();

	client_ask_to_watch(leaver);
	assert_int_equal(TTRPC_NOT_FOUND, client_answer(leaver));
	assert_int_equal(TTRPC_OK, client_create(fd));
	close(leaver);
	leaver = client_new();
	client_ask_to_watch(leaver);
	client_ask_to_watch(watcher);
	assert_int_equal(TTRPC_OK, client_start(fd, ""));
	close(leaver);
	assert_false(client_answered(watcher, 0));
	assert_int_equal(TTRPC_OK, client_kill(fd));
	assert_int_equal(TTRPC_OK, client_answer(watcher));
	close(watcher);
	watcher = client_new();
	client_ask_to_watch(watcher);
	assert_int_equal(TTRPC_OK, client_answer(watcher));
	assert_int_equal(TTRPC_OK, client_delete(fd));
	close(watcher);
	liar_finish(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_honest),
		cmocka_unit_test(test_lies_at_each_step),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_dial),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_watchers),
	};

	return cmocka_run_group_tests(tests, liar_set_up, liar_tear_down);
}

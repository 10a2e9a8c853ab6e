/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent and a sandbox process that lie, at each step and in each way,
 * cannot hang, crash or fill the supervisor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

static void test_honest(void **state)
{
	int fd = liar_start(HONEST, NULL);
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

static void test_lies_at_each_step(void **state)
{
	static const char *const methods[] = {
		"ReseedRandomDev", "CreateSandbox", "CreateContainer",
		"StartContainer",  "ExecProcess",   "WaitProcess",
		"ReadStdout",	   "WriteStdin",    "SignalProcess",
		"DestroySandbox"};

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
		"DestroySandbox"};

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_honest),
		cmocka_unit_test(test_lies_at_each_step),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_dial),
	};

	return cmocka_run_group_tests(tests, liar_set_up, liar_tear_down);
}

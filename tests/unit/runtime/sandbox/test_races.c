/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that do several things to one container at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent-proto/pb.h"
#include "agent-proto/task.pb-c.h"
#include "agent-proto/ttrpc.h"
#include "base/compiler.h"
#include "tests/unit/runtime/sandbox/liar.h"

static void ask_to_start(int fd)
{
	Task__StartRequest r = TASK__START_REQUEST__INIT;

	r.id = pb_str(LIAR_ID);
	client_send(fd, "Start", &r.base);
}

static void ask_to_delete(int fd)
{
	Task__DeleteRequest r = TASK__DELETE_REQUEST__INIT;

	r.id = pb_str(LIAR_ID);
	client_send(fd, "Delete", &r.base);
}

/* Nothing but looking and waiting goes on while it is created. */
static void test_while_created(void **state)
{
	int fd = liar_start(IS_SILENT, "CreateContainer");
	int creator = client_new(), waiter = client_new();

	client_ask_to_create(creator);
	while (client_start(fd, "") == TTRPC_NOT_FOUND)
		;
	client_ask_to_wait(waiter);
	assert_int_equal(TTRPC_FAILED_PRECONDITION, client_start(fd, ""));
	assert_int_equal(TTRPC_FAILED_PRECONDITION, client_exec(fd, "e"));
	assert_int_equal(TTRPC_FAILED_PRECONDITION, client_delete(fd));
	assert_int_equal(TTRPC_FAILED_PRECONDITION, client_kill(fd));
	assert_false(client_answered(creator, 0));
	assert_int_equal(TTRPC_INTERNAL, client_answer(creator));
	assert_int_equal(TTRPC_OK, client_answer(waiter));
	assert_int_equal(TTRPC_NOT_FOUND, client_delete(fd));
	close(creator);
	close(waiter);
	liar_finish(fd);
}

/* The creator is killed, and what it began with it. */
static void test_creator_killed(void **state)
{
	int fd = liar_start(IS_SILENT, "CreateContainer");
	int creator = client_new();

	client_ask_to_create(creator);
	while (client_start(fd, "") == TTRPC_NOT_FOUND)
		;
	close(creator);
	liar_finish(fd);
}

/* A guest that agrees to each start is asked once. */
static void test_started_twice(void **state)
{
	int fd = liar_start(IS_SLOW, "StartContainer");
	int one = client_new(), two = client_new();
	int first, second;

	assert_int_equal(TTRPC_OK, client_create(fd));
	ask_to_start(one);
	ask_to_start(two);
	first = client_answer(one);
	second = client_answer(two);
	assert_int_equal(TTRPC_FAILED_PRECONDITION, first + second);
	assert_int_equal(TTRPC_OK, client_kill(fd));
	close(one);
	close(two);
	liar_finish(fd);
}

/* Killed before the guest says that it runs. */
static void test_killed_while_started(void **state)
{
	int fd = liar_start(IS_SLOW, "StartContainer");
	int starter = client_new(), waiter = client_new();

	assert_int_equal(TTRPC_OK, client_create(fd));
	ask_to_start(starter);
	client_ask_to_wait(waiter);
	assert_int_equal(TTRPC_OK, client_kill(fd));
	assert_int_equal(TTRPC_OK, client_answer(starter));
	close(starter);
	close(waiter);
	liar_finish(fd);
}

/* Its execs run on, by what the guest says, and the VM dies meanwhile. */
static void test_deleted_with_execs(void **state)
{
	static const enum lie ends[] = {DIES, CLOSES, REFUSES, BREAKS_CONTROL};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		int fd = liar_start(ends[i], "DestroySandbox");
		int waiter = client_new();

		assert_int_equal(TTRPC_OK, client_create(fd));
		client_ask_to_wait(waiter);
		assert_int_equal(TTRPC_OK, client_start(fd, ""));
		assert_int_equal(TTRPC_OK, client_exec(fd, "e"));
		assert_int_equal(TTRPC_OK, client_start(fd, "e"));
		assert_int_equal(TTRPC_OK, client_exec(fd, "f"));
		assert_int_equal(TTRPC_OK, client_kill(fd));
		assert_int_equal(TTRPC_OK, client_answer(waiter));
		assert_int_equal(TTRPC_OK, client_delete(fd));
		close(waiter);
		liar_finish(fd);
	}
}

static void test_deleted_twice(void **state)
{
	int fd = liar_start(IS_SLOW, "DestroySandbox");
	int one = client_new(), two = client_new();

	assert_int_equal(TTRPC_OK, client_create(fd));
	assert_int_equal(TTRPC_OK, client_kill(fd));
	ask_to_delete(one);
	ask_to_delete(two);
	assert_int_equal(TTRPC_OK, client_answer(one));
	assert_int_equal(TTRPC_OK, client_answer(two));
	close(one);
	close(two);
	liar_finish(fd);
}

static void ask_to_kill(int fd)
{
	Task__KillRequest r = TASK__KILL_REQUEST__INIT;

	r.id = pb_str(LIAR_ID);
	r.signal = 9;
	client_send(fd, "Kill", &r.base);
}

/* A deletion waits for what is under way, and is refused if that was a start
 * which succeeded. */
static void test_deleted_while_busy(void **state)
{
	int fd = liar_start(IS_SLOW, "SignalProcess");
	int killer = client_new(), one = client_new(), two = client_new();

	assert_int_equal(TTRPC_OK, client_create(fd));
	ask_to_kill(killer);
	assert_false(client_answered(killer, 50));
	ask_to_delete(one);
	ask_to_delete(two);
	assert_int_equal(TTRPC_OK, client_answer(killer));
	assert_int_equal(TTRPC_OK, client_answer(one));
	assert_int_equal(TTRPC_OK, client_answer(two));
	close(killer);
	close(one);
	close(two);
	liar_finish(fd);
}

static void test_deleted_while_started(void **state)
{
	static const enum lie ends[] = {IS_SLOW, DIES, REFUSES};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		int fd = liar_start(ends[i], "StartContainer");
		int starter = client_new(), deleter = client_new();

		assert_int_equal(TTRPC_OK, client_create(fd));
		ask_to_start(starter);
		ask_to_delete(deleter);
		assert_int_equal(i ? TTRPC_OK : TTRPC_FAILED_PRECONDITION,
				 client_answer(deleter));
		close(starter);
		close(deleter);
		liar_finish(fd);
	}
}

/* Those who wait and go away are forgotten; the others get their answer. */
static void test_waiters(void **state)
{
	int fd = liar_start(HONEST, NULL);
	int stays = client_new();

	assert_int_equal(TTRPC_OK, client_create(fd));
	assert_int_equal(TTRPC_OK, client_start(fd, ""));
	client_ask_to_wait(stays);
	for (int i = 0; i < 200; i++) {
		int goes = client_new();

		client_ask_to_wait(goes);
		close(goes);
	}
	assert_int_equal(TTRPC_OK, client_kill(fd));
	assert_int_equal(TTRPC_OK, client_answer(stays));
	assert_int_equal(TTRPC_OK, client_delete(fd));
	close(stays);
	liar_finish(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_while_created),
		cmocka_unit_test(test_creator_killed),
		cmocka_unit_test(test_started_twice),
		cmocka_unit_test(test_killed_while_started),
		cmocka_unit_test(test_deleted_with_execs),
		cmocka_unit_test(test_deleted_twice),
		cmocka_unit_test(test_deleted_while_busy),
		cmocka_unit_test(test_deleted_while_started),
		cmocka_unit_test(test_waiters),
	};

	return cmocka_run_group_tests(tests, liar_set_up, liar_tear_down);
}

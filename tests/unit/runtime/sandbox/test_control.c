/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "runtime/sandbox/console.h"
#include "runtime/sandbox/control.h"

static void test_messages(void **state)
{
	struct control_message m;
	char big[CONTROL_TEXT_MAX + 100];
	int pair[2];

	memset(big, 'x', sizeof(big));
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	assert_int_equal(-EAGAIN, control_receive(pair[1], &m));
	assert_int_equal(0, control_send(pair[0], CONTROL_LOG, "abc", 3));
	assert_int_equal(1, control_receive(pair[1], &m));
	assert_int_equal(CONTROL_LOG, m.type);
	assert_string_equal("abc", m.text);
	assert_int_equal(
		0, control_send(pair[0], CONTROL_CONSOLE, big, sizeof(big)));
	assert_int_equal(1, control_receive(pair[1], &m));
	assert_int_equal(CONTROL_TEXT_MAX, m.len);
	close(pair[0]);
	assert_int_equal(0, control_receive(pair[1], &m));
	close(pair[1]);
}

static void test_hostile_messages(void **state)
{
	static const struct {
		uint32_t words[3];
		size_t len;
	} cases[] = {
		{{CONTROL_LOG, 0, 0}, 4},
		{{CONTROL_LOG, 5, 0}, 12},
		{{CONTROL_LOG, 0, 0}, 12},
		{{CONTROL_LOG, 0xffffffff, 0}, 12},
		{{CONTROL_LOG, CONTROL_TEXT_MAX + 1, 0}, 12},
	};
	struct control_message m;
	int pair[2];

	assert_int_equal(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(
			(ssize_t)cases[i].len,
			send(pair[0], cases[i].words, cases[i].len, 0));
		assert_int_equal(-EPROTO, control_receive(pair[1], &m));
	}
	close(pair[0]);
	close(pair[1]);
}

static void feed(struct console *c, const char *text)
{
	console_feed(c, text, strlen(text));
}

static void test_console(void **state)
{
	struct console c;
	char flood[4096];

	log_open(-1, LOG_TEXT, LOG_ERROR, "test");
	console_init(&c, false);
	feed(&c, "nacre-agent: info: ready\nnacre-agent: ended by signal 11 "
		 "(SEGV) at 0x8: switching off\n[    1.0] Kernel panic\n");
	assert_string_equal("nacre-agent: ended by signal 11 (SEGV) at 0x8: "
			    "switching off",
			    c.panic);
	console_init(&c, true);
	feed(&c, "[    1.0] Kernel pan");
	assert_string_equal("", c.panic);
	feed(&c, "ic - not syncing: \x1b[1mwhy\r\n");
	assert_string_equal("Kernel panic - not syncing: [1mwhy", c.panic);
	/* Lines without end, and a flood of them, stay within bounds. */
	memset(flood, 'y', sizeof(flood));
	for (int i = 0; i < 100; i++)
		console_feed(&c, flood, sizeof(flood));
	assert_true(c.len < CONSOLE_LINE_MAX);
	assert_true(c.dropping);
	assert_string_equal("Kernel panic - not syncing: [1mwhy", c.panic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_hostile_messages),
		cmocka_unit_test(test_console),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

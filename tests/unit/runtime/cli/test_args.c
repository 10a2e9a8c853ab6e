/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/cli/cli.h"

static int parse(struct cli *cli, const struct command **command,
		 struct err *err, const char *const *words)
{
	char **argv = (char **)(uintptr_t)words;
	int argc = 0;

	memset(cli, 0, sizeof(*cli));
	while (argv[argc])
		argc++;
	return cli_parse(argc, argv, cli, command, err);
}

#define PARSE(...)                  \
	parse(&cli, &command, &err, \
	      (const char *[]){"nacre", __VA_ARGS__, NULL})

static void test_options_after_arguments(void **state)
{
	const struct command *command;
	struct cli cli;
	struct err err;

	assert_int_equal(0, PARSE("--root", "/r", "delete", "id", "--force"));
	assert_string_equal("/r", cli.root);
	assert_string_equal("delete", command->name);
	assert_true(cli.force);
	assert_int_equal(1, cli.argc);
	assert_string_equal("id", cli.argv[0]);
	cli_free(&cli);
}

static void test_command_line_of_exec(void **state)
{
	const struct command *command;
	struct cli cli;
	struct err err;

	assert_int_equal(0, PARSE("exec", "-t", "-e", "A=1", "-e", "B=2", "id",
				  "ls", "-l", "--force"));
	assert_true(cli.tty);
	assert_string_equal("A=1", cli.env[0]);
	assert_string_equal("B=2", cli.env[1]);
	assert_null(cli.env[2]);
	assert_int_equal(4, cli.argc);
	assert_string_equal("--force", cli.argv[3]);
	cli_free(&cli);
}

static void test_refused(void **state)
{
	const struct command *command;
	struct cli cli;
	struct err err;

	assert_int_equal(-EINVAL, PARSE("create", "--nope", "id"));
	assert_non_null(strstr(err.text, "--nope"));
	cli_free(&cli);
	assert_int_equal(-EINVAL, PARSE("create", "id", "--bundle"));
	assert_non_null(strstr(err.text, "needs a value"));
	cli_free(&cli);
	assert_int_equal(-EINVAL, PARSE("nonsense"));
	cli_free(&cli);
	assert_int_equal(-EINVAL, PARSE("start"));
	assert_non_null(strstr(err.text, "usage: nacre start ID"));
	cli_free(&cli);
	assert_int_equal(-EINVAL, PARSE("start", "a", "b"));
	cli_free(&cli);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_after_arguments),
		cmocka_unit_test(test_command_line_of_exec),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

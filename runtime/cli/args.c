/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/cli/cli.h"

#define OPTS_MAX 32
/* getopt_long's value of option i: above any letter. */
#define OPT_BASE 256

static size_t count_opts(const struct opt *opts)
{
	size_t n = 0;

	while (opts && opts[n].name)
		n++;
	return n;
}

static int add_repeat(const char ***list, const char *value, struct err *err)
{
	size_t n = 0;
	const char **bigger;

	while (*list && (*list)[n])
		n++;
	bigger = reallocarray(*list, n + 2, sizeof(char *));
	if (!bigger)
		return err_set(err, ENOMEM, "out of memory");
	bigger[n] = value;
	bigger[n + 1] = NULL;
	*list = bigger;
	return 0;
}

static int store(struct cli *cli, const struct opt *opt, const char *value,
		 struct err *err)
{
	void *dst = (char *)cli + opt->offset;

	switch (opt->kind) {
	case OPT_FLAG:
		*(bool *)dst = true;
		return 0;
	case OPT_TEXT:
		*(const char **)dst = value;
		return 0;
	case OPT_REPEAT:
		return add_repeat(dst, value, err);
	}
	BUG("option kind %d", opt->kind);
}

/* The two forms of getopt's tables, from ours. */
static void translate(const struct opt *opts, size_t n, struct option *longs,
		      char *shorts)
{
	/* '+': stop at the first argument, it may be a command of its own;
	 * ':' tells a missing value from an unknown option. */
	*shorts++ = '+';
	*shorts++ = ':';
	for (size_t i = 0; i < n; i++) {
		bool value = opts[i].kind != OPT_FLAG;

		longs[i] = (struct option){
			.name = opts[i].name,
			.has_arg = value ? required_argument : no_argument,
			.val = OPT_BASE + (int)i,
		};
		if (opts[i].letter)
			*shorts++ = opts[i].letter;
		if (opts[i].letter && value)
			*shorts++ = ':';
	}
	*shorts = '\0';
	memset(&longs[n], 0, sizeof(longs[n]));
}

static const struct opt *match(const struct opt *opts, size_t n, int c)
{
	for (size_t i = 0; i < n; i++)
		if (c == OPT_BASE + (int)i || c == opts[i].letter)
			return &opts[i];
	return NULL;
}

static int wrong(const char *command, const char *what, struct err *err)
{
	return err_set(err, EINVAL, "%s, see `nacre %s%s--help`", what,
		       command ? command : "", command ? " " : "");
}

/* Parses the options at the start of argv[1..]; the number of words used
 * (argv[0] included), or -errno. command NULL: those of the program. */
static int parse(int argc, char **argv, const struct opt *opts,
		 const char *command, struct cli *cli, struct err *err)
{
	size_t n = count_opts(opts);
	struct option longs[OPTS_MAX + 1];
	char shorts[2 * OPTS_MAX + 3];
	char what[128];
	int c;

	BUG_ON(n > OPTS_MAX);
	translate(opts, n, longs, shorts);
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct opt *opt = match(opts, n, c);
		int ret;

		if (c == ':' || !opt) {
			snprintf(what, sizeof(what),
				 c == ':' ? "option %.64s needs a value"
					  : "unknown option %.64s",
				 argv[optind - 1]);
			return wrong(command, what, err);
		}
		ret = store(cli, opt, optarg, err);
		if (ret < 0)
			return ret;
	}
	return optind;
}

static const struct command *find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

/* Options may follow the arguments (`delete ID --force`) unless these end
 * with a command line of their own. */
static int gather(int argc, char **argv, const struct command *command,
		  struct cli *cli, struct err *err)
{
	while (argc > 0) {
		int used = parse(argc, argv, command->opts, command->name, cli,
				 err);

		if (used < 0)
			return used;
		argc -= used;
		argv += used;
		if (argc > 0 && command->max_args < 0) {
			cli->argv = argv;
			cli->argc = argc;
			return 0;
		}
		if (argc > 0)
			cli->argv[cli->argc++] = argv[0];
	}
	return 0;
}

int cli_parse(int argc, char **argv, struct cli *cli,
	      const struct command **command, struct err *err)
{
	int used = parse(argc, argv, global_opts, NULL, cli, err);
	int ret;

	*command = NULL;
	if (used < 0)
		return used;
	argc -= used;
	argv += used;
	if (argc == 0)
		return 0;
	*command = find(argv[0]);
	if (!*command)
		return err_set(err, EINVAL,
			       "unknown command \"%s\", see `nacre --help`",
			       argv[0]);
	cli->command = (*command)->name;
	cli->words = calloc((size_t)argc + 1, sizeof(char *));
	if (!cli->words)
		return err_set(err, ENOMEM, "out of memory");
	cli->argv = cli->words;
	ret = gather(argc, argv, *command, cli, err);
	if (ret < 0 || cli->help)
		return ret;
	if (cli->argc < (*command)->min_args ||
	    ((*command)->max_args >= 0 && cli->argc > (*command)->max_args))
		return err_set(err, EINVAL, "usage: nacre %s%s%s",
			       (*command)->name, *(*command)->args ? " " : "",
			       (*command)->args);
	return 0;
}

static void help_opts(const struct opt *opts)
{
	for (; opts && opts->name; opts++) {
		char left[64];
		char letter[8] = "    ";

		if (opts->letter)
			snprintf(letter, sizeof(letter), "-%c, ", opts->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, opts->name,
			 opts->arg ? " " : "", opts->arg ? opts->arg : "");
		printf("  %-32s %s\n", left, opts->help);
	}
}

void cli_help(const struct command *command)
{
	if (command) {
		printf("usage: nacre [GLOBAL OPTION...] %s [OPTION...] %s\n\n"
		       "%s.\n\noptions:\n",
		       command->name, command->args, command->summary);
		help_opts(command->opts);
		return;
	}
	printf("usage: nacre [OPTION...] COMMAND [OPTION...] [ARGUMENT...]\n\n"
	       "Runs each OCI container or pod in a virtual machine of its "
	       "own.\n\ncommands:\n");
	for (const struct command *c = commands; c->name; c++)
		printf("  %-10s %s\n", c->name, c->summary);
	printf("\noptions:\n");
	help_opts(global_opts);
	printf("\n`nacre COMMAND --help` tells the options of a command.\n");
}

void cli_free(struct cli *cli)
{
	free(cli->env);
	free(cli->cap);
	free(cli->words);
}

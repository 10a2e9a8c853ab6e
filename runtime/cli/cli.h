/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CLI_CLI_H
#define RUNTIME_CLI_CLI_H

/*
 * The command line. Each command is a row of commands[] (command.c): its
 * options fill one struct cli, its function does the work. Exit status 0, or
 * 1 with one line on standard error and in --log; `run` and `exec` return
 * the status of the process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

struct cli {
	/* Global. */
	const char *root;
	const char *log;
	const char *log_format;
	const char *config;
	const char *cgroup_manager;
	bool systemd_cgroup;
	bool debug;
	bool version;
	bool help;

	/* Of commands; which ones, its table says. */
	const char *bundle;
	const char *pid_file;
	const char *console_socket;
	const char *process;
	const char *user;
	const char *cwd;
	const char *format;
	const char *resources;
	const char **env; /* NULL-terminated */
	const char **cap;
	const char *memory, *memory_swap, *cpu_shares, *cpu_quota, *cpu_period;
	const char *cpuset_cpus, *pids_limit;
	const char *interval;
	bool detach;
	bool tty;
	bool keep;
	bool force;
	bool all;
	bool quiet;
	bool stats;
	bool no_new_privs;

	/* Name of the command, and what follows it. */
	const char *command;
	int argc;
	char **argv;  /* NULL-terminated */
	char **words; /* what argv may point to; owned */
};

enum opt_kind {
	OPT_FLAG,   /* bool */
	OPT_TEXT,   /* const char * */
	OPT_REPEAT, /* const char ** */
};

struct opt {
	char letter; /* 0: none */
	const char *name;
	enum opt_kind kind;
	size_t offset; /* in struct cli */
	const char *arg;
	const char *help;
};

struct command {
	const char *name;
	const char *args; /* "ID [COMMAND...]" */
	const char *summary;
	const struct opt *opts; /* ends with a zero row */
	int min_args;
	int max_args; /* -1: any; options end at the first argument */
	/* Exit status, or -errno with err. */
	int (*run)(const struct cli *cli, struct err *err);
};

extern const struct command commands[]; /* ends with a zero row */
extern const struct opt global_opts[];

/* Fills cli; *command NULL: only global options. argv[0] is skipped. */
int cli_parse(int argc, char **argv, struct cli *cli,
	      const struct command **command, struct err *err) MUST_CHECK;
void cli_free(struct cli *cli);
void cli_help(const struct command *command); /* NULL: of the program */
int cli_main(int argc, char **argv);

struct jsonw;
/* Frees w. */
int cli_print_json(struct jsonw *w, struct err *err) MUST_CHECK;
/* Decimal, without a newline, by rename. */
int write_pid_file(const char *path, pid_t pid, struct err *err) MUST_CHECK;

int cmd_create(const struct cli *cli, struct err *err);
int cmd_start(const struct cli *cli, struct err *err);
int cmd_run(const struct cli *cli, struct err *err);
int cmd_exec(const struct cli *cli, struct err *err);
int cmd_state(const struct cli *cli, struct err *err);
int cmd_list(const struct cli *cli, struct err *err);
int cmd_kill(const struct cli *cli, struct err *err);
int cmd_delete(const struct cli *cli, struct err *err);
int cmd_ps(const struct cli *cli, struct err *err);
int cmd_pause(const struct cli *cli, struct err *err);
int cmd_resume(const struct cli *cli, struct err *err);
int cmd_events(const struct cli *cli, struct err *err);
int cmd_update(const struct cli *cli, struct err *err);
int cmd_spec(const struct cli *cli, struct err *err);
int cmd_features(const struct cli *cli, struct err *err);
int cmd_check(const struct cli *cli, struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/proxy.h"
#include "runtime/state.h"

#define FIELD(name) offsetof(struct cli, name)
#define HELP                                                               \
	{                                                                  \
		'h', "help", OPT_FLAG, FIELD(help), NULL, "show this help" \
	}
#define END                                      \
	{                                        \
		0, NULL, OPT_FLAG, 0, NULL, NULL \
	}

const struct opt global_opts[] = {
	{0, "root", OPT_TEXT, FIELD(root), "DIR",
	 "state directory (default: /run/nacre)"},
	{0, "log", OPT_TEXT, FIELD(log), "FILE", "append the log to FILE"},
	{0, "log-format", OPT_TEXT, FIELD(log_format), "FORMAT",
	 "text (default) or json"},
	{0, "config", OPT_TEXT, FIELD(config), "FILE",
	 "configuration (default: /etc/nacre/configuration.json)"},
	{0, "debug", OPT_FLAG, FIELD(debug), NULL, "write more to the log"},
	{0, "systemd-cgroup", OPT_FLAG, FIELD(systemd_cgroup), NULL,
	 "linux.cgroupsPath is slice:prefix:name"},
	{0, "cgroup-manager", OPT_TEXT, FIELD(cgroup_manager), "MANAGER",
	 "cgroupfs (default), or systemd as --systemd-cgroup"},
	{'v', "version", OPT_FLAG, FIELD(version), NULL, "show the version"},
	HELP,
	END,
};

#define BUNDLE                                                 \
	{                                                      \
		'b', "bundle", OPT_TEXT, FIELD(bundle), "DIR", \
			"bundle (default: this directory)"     \
	}
#define PID_FILE                                                  \
	{                                                         \
		0, "pid-file", OPT_TEXT, FIELD(pid_file), "FILE", \
			"write the process id to FILE"            \
	}
#define CONSOLE                                                          \
	{                                                                \
		0, "console-socket", OPT_TEXT, FIELD(console_socket),    \
			"SOCKET",                                        \
			"send the terminal's master to this Unix socket" \
	}

static const struct opt create_opts[] = {BUNDLE, PID_FILE, CONSOLE, HELP, END};

static const struct opt run_opts[] = {
	BUNDLE,
	PID_FILE,
	CONSOLE,
	{'d', "detach", OPT_FLAG, FIELD(detach), NULL, "return when it runs"},
	{0, "keep", OPT_FLAG, FIELD(keep), NULL,
	 "do not delete the container when it has ended"},
	HELP,
	END,
};

static const struct opt exec_opts[] = {
	{'p', "process", OPT_TEXT, FIELD(process), "FILE",
	 "process.json that describes the process"},
	{'d', "detach", OPT_FLAG, FIELD(detach), NULL, "return when it runs"},
	{'t', "tty", OPT_FLAG, FIELD(tty), NULL, "with a terminal"},
	{'e', "env", OPT_REPEAT, FIELD(env), "NAME=VALUE",
	 "add to the environment"},
	{'u', "user", OPT_TEXT, FIELD(user), "UID[:GID]", "run as this user"},
	{'c', "cap", OPT_REPEAT, FIELD(cap), "CAPABILITY", "add a capability"},
	{0, "cwd", OPT_TEXT, FIELD(cwd), "DIR", "working directory"},
	{0, "no-new-privs", OPT_FLAG, FIELD(no_new_privs), NULL,
	 "set no_new_privs"},
	PID_FILE,
	CONSOLE,
	HELP,
	END,
};

static const struct opt kill_opts[] = {
	{'a', "all", OPT_FLAG, FIELD(all), NULL,
	 "signal all processes of the container"},
	HELP,
	END,
};

static const struct opt delete_opts[] = {
	{'f', "force", OPT_FLAG, FIELD(force), NULL,
	 "kill it first when it runs; fine when it is not there"},
	HELP,
	END,
};

#define FORMAT                                                    \
	{                                                         \
		'f', "format", OPT_TEXT, FIELD(format), "FORMAT", \
			"table (default) or json"                 \
	}

static const struct opt list_opts[] = {
	FORMAT,
	{'q', "quiet", OPT_FLAG, FIELD(quiet), NULL, "only ids"},
	HELP,
	END,
};

static const struct opt ps_opts[] = {FORMAT, HELP, END};

static const struct opt update_opts[] = {
	{'r', "resources", OPT_TEXT, FIELD(resources), "FILE",
	 "JSON of linux.resources, - for standard input"},
	{0, "memory", OPT_TEXT, FIELD(memory), "BYTES", "memory limit"},
	{0, "memory-swap", OPT_TEXT, FIELD(memory_swap), "BYTES",
	 "limit of memory and swap"},
	{0, "cpu-shares", OPT_TEXT, FIELD(cpu_shares), "N", "CPU weight"},
	{0, "cpu-quota", OPT_TEXT, FIELD(cpu_quota), "USEC",
	 "CPU time in a period"},
	{0, "cpu-period", OPT_TEXT, FIELD(cpu_period), "USEC",
	 "length of a period"},
	{0, "cpuset-cpus", OPT_TEXT, FIELD(cpuset_cpus), "LIST", "CPUs to use"},
	{0, "pids-limit", OPT_TEXT, FIELD(pids_limit), "N", "most processes"},
	HELP,
	END,
};

static const struct opt events_opts[] = {
	{0, "stats", OPT_FLAG, FIELD(stats), NULL,
	 "print the statistics of now and end"},
	{0, "interval", OPT_TEXT, FIELD(interval), "TIME",
	 "between statistics: 500ms, 5s (default), 1m, 1h"},
	HELP,
	END,
};

static const struct opt spec_opts[] = {
	BUNDLE,
	HELP,
	END,
};

static const struct opt no_opts[] = {HELP, END};

const struct command commands[] = {
	{"create", "ID", "Create a container", create_opts, 1, 1, cmd_create},
	{"start", "ID", "Start a created container", no_opts, 1, 1, cmd_start},
	{"run", "ID", "Create and start a container", run_opts, 1, 1, cmd_run},
	{"exec", "ID [COMMAND...]", "Run a process in a container", exec_opts,
	 1, -1, cmd_exec},
	{"state", "ID", "Show the state of a container as JSON", no_opts, 1, 1,
	 cmd_state},
	{"kill", "ID [SIGNAL]", "Send a signal (default TERM)", kill_opts, 1, 2,
	 cmd_kill},
	{"delete", "ID", "Delete a stopped container", delete_opts, 1, 1,
	 cmd_delete},
	{"list", "", "List the containers", list_opts, 0, 0, cmd_list},
	{"ps", "ID", "List the processes of a container", ps_opts, 1, 1,
	 cmd_ps},
	{"pause", "ID", "Pause a container", no_opts, 1, 1, cmd_pause},
	{"resume", "ID", "Resume a paused container", no_opts, 1, 1,
	 cmd_resume},
	{"update", "ID", "Change the resources of a container", update_opts, 1,
	 1, cmd_update},
	{"events", "ID", "Print the events of a container as JSON", events_opts,
	 1, 1, cmd_events},
	{"spec", "", "Write a config.json to start from", spec_opts, 0, 0,
	 cmd_spec},
	{"features", "", "Show what the runtime supports as JSON", no_opts, 0,
	 0, cmd_features},
	{"check", "", "Tell which machines this host can run, and why", no_opts,
	 0, 0, cmd_check},
	{NULL, NULL, NULL, NULL, 0, 0, NULL},
};

static int open_log(const struct cli *cli, struct err *err)
{
	enum log_level level = cli->debug ? LOG_DEBUG : LOG_INFO;
	bool json = !strcmp(cli->log_format, "json");
	int fd;

	if (!json && strcmp(cli->log_format, "text"))
		return err_set(err, EINVAL,
			       "--log-format \"%s\": expected text or json",
			       cli->log_format);
	if (!cli->log) {
		log_open(-1, LOG_TEXT, level, "nacre");
		return 0;
	}
	fd = open(cli->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(err, "--log %s", cli->log);
	log_open(fd, json ? LOG_JSON : LOG_TEXT, level, "nacre");
	return 0;
}

static int check_globals(struct cli *cli, struct err *err)
{
	const char *manager = cli->cgroup_manager;

	if (manager && !strcmp(manager, "systemd"))
		cli->systemd_cgroup = true;
	else if (manager && strcmp(manager, "cgroupfs"))
		return err_set(err, EINVAL,
			       "--cgroup-manager \"%s\": expected cgroupfs or "
			       "systemd",
			       manager);
	if (cli->root[0] != '/')
		return err_set(err, EINVAL,
			       "--root \"%s\": expected an absolute path",
			       cli->root);
	return 0;
}

/* Also in the log, which errors of the command line come before. */
static void report(const struct cli *cli, bool logging, const struct err *err)
{
	struct err ignored;

	fprintf(stderr, "nacre: %s\n", err->text);
	if (cli->log && (logging || !open_log(cli, &ignored)))
		log_error("%s", err->text);
}

/* The numbers 0 to 2 would otherwise go to something of ours, and what is
 * meant for a caller that closed them would go there. */
static void open_missing_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int cli_main(int argc, char **argv)
{
	struct cli cli = {.root = state_default_root(), .log_format = "text"};
	const struct command *command = NULL;
	struct err err = {0};
	bool logging = false;
	int ret;

	open_missing_stdio();
	ret = cli_parse(argc, argv, &cli, &command, &err);
	if (!ret)
		ret = check_globals(&cli, &err);
	if (!ret)
		ret = open_log(&cli, &err);
	logging = !ret;
	if (!ret && cli.version) {
		printf("nacre version %s\nspec: 1.2.0\n", NACRE_VERSION);
	} else if (!ret && (cli.help || !command)) {
		cli_help(command);
		ret = cli.help ? 0 : 1;
	} else if (!ret) {
		ret = command->run(&cli, &err);
	}
	if (ret < 0) {
		report(&cli, logging, &err);
		ret = 1;
	} else if (ret == STATUS_LOST && err.text[0]) {
		/* The supervisor has logged it. */
		fprintf(stderr, "nacre: %s\n", err.text);
	}
	cli_free(&cli);
	return ret;
}

int cli_print_json(struct jsonw *w, struct err *err)
{
	size_t len;
	AUTO_FREE char *text = jsonw_finish(w, &len);

	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	fwrite(text, 1, len, stdout);
	return fflush(stdout) ? err_sys(err, "standard output") : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that look: state, list, ps. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/jsonw.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/task.h"
#include "runtime/oci/spec.h"

static void write_state(struct jsonw *w, const struct cli *cli,
			const struct state *s)
{
	AUTO_FREE char *reason = NULL;
	enum task_status status = task_look(cli->root, s, &reason);

	jsonw_object(w);
	jsonw_kstr(w, "ociVersion", "1.2.0");
	jsonw_kstr(w, "id", s->id);
	jsonw_kint(w, "pid", status == TASK_STOPPED ? 0 : s->pid);
	jsonw_kstr(w, "status", task_status_name(status));
	jsonw_kstr(w, "bundle", s->bundle);
	jsonw_kstr(w, "rootfs", s->rootfs);
	jsonw_kstr(w, "created", s->created);
	jsonw_kstr(w, "owner", s->owner ? "" : "root");
	if (reason)
		jsonw_kstr(w, "reason", reason);
	if (s->nannotations) {
		jsonw_key(w, "annotations");
		jsonw_object(w);
		for (size_t i = 0; i + 1 < s->nannotations; i += 2)
			jsonw_kstr(w, s->annotations[i], s->annotations[i + 1]);
		jsonw_end_object(w);
	}
	jsonw_end_object(w);
}

int cmd_state(const struct cli *cli, struct err *err)
{
	int ret = oci_check_id(cli->argv[0], err);
	struct jsonw *w;
	struct state *s;

	if (ret < 0)
		return ret;
	s = state_load(cli->root, cli->argv[0], err);
	if (!s)
		return -err->code;
	w = jsonw_new(true);
	if (!w) {
		state_free(s);
		return err_set(err, ENOMEM, "out of memory");
	}
	write_state(w, cli, s);
	state_free(s);
	return cli_print_json(w, err);
}

static int check_format(const struct cli *cli, bool *json, struct err *err)
{
	const char *format = cli->format ? cli->format : "table";

	*json = !strcmp(format, "json");
	if (!*json && strcmp(format, "table"))
		return err_set(err, EINVAL,
			       "--format \"%s\": expected table or json",
			       format);
	return 0;
}

static void list_row(const struct state *s, enum task_status status)
{
	const struct passwd *pw = getpwuid(s->owner);

	printf("%-24s %-8d %-9s %-40s %-31s %s\n", s->id,
	       status == TASK_STOPPED ? 0 : (int)s->pid,
	       task_status_name(status), s->bundle, s->created,
	       pw ? pw->pw_name : "");
}

static void list_each(const struct cli *cli, char **ids, struct jsonw *w)
{
	for (; *ids; ids++) {
		struct err ignored;
		struct state *s = state_load(cli->root, *ids, &ignored);

		/* Not complete yet, or gone meanwhile. */
		if (!s)
			continue;
		if (cli->quiet)
			printf("%s\n", s->id);
		else if (w)
			write_state(w, cli, s);
		else
			list_row(s, task_status(cli->root, s));
		state_free(s);
	}
}

int cmd_list(const struct cli *cli, struct err *err)
{
	struct jsonw *w = NULL;
	char **ids;
	bool json;
	int ret = check_format(cli, &json, err);

	if (ret < 0)
		return ret;
	ids = state_list(cli->root, err);
	if (!ids)
		return -err->code;
	json = json && !cli->quiet;
	if (json)
		w = jsonw_new(true);
	if (w)
		jsonw_array(w);
	else if (!cli->quiet)
		printf("%-24s %-8s %-9s %-40s %-31s %s\n", "ID", "PID",
		       "STATUS", "BUNDLE", "CREATED", "OWNER");
	list_each(cli, ids, w);
	for (char **id = ids; *id; id++)
		free(*id);
	free(ids);
	if (!w)
		return 0;
	jsonw_end_array(w);
	return cli_print_json(w, err);
}

static int print_pids(const Task__PidsResponse *r, bool json, struct err *err)
{
	struct jsonw *w;

	if (!json) {
		printf("PID\n");
		for (size_t i = 0; i < r->n_processes; i++)
			printf("%u\n", r->processes[i]->pid);
		return 0;
	}
	w = jsonw_new(false);
	if (!w)
		return err_set(err, ENOMEM, "out of memory");
	jsonw_array(w);
	for (size_t i = 0; i < r->n_processes; i++)
		jsonw_int(w, r->processes[i]->pid);
	jsonw_end_array(w);
	return cli_print_json(w, err);
}

int cmd_ps(const struct cli *cli, struct err *err)
{
	Task__PidsRequest request = TASK__PIDS_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	AUTO_FD int task = -1;
	bool json;
	int ret = check_format(cli, &json, err);

	if (ret < 0)
		return ret;
	task = task_open(cli->root, cli->argv[0], NULL, err);
	if (task < 0)
		return task;
	request.id = cli->argv[0];
	ret = task_call(task, "Pids", &request.base,
			&task__pids_response__descriptor, &reply, err);
	if (ret < 0)
		return ret;
	ret = print_pids((const void *)reply, json, err);
	protobuf_c_message_free_unpacked(reply, NULL);
	return ret;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events: what a container uses, every so often, and when it ran out of
 * memory, until it ends. One connection, on which the next event is always
 * asked for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/pb.h"
#include "agent-proto/ttrpc.h"
#include "base/cleanup.h"
#include "base/evloop.h"
#include "base/jsonw.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/stats_json.h"
#include "runtime/cli/task.h"
#include "runtime/sandbox/supervisor.h"

#define INTERVAL_MS 5000u /* runc's */
#define INTERVAL_MAX_MS (24u * 3600000u)

struct stream {
	const char *id;
	uint64_t interval_ms;
	struct evloop *loop;
	struct evtimer timer;
	struct ttrpc_client *supervisor;
	struct ttrpc_call next;
	struct ttrpc_call stats;
	uint64_t ooms; /* printed, or before our time */
	bool follows;  /* told how many those are */
	int ret;
	struct err *err;
};

static void end(struct stream *s, int ret)
{
	if (!s->ret)
		s->ret = ret;
	evloop_stop(s->loop);
}

/* Statistics. -------------------------------------------------------------- */

static int print_stats(const char *id, const ProtobufCMessage *reply,
		       struct err *err)
{
	const Ttrpc__Any *any = ((const Task__StatsResponse *)reply)->stats;
	Agent__StatsContainerResponse *stats = NULL;
	int ret;

	if (any && !strcmp(any->type_url, TASK_STATS_TYPE))
		stats = agent__stats_container_response__unpack(
			NULL, any->value.len, any->value.data);
	if (!stats)
		return err_set(err, EPROTO,
			       "the supervisor's statistics are not readable");
	ret = stats_print(id, stats, err);
	agent__stats_container_response__free_unpacked(stats, NULL);
	return ret;
}

static int print_once(int task, const char *id, struct err *err)
{
	Task__StatsRequest request = TASK__STATS_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	int ret;

	request.id = pb_str(id);
	ret = task_call(task, "Stats", &request.base,
			&task__stats_response__descriptor, &reply, err);
	if (ret < 0)
		return ret;
	ret = print_stats(id, reply, err);
	protobuf_c_message_free_unpacked(reply, NULL);
	return ret;
}

static void on_stats(struct ttrpc_call *call, enum ttrpc_code code,
		     const char *text, const ProtobufCMessage *reply)
{
	struct stream *s = container_of(call, struct stream, stats);
	int ret = 0;

	/* Without an answer the container is about to end. */
	if (code == TTRPC_OK)
		ret = print_stats(s->id, reply, s->err);
	if (ret < 0)
		end(s, ret);
	else
		evtimer_start(&s->timer, s->interval_ms);
}

static void on_timer(struct evtimer *timer)
{
	struct stream *s = container_of(timer, struct stream, timer);
	Task__StatsRequest request = TASK__STATS_REQUEST__INIT;

	request.id = pb_str(s->id);
	s->stats.done = on_stats;
	ttrpc_call_start(s->supervisor, &s->stats, TASK_SERVICE, "Stats",
			 &request.base, &task__stats_response__descriptor, 0,
			 NULL, 0);
}

/* Events. ------------------------------------------------------------------ */

static int print_oom(const char *id, struct err *err)
{
	struct jsonw *w = jsonw_new(false);

	if (!w)
		return err_set(err, ENOMEM, "out of memory");
	jsonw_object(w);
	jsonw_kstr(w, "type", "oom");
	jsonw_kstr(w, "id", id);
	jsonw_end_object(w);
	return cli_print_json(w, err);
}

static void ask(struct stream *s);

static void on_next(struct ttrpc_call *call, enum ttrpc_code code,
		    const char *text, const ProtobufCMessage *reply)
{
	struct stream *s = container_of(call, struct stream, next);
	const Task__NextEventResponse *r = (const void *)reply;
	int ret = 0;

	if (code == TTRPC_CANCELLED)
		return;
	/* It was deleted, with or without its supervisor. */
	if (s->follows &&
	    (code == TTRPC_NOT_FOUND || code == TTRPC_UNAVAILABLE)) {
		end(s, 0);
		return;
	}
	if (code != TTRPC_OK) {
		end(s, err_set(s->err, EREMOTEIO, "%s", text));
		return;
	}
	if (!s->follows && r->stopped) {
		end(s, err_set(s->err, EINVAL, "container not running"));
		return;
	}
	for (; !ret && s->follows && s->ooms < r->ooms; s->ooms++)
		ret = print_oom(s->id, s->err);
	if (!s->follows)
		evtimer_start(&s->timer, s->interval_ms);
	s->ooms = r->ooms;
	s->follows = true;
	if (ret < 0 || r->stopped)
		end(s, ret);
	else
		ask(s);
}

static void ask(struct stream *s)
{
	Task__NextEventRequest request = TASK__NEXT_EVENT_REQUEST__INIT;

	request.id = pb_str(s->id);
	request.ooms = s->ooms;
	request.now = !s->follows;
	s->next.done = on_next;
	ttrpc_call_start(s->supervisor, &s->next, EVENTS_SERVICE, "Next",
			 &request.base, &task__next_event_response__descriptor,
			 0, NULL, 0);
}

/* Takes task. */
static int follow(int task, struct stream *s, struct err *err)
{
	int ret;

	s->err = err;
	s->loop = evloop_new();
	if (!s->loop) {
		close(task);
		return err_sys(err, "event loop");
	}
	ret = evtimer_init(s->loop, &s->timer, on_timer);
	if (ret < 0)
		close(task);
	else
		s->supervisor =
			ttrpc_client_new(s->loop, task, NULL, NULL, err);
	if (ret < 0) {
		ret = err_ret(err, ret, "timer");
	} else if (!s->supervisor) {
		ret = -err->code;
	} else {
		ask(s);
		ret = evloop_run(s->loop);
		ret = ret < 0 ? err_ret(err, ret, "event loop") : s->ret;
	}
	ttrpc_call_cancel(&s->next);
	ttrpc_call_cancel(&s->stats);
	ttrpc_client_free(s->supervisor);
	evtimer_release(&s->timer);
	evloop_free(s->loop);
	return ret;
}

/* A number and a unit, as Go's durations: 500ms, 5s, 1m, 1h. */
static int parse_interval(const char *text, uint64_t *ms, struct err *err)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	size_t digits = strspn(text, "0123456789");
	uint64_t n = 0;

	if (digits > 0 && digits <= 8)
		n = strtoul(text, NULL, 10);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(text + digits, units[i].name) != 0)
			continue;
		*ms = n * units[i].ms;
		if (*ms > 0 && *ms <= INTERVAL_MAX_MS)
			return 0;
	}
	return err_set(err, EINVAL,
		       "--interval \"%s\": expected a time from 1ms to 24h",
		       text);
}

int cmd_events(const struct cli *cli, struct err *err)
{
	struct stream s = {.id = cli->argv[0], .interval_ms = INTERVAL_MS};
	AUTO_FD int task = -1;

	if (cli->interval &&
	    parse_interval(cli->interval, &s.interval_ms, err) < 0)
		return -err->code;
	task = task_open(cli->root, s.id, NULL, err);
	if (task < 0)
		return task;
	if (cli->stats)
		return print_once(task, s.id, err);
	return follow(steal_fd(&task), &s, err);
}

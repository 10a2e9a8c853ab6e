/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/file_events.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/replay.h"
#include "guest/agent/agent.h"
#include "guest/agent/beside.h"
#include "guest/agent/ids.h"
#include "guest/agent/pending.h"
#include "guest/agent/replay.h"
#include "guest/agent/rpc.h"

/* There is one, from the first request on. */
static struct {
	struct beside process;
	bool busy;
	struct ttrpc_request *waiting; /* NULL when it went meanwhile */
} replayer;

/* Checking. --------------------------------------------------------------- */

static bool is_name(const ProtobufCBinaryData *name)
{
	if (name->len == 0 || name->len > REPLAY_NAME_MAX ||
	    memchr(name->data, '\0', name->len) ||
	    memchr(name->data, '/', name->len))
		return false;
	return name->data[0] != '.' ||
	       (name->len > 1 && (name->data[1] != '.' || name->len > 2));
}

/* Two names: of the container and of the volume. */
static bool is_root(const ProtobufCBinaryData *path)
{
	const uint8_t *slash =
		path->len ? memchr(path->data, '/', path->len) : NULL;
	ProtobufCBinaryData id, volume;

	if (!slash)
		return false;
	id.data = path->data;
	id.len = (size_t)(slash - path->data);
	volume.data = path->data + id.len + 1;
	volume.len = path->len - id.len - 1;
	return is_name(&id) && is_name(&volume);
}

static bool event_valid(const Agent__FileEvent *e)
{
	switch (e->kind) {
	case FILE_EVENT_ROOT:
		return is_root(&e->name);
	case FILE_EVENT_FORGET:
		return e->name.len == 0;
	case FILE_EVENT_MODIFY:
	case FILE_EVENT_CLOSE_WRITE:
	case FILE_EVENT_ATTRIB:
		return e->name.len == 0 || is_name(&e->name);
	case FILE_EVENT_RENAME:
		return is_name(&e->name) && is_name(&e->to_name);
	case FILE_EVENT_DIRECTORY:
	case FILE_EVENT_CREATE:
	case FILE_EVENT_DELETE:
		return is_name(&e->name);
	default:
		return false;
	}
}

bool file_event_fits(enum file_event_kind kind, bool named, bool file)
{
	switch (kind) {
	case FILE_EVENT_FORGET:
		return true;
	case FILE_EVENT_MODIFY:
	case FILE_EVENT_CLOSE_WRITE:
		return named != file;
	case FILE_EVENT_ATTRIB:
		return !named || !file;
	default:
		return !file;
	}
}

int file_events_check(const Agent__ReplayEventsRequest *msg)
{
	if (msg->n_events > FILE_EVENTS_MAX ||
	    agent__replay_events_request__get_packed_size(msg) >
		    FILE_EVENTS_SIZE)
		return -EINVAL;
	for (size_t i = 0; i < msg->n_events; i++)
		if (!event_valid(msg->events[i]))
			return -EINVAL;
	return 0;
}

/* The process. ------------------------------------------------------------ */

static void ended(void)
{
	log_error("file events: the process that repeats them ended");
	beside_close(&replayer.process);
	replayer.busy = false;
	if (replayer.waiting)
		ttrpc_fail(steal_ptr(&replayer.waiting), TTRPC_INTERNAL,
			   "the process that repeats them ended");
}

static void answered(struct beside *process)
{
	char done;
	int ret = beside_hear(process, &done, sizeof(done));

	if (ret == -EAGAIN)
		return;
	if (ret < 0) {
		ended();
		return;
	}
	replayer.busy = false;
	if (replayer.waiting)
		ttrpc_reply(steal_ptr(&replayer.waiting), NULL);
}

static void replay(const void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	replay_serve(STDIN_FILENO);
}

static int pass_on(const Agent__ReplayEventsRequest *msg)
{
	size_t len = agent__replay_events_request__get_packed_size(msg);
	AUTO_FREE uint8_t *buf = malloc(len + 1);

	if (!buf)
		return -ENOMEM;
	buf[0] = REPLAY_MESSAGE_EVENTS;
	agent__replay_events_request__pack(msg, buf + 1);
	return beside_ask(&replayer.process, buf, len + 1);
}

void rpc_replay_events(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *arg)
{
	static const struct beside_work work = {
		.name = "nacre-events",
		.run = replay,
	};
	const Agent__ReplayEventsRequest *msg = (const void *)message;
	struct agent *agent = arg;
	int ret = 0;

	if (file_events_check(msg) < 0) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT, "events: not usable");
		return;
	}
	if (replayer.busy) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "earlier events are not done yet");
		return;
	}
	if (!beside_open(&replayer.process))
		ret = beside_start(&replayer.process, agent->loop, &work,
				   answered);
	if (!ret)
		ret = pass_on(msg);
	if (ret < 0) {
		ttrpc_fail(req, TTRPC_INTERNAL, "file events: %s",
			   strerror(-ret));
		return;
	}
	replayer.busy = true;
	replayer.waiting = req;
}

void file_events_forget(const char *container)
{
	char buf[1 + ID_MAX + 1];
	int len = snprintf(buf, sizeof(buf), "%c%s", REPLAY_MESSAGE_FORGET,
			   container);
	int ret;

	if (!beside_open(&replayer.process) || len >= (int)sizeof(buf))
		return;
	ret = beside_ask(&replayer.process, buf, (size_t)len);
	if (ret < 0)
		log_warn("file events: %s: %s", container, strerror(-ret));
}

void file_events_drop(void)
{
	pending_drop_one(&replayer.waiting);
}

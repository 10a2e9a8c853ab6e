/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/event_batch.h"

#include <stdlib.h>
#include <string.h>

struct record {
	uint8_t kind;
	uint8_t directory;
	uint16_t len; /* of the first name, then the other */
	uint16_t to_len;
	uint16_t zero;
	uint64_t dir;
	uint64_t to_dir;
};

/* A root's is a path of two components. */
#define NAME_MAX_HERE (2 * REPLAY_NAME_MAX + 1)

_Static_assert(sizeof(struct record) + NAME_MAX_HERE + REPLAY_NAME_MAX <
		       CONTROL_TEXT_MAX,
	       "each event fits in a message");

bool event_batch_add(struct event_batch *batch, const struct fs_event *event)
{
	struct record r = {
		.kind = (uint8_t)event->kind,
		.directory = event->directory,
		.len = (uint16_t)strnlen(event->name, NAME_MAX_HERE),
		.to_len = (uint16_t)strnlen(event->to_name, REPLAY_NAME_MAX),
		.dir = event->dir,
		.to_dir = event->to_dir,
	};
	size_t need = sizeof(r) + r.len + r.to_len;

	if (need > sizeof(batch->text) - batch->len)
		return false;
	memcpy(batch->text + batch->len, &r, sizeof(r));
	memcpy(batch->text + batch->len + sizeof(r), event->name, r.len);
	memcpy(batch->text + batch->len + sizeof(r) + r.len, event->to_name,
	       r.to_len);
	batch->len += need;
	return true;
}

static bool bytes_copy(ProtobufCBinaryData *to, const char *from, size_t len)
{
	to->data = malloc(len + 1);
	if (!to->data)
		return false;
	to->len = len;
	memcpy(to->data, from, len);
	return true;
}

/* *at moves behind the record. NULL: malformed. */
static Agent__FileEvent *record_read(const char *text, size_t len, size_t *at)
{
	Agent__FileEvent *e;
	struct record r;
	bool good;

	if (len - *at < sizeof(r))
		return NULL;
	memcpy(&r, text + *at, sizeof(r));
	*at += sizeof(r);
	if (r.len > NAME_MAX_HERE || r.to_len > REPLAY_NAME_MAX || r.zero ||
	    r.kind >= FILE_EVENT_KINDS || r.directory > 1 ||
	    len - *at < (size_t)r.len + r.to_len)
		return NULL;
	e = malloc(sizeof(*e));
	if (!e)
		return NULL;
	agent__file_event__init(e);
	e->kind = r.kind;
	e->directory = r.directory;
	e->dir = r.dir;
	e->to_dir = r.to_dir;
	good = bytes_copy(&e->name, text + *at, r.len);
	*at += r.len;
	good = good && bytes_copy(&e->to_name, text + *at, r.to_len);
	*at += r.to_len;
	if (good)
		return e;
	agent__file_event__free_unpacked(e, NULL);
	return NULL;
}

Agent__ReplayEventsRequest *event_batch_read(const char *text, size_t len)
{
	Agent__ReplayEventsRequest *request = malloc(sizeof(*request));
	size_t at = 0;
	bool good;

	if (!request)
		return NULL;
	agent__replay_events_request__init(request);
	request->events =
		calloc(len / sizeof(struct record) + 1, sizeof(void *));
	good = request->events;
	while (good && at < len) {
		Agent__FileEvent *e = record_read(text, len, &at);

		good = e;
		if (e)
			request->events[request->n_events++] = e;
	}
	if (good)
		return request;
	agent__replay_events_request__free_unpacked(request, NULL);
	return NULL;
}

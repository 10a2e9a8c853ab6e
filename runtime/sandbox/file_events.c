/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that the host makes in volumes: the sandbox process watches them, the
 * agent repeats them. Nothing of it is looked into here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/sandbox/control.h"
#include "runtime/sandbox/event_batch.h"
#include "runtime/sandbox/sandbox.h"

/* From a message to asking for the next, at least. */
#define APART_MS 2

static void ask(struct sandbox *s)
{
	int ret = s->vmm.control < 0
			  ? -EPIPE
			  : control_send(s->vmm.control, CONTROL_NEXT, "", 0);

	s->file_events_busy = false;
	if (ret < 0)
		log_debug("file events: %s", strerror(-ret));
}

static void on_timer(struct evtimer *timer)
{
	ask(container_of(timer, struct sandbox, file_events_timer));
}

static void replayed(struct ttrpc_call *call, enum ttrpc_code code,
		     const char *text, const ProtobufCMessage *reply)
{
	struct sandbox *s =
		container_of(call, struct sandbox, file_events_call);

	/* The sandbox is over. */
	if (code == TTRPC_CANCELLED || !s->agent)
		return;
	if (code != TTRPC_OK && log_allowed(&s->limit, 10))
		log_warn("file events: the agent: %.200s", text);
	evtimer_start(&s->file_events_timer, APART_MS);
}

bool file_events_message(struct sandbox *s, const char *text, size_t len)
{
	Agent__ReplayEventsRequest *request;

	/* It was not asked, or what it says is nonsense. */
	if (s->file_events_busy || !s->file_events)
		return false;
	request = event_batch_read(text, len);
	if (!request)
		return false;
	s->file_events_busy = true;
	if (s->agent) {
		s->file_events_call.done = replayed;
		/* As long as it takes: the agent takes no others meanwhile,
		 * which would be lost. */
		ttrpc_call_start(s->agent, &s->file_events_call, AGENT_SERVICE,
				 "ReplayEvents", &request->base, NULL, 0, NULL,
				 0);
	}
	agent__replay_events_request__free_unpacked(request, NULL);
	return true;
}

/* What the kubelet writes anew while pods run. */
static bool is_kubernetes(const char *source)
{
	static const char *const kinds[] = {
		"/kubernetes.io~configmap/",
		"/kubernetes.io~secret/",
		"/kubernetes.io~projected/",
		"/kubernetes.io~downward-api/",
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strstr(source, kinds[i]))
			return true;
	return false;
}

static bool wanted(const struct config *config, const Oci__Mount *m)
{
	if (!mount_is_bind(m) || !strcmp(config->file_events, "none"))
		return false;
	return !strcmp(config->file_events, "all") || is_kubernetes(m->source);
}

static bool has_events(const struct container *c, const char *path)
{
	AUTO_FREE char *host = NULL;
	struct stat st;

	if (asprintf(&host, "%s/shared/%s", c->sandbox->dir, path) < 0) {
		host = NULL;
		return false;
	}
	return lstat(host, &st) == 0 &&
	       (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode));
}

static void say(const struct container *c, enum control_type type,
		const char *text)
{
	int ret =
		control_send(c->sandbox->vmm.control, type, text, strlen(text));

	if (ret < 0)
		log_warn("file events: %s: %s", text, strerror(-ret));
}

void file_events_begin(const struct container *c)
{
	struct sandbox *s = c->sandbox;
	char name[128];
	char path[512];

	for (size_t i = 0; i < c->spec->n_mounts; i++) {
		const Oci__Mount *m = c->spec->mounts[i];

		if (!wanted(s->args->config, m))
			continue;
		if (!s->file_events) {
			log_info("%s: what the host changes in volumes raises "
				 "no events: the agent cannot repeat it",
				 c->id);
			return;
		}
		mount_share_name(name, sizeof(name), i, m->destination);
		snprintf(path, sizeof(path), "%s/%s", c->id, name);
		if (has_events(c, path))
			say(c, CONTROL_WATCH, path);
	}
}

void file_events_end(const struct container *c)
{
	char prefix[512];

	if (!c->sandbox->file_events || c->sandbox->vmm.control < 0)
		return;
	snprintf(prefix, sizeof(prefix), "%s/", c->id);
	say(c, CONTROL_UNWATCH, prefix);
}

int file_events_start(struct sandbox *s, struct err *err)
{
	int ret = evtimer_init(s->loop, &s->file_events_timer, on_timer);

	return ret < 0 ? err_ret(err, ret, "timer") : 0;
}

void file_events_abort(struct sandbox *s)
{
	evtimer_release(&s->file_events_timer);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a VM that was just started to a sandbox that takes containers: dial
 * the agent, then the calls that make the sandbox, one after another as
 * Kata's agent expects them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/sandbox/sandbox.h"

#define AGENT_PORT 1024u
/* Between a refused dial and the next: a guest that is not up yet cannot
 * tell us when it will be. Kata's runtimes use 10 ms. */
#define REDIAL_MS 5
#define GUEST_DETAILS "GetGuestDetails"
/* A guest that prints and prints causes no more than this. */
#define HINT_APART_NS 1000000u
/* What makes Linux's generator ready: 256 bits. */
#define SEED_SIZE ((size_t)32)

static void next_call(struct sandbox *s);
static void dial(struct sandbox *s);

static void failed(struct sandbox *s, const char *what, const char *text)
{
	char reason[ERR_TEXT_MAX];

	snprintf(reason, sizeof(reason), "%s: %.400s", what, text);
	sandbox_died(s, reason);
}

/* Set-up calls. ----------------------------------------------------------- */

/* Takes request. */
static int push(struct sandbox *s, const char *method, void *request)
{
	struct setup_call *call = calloc(1, sizeof(*call));
	struct setup_call **end = &s->setup;

	if (!call || !request) {
		free(call);
		if (request)
			protobuf_c_message_free_unpacked(request, NULL);
		return -ENOMEM;
	}
	call->method = method;
	call->request = request;
	while (*end)
		end = &(*end)->next;
	*end = call;
	return 0;
}

static void pop(struct sandbox *s)
{
	struct setup_call *call = s->setup;

	s->setup = call->next;
	protobuf_c_message_free_unpacked(call->request, NULL);
	free(call);
}

/* The guest's word: what it names and does not do costs it its streams, or
 * what its containers asked for. */
static void take_details(struct sandbox *s,
			 const Agent__GuestDetailsResponse *reply)
{
	const Agent__AgentDetails *details = reply->agent_details;

	for (size_t i = 0; details && i < details->n_extra_features; i++) {
		const char *name = details->extra_features[i];

		if (!strcmp(name, "stdio_ports"))
			s->stdio_ports = s->args->config->use_passfd_io;
		if (!strcmp(name, "file_events"))
			s->file_events = strcmp(s->args->config->file_events,
						"none") != 0;
		extensions_take(&s->extensions, name);
	}
}

static const ProtobufCMessageDescriptor *reply_type(const char *method)
{
	return strcmp(method, GUEST_DETAILS)
		       ? NULL
		       : &agent__guest_details_response__descriptor;
}

static Agent__GuestDetailsRequest *details_request(void)
{
	Agent__GuestDetailsRequest *r = malloc(sizeof(*r));

	if (r)
		agent__guest_details_request__init(r);
	return r;
}

static void call_done(struct ttrpc_call *base, enum ttrpc_code code,
		      const char *text, const ProtobufCMessage *reply)
{
	struct sandbox *s = container_of(base, struct sandbox, setup_call);
	const char *method;

	/* The sandbox is over, and its set-up calls are gone. */
	if (code == TTRPC_CANCELLED)
		return;
	method = s->setup->method;
	if (!strcmp(method, GUEST_DETAILS)) {
		/* One that does not know the request has no extensions. */
		if (code == TTRPC_OK)
			take_details(s, (const void *)reply);
		else if (code == TTRPC_UNIMPLEMENTED)
			code = TTRPC_OK;
	}
	pop(s);
	if (code == TTRPC_OK)
		next_call(s);
	else
		failed(s, method, text);
}

static void next_call(struct sandbox *s)
{
	if (!s->setup) {
		struct err err;

		if (events_start(s, &err) < 0 ||
		    file_events_start(s, &err) < 0) {
			failed(s, "events", err.text);
			return;
		}
		s->phase = SANDBOX_READY;
		log_debug("step: sandbox ready");
		s->on_ready(s, 0);
		return;
	}
	s->setup_call.done = call_done;
	ttrpc_call_start(
		s->agent, &s->setup_call, AGENT_SERVICE, s->setup->method,
		s->setup->request, reply_type(s->setup->method),
		s->args->config->create_container_timeout * 1000ull, NULL, 0);
}

/*
 * A guest without RDRAND or a random number device, as user-mode Linux is,
 * takes minutes to gather what getrandom(2) waits for.
 */
static Agent__ReseedRandomDevRequest *reseed_request(void)
{
	Agent__ReseedRandomDevRequest *r = malloc(sizeof(*r));
	uint8_t *seed = malloc(SEED_SIZE);

	if (!r || !seed ||
	    getrandom(seed, SEED_SIZE, 0) != (ssize_t)SEED_SIZE) {
		free(r);
		free(seed);
		return NULL;
	}
	agent__reseed_random_dev_request__init(r);
	r->data.data = seed;
	r->data.len = SEED_SIZE;
	return r;
}

/* dax=inode: the device says of which files. */
static Agent__Storage *share_storage(const struct config *config)
{
	Agent__Storage *storage = malloc(sizeof(*storage));

	if (!storage)
		return NULL;
	agent__storage__init(storage);
	storage->driver = strdup("virtio-fs");
	storage->source = strdup(SANDBOX_SHARE_TAG);
	storage->fstype = strdup("virtiofs");
	storage->mount_point = strdup(GUEST_SHARED);
	storage->options = calloc(2, sizeof(char *));
	if (storage->options) {
		storage->options[0] = strdup("nodev");
		storage->n_options = 1;
		if (config->virtio_fs_cache_size)
			storage->options[storage->n_options++] =
				strdup("dax=inode");
	}
	return storage;
}

static Agent__CreateSandboxRequest *
create_sandbox_request(const struct sandbox *s, const struct container *first)
{
	Agent__CreateSandboxRequest *r = malloc(sizeof(*r));

	if (!r)
		return NULL;
	agent__create_sandbox_request__init(r);
	r->sandbox_id = strdup(s->args->id);
	r->hostname = strdup(first->spec->hostname);
	r->storages = calloc(1, sizeof(void *));
	if (r->storages) {
		r->storages[0] = share_storage(s->args->config);
		r->n_storages = r->storages[0] ? 1 : 0;
	}
	return r;
}

static int queue_calls(struct sandbox *s, const struct container *first)
{
	Agent__AddARPNeighborsRequest *neighbours;
	int ret = push(s, "ReseedRandomDev", reseed_request());

	for (unsigned i = 0; !ret && i < s->network.net.count; i++)
		ret = push(s, "UpdateInterface",
			   network_interface(&s->network, i));
	if (!ret && s->network.net.count)
		ret = push(s, "UpdateRoutes", network_routes(&s->network));
	neighbours = network_neighbours(&s->network);
	if (!ret && neighbours)
		ret = push(s, "AddARPNeighbors", neighbours);
	if (!ret)
		ret = push(s, "CreateSandbox",
			   create_sandbox_request(s, first));
	if (!ret)
		ret = push(s, GUEST_DETAILS, details_request());
	return ret;
}

/* The dial. --------------------------------------------------------------- */

static void agent_lost(void *arg)
{
	sandbox_agent_lost(arg);
}

static void hang_up(struct sandbox *s)
{
	evsource_del(&s->dial_src);
	dial_close(&s->dial);
}

static void redial(struct sandbox *s)
{
	hang_up(s);
	if (monotonic_ns() > s->dial_deadline_ns) {
		failed(s, "the agent did not answer within dial_timeout",
		       s->console.panic[0] ? s->console.panic
					   : "the guest does not start");
		return;
	}
	evtimer_start(&s->dial_timer, REDIAL_MS);
}

static void connected(struct sandbox *s)
{
	struct err err;

	evsource_del(&s->dial_src);
	evtimer_stop(&s->dial_timer);
	s->agent = ttrpc_client_new(s->loop, steal_fd(&s->dial.fd), agent_lost,
				    s, &err);
	log_debug("step: agent answers");
	if (s->agent)
		next_call(s);
	else
		failed(s, "agent", err.text);
}

static void on_answer(struct evsource *src, uint32_t revents)
{
	struct sandbox *s = container_of(src, struct sandbox, dial_src);
	uint32_t port;
	int ret = dial_answer(&s->dial, &port);

	if (ret > 0)
		connected(s);
	else if (ret < 0)
		redial(s);
}

static void dial(struct sandbox *s)
{
	s->dialed_ns = monotonic_ns();
	uint64_t now = monotonic_ns();

	if (dial_open(&s->dial, s->dir, AGENT_PORT, -1) < 0 ||
	    evsource_add(s->loop, &s->dial_src, s->dial.fd, EPOLLIN,
			 on_answer) < 0) {
		redial(s);
		return;
	}
	/* Whoever takes the call and says nothing is waited for no longer. */
	evtimer_start(&s->dial_timer,
		      s->dial_deadline_ns > now
			      ? (s->dial_deadline_ns - now) / 1000000 + 1
			      : 0);
}

static void on_dial_timer(struct evtimer *timer)
{
	struct sandbox *s = container_of(timer, struct sandbox, dial_timer);

	if (s->dial.fd >= 0)
		redial(s);
	else
		dial(s);
}

void setup_hint(struct sandbox *s)
{
	bool waiting =
		s->phase == SANDBOX_STARTING && !s->agent && s->dial.fd < 0;

	if (!waiting || monotonic_ns() - s->dialed_ns < HINT_APART_NS)
		return;
	evtimer_stop(&s->dial_timer);
	dial(s);
}

int setup_start(struct sandbox *s, const struct container *first,
		struct err *err)
{
	int ret = queue_calls(s, first);

	if (ret < 0)
		return err_ret(err, ret, "sandbox");
	ret = evtimer_init(s->loop, &s->dial_timer, on_dial_timer);
	if (ret < 0)
		return err_ret(err, ret, "sandbox");
	s->dial_deadline_ns =
		monotonic_ns() + s->args->config->dial_timeout * 1000000000ull;
	dial(s);
	return 0;
}

void setup_abort(struct sandbox *s)
{
	hang_up(s);
	evtimer_release(&s->dial_timer);
	while (s->setup)
		pop(s);
}

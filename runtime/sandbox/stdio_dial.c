/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/stdio_dial.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/sandbox/sandbox.h"

/* Returns done()'s way: nothing may follow but return. */
static void call_over(struct stdio_dial *d)
{
	if (--d->waiting)
		return;
	evtimer_release(&d->timer);
	d->done(d);
}

static void give_up(struct stdio_call *call, int ret)
{
	if (ret < 0)
		log_warn("a standard stream's connection: %s; going on "
			 "without",
			 strerror(-ret));
	evsource_del(&call->src);
	dial_close(&call->dial);
}

static void on_answer(struct evsource *src, uint32_t revents)
{
	struct stdio_call *call = container_of(src, struct stdio_call, src);
	struct stdio_dial *d = call->owner;
	uint32_t port = 0;
	int ret = dial_answer(&call->dial, &port);

	if (ret == 0)
		return;
	evsource_del(&call->src);
	if (ret > 0 && port)
		stream_set_port(d->set, (unsigned)(call - d->calls),
				steal_fd(&call->dial.fd), port);
	give_up(call, ret);
	call_over(d);
}

static void expired(struct evtimer *timer)
{
	struct stdio_dial *d = container_of(timer, struct stdio_dial, timer);

	for (unsigned i = 0; i < ARRAY_SIZE(d->calls); i++)
		if (d->calls[i].dial.fd >= 0)
			give_up(&d->calls[i], -ETIMEDOUT);
	d->waiting = 1;
	call_over(d);
}

static void start_call(struct stdio_call *call, const struct sandbox *s)
{
	int sink = stream_set_sink(call->owner->set,
				   (unsigned)(call - call->owner->calls));
	int ret = dial_open(&call->dial, s->dir, STDIO_DIAL_PORT, sink);

	if (!ret)
		ret = evsource_add(s->loop, &call->src, call->dial.fd, EPOLLIN,
				   on_answer);
	if (ret < 0)
		give_up(call, ret);
	else
		call->owner->waiting++;
}

void stdio_dial_start(struct stdio_dial *d, const struct sandbox *s,
		      struct stream_set *set, void (*done)(struct stdio_dial *))
{
	uint64_t limit = s->args->config->create_container_timeout * 1000ull;
	bool wanted = s->stdio_ports && s->agent && stream_ports_left() >= 3;

	*d = (struct stdio_dial){.set = set, .done = done, .waiting = 1};
	d->timer.src.fd = -1;
	for (unsigned i = 0; i < ARRAY_SIZE(d->calls); i++)
		d->calls[i] = (struct stdio_call){.owner = d, .dial.fd = -1};
	if (wanted && evtimer_init(s->loop, &d->timer, expired) == 0) {
		evtimer_start(&d->timer, limit);
		for (unsigned i = 0; i < ARRAY_SIZE(d->calls); i++)
			if (stream_set_wants(set, i))
				start_call(&d->calls[i], s);
	}
	call_over(d);
}

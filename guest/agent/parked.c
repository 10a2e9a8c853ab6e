/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/parked.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guest/agent/agent.h"

#define UEVENT_GROUP 1 /* the kernel's own; udev sends to 2 */

struct parked_request {
	struct parked_request *next;
	struct agent *agent;
	struct ttrpc_request *req;
	ProtobufCMessage *message;
	parked_ready *ready;
	parked_go *go;
	struct evtimer limit;
};

/* Out of the list; the caller has req and message. */
static void unlink_parked(struct parked_request *p)
{
	struct parked_request **at = &p->agent->parked.first;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->agent->parked.n--;
	evtimer_release(&p->limit);
}

static void end(struct parked_request *p)
{
	protobuf_c_message_free_unpacked(p->message, NULL);
	free(p);
}

/* True: p is answered and gone. */
static bool try_again(struct parked_request *p, bool last)
{
	struct err err = {0};
	int ret = p->ready(p->agent, p->message, &err);

	if (ret == -EAGAIN && !last)
		return false;
	unlink_parked(p);
	if (ret == -EAGAIN)
		ttrpc_fail(p->req, TTRPC_DEADLINE_EXCEEDED,
			   "%s, and that did not change in time", err.text);
	else if (ret < 0)
		ttrpc_fail(p->req, ttrpc_code_of_errno(err.code), "%s",
			   err.text);
	else
		p->go(p->req, p->message, p->agent);
	end(p);
	return true;
}

static void expired(struct evtimer *timer)
{
	(void)try_again(container_of(timer, struct parked_request, limit),
			true);
}

static void try_all(struct parked *parked)
{
	struct parked_request *next;

	for (struct parked_request *p = parked->first; p; p = next) {
		next = p->next;
		(void)try_again(p, false);
	}
}

static void run_again(struct evpost *post)
{
	struct parked *parked = container_of(post, struct parked, again);

	parked->posted = false;
	try_all(parked);
}

/* Who says so is in the midst of changing things. */
void parked_again(struct agent *agent)
{
	struct parked *parked = &agent->parked;

	if (!parked->first || parked->posted)
		return;
	parked->posted = true;
	parked->again.run = run_again;
	evloop_post(agent->loop, &parked->again);
}

static void uevent(struct evsource *src, uint32_t revents)
{
	struct parked *parked = container_of(src, struct parked, src);
	char buf[4096];

	/* What happened does not matter; nor if some of it was lost. */
	while (recv(src->fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0 ||
	       errno == ENOBUFS)
		;
	try_all(parked);
}

static int listen_uevents(struct agent *agent)
{
	struct sockaddr_nl addr = {
		.nl_family = AF_NETLINK,
		.nl_groups = UEVENT_GROUP,
	};
	AUTO_FD int fd = -1;
	int ret;

	if (agent->parked.src.loop)
		return 0;
	fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    NETLINK_KOBJECT_UEVENT);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	ret = evsource_add(agent->loop, &agent->parked.src, fd, EPOLLIN,
			   uevent);
	if (!ret)
		(void)steal_fd(&fd); /* for as long as the agent lives */
	return ret;
}

static ProtobufCMessage *copy(const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	AUTO_FREE uint8_t *buf = malloc(len ? len : 1);

	if (!buf)
		return NULL;
	protobuf_c_message_pack(message, buf);
	return protobuf_c_message_unpack(message->descriptor, NULL, len, buf);
}

static int keep(struct agent *agent, struct parked_request *p,
		const ProtobufCMessage *message, unsigned timeout_ms)
{
	int ret = evtimer_init(agent->loop, &p->limit, expired);

	if (ret < 0)
		return ret;
	p->message = copy(message);
	if (!p->message) {
		evtimer_release(&p->limit);
		return -ENOMEM;
	}
	p->next = agent->parked.first;
	agent->parked.first = p;
	agent->parked.n++;
	evtimer_start(&p->limit, timeout_ms);
	return 0;
}

static int park_new(struct agent *agent, const struct parked_request *init,
		    const ProtobufCMessage *message, unsigned timeout_ms,
		    struct err *err)
{
	struct parked_request *p;
	int ret;

	if (agent->parked.n >= PARKED_MAX)
		return err_set(err, ENOMEM, "too many requests wait");
	p = malloc(sizeof(*p));
	if (!p)
		return err_set(err, ENOMEM, "out of memory");
	*p = *init;
	ret = keep(agent, p, message, timeout_ms);
	if (ret < 0) {
		free(p);
		return err_ret(err, ret, "waiting for devices");
	}
	return 0;
}

void park(struct agent *agent, struct ttrpc_request *req,
	  const ProtobufCMessage *message, unsigned timeout_ms,
	  parked_ready *ready, parked_go *go)
{
	const struct parked_request init = {
		.agent = agent,
		.req = req,
		.ready = ready,
		.go = go,
	};
	struct err err = {0};
	int ret = ready(agent, message, &err);

	if (ret == -EAGAIN) {
		/* Listening precedes the look that decides to wait. */
		ret = listen_uevents(agent);
		if (ret < 0)
			(void)err_ret(&err, ret, "uevents");
		else
			ret = ready(agent, message, &err);
	}
	if (ret == -EAGAIN) {
		ret = park_new(agent, &init, message, timeout_ms, &err);
		if (!ret)
			return;
	}
	if (ret < 0)
		ttrpc_fail(req, ttrpc_code_of_errno(err.code), "%s", err.text);
	else
		go(req, message, agent);
}

void parked_drop(struct agent *agent)
{
	struct parked_request *next;

	for (struct parked_request *p = agent->parked.first; p; p = next) {
		next = p->next;
		if (!ttrpc_request_dropped(p->req))
			continue;
		unlink_parked(p);
		ttrpc_fail(p->req, TTRPC_CANCELLED, "dropped");
		end(p);
	}
}

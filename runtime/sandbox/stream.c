/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/pb.h"
#include "base/cleanup.h"
#include "base/log.h"

#define AGENT_SERVICE "grpc.AgentService"
/* One call's worth: large enough that the round trip does not dominate. */
#define CHUNK (256u << 10)
#define STDIN_CHUNK (32u << 10)
/* The device buffers for so many connections that nobody reads, and others
 * need some. */
#define PORTS_MAX 96u

static unsigned ports_open;

static void out_next(struct stream *st);
static void in_next(struct stream *st);

/*
 * A description of our own, so that O_NONBLOCK does not reach whoever shares
 * it (the user's shell, say). Sockets cannot be reopened, but take
 * MSG_DONTWAIT; regular files never block.
 */
static void adopt(struct stream *st, int fd, int flags)
{
	struct stat stat;
	char path[64];
	int own;

	st->fd = fd;
	if (fd < 0 || fstat(fd, &stat) < 0 || S_ISREG(stat.st_mode) ||
	    S_ISDIR(stat.st_mode))
		return;
	st->socket = S_ISSOCK(stat.st_mode);
	st->pollable = true;
	if (st->socket)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	/* A fifo without a reader, for one. */
	st->shared = own < 0;
	if (own < 0)
		return;
	close(fd);
	st->fd = own;
	/* Terminals answer to more than writes, and files block. */
	st->sink = S_ISFIFO(stat.st_mode) ||
		   (S_ISCHR(stat.st_mode) && stat.st_rdev == makedev(1, 3));
}

static void close_port(struct stream *st)
{
	evsource_del(&st->sock_src);
	if (st->sock < 0)
		return;
	close(steal_fd(&st->sock));
	st->port = 0;
	ports_open--;
}

static void end(struct stream *st)
{
	evsource_del(&st->src);
	close_port(st);
	if (st->fd >= 0)
		close(steal_fd(&st->fd));
	free(steal_ptr(&st->data));
	st->len = st->done = 0;
	st->ended = true;
}

static void end_output(struct stream *st)
{
	if (st->ended)
		return;
	end(st);
	if (st->set->drained)
		st->set->drained(st->set);
}

/* Waits for fd in the loop. -EPERM: /dev/null and its like never block. */
static int wait_for(struct stream *st, uint32_t events,
		    void (*ready)(struct evsource *, uint32_t))
{
	if (st->src.loop)
		return evsource_modify(&st->src, events);
	return evsource_add(st->set->loop, &st->src, st->fd, events, ready);
}

static int wait_for_guest(struct stream *st, uint32_t events,
			  void (*ready)(struct evsource *, uint32_t))
{
	if (st->sock_src.loop)
		return 0;
	return evsource_add(st->set->loop, &st->sock_src, st->sock, events,
			    ready);
}

static void agent_call(struct stream *st, const char *method,
		       const ProtobufCMessage *request,
		       const ProtobufCMessageDescriptor *reply,
		       void (*done)(struct ttrpc_call *, enum ttrpc_code,
				    const char *, const ProtobufCMessage *))
{
	st->busy = true;
	st->call.done = done;
	ttrpc_call_start(st->set->agent, &st->call, AGENT_SERVICE, method,
			 request, reply, 0, NULL, 0);
}

/* Output: the agent's data to fd. ---------------------------------------- */

static ssize_t write_some(struct stream *st)
{
	const uint8_t *data = st->data + st->done;
	size_t len = st->len - st->done;
	struct pollfd pfd = {.fd = st->fd, .events = POLLOUT};
	ssize_t n;

	if (st->socket)
		n = send(st->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (st->shared && poll(&pfd, 1, 0) == 0)
		return -EAGAIN;
	else if (st->shared)
		/* That much a pipe takes which has room at all. */
		n = write(st->fd, data, MIN(len, (size_t)PIPE_BUF));
	else
		n = write(st->fd, data, len);
	return n < 0 ? -errno : n;
}

static void out_flush(struct stream *st);

static void out_ready(struct evsource *src, uint32_t revents)
{
	struct stream *st = container_of(src, struct stream, src);

	evsource_del(&st->src);
	out_flush(st);
}

/* Nobody reads any more: what comes is thrown away, so that the process
 * does not hang on a full pipe for ever. */
static void out_discard(struct stream *st)
{
	close(steal_fd(&st->fd));
	st->len = st->done = 0;
	out_next(st);
}

static void out_flush(struct stream *st)
{
	while (st->done < st->len) {
		ssize_t n = write_some(st);

		if (n == -EINTR)
			continue;
		if (n == -EAGAIN && wait_for(st, EPOLLOUT, out_ready) == 0)
			return;
		if (n < 0) {
			out_discard(st);
			return;
		}
		st->done += (size_t)n;
	}
	out_next(st);
}

/* One chunk a turn of the loop, so that streams take turns. */
static void out_guest_ready(struct evsource *src, uint32_t revents)
{
	struct stream *st = container_of(src, struct stream, sock_src);
	ssize_t n;

	n = recv(st->sock, st->data, CHUNK, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end_output(st);
		return;
	}
	if (st->fd < 0)
		return;
	st->len = (size_t)n;
	st->done = 0;
	out_flush(st);
	if (st->done < st->len)
		evsource_del(&st->sock_src);
}

static void out_done(struct ttrpc_call *call, enum ttrpc_code code,
		     const char *text, const ProtobufCMessage *reply)
{
	struct stream *st = container_of(call, struct stream, call);
	const Agent__ReadStreamResponse *r = (const void *)reply;

	st->busy = false;
	if (code == TTRPC_CANCELLED)
		return;
	if (code != TTRPC_OK || !r->data.len || r->data.len > CHUNK) {
		end_output(st);
		return;
	}
	if (st->fd < 0) {
		out_next(st);
		return;
	}
	memcpy(st->data, r->data.data, r->data.len);
	st->len = r->data.len;
	st->done = 0;
	out_flush(st);
}

static void out_next(struct stream *st)
{
	Agent__ReadStreamRequest request = AGENT__READ_STREAM_REQUEST__INIT;
	struct stream_set *set = st->set;

	if (st->sock >= 0) {
		if (wait_for_guest(st, EPOLLIN, out_guest_ready) < 0)
			end_output(st);
		return;
	}
	if (!set->agent) {
		end_output(st);
		return;
	}
	request.container_id = pb_str(set->container_id);
	request.exec_id = pb_str(set->exec_id);
	request.len = CHUNK;
	agent_call(st, st == &set->out[0] ? "ReadStdout" : "ReadStderr",
		   &request.base, &agent__read_stream_response__descriptor,
		   out_done);
}

/* Input: fd's data to the agent. ----------------------------------------- */

static void close_done(struct ttrpc_call *call, enum ttrpc_code code,
		       const char *text, const ProtobufCMessage *reply)
{
	struct stream *st = container_of(call, struct stream, call);

	st->busy = false;
}

static void in_close(struct stream *st)
{
	Agent__CloseStdinRequest request = AGENT__CLOSE_STDIN_REQUEST__INIT;
	bool port = st->sock >= 0;

	/* What was sent before still arrives, and then its end. */
	end(st);
	if (port || !st->set->agent)
		return;
	request.container_id = pb_str(st->set->container_id);
	request.exec_id = pb_str(st->set->exec_id);
	agent_call(st, "CloseStdin", &request.base, NULL, close_done);
}

static void in_done(struct ttrpc_call *call, enum ttrpc_code code,
		    const char *text, const ProtobufCMessage *reply)
{
	struct stream *st = container_of(call, struct stream, call);
	const Agent__WriteStreamResponse *r = (const void *)reply;

	st->busy = false;
	if (code == TTRPC_CANCELLED || st->ended)
		return;
	if (code != TTRPC_OK || r->len == 0 || r->len > st->len - st->done) {
		/* The process does not read any more. */
		end(st);
		return;
	}
	st->done += r->len;
	in_next(st);
}

static void in_guest_ready(struct evsource *src, uint32_t revents)
{
	struct stream *st = container_of(src, struct stream, sock_src);

	evsource_del(&st->sock_src);
	in_next(st);
}

/* And the next chunk when there is room for it, so that streams take turns. */
static void in_send_port(struct stream *st)
{
	ssize_t n = send(st->sock, st->data + st->done, st->len - st->done,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		st->done += (size_t)n;
	if ((n < 0 && errno != EAGAIN && errno != EINTR) ||
	    wait_for_guest(st, EPOLLOUT, in_guest_ready) < 0)
		end(st); /* the process does not read any more */
}

static void in_send(struct stream *st)
{
	Agent__WriteStreamRequest request = AGENT__WRITE_STREAM_REQUEST__INIT;

	if (st->sock >= 0) {
		in_send_port(st);
		return;
	}
	request.container_id = pb_str(st->set->container_id);
	request.exec_id = pb_str(st->set->exec_id);
	request.data.data = st->data + st->done;
	request.data.len = st->len - st->done;
	agent_call(st, "WriteStdin", &request.base,
		   &agent__write_stream_response__descriptor, in_done);
}

static void in_ready(struct evsource *src, uint32_t revents)
{
	struct stream *st = container_of(src, struct stream, src);

	evsource_del(&st->src);
	in_next(st);
}

/* A descriptor that could not be made non-blocking must be asked first. */
static bool readable(struct stream *st)
{
	struct pollfd pfd = {.fd = st->fd, .events = POLLIN};

	return !st->pollable || poll(&pfd, 1, 0) != 0;
}

static void in_next(struct stream *st)
{
	ssize_t n = -EAGAIN;

	if (st->busy || st->ended || !st->set->agent)
		return;
	if (st->done < st->len) {
		in_send(st);
		return;
	}
	if (st->closing) {
		in_close(st);
		return;
	}
	if (readable(st)) {
		n = read(st->fd, st->data, STDIN_CHUNK);
		n = n < 0 ? -errno : n;
	}
	if (n == -EAGAIN || n == -EINTR) {
		if (wait_for(st, EPOLLIN, in_ready) < 0)
			in_close(st);
		return;
	}
	/* A terminal that hung up reads as EIO. */
	if (n <= 0) {
		in_close(st);
		return;
	}
	st->len = (size_t)n;
	st->done = 0;
	in_send(st);
}

/* The set. ---------------------------------------------------------------- */

void stream_set_init(struct stream_set *set, struct evloop *loop)
{
	struct stream *all[] = {&set->in, &set->out[0], &set->out[1]};

	set->loop = loop;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		all[i]->set = set;
		all[i]->fd = all[i]->sock = -1;
		all[i]->ended = true;
	}
}

void stream_set_fd(struct stream_set *set, unsigned which, int fd)
{
	struct stream *st = which ? &set->out[which - 1] : &set->in;

	if (fd < 0)
		return;
	adopt(st, fd, which ? O_WRONLY : O_RDONLY);
	st->ended = false;
}

bool stream_set_wants(const struct stream_set *set, unsigned which)
{
	return !(which ? &set->out[which - 1] : &set->in)->ended;
}

int stream_set_sink(const struct stream_set *set, unsigned which)
{
	const struct stream *st = which ? &set->out[which - 1] : &set->in;

	return which && st->sink ? st->fd : -1;
}

void stream_set_port(struct stream_set *set, unsigned which, int sock,
		     uint32_t port)
{
	struct stream *st = which ? &set->out[which - 1] : &set->in;

	if (st->ended) {
		close(sock);
		return;
	}
	st->sock = sock;
	st->port = port;
	ports_open++;
}

unsigned stream_ports_left(void)
{
	return PORTS_MAX - MIN(ports_open, PORTS_MAX);
}

void stream_set_start(struct stream_set *set, struct ttrpc_client *agent,
		      const char *container_id, const char *exec_id)
{
	set->agent = agent;
	set->container_id = container_id;
	set->exec_id = exec_id;
	set->started = true;
	for (unsigned i = 0; i < 2; i++) {
		struct stream *st = &set->out[i];

		if (st->ended)
			continue;
		st->data = malloc(CHUNK);
		if (st->data)
			out_next(st);
		else
			end_output(st);
	}
	if (!set->in.ended)
		set->in.data = malloc(STDIN_CHUNK);
	if (!set->in.data)
		in_close(&set->in);
	else
		in_next(&set->in);
}

bool stream_set_drained(const struct stream_set *set)
{
	return set->out[0].ended && set->out[1].ended;
}

void stream_set_close_stdin(struct stream_set *set)
{
	/* What was read before is delivered first. */
	set->in.closing = true;
	if (set->started && !set->in.ended && !set->in.busy &&
	    !set->in.sock_src.loop)
		in_close(&set->in);
}

static void release(struct stream *st)
{
	ttrpc_call_cancel(&st->call);
	st->busy = false;
	end(st);
}

void stream_set_release(struct stream_set *set)
{
	set->drained = NULL;
	release(&set->in);
	release(&set->out[0]);
	release(&set->out[1]);
	set->agent = NULL;
}

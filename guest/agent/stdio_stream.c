/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/stdio_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

/* One busy stream does not starve the others. */
#define ROUNDS 16

/* All streams read into it; what is not written at once is kept apart. */
static uint8_t buffer[STDIO_STREAM_SIZE];

static void ready(struct evsource *src, uint32_t revents);

static int wait_for(struct stdio_stream *s, int fd, uint32_t events)
{
	if (s->src.loop && s->src.fd == fd && s->src.events == events)
		return 0;
	evsource_del(&s->src);
	return evsource_add(s->loop, &s->src, fd, events, ready);
}

void stdio_stream_stop(struct stdio_stream *s)
{
	evsource_del(&s->src);
	free(steal_ptr(&s->data));
	s->loop = NULL;
}

static void end(struct stdio_stream *s)
{
	stdio_stream_stop(s);
	s->ended(s);
}

/* Bytes, or -errno when the destination takes no more for now or for good. */
static ssize_t put(const struct stdio_stream *s, const uint8_t *data,
		   size_t len)
{
	ssize_t n;

	do {
		n = s->to_socket ? send(s->to, data, len, MSG_NOSIGNAL)
				 : write(s->to, data, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int keep(struct stdio_stream *s, const uint8_t *data, size_t len)
{
	s->data = malloc(len);
	if (!s->data)
		return -ENOMEM;
	memcpy(s->data, data, len);
	s->len = len;
	s->done = 0;
	return 0;
}

/*
 * Writes data, which is what was kept or the buffer's. 0; -EAGAIN: the rest is
 * kept; or -errno.
 */
static int put_all(struct stdio_stream *s, const uint8_t *data, size_t len)
{
	bool kept = s->data != NULL;

	while (len) {
		ssize_t n = put(s, data, len);

		if (n == -EAGAIN && !kept && keep(s, data, len) < 0)
			return -ENOMEM;
		if (n < 0)
			return (int)n;
		data += n;
		len -= (size_t)n;
		s->done += kept ? (size_t)n : 0;
	}
	free(steal_ptr(&s->data));
	return 0;
}

/* False: waits, or it is over and perhaps freed. */
static bool flush(struct stdio_stream *s, const uint8_t *data, size_t len)
{
	int ret = s->to < 0 ? 0 : put_all(s, data, len);

	if (ret == 0)
		return true;
	if (ret == -EAGAIN && wait_for(s, s->to, EPOLLOUT) == 0)
		return false;
	if (ret == -EAGAIN || !s->discard) {
		end(s);
		return false;
	}
	s->to = -1;
	free(steal_ptr(&s->data));
	return true;
}

/* True: there may be more to do at once. May free the stream. */
static bool step(struct stdio_stream *s)
{
	ssize_t n;

	if (s->data && !flush(s, s->data + s->done, s->len - s->done))
		return false;
	do {
		n = read(s->from, buffer, sizeof(buffer));
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return flush(s, buffer, (size_t)n);
	/* EIO: the last descriptor of a terminal's other side is closed. */
	if (n == 0 || errno != EAGAIN || s->finish ||
	    wait_for(s, s->from, EPOLLIN) < 0)
		end(s);
	return false;
}

static void ready(struct evsource *src, uint32_t revents)
{
	struct stdio_stream *s = container_of(src, struct stdio_stream, src);
	int i = 0;

	while (step(s)) {
		if (++i < ROUNDS)
			continue;
		if (wait_for(s, s->from, EPOLLIN) < 0)
			end(s);
		return;
	}
}

int stdio_stream_start(struct stdio_stream *s, struct evloop *loop)
{
	s->loop = loop;
	return wait_for(s, s->from, EPOLLIN);
}

void stdio_stream_finish(struct stdio_stream *s)
{
	s->finish = true;
	if (s->loop)
		ready(&s->src, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/stdio_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "base/cleanup.h"

/* Whichever stream reads takes it, and gives it back when all is written. */
static uint8_t *spare;
static unsigned nlarge;

static void ready(struct evsource *src, uint32_t revents);

static int wait_for(struct stdio_stream *s, int fd, uint32_t events)
{
	if (s->src.loop && s->src.fd == fd && s->src.events == events)
		return 0;
	evsource_del(&s->src);
	return evsource_add(s->loop, &s->src, fd, events, ready);
}

static void put_buffer(struct stdio_stream *s)
{
	if (spare)
		free(s->data);
	else
		spare = s->data;
	s->data = NULL;
}

void stdio_stream_stop(struct stdio_stream *s)
{
	evsource_del(&s->src);
	put_buffer(s);
	/* Nobody is left who fills it. */
	if (s->large && --nlarge == 0)
		free(steal_ptr(&spare));
	s->large = false;
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

/* What was read and not written yet. 0, or -errno: -EAGAIN for now. */
static int put_all(struct stdio_stream *s)
{
	while (s->done < s->len) {
		ssize_t n = put(s, s->data + s->done, s->len - s->done);

		if (n < 0)
			return (int)n;
		s->done += (size_t)n;
	}
	return 0;
}

/* False: waits, or it is over and perhaps freed. */
static bool flush(struct stdio_stream *s)
{
	int ret = s->to < 0 ? 0 : put_all(s);

	if (ret == -EAGAIN && wait_for(s, s->to, EPOLLOUT) == 0)
		return false;
	if (ret == -EAGAIN || (ret < 0 && !s->discard)) {
		end(s);
		return false;
	}
	if (ret < 0)
		s->to = -1;
	put_buffer(s);
	return true;
}

/* Less does as well, but takes more turns. */
static void enlarge(struct stdio_stream *s)
{
	const uint64_t window = STDIO_STREAM_WINDOW;

	if (!s->to_socket || s->large || nlarge == STDIO_STREAM_LARGE_MAX)
		return;
	s->large = true;
	nlarge++;
	(void)!fcntl(s->from, F_SETPIPE_SZ, (int)STDIO_STREAM_LARGE);
	/* Linux has no more under way than it would take itself. */
	(void)!setsockopt(s->to, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE,
			  &window, sizeof(window));
	(void)!setsockopt(s->to, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &window,
			  sizeof(window));
}

/* Bytes that are in a buffer now, 0: the end, or -errno. */
static ssize_t fill(struct stdio_stream *s)
{
	size_t size = s->large ? STDIO_STREAM_LARGE : STDIO_STREAM_SIZE;
	ssize_t n;

	s->data = spare ? steal_ptr(&spare) : malloc(STDIO_STREAM_LARGE);
	if (!s->data)
		return -ENOMEM;
	do {
		n = read(s->from, s->data, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		n = -errno;
	if (n <= 0)
		put_buffer(s);
	if (n == (ssize_t)size)
		enlarge(s);
	s->len = n > 0 ? (size_t)n : 0;
	s->done = 0;
	return n;
}

/* What splice() takes no more of: the source is empty, or it is the other side
 * that waits. True: waits now. */
static bool waits_for_room(struct stdio_stream *s)
{
	int waiting = 0;

	return ioctl(s->from, FIONREAD, &waiting) == 0 && waiting > 0 &&
	       wait_for(s, s->to, EPOLLOUT) == 0;
}

/* As fill() and flush() do. */
static ssize_t move(struct stdio_stream *s)
{
	size_t size = s->large ? STDIO_STREAM_LARGE : STDIO_STREAM_SIZE;
	ssize_t n;

	do {
		n = splice(s->from, NULL, s->to, NULL, size, SPLICE_F_NONBLOCK);
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)size)
		enlarge(s);
	return n < 0 ? -errno : n;
}

/* May free the stream. */
static void ready(struct evsource *src, uint32_t revents)
{
	struct stdio_stream *s = container_of(src, struct stdio_stream, src);
	ssize_t n;

	if (s->data && !flush(s))
		return;
	n = s->splices ? move(s) : fill(s);
	if (n == -EAGAIN && s->splices && waits_for_room(s))
		return;
	/* What is wrong with the other side is found by writing to it. */
	if (n < 0 && n != -EAGAIN && s->splices) {
		s->splices = false;
		n = fill(s);
	}
	if (n > 0 && !s->splices && !flush(s))
		return;
	/* EIO: the last descriptor of a terminal's other side is closed. */
	if ((n <= 0 && n != -EAGAIN) || (n < 0 && s->finish)) {
		end(s);
		return;
	}
	/* One piece a turn: whoever writes goes on when we wait. When this is
	 * to finish, the next turn comes whether there is more or not. */
	if (wait_for(s, s->finish ? s->to : s->from,
		     s->finish ? EPOLLOUT : EPOLLIN) < 0)
		end(s);
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

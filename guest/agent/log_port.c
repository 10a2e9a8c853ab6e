/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/log_port.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

struct reader {
	struct evsource src; /* .loop NULL: not in use */
	uint64_t at;	     /* of all bytes that were ever logged */
	bool lost;
	bool waits; /* has all there is */
};

/* The log is one per process, so this is. */
static struct {
	pid_t owner;
	struct evloop *loop;
	struct evsource listener;
	struct reader readers[LOG_READERS_MAX];
	uint64_t end; /* bytes ever logged */
	char bytes[LOG_RING_SIZE];
} ring;

static const char lost_text[] =
	"\n{\"msg\":\"lines were left out\",\"level\":\"warning\"}\n";

static uint64_t oldest(void)
{
	uint64_t at = ring.end > LOG_RING_SIZE ? ring.end - LOG_RING_SIZE : 0;

	/* The oldest byte may lie inside of a line. */
	while (at && at < ring.end &&
	       ring.bytes[(at - 1) % LOG_RING_SIZE] != '\n')
		at++;
	return at;
}

static void end_reader(struct reader *r)
{
	int fd = r->src.fd;

	evsource_del(&r->src);
	close(fd);
	memset(r, 0, sizeof(*r));
}

/* False: the connection is no more, or takes nothing now. */
static bool put(struct reader *r, const char *data, size_t len, size_t *sent)
{
	ssize_t n = send(r->src.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	*sent = n > 0 ? (size_t)n : 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		end_reader(r);
	return n > 0;
}

/* What is left of the text is dropped when it does not fit: it only says
 * that something is missing. */
static bool tell_loss(struct reader *r)
{
	size_t sent;

	if (!put(r, lost_text, sizeof(lost_text) - 1, &sent))
		return false;
	r->lost = false;
	r->at = oldest();
	return true;
}

static void flush(struct reader *r)
{
	size_t sent;

	if (r->at + LOG_RING_SIZE < ring.end)
		r->lost = true;
	if (r->lost && !tell_loss(r))
		return;
	while (r->at < ring.end) {
		size_t from = (size_t)(r->at % LOG_RING_SIZE);
		size_t len =
			MIN((size_t)(ring.end - r->at), LOG_RING_SIZE - from);

		if (!put(r, ring.bytes + from, len, &sent))
			return;
		r->at += sent;
	}
	r->waits = evsource_modify(&r->src, EPOLLIN) == 0;
}

static void reader_ready(struct evsource *src, uint32_t revents)
{
	struct reader *r = container_of(src, struct reader, src);
	char buf[256];

	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ssize_t n = recv(src->fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			end_reader(r);
			return;
		}
	}
	if (revents & EPOLLOUT)
		flush(r);
}

static void accept_reader(struct evsource *src, uint32_t revents)
{
	AUTO_FD int fd =
		accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (unsigned i = 0; i < LOG_READERS_MAX && fd >= 0; i++) {
		struct reader *r = &ring.readers[i];

		if (r->src.loop)
			continue;
		r->at = oldest();
		if (evsource_add(ring.loop, &r->src, fd, EPOLLIN | EPOLLOUT,
				 reader_ready) == 0)
			(void)steal_fd(&fd);
		return;
	}
}

/* Only keeps: whoever logs may be deep in something. A child that logs has
 * copies of all this but the epoll set, which stays as it is. */
static void keep(const char *line, size_t len)
{
	if (getpid() != ring.owner)
		return;
	for (size_t i = 0; i < len; i++)
		ring.bytes[ring.end++ % LOG_RING_SIZE] = line[i];
	for (unsigned i = 0; i < LOG_READERS_MAX; i++) {
		struct reader *r = &ring.readers[i];

		if (r->waits &&
		    evsource_modify(&r->src, EPOLLIN | EPOLLOUT) == 0)
			r->waits = false;
	}
}

void log_port_init(void)
{
	ring.owner = getpid();
	log_tee(keep);
}

int log_port_serve(struct evloop *loop, int fd)
{
	int ret =
		evsource_add(loop, &ring.listener, fd, EPOLLIN, accept_reader);

	ring.loop = loop;
	if (ret < 0)
		close(fd);
	return ret;
}

char *log_port_lines(void)
{
	uint64_t from = oldest();
	size_t len = (size_t)(ring.end - from);
	char *text = malloc(len + 1);

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++)
		text[i] = ring.bytes[(from + i) % LOG_RING_SIZE];
	text[len] = '\0';
	return text;
}

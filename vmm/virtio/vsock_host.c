/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vsock_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fdpass.h"
#include "vmm/virtio/vsock_stream.h"

/* Host ports of calls from the host start here, as in Firecracker. */
#define FIRST_HOST_PORT (1u << 30)
#define HANDSHAKE_MS 2000u
#define ACCEPTS_MAX 16u
#define PAUSE_MS 100u

static void handshakes_expire(struct evtimer *timer)
{
	struct vsock *vsock =
		container_of(timer, struct vsock, handshake_timer);
	struct vsock_conn *conn;
	uint64_t now = (uint64_t)monotonic_ms();

	if (vsock->listen_paused &&
	    evsource_modify(&vsock->listen_src, EPOLLIN) == 0)
		vsock->listen_paused = false;
	while ((conn = TAILQ_FIRST(&vsock->handshakes))) {
		if (conn->deadline_ms > now) {
			evtimer_start(timer, conn->deadline_ms - now);
			return;
		}
		vsock_conn_free(conn);
	}
}

static void accept_one(struct vsock *vsock, int fd)
{
	struct vsock_conn *conn;
	bool first = TAILQ_EMPTY(&vsock->handshakes);

	/* At the limit the caller sees its connection closed at once. */
	conn = vsock_conn_new(vsock, fd, VSOCK_HANDSHAKE);
	if (!conn)
		return;
	conn->deadline_ms = (uint64_t)monotonic_ms() + HANDSHAKE_MS;
	vsock_conn_poll(conn);
	if (!conn->polled)
		vsock_conn_free(conn);
	else if (first)
		evtimer_start(&vsock->handshake_timer, HANDSHAKE_MS);
}

/*
 * Out of descriptors or memory: the caller stays in the backlog, which would
 * wake the loop again and again.
 */
static void pause_listener(struct vsock *vsock)
{
	if (evsource_modify(&vsock->listen_src, 0) < 0)
		return;
	vsock->listen_paused = true;
	evtimer_start(&vsock->handshake_timer, PAUSE_MS);
}

static void listener_ready(struct evsource *src, uint32_t revents)
{
	struct vsock *vsock = container_of(src, struct vsock, listen_src);

	for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
		int fd = accept4(vsock->listen_fd, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno != EAGAIN && errno != ECONNABORTED)
				pause_listener(vsock);
			return;
		}
		accept_one(vsock, fd);
	}
}

int vsock_host_start(struct vsock *vsock)
{
	int r;

	r = evtimer_init(vsock->dev.loop, &vsock->handshake_timer,
			 handshakes_expire);
	if (r < 0)
		return r;
	r = evsource_add(vsock->dev.loop, &vsock->listen_src, vsock->listen_fd,
			 EPOLLIN, listener_ready);
	if (r < 0)
		evtimer_release(&vsock->handshake_timer);
	return r;
}

void vsock_host_stop(struct vsock *vsock)
{
	evsource_del(&vsock->listen_src);
	vsock->listen_paused = false;
	evtimer_release(&vsock->handshake_timer);
}

/* "CONNECT <port>", in any case. 0 or -EPROTO. */
static int parse_line(const char *line, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	const char *p = line + sizeof(word) - 1;
	uint64_t value = 0;

	if (strncasecmp(line, word, sizeof(word) - 1) != 0 || !*p)
		return -EPROTO;
	for (; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EPROTO;
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT32_MAX)
			return -EPROTO;
	}
	*port = (uint32_t)value;
	return 0;
}

/* With the descriptor that may come with it. 0 or -errno. */
static int take_line(struct vsock_conn *conn, char *to, size_t len)
{
	unsigned nfds = 1;
	int fd = -1;
	int flags;
	ssize_t n = fd_recv(conn->fd, to, len, &fd, &nfds, 0);

	if (n < 0)
		return (int)n;
	if (fd >= 0) {
		vsock_conn_close_sink(conn);
		conn->sink = fd;
		/* One that blocks would block all devices, and its owner may
		 * share it with somebody who wants it so. */
		flags = fcntl(fd, F_GETFL);
		if (flags < 0 || !(flags & O_NONBLOCK))
			return -EINVAL;
	}
	return (size_t)n == len ? 0 : -EIO;
}

/*
 * Reads up to the newline and no further: what follows belongs to the guest.
 * 1: the line is complete, 0: not yet, or -errno.
 */
static int read_line(struct vsock_conn *conn)
{
	char *to = conn->line + conn->line_len;
	size_t room = VSOCK_LINE_MAX - conn->line_len;
	char *end;
	int r;
	ssize_t n = recv(conn->fd, to, room, MSG_PEEK);

	if (n == 0)
		return -EPIPE;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	end = memchr(to, '\n', (size_t)n);
	if (end)
		n = end - to + 1;
	r = take_line(conn, to, (size_t)n);
	if (r < 0)
		return r;
	conn->line_len += (unsigned)n;
	if (end) {
		if (memchr(conn->line, '\0', conn->line_len))
			return -EPROTO;
		*end = '\0';
		return 1;
	}
	return conn->line_len < VSOCK_LINE_MAX ? 0 : -EPROTO;
}

static uint32_t free_host_port(struct vsock *vsock, uint32_t guest_port)
{
	uint32_t port;

	/* Ends: there are more ports than connections. */
	do {
		port = FIRST_HOST_PORT | vsock->next_port;
		vsock->next_port = (vsock->next_port + 1) % FIRST_HOST_PORT;
	} while (vsock_conn_find(vsock, port, guest_port));
	return port;
}

void vsock_host_handshake(struct vsock_conn *conn, uint32_t revents)
{
	struct vsock *vsock = conn->vsock;
	uint32_t port;
	int r = read_line(conn);

	if (r == 0 && !(revents & (EPOLLHUP | EPOLLERR)))
		return;
	if (r <= 0 || parse_line(conn->line, &port) < 0) {
		vsock_conn_free(conn);
		return;
	}
	vsock_conn_name(conn, free_host_port(vsock, port), port);
	vsock_conn_set_state(conn, VSOCK_REQUESTED);
	vsock_conn_poll(conn);
	if (conn->state == VSOCK_REQUESTED)
		vsock_conn_owe(conn, VSOCK_OWES_REQUEST);
}

int vsock_host_accepted(struct vsock_conn *conn)
{
	char line[VSOCK_LINE_MAX];
	int len = snprintf(line, sizeof(line), "OK %u\n", conn->host_port);
	ssize_t n;

	n = send(conn->fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	return n == len ? 0 : -EPIPE;
}

int vsock_host_dial(struct vsock *vsock, uint32_t port)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTO_FD int fd = -1;
	int len;

	len = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u",
		       vsock->prefix, port);
	if (len < 0 || (size_t)len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Never in progress: a full backlog is EAGAIN, which is a refusal. */
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "agent-proto/agent.pb-c.h"
#include "base/cleanup.h"
#include "guest/agent/pending.h"
#include "guest/agent/stdio_port.h"

static int set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* ours: 0 keeps the reading end, 1 the writing end. */
static int make_pipe(int ours, int *agent, int *child)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*agent = fds[ours];
	*child = fds[!ours];
	return set_nonblock(*agent);
}

static void linger_expired(struct evtimer *timer);

int stdio_init(struct stdio *stdio, struct evloop *loop, bool terminal,
	       void (*ended)(struct stdio *), int child[3])
{
	int ret;

	*stdio = (struct stdio){
		.loop = loop,
		.terminal = terminal,
		.ended = ended,
		.in = -1,
		.in_peer = -1,
		.out = {.owner = stdio, .fd = -1, .peer = -1},
		.err = {.owner = stdio, .fd = -1, .peer = -1},
	};
	stdio->linger.src.fd = -1;
	child[0] = child[1] = child[2] = -1;
	ret = evtimer_init(loop, &stdio->linger, linger_expired);
	if (ret < 0 || terminal)
		return ret;
	ret = make_pipe(1, &stdio->in, &child[0]);
	if (!ret)
		ret = make_pipe(0, &stdio->out.fd, &child[1]);
	if (!ret)
		ret = make_pipe(0, &stdio->err.fd, &child[2]);
	return ret;
}

static void in_stream_ended(struct stdio_stream *stream)
{
	stdio_close_input(container_of(stream, struct stdio, in_stream));
}

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static void out_end(struct stdio_out *out);

static void out_stream_ended(struct stdio_stream *stream)
{
	out_end(container_of(stream, struct stdio_out, stream));
}

static int start_output(struct stdio_out *out)
{
	if (out->fd < 0 || out->peer < 0)
		return 0;
	/* Fewer turns between the process and us; less does as well. */
	(void)!fcntl(out->fd, F_SETPIPE_SZ, (int)STDIO_STREAM_SIZE);
	/* A host that reads no more does not stop the process. */
	out->stream = (struct stdio_stream){
		.from = out->fd,
		.to = out->peer,
		.to_socket = true,
		.splices = is_pipe(out->fd) && stdio_port_takes_pages(),
		.discard = true,
		.ended = out_stream_ended,
	};
	return stdio_stream_start(&out->stream, out->owner->loop);
}

/* Those whose both sides are there. */
static int start_streams(struct stdio *stdio)
{
	int ret = start_output(&stdio->out);

	if (!ret)
		ret = start_output(&stdio->err);
	if (ret < 0 || stdio->in < 0 || stdio->in_peer < 0)
		return ret;
	stdio->in_stream = (struct stdio_stream){
		.from = stdio->in_peer,
		.to = stdio->in,
		.ended = in_stream_ended,
	};
	return stdio_stream_start(&stdio->in_stream, stdio->loop);
}

int stdio_set_peers(struct stdio *stdio, int peers[3])
{
	stdio->in_peer = steal_fd(&peers[0]);
	stdio->out.peer = steal_fd(&peers[1]);
	stdio->err.peer = steal_fd(&peers[2]);
	if (stdio->terminal)
		return stdio->err.peer >= 0 ? -EINVAL : 0;
	return start_streams(stdio);
}

int stdio_set_terminal(struct stdio *stdio, int master)
{
	AUTO_FD int fd = master;
	int ret = set_nonblock(fd);

	if (ret < 0)
		return ret;
	/* epoll takes a descriptor once: input and output need their own. */
	stdio->in = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (stdio->in < 0)
		return -errno;
	stdio->out.fd = steal_fd(&fd);
	return start_streams(stdio);
}

bool stdio_has_ended(const struct stdio *stdio)
{
	return stdio->out.fd < 0 && stdio->err.fd < 0;
}

/* May free the stdio: nothing may follow but return. */
static void out_end(struct stdio_out *out)
{
	struct stdio *stdio = out->owner;

	evsource_del(&out->src);
	stdio_stream_stop(&out->stream);
	if (out->fd >= 0)
		close(steal_fd(&out->fd));
	/* What it was given before still arrives. */
	if (out->peer >= 0)
		close(steal_fd(&out->peer));
	if (out->reader)
		ttrpc_reply(steal_ptr(&out->reader), NULL);
	if (stdio_has_ended(stdio) && stdio->ended)
		stdio->ended(stdio);
}

/* Answers the reader if there is anything to answer with. */
static void out_try(struct stdio_out *out)
{
	Agent__ReadStreamResponse reply = AGENT__READ_STREAM_RESPONSE__INIT;
	size_t len = MIN(out->want, STDIO_READ_MAX);
	AUTO_FREE uint8_t *buf = malloc(len);
	ssize_t n;

	if (!buf) {
		ttrpc_fail(steal_ptr(&out->reader), TTRPC_RESOURCE_EXHAUSTED,
			   "out of memory");
		return;
	}
	do {
		n = read(out->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN && !out->owner->lingered)
		return;
	/* EIO: the last descriptor of the terminal's other side is closed. */
	if (n <= 0) {
		out_end(out);
		return;
	}
	evsource_del(&out->src);
	reply.data.data = buf;
	reply.data.len = (size_t)n;
	ttrpc_reply(steal_ptr(&out->reader), &reply.base);
}

static void out_ready(struct evsource *src, uint32_t revents)
{
	out_try(container_of(src, struct stdio_out, src));
}

void stdio_read(struct stdio *stdio, bool err, struct ttrpc_request *req,
		uint32_t len)
{
	struct stdio_out *out = err ? &stdio->err : &stdio->out;
	int ret;

	if (out->reader || out->peer >= 0) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "the stream has a reader already");
		return;
	}
	if (len == 0) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT, "a read of no bytes");
		return;
	}
	if (out->fd < 0) {
		ttrpc_reply(req, NULL);
		return;
	}
	out->reader = req;
	out->want = len;
	ret = evsource_add(stdio->loop, &out->src, out->fd, EPOLLIN, out_ready);
	if (ret < 0) {
		ttrpc_fail(steal_ptr(&out->reader), TTRPC_INTERNAL,
			   "waiting for output: %s", strerror(-ret));
		return;
	}
	out_try(out);
}

static bool is_read(const struct stdio_out *out)
{
	return out->reader || out->stream.loop;
}

static void out_linger(struct stdio_out *out)
{
	if (out->reader)
		out_try(out);
	else
		stdio_stream_finish(&out->stream);
}

static void linger_expired(struct evtimer *timer)
{
	struct stdio *stdio = container_of(timer, struct stdio, linger);
	bool out = is_read(&stdio->out);

	stdio->lingered = true;
	/* While the other stream has a reader, ended() does not run here. */
	if (is_read(&stdio->err))
		out_linger(&stdio->err);
	if (out)
		out_linger(&stdio->out);
}

void stdio_process_exited(struct stdio *stdio)
{
	stdio_close_input(stdio);
	evtimer_start(&stdio->linger, STDIO_LINGER_MS);
}

static void writer_answer(struct stdio *stdio, size_t n)
{
	Agent__WriteStreamResponse reply = AGENT__WRITE_STREAM_RESPONSE__INIT;

	reply.len = (uint32_t)n;
	free(steal_ptr(&stdio->data));
	stdio->len = 0;
	ttrpc_reply(steal_ptr(&stdio->writer), &reply.base);
}

static void writer_fail(struct stdio *stdio, int code)
{
	free(steal_ptr(&stdio->data));
	stdio->len = 0;
	ttrpc_fail(steal_ptr(&stdio->writer),
		   code == EPIPE ? TTRPC_FAILED_PRECONDITION : TTRPC_INTERNAL,
		   "stdin: %s", strerror(code));
}

/* Bytes written, or -errno. */
static ssize_t input_write(struct stdio *stdio, const uint8_t *data, size_t len)
{
	ssize_t n;

	do {
		n = write(stdio->in, data, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void in_ready(struct evsource *src, uint32_t revents)
{
	struct stdio *stdio = container_of(src, struct stdio, in_src);
	ssize_t n = input_write(stdio, stdio->data, stdio->len);

	if (n == -EAGAIN)
		return;
	evsource_del(src);
	if (n < 0)
		writer_fail(stdio, (int)-n);
	else
		writer_answer(stdio, (size_t)n);
}

static void write_later(struct stdio *stdio, struct ttrpc_request *req,
			const uint8_t *data, size_t len)
{
	int ret;

	stdio->data = malloc(len);
	if (!stdio->data) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	memcpy(stdio->data, data, len);
	stdio->len = len;
	stdio->writer = req;
	ret = evsource_add(stdio->loop, &stdio->in_src, stdio->in, EPOLLOUT,
			   in_ready);
	if (ret < 0)
		writer_fail(stdio, -ret);
}

void stdio_write(struct stdio *stdio, struct ttrpc_request *req,
		 const uint8_t *data, size_t len)
{
	Agent__WriteStreamResponse reply = AGENT__WRITE_STREAM_RESPONSE__INIT;
	ssize_t n;

	if (stdio->writer || (stdio->in_peer >= 0 && len)) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "stdin has a writer already");
		return;
	}
	if (len == 0) { /* Kata: an empty write closes */
		stdio_close_input(stdio);
		ttrpc_reply(req, &reply.base);
		return;
	}
	if (stdio->in < 0) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION, "stdin is closed");
		return;
	}
	n = input_write(stdio, data, len);
	if (n == -EAGAIN) {
		/* The answer may be partial: no need to keep more. */
		write_later(stdio, req, data, MIN(len, STDIO_READ_MAX));
		return;
	}
	if (n < 0) {
		ttrpc_fail(req,
			   n == -EPIPE ? TTRPC_FAILED_PRECONDITION
				       : TTRPC_INTERNAL,
			   "stdin: %s", strerror((int)-n));
		return;
	}
	reply.len = (uint32_t)n;
	ttrpc_reply(req, &reply.base);
}

/*
 * A terminal has one descriptor for both directions, so the end of input is
 * typed, if the terminal's mode gives that a meaning.
 */
static void type_end(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t) == 0 && (t.c_lflag & ICANON) &&
	    write(fd, &t.c_cc[VEOF], 1) < 0)
		return; /* nobody is there to read it */
}

void stdio_close_input(struct stdio *stdio)
{
	if (stdio->writer) {
		evsource_del(&stdio->in_src);
		writer_fail(stdio, EPIPE);
	}
	stdio_stream_stop(&stdio->in_stream);
	if (stdio->in_peer >= 0)
		close(steal_fd(&stdio->in_peer));
	if (stdio->in < 0)
		return;
	if (stdio->terminal)
		type_end(stdio->in);
	close(steal_fd(&stdio->in));
}

int stdio_resize(struct stdio *stdio, uint32_t rows, uint32_t cols)
{
	struct winsize ws = {
		.ws_row = (unsigned short)MIN(rows, 0xffffu),
		.ws_col = (unsigned short)MIN(cols, 0xffffu),
	};

	if (!stdio->terminal)
		return -ENOTTY;
	if (stdio->out.fd < 0)
		return -ENXIO;
	return ioctl(stdio->out.fd, TIOCSWINSZ, &ws) < 0 ? -errno : 0;
}

void stdio_drop(struct stdio *stdio)
{
	pending_drop_one(&stdio->out.reader);
	if (!stdio->out.reader)
		evsource_del(&stdio->out.src);
	pending_drop_one(&stdio->err.reader);
	if (!stdio->err.reader)
		evsource_del(&stdio->err.src);
	if (stdio->writer && ttrpc_request_dropped(stdio->writer)) {
		evsource_del(&stdio->in_src);
		writer_fail(stdio, ECONNRESET);
	}
}

void stdio_release(struct stdio *stdio)
{
	stdio->ended = NULL;
	evtimer_release(&stdio->linger);
	stdio->terminal = false; /* nothing more to type */
	stdio_close_input(stdio);
	out_end(&stdio->out);
	out_end(&stdio->err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_STDIO_H
#define GUEST_AGENT_STDIO_H

/*
 * The agent's ends of a process's standard streams: three pipes, or the
 * master of a pseudo terminal. A stream has at most one reader waiting, or is
 * a connection of the host (stdio_port.h), which then is its only reader.
 *
 * A process may leave children behind that hold its output open. They do not
 * hold up the end of the stream: STDIO_LINGER_MS after the process's end a
 * stream ends where no more data waits in it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "agent-proto/ttrpc.h"
#include "base/evloop.h"
#include "guest/agent/stdio_stream.h"

#define STDIO_LINGER_MS 500
#define STDIO_READ_MAX (64u << 10)

struct stdio_out {
	struct evsource src;
	struct stdio *owner;
	int fd; /* -1: ended */
	uint32_t want;
	struct ttrpc_request *reader;
	int peer; /* the host's connection; -1: it reads by request */
	struct stdio_stream stream;
};

struct stdio {
	struct evloop *loop;
	bool terminal;
	bool lingered;
	struct stdio_out out;
	struct stdio_out err; /* unused with a terminal */
	int in;		      /* -1: closed */
	struct evsource in_src;
	int in_peer; /* as peer above */
	struct stdio_stream in_stream;
	struct ttrpc_request *writer;
	uint8_t *data; /* what the writer brought */
	size_t len;
	struct evtimer linger;
	/* Called when both outputs have ended. May free the stdio. */
	void (*ended)(struct stdio *stdio);
};

/* child: the process's ends (stdin, stdout, stderr), close-on-exec, which
 * the caller closes; all -1 with a terminal. */
int stdio_init(struct stdio *stdio, struct evloop *loop, bool terminal,
	       void (*ended)(struct stdio *), int child[3]) MUST_CHECK;
void stdio_release(struct stdio *stdio);
/* Before anything else: the host's connections, -1: none; takes them in every
 * case. A terminal has no third. */
int stdio_set_peers(struct stdio *stdio, int peers[3]) MUST_CHECK;
/* Takes the master of the terminal. */
int stdio_set_terminal(struct stdio *stdio, int master) MUST_CHECK;
/* The process is gone. */
void stdio_process_exited(struct stdio *stdio);

/* These take req. */
void stdio_read(struct stdio *stdio, bool err, struct ttrpc_request *req,
		uint32_t len);
void stdio_write(struct stdio *stdio, struct ttrpc_request *req,
		 const uint8_t *data, size_t len);

void stdio_close_input(struct stdio *stdio);
int stdio_resize(struct stdio *stdio, uint32_t rows, uint32_t cols) MUST_CHECK;
bool stdio_has_ended(const struct stdio *stdio);
void stdio_drop(struct stdio *stdio);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_STDIO_STREAM_H
#define GUEST_AGENT_STDIO_STREAM_H

/*
 * Bytes from one descriptor to another, both non-blocking. Nothing is read
 * before what was read is written, so whoever reads slowly slows the writer
 * down, and a stream keeps no more than it reads at a time.
 *
 * On user-mode Linux a system call takes as long as a copy of 100 KiB, and a
 * turn from one process to another longer. So those that carry much do it in
 * large pieces, as long as there are few of them. The pages of a pipe are best
 * not copied at all.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/evloop.h"

/* Of a piece, and of a pipe that is read from. */
#define STDIO_STREAM_SIZE ((size_t)256 << 10)
#define STDIO_STREAM_LARGE ((size_t)1024 << 10)
#define STDIO_STREAM_LARGE_MAX 8u
/* What may be under way: the next piece need not wait until the host has
 * written the last one. */
#define STDIO_STREAM_WINDOW (2 * STDIO_STREAM_LARGE)

struct stdio_stream {
	struct evloop *loop;
	struct evsource src; /* whichever side is waited for */
	int from, to;	     /* borrowed; to is -1 when it takes no more */
	bool to_socket;
	bool splices; /* from a pipe, while to takes its pages as they are */
	bool large;
	bool discard;  /* to goes away: read on, and drop */
	bool finish;   /* what would block ends it */
	uint8_t *data; /* read and not written yet; NULL: nothing */
	size_t len, done;
	/* Nothing follows. May free the stream. */
	void (*ended)(struct stdio_stream *stream);
};

/* The members from, to, to_socket, splices, discard and ended are set, the
 * others zero. Starts at the next turn of the loop. 0 or -errno. */
int stdio_stream_start(struct stdio_stream *stream,
		       struct evloop *loop) MUST_CHECK;
/* Ends where no more waits to be read. May free the stream. */
void stdio_stream_finish(struct stdio_stream *stream);
void stdio_stream_stop(struct stdio_stream *stream);

#endif

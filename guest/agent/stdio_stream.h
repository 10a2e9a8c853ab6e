/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_STDIO_STREAM_H
#define GUEST_AGENT_STDIO_STREAM_H

/*
 * Bytes from one descriptor to another, both non-blocking. At most
 * STDIO_STREAM_SIZE of them are under way: nothing is read before what was
 * read is written, so whoever reads slowly slows the writer down.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/evloop.h"

#define STDIO_STREAM_SIZE ((size_t)256 << 10)

struct stdio_stream {
	struct evloop *loop;
	struct evsource src; /* whichever side is waited for */
	int from, to;	     /* borrowed; to is -1 when it takes no more */
	bool to_socket;
	bool discard;  /* to goes away: read on, and drop */
	bool finish;   /* what would block ends it */
	uint8_t *data; /* read and not written yet; NULL: nothing */
	size_t len, done;
	/* Nothing follows. May free the stream. */
	void (*ended)(struct stdio_stream *stream);
};

/* The members from, to, to_socket, discard and ended are set, the others
 * zero. Starts at the next turn of the loop. 0 or -errno. */
int stdio_stream_start(struct stdio_stream *stream,
		       struct evloop *loop) MUST_CHECK;
/* Ends where no more waits to be read. May free the stream. */
void stdio_stream_finish(struct stdio_stream *stream);
void stdio_stream_stop(struct stdio_stream *stream);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_STREAM_H
#define RUNTIME_SANDBOX_STREAM_H

/*
 * Standard streams of one process, between host descriptors and the guest: a
 * connection a stream to an agent that takes them (stdio_dial.h), WriteStdin,
 * ReadStdout and ReadStderr otherwise, of which one is under way at a time.
 * The sandbox process writes to pipes itself: of these a connection tells the
 * end alone. Nothing is read from one side before the other took what there
 * was: a slow reader blocks its own stream alone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent-proto/ttrpc.h"
#include "base/evloop.h"

struct stream_set;

struct stream {
	struct stream_set *set;
	int fd;	       /* owned; -1: none, or ended */
	bool pollable; /* in the loop when it would block */
	bool socket;
	bool sink;    /* a pipe or /dev/null of our own description */
	bool shared;  /* with others, who want it blocking: asked before use */
	bool busy;    /* a call is under way */
	bool closing; /* ends when what was read is delivered */
	bool ended;   /* nothing more will come */
	struct evsource src;
	int sock;      /* owned, the guest's side; -1: by calls */
	uint32_t port; /* that it was called from */
	struct evsource sock_src;
	struct ttrpc_call call;
	uint8_t *data; /* read from one side, not yet written to the other */
	size_t len;
	size_t done;
};

struct stream_set {
	struct evloop *loop;
	struct ttrpc_client *agent; /* borrowed; NULL after the VM died */
	const char *container_id;   /* borrowed */
	const char *exec_id;	    /* borrowed; the container's id for init */
	bool started;
	struct stream in;
	struct stream out[2]; /* stdout, stderr */
	/* An output came to its end. */
	void (*drained)(struct stream_set *set);
};

void stream_set_init(struct stream_set *set, struct evloop *loop);
/* Takes fd (-1: none). which: 0 stdin, 1 stdout, 2 stderr. */
void stream_set_fd(struct stream_set *set, unsigned which, int fd);
/* Whether that stream has a descriptor. */
bool stream_set_wants(const struct stream_set *set, unsigned which);
/* The descriptor of an output that somebody else may write to in our place,
 * without a thought to whether it blocks; -1: none. Still the set's. */
int stream_set_sink(const struct stream_set *set, unsigned which);
/* Before the start. Takes sock, the guest's side of the stream, and drops it
 * when the stream is over. */
void stream_set_port(struct stream_set *set, unsigned which, int sock,
		     uint32_t port);
/* That the device has buffers for, of all sets. */
unsigned stream_ports_left(void);
/* The process exists: data flows. */
void stream_set_start(struct stream_set *set, struct ttrpc_client *agent,
		      const char *container_id, const char *exec_id);
/* Whether all output has been written. */
bool stream_set_drained(const struct stream_set *set);
/* Stops at once; closes the descriptors. No callback afterwards. */
void stream_set_release(struct stream_set *set);
/* Ends standard input of the process. */
void stream_set_close_stdin(struct stream_set *set);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_CONTROL_H
#define RUNTIME_SANDBOX_CONTROL_H

/*
 * Messages between the sandbox process and its supervisor, one a packet of a
 * SOCK_SEQPACKET pair. Those to the supervisor are hostile: it takes them only
 * through control_receive, which checks them.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define CONTROL_TEXT_MAX 4096u

enum control_type {
	CONTROL_READY = 1,   /* locked down, starting the guest */
	CONTROL_FAILED,	     /* text: why it cannot start */
	CONTROL_EXITED,	     /* text: why the machine is over */
	CONTROL_CONSOLE,     /* text: bytes of the guest's console */
	CONTROL_LOG,	     /* text: one line */
	CONTROL_FILE_EVENTS, /* text: see event_batch.h */
	/* To the sandbox process: */
	CONTROL_WATCH,	 /* text: a directory or file in the shared tree */
	CONTROL_UNWATCH, /* text: how their paths begin */
	CONTROL_NEXT,	 /* of CONTROL_FILE_EVENTS */
};

struct control_message {
	uint32_t type;
	uint32_t len; /* of text; the packet ends behind it */
	char text[CONTROL_TEXT_MAX + 1]; /* NUL added by the receiver */
};

/* 0 or -errno; -EAGAIN: the receiver is slow, the message is dropped. */
int control_send(int fd, enum control_type type, const void *text,
		 size_t len) MUST_CHECK;
/* 1: a message; 0: the other side is gone; -EAGAIN; -EPROTO. */
int control_receive(int fd, struct control_message *message) MUST_CHECK;

#endif

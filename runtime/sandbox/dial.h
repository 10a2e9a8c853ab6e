/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_DIAL_H
#define RUNTIME_SANDBOX_DIAL_H

/* A call to a port of the guest, by the vsock device's socket on the host:
 * "CONNECT <port>\n", and "OK <the caller's port>\n". */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct dial {
	int fd; /* owned; -1: none */
	char answer[32];
	size_t len;
};

/* dir: of the sandbox. sink: takes what the guest sends, in the connection's
 * place, by a description that is non-blocking; -1: none. Asks, and waits for
 * nothing. 0 or -errno. */
int dial_open(struct dial *dial, const char *dir, unsigned port,
	      int sink) MUST_CHECK;
/* Reads the answer and nothing beyond it. 1: the call is taken and *port is
 * ours, 0: not yet, or -errno. */
int dial_answer(struct dial *dial, uint32_t *port) MUST_CHECK;
void dial_close(struct dial *dial);

#endif

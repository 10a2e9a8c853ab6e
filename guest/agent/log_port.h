/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_LOG_PORT_H
#define GUEST_AGENT_LOG_PORT_H

/*
 * The agent's log for the host: JSON objects, one a line. Each connection
 * gets the last lines first, then what comes. All read from one ring; who is
 * too slow for it is told so and goes on with the oldest line there is.
 */

#include <stddef.h>

#include "base/compiler.h"
#include "base/evloop.h"

#define LOG_PORT 1025
#define LOG_RING_SIZE (32u << 10)
#define LOG_READERS_MAX 4

/* Lines are kept from here on. */
void log_port_init(void);
/* Takes fd, which listens. 0 or -errno. */
int log_port_serve(struct evloop *loop, int fd) MUST_CHECK;
/* The lines there are; NULL: out of memory. Caller frees. */
char *log_port_lines(void);

#endif

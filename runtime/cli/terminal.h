/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CLI_TERMINAL_H
#define RUNTIME_CLI_TERMINAL_H

#include <stdbool.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/*
 * The descriptors that become a process's stdio. With a terminal all three
 * are one: the slave of a new pty whose master went to the console socket,
 * or the user's own terminal.
 */
struct stdio {
	int fds[3];
	unsigned nfds; /* 3, or 1 with a terminal */
	int tty;       /* whose size is forwarded; -1: none */
	bool own;      /* fds[0] is ours to close */
	bool raw;      /* the user's terminal is in raw mode */
	struct termios saved;
};

/* That of a new terminal; 0 0: not known. */
struct winsize console_size(const Oci__Process *process);
/*
 * console_socket NULL: foreground; then a terminal must be on standard input.
 * A new pty begins with `size`.
 */
int stdio_open(struct stdio *io, bool terminal, const struct winsize *size,
	       const char *console_socket, struct err *err) MUST_CHECK;
/* Puts the user's terminal back as it was. */
void stdio_close(struct stdio *io);

#endif

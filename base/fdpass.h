/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_FDPASS_H
#define BASE_FDPASS_H

/*
 * Messages with descriptors over Unix sockets. Received descriptors are
 * close-on-exec; those beyond the caller's capacity are closed and the
 * message fails with -EMSGSIZE.
 */

#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"

#define FDPASS_MAX 16

/* Bytes sent, or -errno. */
ssize_t fd_send(int sock, const void *buf, size_t len, const int *fds,
		unsigned nfds, int flags) MUST_CHECK;
/* Bytes received (0: end), or -errno. *nfds: in capacity, out count. */
ssize_t fd_recv(int sock, void *buf, size_t len, int *fds, unsigned *nfds,
		int flags) MUST_CHECK;
void fds_close(int *fds, unsigned n);

#endif

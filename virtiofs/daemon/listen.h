/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_DAEMON_LISTEN_H
#define VIRTIOFS_DAEMON_LISTEN_H

/*
 * The socket at --socket-path. Beside it stands PATH.pid with the number of
 * the process, locked as long as that runs: what a killed daemon left behind
 * is replaced, one that runs is not.
 */

#include "base/compiler.h"
#include "base/err.h"

struct daemon_socket {
	const char *path;
	int fd;
	int lock_fd;
	char lock_path[116]; /* of a path that fits in a socket's address */
};

/* group: NULL, or who else may connect. */
int daemon_listen(struct daemon_socket *sock, const char *path,
		  const char *group, struct err *err) MUST_CHECK;
/* Removes both files, as far as the process still may: not from another root,
 * where the paths are those of other files. */
void daemon_unlisten(struct daemon_socket *sock);

#endif

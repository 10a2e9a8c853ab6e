/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_DAEMON_SERVE_H
#define VIRTIOFS_DAEMON_SERVE_H

/* The process that serves files: one front-end after the other. */

#include "base/compiler.h"
#include "base/err.h"
#include "virtiofs/daemon/options.h"

/*
 * Locks itself into its sandbox and serves whoever connects to listen_fd,
 * until SIGTERM, SIGINT or SIGHUP, the end of parent_fd (-1: there is none),
 * or with `once` that of the front-end. 0 or -errno.
 */
int daemon_serve(const struct daemon_options *o, int listen_fd, int parent_fd,
		 struct err *err) MUST_CHECK;

#endif

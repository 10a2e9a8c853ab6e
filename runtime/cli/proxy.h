/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CLI_PROXY_H
#define RUNTIME_CLI_PROXY_H

/*
 * The process that stands on the host for a process in the guest: the one in
 * the pid file, whose exit status conmon or a shell waits for. It forwards
 * its signals, and its terminal's size; when it is killed, the supervisor
 * (which holds its pidfd) kills what it stands for.
 */

#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

/* The VM is gone, and with it the process. */
#define STATUS_LOST 255

struct proxy_target {
	const char *root;
	const char *sandbox;
	const char *id;
	const char *exec_id; /* "": the container's init */
	int tty;	     /* whose size is forwarded; -1: none */
};

struct proxy {
	pid_t pid;
	int go; /* closing it without a word ends the proxy */
};

/*
 * Forks a proxy that waits for proxy_go. It is in a session of its own, with
 * target->tty as its controlling terminal.
 */
int proxy_fork(struct proxy *proxy, const struct proxy_target *target,
	       struct err *err) MUST_CHECK;
/* The process exists: the proxy starts to wait for its end. */
int proxy_go(struct proxy *proxy, struct err *err) MUST_CHECK;
/* It does not: ends the proxy. Also fine after proxy_go or twice. */
void proxy_abandon(struct proxy *proxy);

/*
 * The same in this process: returns the exit status, or -errno. With
 * STATUS_LOST err says why there is none of the process's own; or it is the
 * process's, and err is empty.
 */
int proxy_run(const struct proxy_target *target, struct err *err) MUST_CHECK;
/* Blocks the signals that proxy_run forwards; before the process starts. */
void proxy_block_signals(void);

#endif

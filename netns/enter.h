/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETNS_ENTER_H
#define NETNS_ENTER_H

#include "base/compiler.h"
#include "base/err.h"

struct nl_sock;

/* A namespace's descriptor, checked to be a network namespace; -errno. */
int netns_open(const char *path, struct err *err) MUST_CHECK;
/* -EINVAL when fd is the namespace of this process or of process 1. */
int netns_check_foreign(int fd, const char *path, struct err *err) MUST_CHECK;

/* Runs in the namespace, with a connected route socket of it. */
struct netns_job {
	int (*run)(struct netns_job *job, struct nl_sock *sock,
		   struct err *err);
	const char *path; /* for messages */
};

/* fd -1: in a new namespace. What run returned, or -errno. */
int netns_enter(int fd, struct netns_job *job, struct err *err) MUST_CHECK;

/* Sets "text: what libnl says" and returns -errno. */
int netns_nl_error(struct err *err, int nl_error, const char *fmt, ...)
	PRINTF(3, 4);
/* errno of an error of libnl. */
int netns_nl_errno(int nl_error);

#endif

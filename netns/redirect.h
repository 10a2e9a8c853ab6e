/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETNS_REDIRECT_H
#define NETNS_REDIRECT_H

/*
 * Redirection by traffic control (act_mirred below a u32 filter that matches
 * all, as Kata's tcfilter does). Our filters are told from others' by their
 * priority.
 */

#include "base/compiler.h"
#include "base/err.h"

struct nl_sock;

/* What arrives at interface `from` leaves by interface `to`. */
int redirect_add(struct nl_sock *sock, int from, int to, const char *name,
		 struct err *err) MUST_CHECK;
/* Removes our filter of an interface, and the qdisc when it was the last.
 * No error when there is none. */
int redirect_remove(struct nl_sock *sock, int from, const char *name,
		    struct err *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETNS_DISCOVER_H
#define NETNS_DISCOVER_H

#include "base/compiler.h"
#include "netns/netns.h"

struct nl_sock;

/*
 * Fills *net with the interfaces of this thread's namespace that carry a
 * sandbox's traffic: Ethernet devices that are up or have addresses, and of
 * them addresses, routes of the main table and permanent neighbors. Left out
 * is what the guest's kernel makes by itself: link-local IPv6 addresses and
 * the routes that follow from addresses.
 */
int discover(struct nl_sock *sock, const char *path, struct netns_network *net,
	     struct err *err) MUST_CHECK;

#endif

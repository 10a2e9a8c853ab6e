/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_NETLINK_H
#define GUEST_AGENT_NETLINK_H

/*
 * Route netlink (rtnetlink(7)), synchronously: the kernel answers at once.
 * A library for it would be larger than the rest of the agent.
 */

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct nl_request {
	union {
		struct nlmsghdr head;
		char bytes[1024];
	};
};

int nl_open(void) MUST_CHECK; /* a socket or -errno */
/* body: ifinfomsg, ifaddrmsg, rtmsg or ndmsg. */
void nl_begin(struct nl_request *r, uint16_t type, unsigned flags,
	      const void *body, size_t len);
void nl_put(struct nl_request *r, unsigned short type, const void *data,
	    size_t len);
void nl_put_u32(struct nl_request *r, unsigned short type, uint32_t value);
/* Opens and closes a nested attribute. */
struct rtattr *nl_nest(struct nl_request *r, unsigned short type);
void nl_nest_end(struct nl_request *r, struct rtattr *nest);

/* Sends and waits for the acknowledgement: 0 or the kernel's -errno. */
int nl_send(int fd, struct nl_request *r) MUST_CHECK;
/* Calls each for every message of a dump, until it returns not 0. */
int nl_dump(int fd, struct nl_request *r,
	    int (*each)(const struct nlmsghdr *msg, void *arg),
	    void *arg) MUST_CHECK;
/* Fills attrs[0..max] with the attributes after a body of `body` bytes. */
void nl_attrs(const struct nlmsghdr *msg, size_t body,
	      const struct rtattr **attrs, unsigned max);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/netlink.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

#define BUF_SIZE 16384

int nl_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

void nl_begin(struct nl_request *r, uint16_t type, unsigned flags,
	      const void *body, size_t len)
{
	memset(r, 0, sizeof(*r));
	BUG_ON(len > sizeof(r->bytes) - NLMSG_HDRLEN);
	r->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(len);
	r->head.nlmsg_type = type;
	r->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	memcpy(r->bytes + NLMSG_HDRLEN, body, len);
}

void nl_put(struct nl_request *r, unsigned short type, const void *data,
	    size_t len)
{
	size_t at = NLMSG_ALIGN(r->head.nlmsg_len);
	struct rtattr attr = {
		.rta_len = (unsigned short)RTA_LENGTH(len),
		.rta_type = type,
	};

	BUG_ON(at + RTA_SPACE(len) > sizeof(r->bytes));
	memcpy(r->bytes + at, &attr, sizeof(attr));
	if (len)
		memcpy(r->bytes + at + RTA_LENGTH(0), data, len);
	r->head.nlmsg_len = (uint32_t)(at + RTA_LENGTH(len));
}

void nl_put_u32(struct nl_request *r, unsigned short type, uint32_t value)
{
	nl_put(r, type, &value, sizeof(value));
}

struct rtattr *nl_nest(struct nl_request *r, unsigned short type)
{
	size_t at = NLMSG_ALIGN(r->head.nlmsg_len);

	nl_put(r, type, NULL, 0);
	return (struct rtattr *)(void *)(r->bytes + at);
}

void nl_nest_end(struct nl_request *r, struct rtattr *nest)
{
	const char *end = r->bytes + r->head.nlmsg_len;

	nest->rta_len = (unsigned short)(end - (char *)nest);
}

/* One datagram of replies. True: the answer is complete, with *result. */
static bool take(const char *buf, size_t n, uint32_t seq,
		 int (*each)(const struct nlmsghdr *, void *), void *arg,
		 int *result)
{
	const struct nlmsghdr *msg = (const void *)buf;

	for (; NLMSG_OK(msg, n); msg = NLMSG_NEXT(msg, n)) {
		if (msg->nlmsg_seq != seq)
			continue;
		if (msg->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(msg);

			*result = msg->nlmsg_len < NLMSG_LENGTH(sizeof(*e))
					  ? -EPROTO
					  : e->error;
			return true;
		}
		if (msg->nlmsg_type == NLMSG_DONE)
			return true;
		/* After a refusal the rest of the dump is read past. */
		if (each && *result == 0)
			*result = each(msg, arg);
	}
	return false;
}

static int transact(int fd, struct nl_request *r,
		    int (*each)(const struct nlmsghdr *, void *), void *arg)
{
	static uint32_t serial;
	static union {
		struct nlmsghdr head;
		char bytes[BUF_SIZE];
	} buf;
	int result = 0;

	r->head.nlmsg_seq = ++serial;
	if (send(fd, r, r->head.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(fd, &buf, sizeof(buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		if (take(buf.bytes, (size_t)n, serial, each, arg, &result))
			return result;
	}
}

int nl_send(int fd, struct nl_request *r)
{
	r->head.nlmsg_flags |= NLM_F_ACK;
	return transact(fd, r, NULL, NULL);
}

int nl_dump(int fd, struct nl_request *r,
	    int (*each)(const struct nlmsghdr *, void *), void *arg)
{
	r->head.nlmsg_flags |= NLM_F_DUMP;
	return transact(fd, r, each, arg);
}

void nl_attrs(const struct nlmsghdr *msg, size_t body,
	      const struct rtattr **attrs, unsigned max)
{
	const char *at = (const char *)msg + NLMSG_SPACE(body);
	size_t left = 0;

	memset(attrs, 0, (max + 1) * sizeof(*attrs));
	if (msg->nlmsg_len > NLMSG_SPACE(body))
		left = msg->nlmsg_len - NLMSG_SPACE(body);
	while (left >= sizeof(struct rtattr)) {
		const struct rtattr *a = (const void *)at;
		size_t step = RTA_ALIGN(a->rta_len);

		if (a->rta_len < sizeof(*a) || a->rta_len > left)
			return;
		if ((a->rta_type & NLA_TYPE_MASK) <= max)
			attrs[a->rta_type & NLA_TYPE_MASK] = a;
		if (step >= left)
			return;
		at += step;
		left -= step;
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/routes.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/address.h"
#include "guest/agent/netlink.h"

#define ROUTES_MAX 256

struct route {
	struct rtmsg msg;
	int device;
	uint32_t mtu;
	bool has_dest, has_gateway, has_source;
	struct ip_address dest, gateway, source;
};

struct route_list {
	unsigned n;
	struct route items[ROUTES_MAX];
};

static bool take_address(const struct rtattr *a, int family,
			 struct ip_address *out)
{
	size_t len = family == AF_INET ? 4 : 16;

	if (!a || RTA_PAYLOAD(a) != len)
		return false;
	out->family = family;
	out->len = len;
	out->prefix = (unsigned)len * 8;
	memcpy(out->bytes, RTA_DATA(a), len);
	return true;
}

static int collect(const struct nlmsghdr *msg, void *arg)
{
	struct route_list *list = arg;
	const struct rtmsg *m = NLMSG_DATA(msg);
	const struct rtattr *attrs[RTA_MAX + 1];
	struct route *r = &list->items[list->n];

	if (msg->nlmsg_type != RTM_NEWROUTE ||
	    msg->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    m->rtm_table != RT_TABLE_MAIN || m->rtm_type != RTN_UNICAST ||
	    (m->rtm_family != AF_INET && m->rtm_family != AF_INET6))
		return 0;
	if (list->n == ROUTES_MAX)
		return -ENOBUFS;
	memset(r, 0, sizeof(*r));
	nl_attrs(msg, sizeof(*m), attrs, RTA_MAX);
	r->msg = *m;
	r->has_dest = take_address(attrs[RTA_DST], m->rtm_family, &r->dest);
	r->dest.prefix = m->rtm_dst_len;
	r->has_gateway =
		take_address(attrs[RTA_GATEWAY], m->rtm_family, &r->gateway);
	r->has_source =
		take_address(attrs[RTA_PREFSRC], m->rtm_family, &r->source);
	if (attrs[RTA_OIF] && RTA_PAYLOAD(attrs[RTA_OIF]) == 4)
		r->device = *(const int *)RTA_DATA(attrs[RTA_OIF]);
	list->n++;
	return 0;
}

static int load(int fd, struct route_list *list)
{
	const struct rtmsg any = {.rtm_family = AF_UNSPEC};
	struct nl_request r;

	list->n = 0;
	nl_begin(&r, RTM_GETROUTE, 0, &any, sizeof(any));
	return nl_dump(fd, &r, collect, list);
}

static int request(int fd, uint16_t type, unsigned flags,
		   const struct route *route)
{
	struct nl_request r;

	nl_begin(&r, type, flags, &route->msg, sizeof(route->msg));
	if (route->has_dest)
		nl_put(&r, RTA_DST, route->dest.bytes, route->dest.len);
	if (route->has_gateway)
		nl_put(&r, RTA_GATEWAY, route->gateway.bytes,
		       route->gateway.len);
	if (route->has_source)
		nl_put(&r, RTA_PREFSRC, route->source.bytes, route->source.len);
	if (route->device)
		nl_put_u32(&r, RTA_OIF, (uint32_t)route->device);
	if (route->mtu) {
		struct rtattr *nest = nl_nest(&r, RTA_METRICS);

		nl_put_u32(&r, RTAX_MTU, route->mtu);
		nl_nest_end(&r, nest);
	}
	return nl_send(fd, &r);
}

/* Kata: family 1 is IPv6; an address says more. */
static int parse(const Agent__Route *in, struct route *out, struct err *err)
{
	memset(out, 0, sizeof(*out));
	out->msg.rtm_family = in->family == 1 ? AF_INET6 : AF_INET;
	out->msg.rtm_table = RT_TABLE_MAIN;
	out->msg.rtm_protocol = RTPROT_BOOT;
	out->msg.rtm_scope = (uint8_t)in->scope;
	out->msg.rtm_type = RTN_UNICAST;
	out->msg.rtm_flags = in->flags & RTNH_F_ONLINK;
	out->mtu = in->mtu;
	if (in->scope > 255)
		return err_set(err, EINVAL, "scope %u", in->scope);
	if (in->dest[0] && strcmp(in->dest, "default") != 0) {
		if (!ip_parse(in->dest, &out->dest))
			return err_set(err, EINVAL, "dest %.64s", in->dest);
		out->msg.rtm_family = (uint8_t)out->dest.family;
		out->msg.rtm_dst_len = (uint8_t)out->dest.prefix;
		out->has_dest = out->dest.prefix > 0;
	}
	if (in->gateway[0]) {
		if (!ip_parse(in->gateway, &out->gateway))
			return err_set(err, EINVAL, "gateway %.64s",
				       in->gateway);
		if (!out->has_dest)
			out->msg.rtm_family = (uint8_t)out->gateway.family;
		out->has_gateway = true;
	}
	if (in->source[0]) {
		if (!ip_parse(in->source, &out->source))
			return err_set(err, EINVAL, "source %.64s", in->source);
		out->has_source = true;
	}
	if ((out->has_gateway && out->gateway.family != out->msg.rtm_family) ||
	    (out->has_source && out->source.family != out->msg.rtm_family))
		return err_set(err, EINVAL, "addresses of two families");
	if (in->device[0]) {
		out->device = (int)if_nametoindex(in->device);
		if (!out->device)
			return err_set(err, ENOENT, "device %.32s: none",
				       in->device);
	}
	return 0;
}

/* Gateways are reached by routes that have none, so those come first. */
static int add_all(int fd, const struct route_list *list, const char *what,
		   struct err *err)
{
	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < list->n; i++) {
			int ret;

			if (list->items[i].has_gateway != (pass == 1))
				continue;
			ret = request(fd, RTM_NEWROUTE,
				      NLM_F_CREATE | NLM_F_REPLACE,
				      &list->items[i]);
			if (ret < 0)
				return err_ret(err, ret, "%s %u", what, i);
		}
	}
	return 0;
}

static int remove_old(int fd, const struct route_list *old, struct err *err)
{
	for (unsigned i = 0; i < old->n; i++) {
		int ret;

		if (old->items[i].msg.rtm_protocol == RTPROT_KERNEL ||
		    old->items[i].msg.rtm_protocol == RTPROT_RA)
			continue;
		ret = request(fd, RTM_DELROUTE, 0, &old->items[i]);
		if (ret < 0 && ret != -ESRCH)
			return err_ret(err, ret, "removing route %u", i);
	}
	return 0;
}

int routes_update(const Agent__Routes *routes, struct err *err)
{
	AUTO_FREE struct route_list *old = malloc(sizeof(*old));
	AUTO_FREE struct route_list *list = malloc(sizeof(*list));
	AUTO_FD int fd = nl_open();
	size_t n = routes ? routes->n_routes : 0;
	int ret;

	if (!old || !list)
		return err_set(err, ENOMEM, "routes: out of memory");
	if (n > ROUTES_MAX)
		return err_set(err, E2BIG, "routes: %zu, at most %d", n,
			       ROUTES_MAX);
	list->n = 0;
	for (size_t i = 0; i < n; i++) {
		if (parse(routes->routes[i], &list->items[i], err) < 0)
			return err_wrap(err, "route %zu", i);
		list->n++;
	}
	if (fd < 0)
		return err_ret(err, fd, "netlink");
	ret = load(fd, old);
	if (ret < 0)
		return err_ret(err, ret, "listing routes");
	ret = remove_old(fd, old, err);
	return ret < 0 ? ret : add_all(fd, list, "route", err);
}

static char *format(const struct ip_address *ip, bool prefix)
{
	char text[64];

	ip_format(ip->family, ip->bytes, text, sizeof(text));
	if (prefix) {
		size_t len = strlen(text);

		(void)snprintf(text + len, sizeof(text) - len, "/%u",
			       ip->prefix);
	}
	return strdup(text);
}

static bool append(Agent__Routes *all, const struct route *r)
{
	Agent__Route *out = malloc(sizeof(*out));
	char name[IFNAMSIZ];
	char *text;

	if (!out)
		return false;
	agent__route__init(out);
	all->routes[all->n_routes++] = out;
	if (r->has_dest && (text = format(&r->dest, true)))
		out->dest = text;
	if (r->has_gateway && (text = format(&r->gateway, false)))
		out->gateway = text;
	if (r->has_source && (text = format(&r->source, false)))
		out->source = text;
	if (r->device && if_indextoname((unsigned)r->device, name) &&
	    (text = strdup(name)))
		out->device = text;
	out->scope = r->msg.rtm_scope;
	out->family = r->msg.rtm_family == AF_INET6;
	out->flags = r->msg.rtm_flags & RTNH_F_ONLINK;
	return true;
}

Agent__Routes *routes_list(struct err *err)
{
	AUTO_FREE struct route_list *list = malloc(sizeof(*list));
	AUTO_FD int fd = nl_open();
	Agent__Routes *all = calloc(1, sizeof(*all));
	int ret = fd;

	if (all)
		agent__routes__init(all);
	if (!list || !all)
		ret = -ENOMEM;
	if (ret >= 0)
		ret = load(fd, list);
	if (ret >= 0) {
		all->routes = calloc(list->n + 1, sizeof(*all->routes));
		if (!all->routes)
			ret = -ENOMEM;
	}
	for (unsigned i = 0; ret >= 0 && i < list->n; i++) {
		if (!append(all, &list->items[i]))
			ret = -ENOMEM;
	}
	if (ret >= 0)
		return all;
	err_ret(err, ret, "listing routes");
	if (all)
		agent__routes__free_unpacked(all, NULL);
	return NULL;
}

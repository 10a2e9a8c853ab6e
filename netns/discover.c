/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/discover.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netns/enter.h"
#include "netns/tap.h"

struct walk {
	struct nl_sock *sock;
	const char *path;
	struct netns_network *net;
	struct err *err;
};

static void cache_cleanup(struct nl_cache **cache)
{
	nl_cache_free(*cache);
}

#define AUTO_CACHE AUTO(cache_cleanup)

static int too_many(const struct walk *w, const char *name, const char *what,
		    unsigned max)
{
	return err_set(w->err, E2BIG, "%s: more than %u %s", name, max, what);
}

static struct netns_interface *by_index(struct netns_network *net, int index)
{
	for (unsigned i = 0; i < net->count; i++) {
		if (net->interfaces[i].index == index)
			return &net->interfaces[i];
	}
	return NULL;
}

static bool is_ip(int family)
{
	return family == AF_INET || family == AF_INET6;
}

/* The address without its prefix; "" for none. */
static void put_address(struct nl_addr *addr, char out[INET6_ADDRSTRLEN])
{
	out[0] = '\0';
	if (addr && is_ip(nl_addr_get_family(addr)) && nl_addr_get_len(addr))
		inet_ntop(nl_addr_get_family(addr),
			  nl_addr_get_binary_addr(addr), out, INET6_ADDRSTRLEN);
}

/* Interfaces. -------------------------------------------------------------- */

static bool kind_carries(const char *kind)
{
	/* NULL: a device that was moved here. */
	static const char *const kinds[] = {"veth", "macvlan", "ipvlan",
					    "vlan"};

	for (unsigned i = 0; kind && i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kind, kinds[i]) == 0)
			return true;
	}
	return !kind;
}

static bool has_address(struct nl_cache *addresses, int index)
{
	for (struct nl_object *o = nl_cache_get_first(addresses); o;
	     o = nl_cache_get_next(o)) {
		if (rtnl_addr_get_ifindex((struct rtnl_addr *)o) == index)
			return true;
	}
	return false;
}

static bool wanted(const struct walk *w, struct rtnl_link *link,
		   struct nl_cache *addresses)
{
	unsigned flags = rtnl_link_get_flags(link);
	const char *name = rtnl_link_get_name(link);
	const char *kind = rtnl_link_get_type(link);
	struct nl_addr *mac = rtnl_link_get_addr(link);

	if ((flags & IFF_LOOPBACK) || tap_name_is_ours(name))
		return false;
	if (!(flags & IFF_UP) &&
	    !has_address(addresses, rtnl_link_get_ifindex(link)))
		return false;
	if (rtnl_link_get_arptype(link) == ARPHRD_ETHER && mac &&
	    nl_addr_get_len(mac) == 6 && !rtnl_link_get_master(link) &&
	    kind_carries(kind))
		return true;
	log_warn("network namespace %s: %s (%s) is not given to the sandbox",
		 w->path, name, kind ? kind : "no Ethernet device");
	return false;
}

static int add_interface(const struct walk *w, struct rtnl_link *link)
{
	struct netns_interface *i = &w->net->interfaces[w->net->count];

	if (w->net->count == NETNS_INTERFACES_MAX)
		return err_set(w->err, E2BIG, "more than %u interfaces",
			       NETNS_INTERFACES_MAX);
	snprintf(i->name, sizeof(i->name), "%s", rtnl_link_get_name(link));
	tap_name(w->net->count, i->tap);
	i->index = rtnl_link_get_ifindex(link);
	i->tap_fd = -1;
	i->mtu = rtnl_link_get_mtu(link);
	i->flags = rtnl_link_get_flags(link) & IFF_NOARP;
	memcpy(i->mac, nl_addr_get_binary_addr(rtnl_link_get_addr(link)), 6);
	w->net->count++;
	return 0;
}

static int find_interfaces(const struct walk *w, struct nl_cache *addresses)
{
	AUTO_CACHE struct nl_cache *links = NULL;
	int r = rtnl_link_alloc_cache(w->sock, AF_UNSPEC, &links);

	if (r < 0)
		return netns_nl_error(w->err, r, "interfaces");
	for (struct nl_object *o = nl_cache_get_first(links); o;
	     o = nl_cache_get_next(o)) {
		struct rtnl_link *link = (struct rtnl_link *)o;

		r = wanted(w, link, addresses) ? add_interface(w, link) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Addresses. --------------------------------------------------------------- */

static int add_address(const struct walk *w, struct rtnl_addr *addr)
{
	struct netns_interface *i =
		by_index(w->net, rtnl_addr_get_ifindex(addr));
	struct netns_address *a;
	int family = rtnl_addr_get_family(addr);

	if (!i || !is_ip(family))
		return 0;
	if (family == AF_INET6 && rtnl_addr_get_scope(addr) == RT_SCOPE_LINK)
		return 0;
	if (i->naddresses == NETNS_ADDRESSES_MAX)
		return too_many(w, i->name, "addresses", NETNS_ADDRESSES_MAX);
	a = &i->addresses[i->naddresses++];
	a->family = family;
	a->prefix = (uint8_t)rtnl_addr_get_prefixlen(addr);
	put_address(rtnl_addr_get_local(addr), a->address);
	return 0;
}

/* Routes. ------------------------------------------------------------------ */

static bool same_network(const void *a, const void *b, unsigned prefix)
{
	const uint8_t *x = a;
	const uint8_t *y = b;
	unsigned rest = prefix % 8;

	if (memcmp(x, y, prefix / 8) != 0)
		return false;
	return !rest || (x[prefix / 8] ^ y[prefix / 8]) >> (8 - rest) == 0;
}

/* The kernel adds such a route when it is given the address. */
static bool follows_from_address(const struct netns_interface *i,
				 struct nl_addr *dst)
{
	const uint8_t *bytes = nl_addr_get_binary_addr(dst);
	unsigned prefix = nl_addr_get_prefixlen(dst);
	int family = nl_addr_get_family(dst);
	uint8_t own[16];

	if (family == AF_INET6 &&
	    (bytes[0] == 0xff || (bytes[0] == 0xfe && bytes[1] == 0x80)))
		return true;
	for (unsigned n = 0; n < i->naddresses; n++) {
		const struct netns_address *a = &i->addresses[n];

		if (a->family == family && a->prefix == prefix &&
		    inet_pton(family, a->address, own) == 1 &&
		    same_network(own, bytes, prefix))
			return true;
	}
	return false;
}

static void put_dest(struct nl_addr *dst, struct netns_route *r)
{
	size_t len;

	/* The default route has a destination of no bits. */
	if (!dst || nl_addr_get_prefixlen(dst) == 0)
		return;
	put_address(dst, r->dest);
	len = strlen(r->dest);
	snprintf(r->dest + len, sizeof(r->dest) - len, "/%u",
		 nl_addr_get_prefixlen(dst));
}

static bool route_wanted(struct rtnl_route *route)
{
	return rtnl_route_get_table(route) == RT_TABLE_MAIN &&
	       rtnl_route_get_type(route) == RTN_UNICAST &&
	       is_ip(rtnl_route_get_family(route)) &&
	       rtnl_route_get_nnexthops(route) > 0;
}

static int add_route(const struct walk *w, struct rtnl_route *route)
{
	struct rtnl_nexthop *hop = rtnl_route_nexthop_n(route, 0);
	struct nl_addr *dst = rtnl_route_get_dst(route);
	struct netns_interface *i;
	struct netns_route *r;

	if (!route_wanted(route))
		return 0;
	i = by_index(w->net, rtnl_route_nh_get_ifindex(hop));
	if (!i || (rtnl_route_get_protocol(route) == RTPROT_KERNEL && dst &&
		   follows_from_address(i, dst)))
		return 0;
	if (rtnl_route_get_nnexthops(route) > 1)
		log_warn("network namespace %s: %s: a route over several "
			 "gateways uses the first of them",
			 w->path, i->name);
	if (i->nroutes == NETNS_ROUTES_MAX)
		return too_many(w, i->name, "routes", NETNS_ROUTES_MAX);
	r = &i->routes[i->nroutes++];
	r->family = rtnl_route_get_family(route);
	put_dest(dst, r);
	put_address(rtnl_route_nh_get_gateway(hop), r->gateway);
	put_address(rtnl_route_get_pref_src(route), r->source);
	r->scope = rtnl_route_get_scope(route);
	r->flags = rtnl_route_nh_get_flags(hop) & RTNH_F_ONLINK;
	r->priority = rtnl_route_get_priority(route);
	if (rtnl_route_get_metric(route, RTAX_MTU, &r->mtu) < 0)
		r->mtu = 0;
	return 0;
}

/* A gateway must be reachable before it is used; the default comes last. */
static int compare_routes(const void *a, const void *b)
{
	const struct netns_route *x = a;
	const struct netns_route *y = b;
	int by_gateway = !!x->gateway[0] - !!y->gateway[0];

	return by_gateway ? by_gateway : !x->dest[0] - !y->dest[0];
}

/* Neighbors. --------------------------------------------------------------- */

static int add_neighbor(const struct walk *w, struct rtnl_neigh *neigh)
{
	struct netns_interface *i =
		by_index(w->net, rtnl_neigh_get_ifindex(neigh));
	struct nl_addr *mac = rtnl_neigh_get_lladdr(neigh);
	struct netns_neighbor *n;

	if (!i || !is_ip(rtnl_neigh_get_family(neigh)) || !mac ||
	    nl_addr_get_len(mac) != 6 ||
	    !(rtnl_neigh_get_state(neigh) & NUD_PERMANENT))
		return 0;
	if (i->nneighbors == NETNS_NEIGHBORS_MAX)
		return too_many(w, i->name, "neighbors", NETNS_NEIGHBORS_MAX);
	n = &i->neighbors[i->nneighbors++];
	n->family = rtnl_neigh_get_family(neigh);
	n->state = NUD_PERMANENT;
	n->flags = rtnl_neigh_get_flags(neigh);
	put_address(rtnl_neigh_get_dst(neigh), n->address);
	memcpy(n->lladdr, nl_addr_get_binary_addr(mac), 6);
	return 0;
}

int discover(struct nl_sock *sock, const char *path, struct netns_network *net,
	     struct err *err)
{
	const struct walk w = {sock, path, net, err};
	AUTO_CACHE struct nl_cache *addresses = NULL;
	AUTO_CACHE struct nl_cache *routes = NULL;
	AUTO_CACHE struct nl_cache *neighbors = NULL;
	struct nl_object *o;
	int r;

	memset(net, 0, sizeof(*net));
	r = rtnl_addr_alloc_cache(sock, &addresses);
	if (r >= 0)
		r = rtnl_route_alloc_cache(sock, AF_UNSPEC, 0, &routes);
	if (r >= 0)
		r = rtnl_neigh_alloc_cache(sock, &neighbors);
	if (r < 0)
		return netns_nl_error(err, r, "netlink");
	r = find_interfaces(&w, addresses);
	for (o = nl_cache_get_first(addresses); o && r >= 0;
	     o = nl_cache_get_next(o))
		r = add_address(&w, (struct rtnl_addr *)o);
	for (o = nl_cache_get_first(routes); o && r >= 0;
	     o = nl_cache_get_next(o))
		r = add_route(&w, (struct rtnl_route *)o);
	for (o = nl_cache_get_first(neighbors); o && r >= 0;
	     o = nl_cache_get_next(o))
		r = add_neighbor(&w, (struct rtnl_neigh *)o);
	for (unsigned i = 0; i < net->count; i++)
		qsort(net->interfaces[i].routes, net->interfaces[i].nroutes,
		      sizeof(struct netns_route), compare_routes);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETNS_NETNS_H
#define NETNS_NETNS_H

/*
 * Networks of sandboxes. The interfaces that a network plugin put into a
 * namespace stay there; each gets a tap beside it, and traffic control sends
 * what arrives at one out of the other:
 *
 *	eth0 ingress --redirect--> tap0_nacre ---> guest
 *	tap0_nacre ingress --redirect--> eth0 <--- guest
 *
 * The guest's interface has the MAC address, the IP addresses and the routes
 * of eth0, so that its peers see no difference.
 *
 * All functions work in a thread of their own that enters the namespace; the
 * caller's namespaces do not change. They need CAP_NET_ADMIN there, and
 * CAP_SYS_ADMIN to enter.
 */

#include <stdbool.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <net/if.h>

#include "base/compiler.h"
#include "base/err.h"

#define NETNS_INTERFACES_MAX 8u
#define NETNS_ADDRESSES_MAX 16u
#define NETNS_ROUTES_MAX 64u
#define NETNS_NEIGHBORS_MAX 64u

enum netns_model {
	NETNS_TCFILTER, /* as drawn above */
	NETNS_NONE,	/* the sandbox has no interfaces */
};

struct netns_address {
	int family; /* AF_INET or AF_INET6 */
	char address[INET6_ADDRSTRLEN];
	uint8_t prefix;
};

struct netns_route {
	int family;
	char dest[INET6_ADDRSTRLEN + 4]; /* with "/prefix"; "": default */
	char gateway[INET6_ADDRSTRLEN];	 /* "": none */
	char source[INET6_ADDRSTRLEN];	 /* "": none */
	uint8_t scope;			 /* RT_SCOPE_* */
	uint32_t flags;			 /* RTNH_F_ONLINK or 0 */
	uint32_t mtu;			 /* 0: none */
	uint32_t priority;
};

struct netns_neighbor {
	int family;
	char address[INET6_ADDRSTRLEN];
	uint8_t lladdr[6];
	int state; /* NUD_PERMANENT */
	uint32_t flags;
};

struct netns_interface {
	char name[IFNAMSIZ];
	char tap[IFNAMSIZ];
	int index;
	int tap_fd; /* IFF_TAP|IFF_NO_PI|IFF_VNET_HDR, a header of 12 bytes */
	uint8_t mac[6];
	uint32_t mtu;
	uint32_t flags; /* IFF_NOARP or 0 */
	unsigned naddresses;
	struct netns_address addresses[NETNS_ADDRESSES_MAX];
	unsigned nroutes;
	struct netns_route routes[NETNS_ROUTES_MAX]; /* in order of use */
	unsigned nneighbors;
	struct netns_neighbor neighbors[NETNS_NEIGHBORS_MAX];
};

/* Large: not for the stack. */
struct netns_network {
	unsigned count;
	struct netns_interface interfaces[NETNS_INTERFACES_MAX];
};

/* Values of internetworking_model: "tcfilter" (also "" and NULL), "none". */
int netns_model_parse(const char *name, enum netns_model *model,
		      struct err *err) MUST_CHECK;

/*
 * A new namespace with its loopback up, kept alive by a mount on `path`, which
 * must not exist. Later processes find it there.
 */
int netns_create(const char *path, struct err *err) MUST_CHECK;
/* Undoes netns_create, whatever is left of it; no error when nothing is. */
int netns_remove(const char *path, struct err *err) MUST_CHECK;

/*
 * Makes the taps of the namespace at `path` and fills *net, whose descriptors
 * the caller then owns. On an error nothing is left behind. -EBUSY: the
 * namespace has taps of a sandbox that runs. The namespace of the caller and
 * that of the host are refused.
 */
int netns_attach(const char *path, enum netns_model model,
		 struct netns_network *net, struct err *err) MUST_CHECK;
/*
 * Removes taps and redirections, also those of a supervisor that was killed.
 * No error when there is nothing, not even the namespace.
 */
int netns_detach(const char *path, struct err *err) MUST_CHECK;
/* Closes the descriptors that are left in net. */
void netns_network_release(struct netns_network *net);

#endif

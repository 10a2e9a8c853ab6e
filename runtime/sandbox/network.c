/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

int network_plan(struct network *n, const Oci__Spec *spec, const char *dir,
		 const char *model, struct err *err)
{
	const Oci__LinuxNamespace *ns = oci_namespace(spec, "network");
	int ret = netns_model_parse(model, &n->model, err);

	if (ret < 0)
		return ret;
	if (!ns)
		return err_set(err, EOPNOTSUPP,
			       "linux.namespaces: no network namespace: a VM "
			       "cannot share the host's network");
	if (n->model == NETNS_NONE)
		return 0;
	ret = ns->path[0] ? asprintf(&n->path, "%s", ns->path)
			  : asprintf(&n->path, "%s/netns", dir);
	if (ret < 0) {
		n->path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	n->ours = !ns->path[0];
	return 0;
}

int network_attach(struct network *n, struct err *err)
{
	int ret = 0;

	if (!n->path)
		return 0;
	if (n->ours)
		ret = netns_create(n->path, err);
	if (!ret)
		ret = netns_attach(n->path, n->model, &n->net, err);
	n->attached = ret == 0;
	return ret;
}

void network_close_taps(struct network *n)
{
	for (unsigned i = 0; i < n->net.count; i++) {
		int *fd = &n->net.interfaces[i].tap_fd;

		if (*fd >= 0)
			close(steal_fd(fd));
	}
}

void network_detach(struct network *n)
{
	struct err err;

	netns_network_release(&n->net);
	if (n->attached && netns_detach(n->path, &err) < 0)
		log_warn("%s", err.text);
	n->attached = false;
	if (n->ours && netns_remove(n->path, &err) < 0)
		log_warn("%s", err.text);
	n->ours = false;
	free(steal_ptr(&n->path));
}

static void format_mac(char out[18], const uint8_t mac[6])
{
	snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		 mac[2], mac[3], mac[4], mac[5]);
}

static uint32_t family(int af)
{
	return af == AF_INET6 ? 1 : 0;
}

static Agent__IPAddress *new_address(int af, const char *text, int prefix)
{
	Agent__IPAddress *a = malloc(sizeof(*a));
	char mask[8];

	if (!a)
		return NULL;
	agent__ipaddress__init(a);
	snprintf(mask, sizeof(mask), "%d", prefix);
	a->family = family(af);
	a->address = strdup(text);
	a->mask = strdup(mask);
	return a;
}

Agent__UpdateInterfaceRequest *network_interface(const struct network *n,
						 unsigned i)
{
	const struct netns_interface *from = &n->net.interfaces[i];
	Agent__UpdateInterfaceRequest *request = malloc(sizeof(*request));
	Agent__Interface *to = malloc(sizeof(*to));
	char mac[18];

	if (!request || !to) {
		free(request);
		free(to);
		return NULL;
	}
	agent__update_interface_request__init(request);
	agent__interface__init(to);
	request->interface = to;
	format_mac(mac, from->mac);
	to->device = strdup(from->name);
	to->name = strdup(from->name);
	to->hw_addr = strdup(mac);
	to->mtu = from->mtu;
	to->raw_flags = from->flags;
	to->ip_addresses = calloc(from->naddresses + 1, sizeof(void *));
	for (unsigned k = 0; to->ip_addresses && k < from->naddresses; k++) {
		const struct netns_address *a = &from->addresses[k];

		to->ip_addresses[k] =
			new_address(a->family, a->address, a->prefix);
		if (to->ip_addresses[k])
			to->n_ip_addresses = k + 1;
	}
	return request;
}

static Agent__Route *new_route(const struct netns_interface *dev,
			       const struct netns_route *from)
{
	Agent__Route *to = malloc(sizeof(*to));

	if (!to)
		return NULL;
	agent__route__init(to);
	to->dest = strdup(from->dest);
	to->gateway = strdup(from->gateway);
	to->device = strdup(dev->name);
	to->source = strdup(from->source);
	to->scope = from->scope;
	to->family = family(from->family);
	to->flags = from->flags;
	to->mtu = from->mtu;
	return to;
}

Agent__UpdateRoutesRequest *network_routes(const struct network *n)
{
	Agent__UpdateRoutesRequest *request = malloc(sizeof(*request));
	Agent__Routes *routes = malloc(sizeof(*routes));
	size_t total = 0;

	for (unsigned i = 0; i < n->net.count; i++)
		total += n->net.interfaces[i].nroutes;
	if (!request || !routes) {
		free(request);
		free(routes);
		return NULL;
	}
	agent__update_routes_request__init(request);
	agent__routes__init(routes);
	request->routes = routes;
	routes->routes = calloc(total + 1, sizeof(void *));
	for (unsigned i = 0; routes->routes && i < n->net.count; i++) {
		const struct netns_interface *dev = &n->net.interfaces[i];

		for (unsigned k = 0; k < dev->nroutes; k++) {
			Agent__Route *r = new_route(dev, &dev->routes[k]);

			if (r)
				routes->routes[routes->n_routes++] = r;
		}
	}
	return request;
}

static Agent__ARPNeighbor *new_neighbour(const struct netns_interface *dev,
					 const struct netns_neighbor *from)
{
	Agent__ARPNeighbor *to = malloc(sizeof(*to));
	char mac[18];

	if (!to)
		return NULL;
	agent__arpneighbor__init(to);
	format_mac(mac, from->lladdr);
	to->to_ip_address = new_address(from->family, from->address, 0);
	to->device = strdup(dev->name);
	to->lladdr = strdup(mac);
	to->state = from->state;
	to->flags = (int32_t)from->flags;
	return to;
}

Agent__AddARPNeighborsRequest *network_neighbours(const struct network *n)
{
	Agent__AddARPNeighborsRequest *request;
	Agent__ARPNeighbors *list;
	size_t total = 0;

	for (unsigned i = 0; i < n->net.count; i++)
		total += n->net.interfaces[i].nneighbors;
	if (!total)
		return NULL;
	request = malloc(sizeof(*request));
	list = malloc(sizeof(*list));
	if (!request || !list) {
		free(request);
		free(list);
		return NULL;
	}
	agent__add_arpneighbors_request__init(request);
	agent__arpneighbors__init(list);
	request->neighbors = list;
	list->arp_neighbors = calloc(total, sizeof(void *));
	for (unsigned i = 0; list->arp_neighbors && i < n->net.count; i++) {
		const struct netns_interface *dev = &n->net.interfaces[i];

		for (unsigned k = 0; k < dev->nneighbors; k++) {
			Agent__ARPNeighbor *a =
				new_neighbour(dev, &dev->neighbors[k]);

			if (a)
				list->arp_neighbors[list->n_arp_neighbors++] =
					a;
		}
	}
	return request;
}

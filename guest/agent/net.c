/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/net.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/address.h"
#include "guest/agent/netlink.h"
#include "guest/agent/pci_path.h"

#define ADDRESSES_MAX 64

struct link_search {
	uint8_t mac[6];
	int index; /* 0: not found */
	char name[IFNAMSIZ];
	unsigned flags;
};

static int match_link(const struct nlmsghdr *msg, void *arg)
{
	struct link_search *search = arg;
	const struct ifinfomsg *info = NLMSG_DATA(msg);
	const struct rtattr *attrs[IFLA_MAX + 1];

	if (msg->nlmsg_type != RTM_NEWLINK ||
	    msg->nlmsg_len < NLMSG_LENGTH(sizeof(*info)) ||
	    info->ifi_type != ARPHRD_ETHER)
		return 0;
	nl_attrs(msg, sizeof(*info), attrs, IFLA_MAX);
	if (!attrs[IFLA_ADDRESS] || !attrs[IFLA_IFNAME] ||
	    RTA_PAYLOAD(attrs[IFLA_ADDRESS]) != sizeof(search->mac) ||
	    memcmp(RTA_DATA(attrs[IFLA_ADDRESS]), search->mac,
		   sizeof(search->mac)) != 0)
		return 0;
	search->index = info->ifi_index;
	search->flags = info->ifi_flags;
	(void)snprintf(search->name, sizeof(search->name), "%s",
		       (const char *)RTA_DATA(attrs[IFLA_IFNAME]));
	return 0;
}

static int find_link(int fd, const char *hw_addr, struct link_search *search,
		     struct err *err)
{
	const struct ifinfomsg any = {.ifi_family = AF_UNSPEC};
	struct nl_request r;
	int ret;

	memset(search, 0, sizeof(*search));
	if (!mac_parse(hw_addr, search->mac))
		return err_set(err, EINVAL, "hwAddr %.32s: not an address",
			       hw_addr);
	nl_begin(&r, RTM_GETLINK, 0, &any, sizeof(any));
	ret = nl_dump(fd, &r, match_link, search);
	if (ret < 0)
		return err_ret(err, ret, "listing interfaces");
	if (!search->index)
		return err_set(err, ENOENT, "no interface has hwAddr %s",
			       hw_addr);
	return 0;
}

static int set_link(int fd, int index, unsigned flags, unsigned change,
		    const char *name, uint32_t mtu)
{
	const struct ifinfomsg info = {
		.ifi_index = index,
		.ifi_flags = flags,
		.ifi_change = change,
	};
	struct nl_request r;

	nl_begin(&r, RTM_NEWLINK, 0, &info, sizeof(info));
	if (name)
		nl_put(&r, IFLA_IFNAME, name, strlen(name) + 1);
	if (mtu)
		nl_put_u32(&r, IFLA_MTU, mtu);
	return nl_send(fd, &r);
}

static int address_request(int fd, uint16_t type, int index,
			   const struct ip_address *ip)
{
	const struct ifaddrmsg info = {
		.ifa_family = (uint8_t)ip->family,
		.ifa_prefixlen = (uint8_t)ip->prefix,
		.ifa_flags = ip->family == AF_INET6 ? IFA_F_NODAD : 0,
		.ifa_index = (uint32_t)index,
	};
	struct nl_request r;

	nl_begin(&r, type,
		 type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0, &info,
		 sizeof(info));
	nl_put(&r, IFA_LOCAL, ip->bytes, ip->len);
	nl_put(&r, IFA_ADDRESS, ip->bytes, ip->len);
	if (type == RTM_NEWADDR && ip->family == AF_INET && ip->prefix < 31) {
		uint8_t broadcast[4];

		memcpy(broadcast, ip->bytes, sizeof(broadcast));
		for (unsigned bit = ip->prefix; bit < 32; bit++)
			broadcast[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		nl_put(&r, IFA_BROADCAST, broadcast, sizeof(broadcast));
	}
	return nl_send(fd, &r);
}

struct address_list {
	int index;
	unsigned n;
	struct ip_address items[ADDRESSES_MAX];
};

static int collect_address(const struct nlmsghdr *msg, void *arg)
{
	struct address_list *list = arg;
	const struct ifaddrmsg *info = NLMSG_DATA(msg);
	const struct rtattr *attrs[IFA_MAX + 1];
	const struct rtattr *a;
	struct ip_address *ip = &list->items[list->n];

	if (msg->nlmsg_type != RTM_NEWADDR ||
	    msg->nlmsg_len < NLMSG_LENGTH(sizeof(*info)) ||
	    info->ifa_index != (uint32_t)list->index ||
	    list->n == ADDRESSES_MAX)
		return 0;
	nl_attrs(msg, sizeof(*info), attrs, IFA_MAX);
	a = attrs[IFA_LOCAL] ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS];
	ip->family = info->ifa_family;
	ip->prefix = info->ifa_prefixlen;
	ip->len = ip->family == AF_INET ? 4 : 16;
	if (!a || RTA_PAYLOAD(a) != ip->len)
		return 0;
	memcpy(ip->bytes, RTA_DATA(a), ip->len);
	list->n++;
	return 0;
}

static int list_addresses(int fd, struct address_list *list)
{
	const struct ifaddrmsg any = {.ifa_family = AF_UNSPEC};
	struct nl_request r;

	list->n = 0;
	nl_begin(&r, RTM_GETADDR, 0, &any, sizeof(any));
	return nl_dump(fd, &r, collect_address, list);
}

/* Link-local IPv6 addresses are the kernel's. */
static bool is_link_local(const struct ip_address *ip)
{
	return ip->family == AF_INET6 && ip->bytes[0] == 0xfe &&
	       (ip->bytes[1] & 0xc0) == 0x80;
}

static int set_addresses(int fd, int index, const Agent__Interface *in,
			 struct err *err)
{
	static struct address_list old;
	int ret;

	old.index = index;
	ret = list_addresses(fd, &old);
	for (unsigned i = 0; i < old.n && ret == 0; i++) {
		if (!is_link_local(&old.items[i]))
			ret = address_request(fd, RTM_DELADDR, index,
					      &old.items[i]);
	}
	if (ret < 0)
		return err_ret(err, ret, "removing addresses");
	for (size_t i = 0; i < in->n_ip_addresses; i++) {
		const Agent__IPAddress *a = in->ip_addresses[i];
		char text[80];
		struct ip_address ip;

		(void)snprintf(text, sizeof(text), "%.45s%s%.3s", a->address,
			       a->mask[0] ? "/" : "", a->mask);
		if (!ip_parse(text, &ip))
			return err_set(err, EINVAL, "address %s: not one",
				       text);
		ret = address_request(fd, RTM_NEWADDR, index, &ip);
		if (ret < 0)
			return err_ret(err, ret, "address %s", text);
	}
	return 0;
}

static int update(int fd, const Agent__Interface *in, struct err *err)
{
	struct link_search link;
	const char *rename = NULL;
	int ret = find_link(fd, in->hw_addr, &link, err);

	if (ret < 0)
		return ret;
	if (in->name[0] && strcmp(in->name, link.name) != 0)
		rename = in->name;
	/* Kernels before 6.2 rename an interface only while it is down. */
	if (rename && (link.flags & IFF_UP)) {
		ret = set_link(fd, link.index, 0, IFF_UP, NULL, 0);
		if (ret < 0)
			return err_ret(err, ret, "down");
	}
	ret = set_link(fd, link.index, rename ? 0 : link.flags, IFF_UP, rename,
		       (uint32_t)in->mtu);
	if (ret < 0)
		return err_ret(err, ret, "name %s, mtu %u", in->name,
			       (unsigned)in->mtu);
	ret = set_addresses(fd, link.index, in, err);
	if (ret < 0)
		return ret;
	ret = set_link(fd, link.index, IFF_UP | in->raw_flags,
		       IFF_UP | IFF_NOARP, NULL, 0);
	return ret < 0 ? err_ret(err, ret, "up") : 0;
}

int net_interface_ready(const Agent__Interface *in, struct err *err)
{
	AUTO_FD int sys = -1;
	struct pci_path pci;
	char name[IFNAMSIZ];
	int ret;

	if (!in || !in->device_path[0])
		return 0;
	if (!pci_path_parse(in->device_path, &pci))
		return err_set(err, EINVAL,
			       "interface: device_path %.64s: not a PCI path",
			       in->device_path);
	sys = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (sys < 0)
		return err_sys(err, "open /sys");
	ret = pci_path_net(sys, &pci, name, sizeof(name));
	if (ret == -ENOENT)
		return err_set(err, EAGAIN,
			       "interface of PCI device %.64s: not there",
			       in->device_path);
	return ret < 0 ? err_ret(err, ret, "PCI device %.64s", in->device_path)
		       : 0;
}

int net_update_interface(const Agent__Interface *in, struct err *err)
{
	AUTO_FD int fd = -1;

	if (!in)
		return err_set(err, EINVAL, "interface: missing");
	if (strlen(in->name) >= IFNAMSIZ || in->mtu > 65535)
		return err_set(err, EINVAL, "interface: name or mtu");
	if (in->raw_flags & ~(uint32_t)IFF_NOARP)
		return err_set(err, ENOTSUP, "interface: raw_flags %#x",
			       in->raw_flags);
	fd = nl_open();
	if (fd < 0)
		return err_ret(err, fd, "netlink");
	return update(fd, in, err) < 0
		       ? err_wrap(err, "interface %.32s", in->hw_addr)
		       : 0;
}

/* The lists are protobuf-c's, so that it frees them. */
static char *text_of(const char *s)
{
	char *copy = *s ? strdup(s) : NULL;

	return copy ? copy : (char *)(uintptr_t)protobuf_c_empty_string;
}

static bool append_address(Agent__Interface *in, const struct ip_address *ip)
{
	Agent__IPAddress **list = realloc(
		in->ip_addresses, (in->n_ip_addresses + 1) * sizeof(*list));
	char text[64], mask[8];
	Agent__IPAddress *a;

	if (!list)
		return false;
	in->ip_addresses = list;
	a = malloc(sizeof(*a));
	if (!a)
		return false;
	agent__ipaddress__init(a);
	ip_format(ip->family, ip->bytes, text, sizeof(text));
	(void)snprintf(mask, sizeof(mask), "%u", ip->prefix);
	a->family = ip->family == AF_INET6;
	a->address = text_of(text);
	a->mask = text_of(mask);
	list[in->n_ip_addresses++] = a;
	return true;
}

static Agent__Interface *append_interface(Agent__Interfaces *all)
{
	Agent__Interface **list = realloc(
		all->interfaces, (all->n_interfaces + 1) * sizeof(*list));
	Agent__Interface *in;

	if (!list)
		return NULL;
	all->interfaces = list;
	in = malloc(sizeof(*in));
	if (!in)
		return NULL;
	agent__interface__init(in);
	list[all->n_interfaces++] = in;
	return in;
}

static int collect_link(const struct nlmsghdr *msg, void *arg)
{
	const struct ifinfomsg *info = NLMSG_DATA(msg);
	const struct rtattr *attrs[IFLA_MAX + 1];
	Agent__Interface *in;
	char mac[18] = "", index[16];

	if (msg->nlmsg_type != RTM_NEWLINK ||
	    msg->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return 0;
	in = append_interface(arg);
	if (!in)
		return -ENOMEM;
	nl_attrs(msg, sizeof(*info), attrs, IFLA_MAX);
	if (attrs[IFLA_ADDRESS] && RTA_PAYLOAD(attrs[IFLA_ADDRESS]) == 6)
		mac_format(RTA_DATA(attrs[IFLA_ADDRESS]), mac);
	in->hw_addr = text_of(mac);
	if (attrs[IFLA_IFNAME]) {
		in->name = text_of(RTA_DATA(attrs[IFLA_IFNAME]));
		in->device = text_of(RTA_DATA(attrs[IFLA_IFNAME]));
	}
	if (attrs[IFLA_MTU] && RTA_PAYLOAD(attrs[IFLA_MTU]) == 4)
		in->mtu = *(const uint32_t *)RTA_DATA(attrs[IFLA_MTU]);
	in->raw_flags = info->ifi_flags & IFF_NOARP;
	/* Until the addresses are read, the index stands in for the path. */
	(void)snprintf(index, sizeof(index), "%d", info->ifi_index);
	in->device_path = text_of(index);
	return 0;
}

static int fill_addresses(int fd, Agent__Interface *in)
{
	static struct address_list list;
	int ret;

	list.index = atoi(in->device_path);
	if (in->device_path != protobuf_c_empty_string)
		free(in->device_path);
	in->device_path = (char *)(uintptr_t)protobuf_c_empty_string;
	ret = list_addresses(fd, &list);
	for (unsigned i = 0; i < list.n && ret == 0; i++) {
		if (!append_address(in, &list.items[i]))
			ret = -ENOMEM;
	}
	return ret;
}

Agent__Interfaces *net_list_interfaces(struct err *err)
{
	const struct ifinfomsg any = {.ifi_family = AF_UNSPEC};
	AUTO_FD int fd = nl_open();
	Agent__Interfaces *all = calloc(1, sizeof(*all));
	struct nl_request r;
	int ret = all ? fd : -ENOMEM;

	if (all)
		agent__interfaces__init(all);
	nl_begin(&r, RTM_GETLINK, 0, &any, sizeof(any));
	if (ret >= 0)
		ret = nl_dump(fd, &r, collect_link, all);
	for (size_t i = 0; ret >= 0 && i < all->n_interfaces; i++)
		ret = fill_addresses(fd, all->interfaces[i]);
	if (ret >= 0)
		return all;
	err_ret(err, ret, "listing interfaces");
	if (all)
		agent__interfaces__free_unpacked(all, NULL);
	return NULL;
}

static int add_neighbor(int fd, const Agent__ARPNeighbor *n, struct err *err)
{
	struct ndmsg info = {
		.ndm_state = (uint16_t)(n->state ? n->state : NUD_PERMANENT),
		.ndm_flags = (uint8_t)n->flags,
		.ndm_ifindex = (int)if_nametoindex(n->device),
	};
	struct ip_address ip;
	struct nl_request r;
	uint8_t mac[6];
	int ret;

	if (n->flags < 0 || n->flags > UINT8_MAX || n->state < 0 ||
	    n->state > UINT16_MAX)
		return err_set(err, EINVAL, "flags or state");
	if (!info.ndm_ifindex)
		return err_set(err, ENOENT, "device %.32s: none", n->device);
	if (!n->to_ip_address || !ip_parse(n->to_ip_address->address, &ip))
		return err_set(err, EINVAL, "address: not one");
	if (n->lladdr[0] && !mac_parse(n->lladdr, mac))
		return err_set(err, EINVAL, "lladdr %.32s: not one", n->lladdr);
	info.ndm_family = (uint8_t)ip.family;
	nl_begin(&r, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &info,
		 sizeof(info));
	nl_put(&r, NDA_DST, ip.bytes, ip.len);
	if (n->lladdr[0])
		nl_put(&r, NDA_LLADDR, mac, sizeof(mac));
	ret = nl_send(fd, &r);
	return ret < 0 ? err_ret(err, ret, "%s", n->to_ip_address->address) : 0;
}

int net_add_neighbors(const Agent__ARPNeighbors *neighbors, struct err *err)
{
	AUTO_FD int fd = -1;

	if (!neighbors)
		return 0;
	fd = nl_open();
	if (fd < 0)
		return err_ret(err, fd, "netlink");
	for (size_t i = 0; i < neighbors->n_arp_neighbors; i++) {
		if (add_neighbor(fd, neighbors->arp_neighbors[i], err) < 0)
			return err_wrap(err, "neighbour %zu", i);
	}
	return 0;
}

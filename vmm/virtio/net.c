/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "vmm/virtio/iov.h"
#include "vmm/virtio/net_rx.h"

enum net_queue {
	NET_RX = 0, /* to the guest */
	NET_TX = 1,
	NET_QUEUES,
};

/* Frames handled before the other devices have their turn. */
#define NET_BUDGET 128u

#define NET_F_CSUM (1ull << 0)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_MTU (1ull << 3)
#define NET_F_MAC (1ull << 5)
#define NET_F_GUEST_TSO4 (1ull << 7)
#define NET_F_GUEST_TSO6 (1ull << 8)
#define NET_F_GUEST_ECN (1ull << 9)
#define NET_F_HOST_TSO4 (1ull << 11)
#define NET_F_HOST_TSO6 (1ull << 12)
#define NET_F_HOST_ECN (1ull << 13)
#define NET_F_MRG_RXBUF (1ull << 15)
#define NET_F_STATUS (1ull << 16)

/* 5.1.6; the length of NET_HEADER_LEN. */
struct net_header {
	uint8_t flags;
	uint8_t gso_type;
	le16 hdr_len;
	le16 gso_size;
	le16 csum_start;
	le16 csum_offset;
	le16 num_buffers;
} PACKED;

#define NET_HDR_F_NEEDS_CSUM 1u
#define NET_GSO_NONE 0u
#define NET_GSO_TCPV4 1u
#define NET_GSO_TCPV6 4u
#define NET_GSO_ECN 0x80u

struct net_config_space {
	uint8_t mac[6];
	le16 status;		  /* bit 0: link up */
	le16 max_virtqueue_pairs; /* not offered */
	le16 mtu;
} PACKED;

struct net {
	struct virtio_device dev;
	int tap_fd;
	bool is_tap; /* not a socket that stands for one */
	uint8_t mac[6];
	uint16_t mtu;
	bool link_down; /* the tap is gone; atomic, read by vCPU threads */

	bool running; /* between activation and reset or fault */
	bool starved; /* the tap waits for receive buffers */
	struct evsource tap_src;
	struct net_rx rx;
	struct virtq_chain chain;
	struct iovec iov[VIRTQ_SEGS_MAX + 1];
};

static struct net *to_net(struct virtio_device *dev)
{
	return container_of(dev, struct net, dev);
}

static void net_halt(struct net *net)
{
	net->running = false;
	evsource_del(&net->tap_src);
}

/* To the guest. ----------------------------------------------------------- */

/* The interface was removed, or the peer of the socket left. */
static void tap_gone(struct net *net, int error)
{
	log_warn("net: tap: %s; link down", strerror(error));
	evsource_del(&net->tap_src);
	__atomic_store_n(&net->link_down, true, __ATOMIC_RELAXED);
	net->dev.transport->signal_config(&net->dev);
}

/* 1: there may be more, 0: no frame or no buffer, or -errno of the tap. */
static int receive_one(struct net *net)
{
	struct virtq *q = &net->dev.queues[NET_RX];
	int r = net_rx_fill(&net->rx, q);

	if (r < 0) {
		vdev_fault(&net->dev, "queue %u: bad buffer", NET_RX);
		net_halt(net);
		return 0;
	}
	net->starved = r == 0;
	if (net->starved)
		return 0;
	r = net_rx_receive(&net->rx, q, net->tap_fd);
	if (r == -EAGAIN)
		return 0;
	return r == 0 || r == -EINTR ? 1 : r;
}

static void pump_rx(struct net *net)
{
	bool was_starved = net->starved;
	unsigned budget = NET_BUDGET;
	int r = 1;

	if (!net->running || net->link_down)
		return;
	virtq_disable_kick(&net->dev.queues[NET_RX]);
	while (budget-- && (r = receive_one(net)) > 0)
		;
	if (!net->running)
		return;
	virtio_device_signal(&net->dev, NET_RX);
	if (r >= 0 && net->starved != was_starved)
		r = evsource_modify(&net->tap_src, net->starved ? 0 : EPOLLIN);
	if (r < 0)
		tap_gone(net, -r);
}

static void tap_ready(struct evsource *src, uint32_t revents)
{
	struct net *net = container_of(src, struct net, tap_src);

	/* Nobody reads a starved tap, so that its error would not end. */
	if (net->starved && (revents & (EPOLLERR | EPOLLHUP)))
		tap_gone(net, EIO);
	else
		pump_rx(net);
}

/* From the guest. --------------------------------------------------------- */

/*
 * The kernel checks offsets and lengths against the frame. That the guest
 * uses what it negotiated and nothing else is left to us.
 */
static bool header_ok(const struct net *net, struct net_header *h)
{
	const struct virtio_device *dev = &net->dev;
	uint8_t type = h->gso_type & (uint8_t)~NET_GSO_ECN;

	h->flags &= NET_HDR_F_NEEDS_CSUM;
	h->num_buffers = le16_make(0);
	if (h->flags && !virtio_has(dev, NET_F_CSUM))
		return false;
	if ((h->gso_type & NET_GSO_ECN) && !virtio_has(dev, NET_F_HOST_ECN))
		return false;
	if (type == NET_GSO_NONE)
		return !(h->gso_type & NET_GSO_ECN);
	/* Segments need checksums (5.1.6.2). */
	if (!h->flags || !le16_get(h->gso_size))
		return false;
	if (type == NET_GSO_TCPV4)
		return virtio_has(dev, NET_F_HOST_TSO4);
	return type == NET_GSO_TCPV6 && virtio_has(dev, NET_F_HOST_TSO6);
}

/* Frames that the tap refuses are lost, as on any wire. */
static void send_frame(struct net *net)
{
	const struct virtq_chain *chain = &net->chain;
	struct net_header header;
	unsigned n;

	if (chain->read_len > NET_HEADER_LEN + NET_FRAME_MAX)
		return;
	virtq_chain_read(chain, 0, &header, sizeof(header));
	if (!header_ok(net, &header))
		return;
	/* The header that was checked goes out, not the guest's memory. */
	n = iov_window(chain->iov, chain->nread, sizeof(header),
		       chain->read_len, net->iov + 1);
	if (n >= VIRTQ_SEGS_MAX)
		return;
	net->iov[0] = (struct iovec){&header, sizeof(header)};
	if (writev(net->tap_fd, net->iov, (int)n + 1) < 0 && errno != EAGAIN &&
	    log_wants(LOG_DEBUG))
		log_debug("net: frame refused: %s", strerror(errno));
}

/* 1: a frame was taken, 0: none there, or -EPROTO. */
static int take_one(struct net *net)
{
	struct virtq *q = &net->dev.queues[NET_TX];
	int r = virtq_pop(q, &net->chain);

	if (r == 0 && virtq_enable_kick(q)) {
		virtq_disable_kick(q);
		r = virtq_pop(q, &net->chain);
	}
	if (r <= 0)
		return r;
	if (net->chain.read_len < NET_HEADER_LEN)
		return -EPROTO;
	if (!net->link_down)
		send_frame(net);
	virtq_push(q, net->chain.head, 0);
	return 1;
}

static void pump_tx(struct net *net)
{
	unsigned budget = NET_BUDGET;
	int r = 0;

	virtq_disable_kick(&net->dev.queues[NET_TX]);
	while (budget && (r = take_one(net)) > 0)
		budget--;
	virtio_device_signal(&net->dev, NET_TX);
	if (r < 0) {
		vdev_fault(&net->dev, "queue %u: bad frame", NET_TX);
		net_halt(net);
	} else if (!budget) {
		virtio_device_kick_again(&net->dev, NET_TX);
	}
}

/* The device. -------------------------------------------------------------- */

/* Features that need one of others (5.1.3.1). */
static bool features_ok(const struct virtio_device *dev)
{
	static const struct {
		uint64_t feature;
		uint64_t needs;
	} rules[] = {
		{NET_F_GUEST_TSO4, NET_F_GUEST_CSUM},
		{NET_F_GUEST_TSO6, NET_F_GUEST_CSUM},
		{NET_F_GUEST_ECN, NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6},
		{NET_F_HOST_TSO4, NET_F_CSUM},
		{NET_F_HOST_TSO6, NET_F_CSUM},
		{NET_F_HOST_ECN, NET_F_HOST_TSO4 | NET_F_HOST_TSO6},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		if (virtio_has(dev, rules[i].feature) &&
		    !virtio_has(dev, rules[i].needs))
			return false;
	}
	return true;
}

/* What the tap may hand to this guest. */
static int set_offload(const struct net *net, uint64_t features)
{
	static const struct {
		uint64_t feature;
		unsigned flag;
	} map[] = {
		{NET_F_GUEST_CSUM, TUN_F_CSUM},
		{NET_F_GUEST_TSO4, TUN_F_TSO4},
		{NET_F_GUEST_TSO6, TUN_F_TSO6},
		{NET_F_GUEST_ECN, TUN_F_TSO_ECN},
	};
	unsigned long flags = 0;

	if (!net->is_tap)
		return 0;
	for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
		if (features & map[i].feature)
			flags |= map[i].flag;
	}
	return ioctl(net->tap_fd, TUNSETOFFLOAD, flags) < 0 ? -errno : 0;
}

static size_t frame_max(const struct net *net)
{
	if (virtio_has(&net->dev, NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6) ||
	    !net->mtu)
		return NET_FRAME_MAX;
	/* Ethernet's header, with a VLAN tag. */
	return net->mtu + 18u;
}

static int net_activate(struct virtio_device *dev)
{
	struct net *net = to_net(dev);
	int r;

	/* A queue may start later than the device: it is empty until then. */
	if (!features_ok(dev))
		return -EINVAL;
	r = set_offload(net, dev->features);
	if (r < 0)
		return r;
	if (!net->link_down)
		r = evsource_add(dev->loop, &net->tap_src, net->tap_fd, EPOLLIN,
				 tap_ready);
	if (r < 0)
		return r;
	net_rx_start(&net->rx, virtio_has(dev, NET_F_MRG_RXBUF),
		     frame_max(net));
	net->starved = false;
	net->running = true;
	return 0;
}

static void net_kick(struct virtio_device *dev, unsigned q)
{
	struct net *net = to_net(dev);

	if (!net->running)
		return;
	if (q == NET_TX)
		pump_tx(net);
	else if (q == NET_RX && net->starved)
		pump_rx(net);
}

static void net_reset(struct virtio_device *dev)
{
	struct net *net = to_net(dev);

	net_halt(net);
	/* The next driver may know less than this one. */
	if (set_offload(net, 0) < 0 && !net->link_down)
		log_warn("net: tap: offloads stay on: %s", strerror(errno));
}

static void net_config_read(struct virtio_device *dev, size_t off, void *dst,
			    size_t len)
{
	const struct net *net = to_net(dev);
	uint16_t up = !__atomic_load_n(&net->link_down, __ATOMIC_RELAXED);
	struct net_config_space space = {
		.status = le16_make(up),
		.mtu = le16_make(net->mtu),
	};

	memcpy(space.mac, net->mac, sizeof(space.mac));
	memcpy(dst, (const uint8_t *)&space + off, len);
}

static void net_destroy(struct virtio_device *dev)
{
	struct net *net = to_net(dev);

	if (net->running)
		net_halt(net);
	virtio_device_release(dev);
	close(net->tap_fd);
	free(net);
}

static const struct virtio_device_ops net_ops = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.config_len = sizeof(struct net_config_space),
	.activate = net_activate,
	.kick = net_kick,
	.reset = net_reset,
	.config_read = net_config_read,
	.destroy = net_destroy,
};

static int check_tap(int fd, bool *is_tap, struct err *err)
{
	struct ifreq ifr = {0};
	int type = 0;
	socklen_t len = sizeof(type);
	int header = 0;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_sys(err, "net: tap");
	*is_tap = false;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0) {
		if (type != SOCK_DGRAM && type != SOCK_SEQPACKET)
			return err_set(err, EINVAL,
				       "net: not a datagram socket");
		return 0;
	}
	*is_tap = true;
	if (ioctl(fd, TUNGETIFF, &ifr) < 0 ||
	    ioctl(fd, TUNGETVNETHDRSZ, &header) < 0)
		return err_sys(err, "net: not a tap");
	if (!(ifr.ifr_flags & IFF_TAP) || !(ifr.ifr_flags & IFF_VNET_HDR) ||
	    !(ifr.ifr_flags & IFF_NO_PI) || header != NET_HEADER_LEN)
		return err_set(err, EINVAL,
			       "net: tap %.16s: needs IFF_TAP, IFF_NO_PI, "
			       "IFF_VNET_HDR and a header of %u bytes",
			       ifr.ifr_name, NET_HEADER_LEN);
	return 0;
}

struct virtio_device *virtio_net_new(const struct vm_net_config *config,
				     struct err *err)
{
	const uint64_t features =
		NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_MAC | NET_F_GUEST_TSO4 |
		NET_F_GUEST_TSO6 | NET_F_GUEST_ECN | NET_F_HOST_TSO4 |
		NET_F_HOST_TSO6 | NET_F_HOST_ECN | NET_F_MRG_RXBUF |
		NET_F_STATUS | VIRTIO_RING_F_INDIRECT_DESC |
		VIRTIO_RING_F_EVENT_IDX | (config->mtu ? NET_F_MTU : 0);
	AUTO_FD int fd = config->tap_fd;
	struct net *net;
	bool is_tap = false;

	_Static_assert(sizeof(struct net_header) == NET_HEADER_LEN, "5.1.6");
	if (check_tap(fd, &is_tap, err) < 0)
		return NULL;
	if (config->mtu && config->mtu < 68) {
		err_set(err, EINVAL, "net: MTU %u: less than 68", config->mtu);
		return NULL;
	}
	net = calloc(1, sizeof(*net));
	if (!net) {
		err_set(err, ENOMEM, "net: out of memory");
		return NULL;
	}
	virtio_device_init(&net->dev, &net_ops, features, NET_QUEUES,
			   NET_QUEUE_SIZE);
	net->tap_fd = steal_fd(&fd);
	net->is_tap = is_tap;
	net->mtu = config->mtu;
	memcpy(net->mac, config->mac, sizeof(net->mac));
	return &net->dev;
}

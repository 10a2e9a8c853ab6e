/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "vmm/virtio/iov.h"
#include "vmm/virtio/vsock_conn.h"
#include "vmm/virtio/vsock_host.h"
#include "vmm/virtio/vsock_packet.h"
#include "vmm/virtio/vsock_stream.h"
#include "vmm/virtio/vsock_tx.h"

#define VSOCK_F_STREAM (1ull << 0)

static struct vsock *to_vsock(struct virtio_device *dev)
{
	return container_of(dev, struct vsock, dev);
}

static void vsock_halt(struct vsock *vsock)
{
	struct vsock_conn *conn;

	vsock->running = false;
	while ((conn = TAILQ_FIRST(&vsock->conns)))
		vsock_conn_free(conn);
	vsock_host_stop(vsock);
	vsock_tx_stop(vsock);
	vsock->nresets = 0;
}

void vsock_broken(struct vsock *vsock, unsigned q, const char *what)
{
	vdev_fault(&vsock->dev, "queue %u: bad %s", q, what);
	vsock_halt(vsock);
}

int vsock_pop(struct vsock *vsock, struct virtq *q)
{
	int r = virtq_pop(q, &vsock->chain);

	if (r == 0 && virtq_enable_kick(q)) {
		virtq_disable_kick(q);
		r = virtq_pop(q, &vsock->chain);
	}
	return r;
}

/* To the guest. ----------------------------------------------------------- */

void vsock_owe_reset(struct vsock *vsock, const struct vsock_packet *p)
{
	unsigned tail =
		(vsock->resets_head + vsock->nresets) % VSOCK_RESETS_MAX;

	BUG_ON(vsock->nresets == VSOCK_RESETS_MAX);
	vsock->resets[tail] = (struct vsock_reset){
		.host_cid = p->dst_cid,
		.host_port = p->dst_port,
		.guest_port = p->src_port,
		.type = p->type,
	};
	vsock->nresets++;
}

static void take_reset(struct vsock *vsock, struct vsock_packet *p)
{
	const struct vsock_reset *reset = &vsock->resets[vsock->resets_head];

	*p = (struct vsock_packet){
		.src_cid = reset->host_cid,
		.dst_cid = vsock->cid,
		.src_port = reset->host_port,
		.dst_port = reset->guest_port,
		.type = reset->type,
		.op = VSOCK_OP_RST,
	};
	vsock->resets_head = (vsock->resets_head + 1) % VSOCK_RESETS_MAX;
	vsock->nresets--;
}

/* Bytes of payload in vsock->iov, or -EAGAIN. */
static int next_packet(struct vsock *vsock, struct vsock_packet *p)
{
	const struct virtq_chain *chain = &vsock->chain;
	struct vsock_conn *conn;
	unsigned n;

	if (vsock->nresets) {
		take_reset(vsock, p);
		return 0;
	}
	while ((conn = TAILQ_FIRST(&vsock->ready))) {
		bool gone = false;
		int r;

		vsock_conn_dequeue(conn);
		n = iov_window(chain->iov + chain->nread, chain->nwrite,
			       VSOCK_HEADER_LEN, VSOCK_PAYLOAD_MAX, vsock->iov);
		r = vsock_conn_output(conn, p, vsock->iov, n, &gone);
		if (!gone && vsock_conn_wants(conn))
			vsock_conn_enqueue(conn);
		else if (!gone)
			vsock_conn_poll(conn);
		if (r != -EAGAIN)
			return r;
	}
	return -EAGAIN;
}

/* 1: sent, 0: nothing to send or no buffer for it, or -EPROTO. */
static int send_one(struct vsock *vsock)
{
	struct virtq *q = &vsock->dev.queues[VSOCK_RX];
	struct vsock_packet p = {0};
	struct vsock_header header;
	int r;

	if (!vsock->nresets && TAILQ_EMPTY(&vsock->ready))
		return 0;
	r = vsock_pop(vsock, q);
	if (r <= 0)
		return r;
	if (vsock->chain.write_len <= VSOCK_HEADER_LEN)
		return -EPROTO;
	r = next_packet(vsock, &p);
	if (r < 0) {
		virtq_unpop(q);
		return 0;
	}
	header = vsock_encode(&p);
	virtq_chain_write(&vsock->chain, 0, &header, sizeof(header));
	virtq_push(q, vsock->chain.head, (uint32_t)(sizeof(header) + p.len));
	return 1;
}

static void pump_rx(struct vsock *vsock)
{
	struct virtq *q = &vsock->dev.queues[VSOCK_RX];
	struct vsock_conn *conn;
	struct vsock_conn *next;
	unsigned budget = VSOCK_BUDGET;
	int r = 0;

	virtq_disable_kick(q);
	while (budget && (r = send_one(vsock)) > 0)
		budget--;
	if (budget < VSOCK_BUDGET)
		virtio_device_signal(&vsock->dev, VSOCK_RX);
	if (r < 0) {
		vsock_broken(vsock, VSOCK_RX, "buffer");
		return;
	}
	if (!budget)
		virtio_device_kick_again(&vsock->dev, VSOCK_RX);
	/* What waits for buffers or a turn must not wake the loop meanwhile. */
	for (conn = TAILQ_FIRST(&vsock->ready); conn; conn = next) {
		next = TAILQ_NEXT(conn, waiting);
		vsock_conn_poll(conn);
	}
}

void vsock_pump(struct vsock *vsock)
{
	if (!vsock->running)
		return;
	pump_rx(vsock);
	if (vsock->running && vsock->tx_blocked &&
	    vsock->nresets < VSOCK_RESETS_MAX) {
		vsock_tx_pump(vsock);
		if (vsock->running)
			pump_rx(vsock);
	}
	/* Still blocked with room for more: another turn. */
	if (vsock->running && vsock->tx_blocked &&
	    vsock->nresets < VSOCK_RESETS_MAX)
		virtio_device_kick_again(&vsock->dev, VSOCK_TX);
}

/* The device. -------------------------------------------------------------- */

static int vsock_activate(struct virtio_device *dev)
{
	struct vsock *vsock = to_vsock(dev);
	int r;

	r = vsock_tx_start(vsock);
	if (r < 0)
		return r;
	r = vsock_host_start(vsock);
	if (r < 0) {
		vsock_tx_stop(vsock);
		return r;
	}
	/* A queue may start later than the device: it is empty until then. */
	vsock->running = true;
	return 0;
}

static void vsock_kick(struct virtio_device *dev, unsigned q)
{
	struct vsock *vsock = to_vsock(dev);

	if (!vsock->running)
		return;
	/* The event queue is for a change of CID, which does not happen. */
	if (q == VSOCK_TX)
		vsock_tx_pump(vsock);
	if (q == VSOCK_TX || q == VSOCK_RX)
		vsock_pump(vsock);
}

static void vsock_reset(struct virtio_device *dev)
{
	vsock_halt(to_vsock(dev));
}

static void vsock_config_read(struct virtio_device *dev, size_t off, void *dst,
			      size_t len)
{
	le64 guest_cid = le64_make(to_vsock(dev)->cid);

	memcpy(dst, (const uint8_t *)&guest_cid + off, len);
}

static void vsock_destroy(struct virtio_device *dev)
{
	struct vsock *vsock = to_vsock(dev);

	if (vsock->running)
		vsock_halt(vsock);
	virtio_device_release(dev);
	close(vsock->listen_fd);
	free(vsock->prefix);
	free(vsock);
}

static const struct virtio_device_ops vsock_ops = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.config_len = sizeof(le64),
	.activate = vsock_activate,
	.kick = vsock_kick,
	.reset = vsock_reset,
	.config_read = vsock_config_read,
	.destroy = vsock_destroy,
};

static int check_config(uint32_t cid, int listen_fd, const char *prefix,
			struct err *err)
{
	int flags;

	if (cid <= VSOCK_HOST_CID || cid == UINT32_MAX)
		return err_set(err, EINVAL, "vsock: CID %u is reserved", cid);
	/* "_" and a port of ten digits follow. */
	if (strlen(prefix) + 11 >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(err, ENAMETOOLONG, "vsock: %s: path too long",
			       prefix);
	flags = fcntl(listen_fd, F_GETFL);
	if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_sys(err, "vsock: listening socket");
	return 0;
}

struct virtio_device *virtio_vsock_new(uint32_t cid, int listen_fd,
				       const char *prefix, struct err *err)
{
	const uint64_t features = VSOCK_F_STREAM | VIRTIO_RING_F_INDIRECT_DESC |
				  VIRTIO_RING_F_EVENT_IDX;
	AUTO_FD int fd = listen_fd;
	AUTO_FREE struct vsock *vsock = NULL;

	if (check_config(cid, fd, prefix, err) < 0)
		return NULL;
	vsock = calloc(1, sizeof(*vsock));
	if (!vsock || !(vsock->prefix = strdup(prefix))) {
		err_set(err, ENOMEM, "vsock: out of memory");
		return NULL;
	}
	virtio_device_init(&vsock->dev, &vsock_ops, features, VSOCK_QUEUES,
			   VSOCK_QUEUE_SIZE);
	vsock->cid = cid;
	vsock->listen_fd = steal_fd(&fd);
	TAILQ_INIT(&vsock->conns);
	TAILQ_INIT(&vsock->ready);
	TAILQ_INIT(&vsock->handshakes);
	TAILQ_INIT(&vsock->lingering);
	return &steal_ptr(&vsock)->dev;
}

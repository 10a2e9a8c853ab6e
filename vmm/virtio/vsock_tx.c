/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vsock_tx.h"

#include <errno.h>

#include "base/log.h"
#include "vmm/virtio/iov.h"
#include "vmm/virtio/vsock_host.h"
#include "vmm/virtio/vsock_packet.h"
#include "vmm/virtio/vsock_stream.h"

/* So many packets at a time are a burst, and its interrupt may wait. */
#define VSOCK_BURST 8u
#define VSOCK_UNTOLD_MS 2u

/* Runs of data. ------------------------------------------------------------ */

static void run_end(struct vsock *vsock)
{
	struct vsock_run *run = &vsock->run;

	if (!run->nchains)
		return;
	/* Not one that was killed meanwhile. */
	if (run->conn->state == VSOCK_OPEN)
		vsock_conn_data(run->conn, run);
	for (unsigned i = 0; i < run->nchains; i++)
		vsock_tx_push(vsock, run->chains[i].head);
	run->conn = NULL;
	run->len = 0;
	run->niov = run->nchains = 0;
}

/* The chain just popped, whose packet is data for conn. */
static void run_add(struct vsock *vsock, struct vsock_conn *conn,
		    const struct vsock_packet *p)
{
	const struct virtq_chain *chain = &vsock->chain;
	struct vsock_run *run = &vsock->run;

	if (run->conn != conn || run->nchains == VSOCK_RUN_MAX ||
	    chain->nread > VIRTQ_SEGS_MAX - run->niov)
		run_end(vsock);
	run->conn = conn;
	run->len += p->len;
	run->niov += iov_window(chain->iov, chain->nread, VSOCK_HEADER_LEN,
				p->len, run->iov + run->niov);
	run->chains[run->nchains++] = (struct vsock_chain){
		.head = chain->head,
		.entries = chain->entries,
		.len = p->len,
	};
}

/* Packets. ----------------------------------------------------------------- */

static void accept_call(struct vsock *vsock, const struct vsock_packet *p)
{
	struct vsock_conn *conn = NULL;
	int fd = vsock_host_dial(vsock, p->dst_port);

	if (fd >= 0)
		conn = vsock_conn_new(vsock, fd, VSOCK_OPEN);
	if (!conn) {
		vsock_owe_reset(vsock, p);
		return;
	}
	vsock_conn_name(conn, p->dst_port, p->src_port);
	conn->peer_alloc = p->buf_alloc;
	conn->peer_fwd = p->fwd_cnt;
	conn->tx_cnt = p->fwd_cnt;
	vsock_conn_owe(conn, VSOCK_OWES_RESPONSE);
	vsock_conn_poll(conn);
}

static struct vsock_conn *find(struct vsock *vsock,
			       const struct vsock_packet *p)
{
	if (p->dst_cid != VSOCK_HOST_CID || p->type != VSOCK_TYPE_STREAM)
		return NULL;
	return vsock_conn_find(vsock, p->dst_port, p->src_port);
}

/* Anything but data of an open connection. */
static void packet_in(struct vsock *vsock, struct vsock_conn *conn,
		      const struct vsock_packet *p)
{
	if (conn)
		vsock_conn_input(conn, p);
	else if (p->op == VSOCK_OP_REQUEST && p->dst_cid == VSOCK_HOST_CID &&
		 p->type == VSOCK_TYPE_STREAM)
		accept_call(vsock, p);
	else if (p->op != VSOCK_OP_RST)
		vsock_owe_reset(vsock, p);
}

static void handle(struct vsock *vsock, const struct vsock_packet *p)
{
	struct vsock_conn *conn = NULL;

	if (p->src_cid == vsock->cid)
		conn = find(vsock, p);
	if (conn && vsock_conn_takes_data(conn, p)) {
		run_add(vsock, conn, p);
		return;
	}
	/* In the order in which they came. */
	run_end(vsock);
	if (p->src_cid == vsock->cid)
		packet_in(vsock, conn, p);
	else if (log_allowed(&vsock->complaints, 10))
		/* There is nobody to answer to. */
		log_warn("vsock: packet from CID %llu dropped",
			 (unsigned long long)p->src_cid);
	vsock_tx_push(vsock, vsock->chain.head);
}

/* 1: a packet was taken, 0: none there, or -EPROTO. */
static int take_one(struct vsock *vsock)
{
	struct virtq *q = &vsock->dev.queues[VSOCK_TX];
	const struct virtq_chain *chain = &vsock->chain;
	struct vsock_header header;
	struct vsock_packet p;
	int r = virtq_pop(q, &vsock->chain);

	/* What comes while the host is written to needs no kick. */
	if (r == 0) {
		run_end(vsock);
		r = vsock_pop(vsock, q);
	}
	if (r <= 0)
		return r;
	if (virtq_chain_read(chain, 0, &header, sizeof(header)) !=
	    sizeof(header))
		return -EPROTO;
	p = vsock_decode(&header);
	if (p.len > chain->read_len - sizeof(header) ||
	    p.len > VSOCK_PAYLOAD_MAX)
		return -EPROTO;
	handle(vsock, &p);
	return 1;
}

/* The guest's interrupt. --------------------------------------------------- */

void vsock_tx_push(struct vsock *vsock, uint16_t head)
{
	virtq_push(&vsock->dev.queues[VSOCK_TX], head, 0);
	vsock->untold++;
}

static void tell(struct vsock *vsock)
{
	vsock->untold = 0;
	virtio_device_signal(&vsock->dev, VSOCK_TX);
}

static void waited_enough(struct evtimer *timer)
{
	struct vsock *vsock = container_of(timer, struct vsock, untold_timer);

	vsock->untold_timed = false;
	if (vsock->untold)
		tell(vsock);
}

/*
 * That packets were taken is of no urgency to a guest that has most of its
 * queue left: it frees their memory. In the midst of a stream it is told for
 * some bursts at a time, as interrupts cost it more than that.
 */
void vsock_tx_tell_soon(struct vsock *vsock)
{
	if (vsock->untold >= vsock->dev.queues[VSOCK_TX].size / 8) {
		tell(vsock);
	} else if (vsock->untold && !vsock->untold_timed) {
		vsock->untold_timed = true;
		evtimer_start(&vsock->untold_timer, VSOCK_UNTOLD_MS);
	}
}

/* -------------------------------------------------------------------------- */

void vsock_tx_pump(struct vsock *vsock)
{
	struct virtq *q = &vsock->dev.queues[VSOCK_TX];
	unsigned budget = VSOCK_BUDGET;
	int r = 0;

	virtq_disable_kick(q);
	while (budget && vsock->nresets < VSOCK_RESETS_MAX &&
	       (r = take_one(vsock)) > 0)
		budget--;
	run_end(vsock);
	/* The guest must take its resets before it may cause more of them. */
	vsock->tx_blocked = vsock->nresets == VSOCK_RESETS_MAX;
	if (budget < VSOCK_BUDGET && budget > VSOCK_BUDGET - VSOCK_BURST)
		tell(vsock);
	else
		vsock_tx_tell_soon(vsock);
	if (r < 0)
		vsock_broken(vsock, VSOCK_TX, "packet");
	else if (!budget)
		virtio_device_kick_again(&vsock->dev, VSOCK_TX);
}

int vsock_tx_start(struct vsock *vsock)
{
	return evtimer_init(vsock->dev.loop, &vsock->untold_timer,
			    waited_enough);
}

void vsock_tx_stop(struct vsock *vsock)
{
	evtimer_release(&vsock->untold_timer);
	vsock->untold = 0;
	vsock->untold_timed = false;
	vsock->tx_blocked = false;
}

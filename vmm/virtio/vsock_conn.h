/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VSOCK_CONN_H
#define VMM_VIRTIO_VSOCK_CONN_H

/*
 * Connections of the socket device: a Unix socket on one side, packets on the
 * other.
 *
 *	HANDSHAKE --"CONNECT"--> REQUESTED --RESPONSE--> OPEN
 *	guest's REQUEST --------------------------------> OPEN
 *	OPEN --host closed, SHUTDOWN sent--> LINGER --RST--> gone
 *	OPEN --guest's RST after its SHUTDOWN, data left--> ORPHAN --> gone
 *	any --RST to be sent--> DEAD --sent--> gone
 *
 * What a connection has to say is a set of bits in it, never a queue: a guest
 * that does not read cannot make it grow. What it was sent and its host does
 * not take is in vsock_pending.h.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "base/evloop.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/vsock_buf.h"
#include "vmm/virtio/vsock_packet.h"

#define VSOCK_QUEUE_SIZE 256u
#define VSOCK_BUCKETS 1024u
/* Connections that may have data pending at the same time, but for the large
 * ones: 32 MiB. */
#define VSOCK_BUFS_MAX 128u
/* Connections that may have a large buffer, and its size: 16 MiB. It is two of
 * the agent's pieces: one is on its way while the other is written. */
#define VSOCK_LARGE_MAX 8u
#define VSOCK_LARGE_SIZE (2048u * 1024)
/* Of the pipe that such a one goes to: fewer turns for its reader. */
#define VSOCK_PIPE_SIZE (1024 * 1024)
/* Resets owed for packets that belong to no connection. */
#define VSOCK_RESETS_MAX 128u
/* Packets of one connection that are written to the host at once: the 64 KiB
 * that Linux puts in one make a pipe of ours full. */
#define VSOCK_RUN_MAX (VSOCK_PIPE_SIZE / VSOCK_PAYLOAD_MAX)
/* Packets handled before the other devices have their turn. */
#define VSOCK_BUDGET 128u
/* Longest "CONNECT <port>\n". */
#define VSOCK_LINE_MAX 32u

enum vsock_queue {
	VSOCK_RX = 0, /* to the guest */
	VSOCK_TX = 1,
	VSOCK_EVENT = 2,
	VSOCK_QUEUES,
};

enum vsock_state {
	VSOCK_HANDSHAKE,
	VSOCK_REQUESTED,
	VSOCK_OPEN,
	VSOCK_LINGER,
	VSOCK_ORPHAN,
	VSOCK_DEAD,
};

enum vsock_owed {
	VSOCK_OWES_REQUEST = 1 << 0,
	VSOCK_OWES_RESPONSE = 1 << 1,
	VSOCK_OWES_SHUTDOWN = 1 << 2,
	VSOCK_OWES_CREDIT = 1 << 3,
	VSOCK_OWES_CREDIT_REQUEST = 1 << 4,
};

struct vsock;

STAILQ_HEAD(vsock_holds, vsock_hold);

struct vsock_conn {
	struct vsock *vsock;
	struct evsource src;
	int fd; /* owned */
	/* Owned: takes what the guest sends, in fd's place; or -1. */
	int sink;
	struct evsource sink_src; /* added while data is pending for it */
	enum vsock_state state;
	uint32_t host_port;
	uint32_t guest_port;
	LIST_ENTRY(vsock_conn) hashed;
	TAILQ_ENTRY(vsock_conn) listed;	 /* vsock.conns, all of them */
	TAILQ_ENTRY(vsock_conn) waiting; /* vsock.ready, when queued */
	TAILQ_ENTRY(vsock_conn) timed;	 /* vsock.handshakes or .lingering */
	bool in_table;
	bool queued;

	unsigned owed;	    /* enum vsock_owed */
	bool polled;	    /* src is added */
	bool readable;	    /* the socket may have data; not polled for it */
	bool eof;	    /* nothing more comes from the socket */
	bool hup;	    /* the socket's peer is gone, data may be left */
	bool asked;	    /* a credit request was sent since credit ran out */
	uint32_t shut;	    /* SHUTDOWN flags told to the guest */
	uint32_t peer_shut; /* SHUTDOWN flags the guest told */

	/* To the guest. All modulo 2^32 (virtio 1.2, 5.10.6.3). */
	uint32_t tx_cnt;
	uint32_t peer_alloc;
	uint32_t peer_fwd;
	/* From the guest, and pending (vsock_pending.h). */
	struct vsock_buf buf;
	struct vsock_holds held;
	size_t held_len; /* bytes of them that are not written */
	unsigned nheld;	 /* chains of them that are not pushed */
	/* From the guest. */
	uint32_t rx_cnt;
	uint32_t fwd_cnt;
	uint32_t fwd_told;

	uint64_t deadline_ms; /* handshake */
	unsigned line_len;
	char line[VSOCK_LINE_MAX];
};

TAILQ_HEAD(vsock_conns, vsock_conn);
LIST_HEAD(vsock_bucket, vsock_conn);

/* A reset that belongs to no connection. */
struct vsock_reset {
	uint64_t host_cid;
	uint32_t host_port;
	uint32_t guest_port;
	uint16_t type;
};

/* A packet of data that was popped from the transmit queue, and not pushed. */
struct vsock_chain {
	uint16_t head;
	uint16_t entries; /* of the queue that it takes */
	uint32_t len;	  /* of its payload that is not written */
};

/* Such ones of one connection that follow each other, not written yet. */
struct vsock_run {
	struct vsock_conn *conn;
	uint32_t len;
	unsigned niov;
	unsigned nchains;
	struct vsock_chain chains[VSOCK_RUN_MAX];
	struct iovec iov[VIRTQ_SEGS_MAX];
};

struct vsock {
	struct virtio_device dev;
	uint32_t cid;
	int listen_fd;
	char *prefix;

	bool running; /* between activation and reset or fault */
	struct evsource listen_src;
	bool listen_paused;
	struct evtimer handshake_timer;

	unsigned nconns;
	unsigned nbufs;	 /* connections with data pending, not large */
	unsigned nlarge; /* connections with a large buffer */
	unsigned held;	 /* entries of the transmit queue */
	uint32_t next_port;
	struct vsock_conns conns;
	struct vsock_conns ready;      /* something for the guest */
	struct vsock_conns handshakes; /* oldest first */
	struct vsock_conns lingering;  /* oldest first */
	struct vsock_bucket table[VSOCK_BUCKETS];

	unsigned resets_head;
	unsigned nresets;
	struct vsock_reset resets[VSOCK_RESETS_MAX];
	bool tx_blocked; /* the transmit queue waits for room in resets */
	unsigned untold; /* chains pushed whose interrupt waits */
	bool untold_timed;
	struct evtimer untold_timer;
	struct log_limit complaints;

	struct virtq_chain chain;
	struct iovec iov[VIRTQ_SEGS_MAX]; /* of one system call */
	struct vsock_run run;
};

/* Takes fd in every case. NULL: too many connections, or no memory. */
struct vsock_conn *vsock_conn_new(struct vsock *vsock, int fd,
				  enum vsock_state state);
/* Gives it its ports, after which packets find it. */
void vsock_conn_name(struct vsock_conn *conn, uint32_t host_port,
		     uint32_t guest_port);
struct vsock_conn *vsock_conn_find(struct vsock *vsock, uint32_t host_port,
				   uint32_t guest_port);
void vsock_conn_set_state(struct vsock_conn *conn, enum vsock_state state);
/* Without a word to the guest. */
void vsock_conn_free(struct vsock_conn *conn);
/* Closes the socket and owes the guest a reset. */
void vsock_conn_kill(struct vsock_conn *conn);
/* Something is owed: the receive queue will ask vsock_conn_output. */
void vsock_conn_owe(struct vsock_conn *conn, unsigned owed);
/* Whether vsock_conn_output has something to say now. */
bool vsock_conn_wants(const struct vsock_conn *conn);
void vsock_conn_enqueue(struct vsock_conn *conn);
void vsock_conn_dequeue(struct vsock_conn *conn);

/* Closes the socket and drops what it did not take; the rest stays. */
void vsock_conn_close_socket(struct vsock_conn *conn);
/* The guest sends nothing more, or nobody takes it. */
void vsock_conn_close_sink(struct vsock_conn *conn);
/* The guest's data to the host: bytes taken, or -errno. */
ssize_t vsock_conn_write(const struct vsock_conn *conn, struct iovec *iov,
			 unsigned n) MUST_CHECK;
bool vsock_conn_large(const struct vsock_conn *conn);
/* Packets do not find it any more. */
void vsock_conn_forget_name(struct vsock_conn *conn);

/* Bytes that the guest has room for. */
uint32_t vsock_conn_credit(const struct vsock_conn *conn);
/* -EPROTO: the guest claims to have taken what was never sent to it. */
int vsock_conn_take_credit(struct vsock_conn *conn,
			   const struct vsock_packet *p) MUST_CHECK;
/* The host took bytes: tells the guest before half its credit is gone. */
void vsock_conn_forwarded(struct vsock_conn *conn, size_t n);

/* vsock.c: sends to the guest what is owed, as far as it gave buffers. */
void vsock_pump(struct vsock *vsock);
/* A packet that belongs to no connection is to be answered by a reset. */
void vsock_owe_reset(struct vsock *vsock, const struct vsock_packet *p);
/* As virtq_pop, into vsock->chain. 0: kicks are on from now on. */
int vsock_pop(struct vsock *vsock, struct virtq *q) MUST_CHECK;
/* The guest broke a rule of this queue: the device stops. */
void vsock_broken(struct vsock *vsock, unsigned q, const char *what);

#endif

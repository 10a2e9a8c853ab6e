/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PROTO_TTRPC_CONN_H
#define AGENT_PROTO_TTRPC_CONN_H

/*
 * One connection of either side: frames in, frames out, descriptors. The
 * payload buffer grows with what has arrived, not with what a header claims.
 *
 * Descriptors belong to the first frame that is complete after they came; a
 * peer that sends some keeps no other call under way.
 */

#include "agent-proto/ttrpc_frame.h"
#include "base/evloop.h"

/* Not read from while more than this waits to be sent. */
#define TTRPC_BACKLOG_MAX (8u << 20)

struct ttrpc_conn;

struct ttrpc_conn_ops {
	/* payload is valid during the call. -errno ends the connection. */
	int (*frame)(struct ttrpc_conn *conn, const struct ttrpc_header *header,
		     const uint8_t *payload);
	/* Once; the owner may free it. reason: 0 at end of file, or -errno. */
	void (*closed)(struct ttrpc_conn *conn, int reason);
};

struct ttrpc_out; /* a frame that waits to be sent */

struct ttrpc_conn {
	const struct ttrpc_conn_ops *ops;
	struct evsource src;
	int fd;

	uint8_t head[TTRPC_HEADER_LEN];
	size_t head_len;
	struct ttrpc_header header;
	uint8_t *payload;
	size_t payload_len;
	size_t payload_cap;

	struct ttrpc_out *out;
	struct ttrpc_out **out_tail;
	size_t out_bytes;

	bool accept_fds;
	int fds[TTRPC_FDS_MAX];
	unsigned nfds;
	int broken; /* -errno of a failed send */
};

/* Takes fd and makes it non-blocking; on failure too. */
int ttrpc_conn_init(struct ttrpc_conn *conn, struct evloop *loop, int fd,
		    const struct ttrpc_conn_ops *ops,
		    bool accept_fds) MUST_CHECK;
void ttrpc_conn_release(struct ttrpc_conn *conn);
/* Takes frame; dups fds. A failure shows as closed(), later. */
void ttrpc_conn_send(struct ttrpc_conn *conn, uint8_t *frame, size_t len,
		     const int *fds, unsigned nfds);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VSOCK_PACKET_H
#define VMM_VIRTIO_VSOCK_PACKET_H

/* Packets of the socket device (virtio 1.2, 5.10.6). */

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"

#define VSOCK_HOST_CID 2u
#define VSOCK_TYPE_STREAM 1u
/* As Linux has it. */
#define VSOCK_PAYLOAD_MAX (64u * 1024)

/* Bits of `flags` in a SHUTDOWN packet: what its sender does no more. */
#define VSOCK_SHUT_RCV 1u
#define VSOCK_SHUT_SEND 2u
#define VSOCK_SHUT_BOTH 3u

enum vsock_op {
	VSOCK_OP_INVALID = 0,
	VSOCK_OP_REQUEST = 1,
	VSOCK_OP_RESPONSE = 2,
	VSOCK_OP_RST = 3,
	VSOCK_OP_SHUTDOWN = 4,
	VSOCK_OP_RW = 5,
	VSOCK_OP_CREDIT_UPDATE = 6,
	VSOCK_OP_CREDIT_REQUEST = 7,
};

/* As it stands in guest memory, before the payload. */
struct vsock_header {
	le64 src_cid;
	le64 dst_cid;
	le32 src_port;
	le32 dst_port;
	le32 len;
	le16 type;
	le16 op;
	le32 flags;
	le32 buf_alloc;
	le32 fwd_cnt;
} PACKED;

_Static_assert(sizeof(struct vsock_header) == 44, "virtio 1.2, 5.10.6");

#define VSOCK_HEADER_LEN sizeof(struct vsock_header)

/* The same, read once into the host's byte order. */
struct vsock_packet {
	uint64_t src_cid;
	uint64_t dst_cid;
	uint32_t src_port;
	uint32_t dst_port;
	uint32_t len;
	uint16_t type;
	uint16_t op;
	uint32_t flags;
	uint32_t buf_alloc;
	uint32_t fwd_cnt;
};

static inline struct vsock_packet vsock_decode(const struct vsock_header *h)
{
	return (struct vsock_packet){
		.src_cid = le64_get(h->src_cid),
		.dst_cid = le64_get(h->dst_cid),
		.src_port = le32_get(h->src_port),
		.dst_port = le32_get(h->dst_port),
		.len = le32_get(h->len),
		.type = le16_get(h->type),
		.op = le16_get(h->op),
		.flags = le32_get(h->flags),
		.buf_alloc = le32_get(h->buf_alloc),
		.fwd_cnt = le32_get(h->fwd_cnt),
	};
}

static inline struct vsock_header vsock_encode(const struct vsock_packet *p)
{
	return (struct vsock_header){
		.src_cid = le64_make(p->src_cid),
		.dst_cid = le64_make(p->dst_cid),
		.src_port = le32_make(p->src_port),
		.dst_port = le32_make(p->dst_port),
		.len = le32_make(p->len),
		.type = le16_make(p->type),
		.op = le16_make(p->op),
		.flags = le32_make(p->flags),
		.buf_alloc = le32_make(p->buf_alloc),
		.fwd_cnt = le32_make(p->fwd_cnt),
	};
}

#endif

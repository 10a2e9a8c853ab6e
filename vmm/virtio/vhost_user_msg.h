/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VHOST_USER_MSG_H
#define VMM_VIRTIO_VHOST_USER_MSG_H

/*
 * Messages of the vhost-user protocol: a header, a payload and descriptors,
 * in the byte order of the machine.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_GET_INFLIGHT_FD = 31,
	VU_SET_INFLIGHT_FD = 32,
	VU_RESET_DEVICE = 34,
	VU_VRING_KICK = 35,
	VU_SET_STATUS = 39,
	VU_GET_STATUS = 40,
};

enum vu_backend_request {
	VU_BACKEND_CONFIG_CHANGE = 2,
	VU_BACKEND_VRING_CALL = 4,
	VU_BACKEND_VRING_ERR = 5,
};

enum vu_flags {
	VU_VERSION_MASK = 3,
	VU_VERSION = 1,
	VU_FLAG_REPLY = 4,
	VU_FLAG_NEED_REPLY = 8,
};

#define VU_F_PROTOCOL_FEATURES (1ull << 30)

#define VU_PROTOCOL_F_MQ (1ull << 0)
#define VU_PROTOCOL_F_REPLY_ACK (1ull << 3)
#define VU_PROTOCOL_F_BACKEND_REQ (1ull << 5)
#define VU_PROTOCOL_F_CONFIG (1ull << 9)
#define VU_PROTOCOL_F_INFLIGHT_SHMFD (1ull << 12)
#define VU_PROTOCOL_F_RESET_DEVICE (1ull << 13)
#define VU_PROTOCOL_F_INBAND (1ull << 14)
#define VU_PROTOCOL_F_STATUS (1ull << 16)

#define VU_FDS_MAX 8u
#define VU_REGIONS_MAX 8u
#define VU_CONFIG_MAX 256u
#define VU_PAYLOAD_MAX 512u

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

struct vu_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

/* SET_VRING_KICK and the like: a u64. */
#define VU_VRING_INDEX_MASK 0xffull
#define VU_VRING_NO_FD (1ull << 8)

struct vu_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user; /* address in the front-end */
	uint64_t offset;
};

struct vu_memory {
	uint32_t count;
	uint32_t padding;
	struct vu_region regions[VU_REGIONS_MAX];
};

struct vu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t bytes[VU_CONFIG_MAX];
};

struct vu_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint32_t padding;
};

union vu_payload {
	uint64_t u64;
	struct vu_vring_state state;
	struct vu_vring_addr addr;
	struct vu_memory memory;
	struct vu_config config;
	struct vu_inflight inflight;
	uint8_t bytes[VU_PAYLOAD_MAX];
};

struct vu_msg {
	struct vu_header header;
	union vu_payload payload;
	unsigned nfds;
	int fds[VU_FDS_MAX]; /* -1: taken */
	size_t got;	     /* bytes of header and payload so far */
};

void vu_msg_init(struct vu_msg *msg);
/* Closes what was not taken, ready for the next one. */
void vu_msg_release(struct vu_msg *msg);
/* The caller owns it. */
int vu_msg_take_fd(struct vu_msg *msg, unsigned i);

/*
 * Receives more of a message: 1 complete, 0 not yet, -ECONNRESET the peer is
 * gone, -EPROTO it broke the protocol, or another -errno. Never blocks.
 */
int vu_msg_receive(int sock, struct vu_msg *msg) MUST_CHECK;
/* Never blocks: -EAGAIN when the peer does not read. fd: borrowed, goes along;
 * -1: none. */
int vu_msg_send(int sock, const struct vu_header *header, const void *payload,
		int fd) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PROTO_TTRPC_FRAME_H
#define AGENT_PROTO_TTRPC_FRAME_H

/*
 * The frame of ttrpc:
 *
 *	 0      4           8      9       10
 *	+------+-----------+------+-------+---------...
 *	| len  | stream id | type | flags | payload
 *	+------+-----------+------+-------+---------...
 *
 * len counts the payload; integers are big-endian.
 */

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "agent-proto/ttrpc.h"
#include "base/compiler.h"

#define TTRPC_HEADER_LEN 10u

enum ttrpc_type {
	TTRPC_REQUEST = 1,
	TTRPC_RESPONSE = 2,
	TTRPC_DATA = 3,
};

enum ttrpc_flags {
	TTRPC_REMOTE_CLOSED = 1,
	TTRPC_REMOTE_OPEN = 2,
	TTRPC_NO_DATA = 4,
};

struct ttrpc_header {
	uint32_t length;
	uint32_t stream;
	uint8_t type;
	uint8_t flags;
};

/* -EMSGSIZE: longer than TTRPC_PAYLOAD_MAX; -EPROTO: no known type. */
int ttrpc_header_get(const uint8_t buf[TTRPC_HEADER_LEN],
		     struct ttrpc_header *header) MUST_CHECK;

/* A whole frame in one new buffer. NULL: no memory, or too long. */
uint8_t *ttrpc_frame_new(uint32_t stream, enum ttrpc_type type,
			 const ProtobufCMessage *message, size_t *len);
/* The frame of a request that wraps `message`. */
uint8_t *ttrpc_request_frame(uint32_t stream, const char *service,
			     const char *method,
			     const ProtobufCMessage *message,
			     uint64_t timeout_ms, size_t *len);

/*
 * Takes a response apart. *code and *text (static buffer of the caller) are
 * the peer's status; *reply is unpacked when both are fine and reply_type is
 * not NULL. -EPROTO: not a response.
 */
int ttrpc_response_get(const uint8_t *payload, size_t len,
		       const ProtobufCMessageDescriptor *reply_type,
		       enum ttrpc_code *code, char *text, size_t text_size,
		       ProtobufCMessage **reply) MUST_CHECK;

/* NULL: not such a message. */
ProtobufCMessage *ttrpc_unpack(const ProtobufCMessageDescriptor *type,
			       const uint8_t *data, size_t len);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-proto/ttrpc_frame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent-proto/pb.h"
#include "agent-proto/ttrpc.pb-c.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/utf8.h"

int ttrpc_header_get(const uint8_t buf[TTRPC_HEADER_LEN],
		     struct ttrpc_header *header)
{
	be32 length, stream;

	memcpy(&length, buf, 4);
	memcpy(&stream, buf + 4, 4);
	header->length = be32_get(length);
	header->stream = be32_get(stream);
	header->type = buf[8];
	header->flags = buf[9];
	if (header->length > TTRPC_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (header->type < TTRPC_REQUEST || header->type > TTRPC_DATA)
		return -EPROTO;
	return 0;
}

uint8_t *ttrpc_frame_new(uint32_t stream, enum ttrpc_type type,
			 const ProtobufCMessage *message, size_t *len)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	be32 length = be32_make((uint32_t)size);
	be32 id = be32_make(stream);
	uint8_t *frame;

	if (size > TTRPC_PAYLOAD_MAX)
		return NULL;
	frame = malloc(TTRPC_HEADER_LEN + size);
	if (!frame)
		return NULL;
	memcpy(frame, &length, 4);
	memcpy(frame + 4, &id, 4);
	frame[8] = (uint8_t)type;
	frame[9] = 0;
	protobuf_c_message_pack(message, frame + TTRPC_HEADER_LEN);
	*len = TTRPC_HEADER_LEN + size;
	return frame;
}

uint8_t *ttrpc_request_frame(uint32_t stream, const char *service,
			     const char *method,
			     const ProtobufCMessage *message,
			     uint64_t timeout_ms, size_t *len)
{
	Ttrpc__Request request = TTRPC__REQUEST__INIT;
	size_t size = protobuf_c_message_get_packed_size(message);
	AUTO_FREE uint8_t *payload = malloc(size + 1);

	if (!payload || size > TTRPC_PAYLOAD_MAX)
		return NULL;
	protobuf_c_message_pack(message, payload);
	request.service = pb_str(service);
	request.method = pb_str(method);
	request.payload.data = payload;
	request.payload.len = size;
	request.timeout_nano = (int64_t)timeout_ms * 1000000;
	return ttrpc_frame_new(stream, TTRPC_REQUEST, &request.base, len);
}

/* Of the character at src: it can go onto a terminal. C1 controls, which are
 * two bytes of UTF-8, cannot, nor can what is not UTF-8. */
static bool printable(const char *src, size_t n)
{
	unsigned char c = (unsigned char)src[0];

	if (n == 1)
		return c >= 0x20 && c != 0x7f;
	return n > 2 ||
	       (n == 2 && (c != 0xc2 || (unsigned char)src[1] >= 0xa0));
}

/* A peer's text goes into logs and onto terminals: one line, no controls. */
static void copy_line(char *dst, size_t size, const char *src)
{
	size_t left = strlen(src), room = size - 1;

	while (left) {
		size_t n = utf8_char(src, left);
		bool fine = printable(src, n);

		n = n ? n : 1;
		if (n > room)
			break;
		if (fine)
			memcpy(dst, src, n);
		else
			memset(dst, ' ', n);
		src += n;
		dst += n;
		left -= n;
		room -= n;
	}
	*dst = '\0';
}

int ttrpc_response_get(const uint8_t *payload, size_t len,
		       const ProtobufCMessageDescriptor *reply_type,
		       enum ttrpc_code *code, char *text, size_t text_size,
		       ProtobufCMessage **reply)
{
	Ttrpc__Response *response = ttrpc__response__unpack(NULL, len, payload);
	int ret = 0;

	*code = TTRPC_OK;
	*text = '\0';
	*reply = NULL;
	if (!response)
		return -EPROTO;
	if (response->status && response->status->code) {
		*code = (enum ttrpc_code)response->status->code;
		copy_line(text, text_size, response->status->message);
	} else if (reply_type) {
		*reply = ttrpc_unpack(reply_type, response->payload.data,
				      response->payload.len);
		if (!*reply)
			ret = -EPROTO;
	}
	ttrpc__response__free_unpacked(response, NULL);
	return ret;
}

ProtobufCMessage *ttrpc_unpack(const ProtobufCMessageDescriptor *type,
			       const uint8_t *data, size_t len)
{
	/*
	 * protobuf-c recurses with the nesting of the *types*, not of the
	 * bytes, and none of our messages contains itself.
	 */
	return protobuf_c_message_unpack(type, NULL, len, data);
}

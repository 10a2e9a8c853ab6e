/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_MESSAGE_H
#define TESTS_FUZZ_MESSAGE_H

/*
 * Messages of any type, filled as the input says: nested ones, lists, one
 * member of each oneof. Random bytes are hardly ever such a message.
 */

#include <stdbool.h>
#include <stdlib.h>

#include <protobuf-c/protobuf-c.h>

#include "agent-proto/ttrpc.h"
#include "agent-proto/ttrpc_frame.h"
#include "tests/fuzz/input.h"

#define MESSAGE_DEPTH 6
#define MESSAGE_LIST 3

static inline uint8_t take_byte(struct input *in)
{
	uint8_t byte;

	take(in, &byte, 1);
	return byte;
}

static inline char *take_text(struct input *in)
{
	/* What is compared with, or parsed. */
	static const char *const words[] = {
		"",	 "/",	       "/..",	    "a",
		"0",	 "-1",	       "rbind",	    "ro",
		"bind",	 "tmpfs",      "size=1m",   "user",
		"mount", "pid",	       "02/03.1",   "192.0.2.1",
		"24",	 "CAP_KILL",   "ephemeral", "SCMP_ACT_ERRNO",
		"mkdir", "RLIMIT_CPU", "c",	    "rwm",
		"net.x", "LINUX32",    "/proc/x",   "02:00:00:00:00:01",
		"blk",	 "uid=0",      "rslave",    "SCMP_ARCH_X86_64",
	};
	uint8_t n = take_byte(in);
	char *text;

	if (n & 0x80)
		return strdup(words[n % ARRAY_SIZE(words)]);
	n &= 0x1f;
	text = calloc(1, n + 1u);
	take(in, text, n);
	return text;
}

static inline ProtobufCMessage *
message_take(struct input *in, const ProtobufCMessageDescriptor *type,
	     unsigned depth);

static inline size_t value_size(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
	case PROTOBUF_C_TYPE_STRING:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	default:
		return 4;
	}
}

static inline void take_value(struct input *in,
			      const ProtobufCFieldDescriptor *field, void *at,
			      unsigned depth)
{
	ProtobufCBinaryData *bytes = at;

	switch (field->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		*(ProtobufCMessage **)at =
			message_take(in, field->descriptor, depth + 1);
		break;
	case PROTOBUF_C_TYPE_STRING:
		*(char **)at = take_text(in);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		bytes->len = take_byte(in);
		bytes->data = malloc(bytes->len + 1);
		take(in, bytes->data, bytes->len);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)at = take_byte(in) & 1;
		break;
	default:
		take(in, at, value_size(field));
	}
}

static inline void take_field(struct input *in, ProtobufCMessage *message,
			      const ProtobufCFieldDescriptor *field,
			      unsigned depth)
{
	void *at = (uint8_t *)message + field->offset;
	void *quantifier = (uint8_t *)message + field->quantifier_offset;
	bool nested = field->type == PROTOBUF_C_TYPE_MESSAGE;
	uint8_t how = take_byte(in);
	size_t size = value_size(field), n = how % (MESSAGE_LIST + 1u);

	if (!n || (nested && depth == MESSAGE_DEPTH))
		return;
	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		uint8_t *list = calloc(n, size);

		for (size_t i = 0; i < n; i++)
			take_value(in, field, list + i * size, depth);
		*(void **)at = list;
		*(size_t *)quantifier = n;
		return;
	}
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		if (*(uint32_t *)quantifier)
			return; /* another member */
		*(uint32_t *)quantifier = field->id;
	}
	take_value(in, field, at, depth);
}

static inline ProtobufCMessage *
message_take(struct input *in, const ProtobufCMessageDescriptor *type,
	     unsigned depth)
{
	ProtobufCMessage *message = malloc(type->sizeof_message);

	protobuf_c_message_init(type, message);
	for (unsigned i = 0; i < type->n_fields; i++)
		take_field(in, message, &type->fields[i], depth);
	return message;
}

/* What was packed is what is unpacked. It is so for what we fill in alone:
 * protobuf-c takes a field number 0 in two bytes, and keeps it as one that it
 * does not know, but not in one byte. */
static inline void message_there_and_back(const ProtobufCMessage *msg)
{
	size_t len = protobuf_c_message_get_packed_size(msg), again;
	uint8_t *wire = malloc(len + 1), *second;
	ProtobufCMessage *copy;

	if (protobuf_c_message_pack(msg, wire) != len)
		__builtin_trap();
	copy = ttrpc_unpack(msg->descriptor, wire, len);
	if (!copy)
		__builtin_trap();
	again = protobuf_c_message_get_packed_size(copy);
	second = malloc(again + 1);
	if (again != len || protobuf_c_message_pack(copy, second) != len ||
	    memcmp(wire, second, len) != 0)
		__builtin_trap();
	protobuf_c_message_free_unpacked(copy, NULL);
	free(second);
	free(wire);
}

/* A request of one of the methods: as bytes that claim to be one, or filled
 * in its own structure. NULL: the bytes are none. */
static inline ProtobufCMessage *message_any(const struct ttrpc_method *methods,
					    const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	size_t n = 0, pick = take_byte(&in);
	ProtobufCMessage *msg;

	while (methods[n].name)
		n++;
	if (!(take_byte(&in) & 1))
		return ttrpc_unpack(methods[pick % n].request, in.data,
				    in.left);
	msg = message_take(&in, methods[pick % n].request, 0);
	message_there_and_back(msg);
	return msg;
}

#endif

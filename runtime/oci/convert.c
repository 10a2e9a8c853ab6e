/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/convert.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent-proto/oci.pb-c.h"

#define FIELD_NAME_MAX 64

/* Names that differ by more than their case; NULL: its shape differs too, and
 * the caller converts it. */
static const struct {
	const char *json;
	const char *field;
} aliases[] = {
	{"ociVersion", "version"}, {"linux", "linux_config"},
	{"pageSize", "pagesize"},  {"errnoRet", "errnoret"},
	{"timeOffsets", NULL},
};

int snake_case(const char *camel, char *out, size_t size)
{
	size_t n = 0;

	for (const char *p = camel; *p; p++) {
		bool upper = isupper((unsigned char)*p);
		/* A new word: after a small letter, or the last capital of
		 * an acronym that a small letter follows (IOPSDevice). */
		bool word = upper && p > camel &&
			    (!isupper((unsigned char)p[-1]) ||
			     islower((unsigned char)p[1]));

		if (n + 2 + word > size)
			return -ENAMETOOLONG;
		if (word)
			out[n++] = '_';
		out[n++] = (char)tolower((unsigned char)*p);
	}
	out[n] = '\0';
	return 0;
}

/* Keys are as the specification spells them: "linuxConfig" and "Linux" are as
 * unknown as "lunix". */
static const ProtobufCFieldDescriptor *
find_field(const ProtobufCMessageDescriptor *type, const char *key)
{
	char snake[FIELD_NAME_MAX];
	const char *name = snake;

	if (isupper((unsigned char)*key) || strchr(key, '_') ||
	    snake_case(key, snake, sizeof(snake)) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
		const char *field = aliases[i].field;

		if (!strcmp(aliases[i].json, key))
			name = field;
		else if (field && !strcmp(field, snake))
			return NULL;
	}
	if (!name)
		return NULL;
	return protobuf_c_message_descriptor_get_field_by_name(type, name);
}

static size_t value_size(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_UINT32:
		return sizeof(uint32_t);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		return sizeof(uint64_t);
	default:
		return sizeof(void *);
	}
}

static int set_integer(const struct json *node, ProtobufCType type, void *dst,
		       struct err *err)
{
	/* Limits above INT64_MAX ("unlimited" as 2^64-1) keep their bits. */
	if (type == PROTOBUF_C_TYPE_UINT64)
		return json_as_u64(node, dst, err);
	if (type == PROTOBUF_C_TYPE_INT64)
		return json_as_int(node, INT64_MIN, INT64_MAX, dst, err);

	int64_t v = 0;
	bool is_signed = type == PROTOBUF_C_TYPE_INT32;
	int ret = json_as_int(node, is_signed ? INT32_MIN : 0,
			      is_signed ? INT32_MAX : UINT32_MAX, &v, err);
	uint32_t bits = (uint32_t)v;

	memcpy(dst, &bits, sizeof(bits));
	return ret;
}

static int set_string(const struct json *node, char **dst, struct err *err)
{
	const char *text;
	int ret = json_as_string(node, &text, err);

	if (ret < 0)
		return ret;
	*dst = strdup(text);
	return *dst ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int set_value(const struct json *node,
		     const ProtobufCFieldDescriptor *field, void *dst,
		     struct err *err)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_BOOL:
		if (json_type(node) != JSON_BOOL)
			return json_fail(node, err, "expected true or false");
		*(protobuf_c_boolean *)dst = json_true(node);
		return 0;
	case PROTOBUF_C_TYPE_STRING:
		return set_string(node, dst, err);
	case PROTOBUF_C_TYPE_MESSAGE:
		*(ProtobufCMessage **)dst =
			json_to_message(node, field->descriptor, err);
		return *(ProtobufCMessage **)dst ? 0 : -err->code;
	default:
		return set_integer(node, field->type, dst, err);
	}
}

/* An object with free keys: each member is a key and a string. */
static int set_pairs(const struct json *node, Oci__Pair **pairs, size_t *count,
		     struct err *err)
{
	for (size_t i = 0; i < json_count(node); i++) {
		Oci__Pair *pair = malloc(sizeof(*pair));

		if (!pair)
			return err_set(err, ENOMEM, "out of memory");
		oci__pair__init(pair);
		pairs[(*count)++] = pair;
		pair->key = strdup(json_key(node, i));
		if (!pair->key)
			return err_set(err, ENOMEM, "out of memory");

		int ret = set_string(json_at(node, i), &pair->value, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int set_repeated(const struct json *node,
			const ProtobufCFieldDescriptor *field, size_t *count,
			void **values, struct err *err)
{
	bool pairs = field->descriptor == &oci__pair__descriptor;
	size_t size = value_size(field);
	size_t n = json_count(node);

	if (json_type(node) != (pairs ? JSON_OBJECT : JSON_ARRAY))
		return json_fail(node, err, "expected an %s",
				 pairs ? "object" : "array");
	if (!n)
		return 0;
	*values = calloc(n, size);
	if (!*values)
		return err_set(err, ENOMEM, "out of memory");
	if (pairs)
		return set_pairs(node, *values, count, err);
	for (size_t i = 0; i < n; i++) {
		int ret = set_value(json_at(node, i), field,
				    (char *)*values + i * size, err);

		if (ret < 0)
			return ret;
		(*count)++;
	}
	return 0;
}

static int set_member(const struct json *node,
		      const ProtobufCFieldDescriptor *field,
		      ProtobufCMessage *message, struct err *err)
{
	char *base = (char *)message;
	void *member = base + field->offset;

	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return set_repeated(
			node, field,
			(size_t *)(void *)(base + field->quantifier_offset),
			member, err);
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		uint32_t which = field->id;

		memcpy(base + field->quantifier_offset, &which, sizeof(which));
	}
	return set_value(node, field, member, err);
}

ProtobufCMessage *json_to_message(const struct json *obj,
				  const ProtobufCMessageDescriptor *type,
				  struct err *err)
{
	ProtobufCMessage *message;
	bool *seen;
	int ret = 0;

	if (json_type(obj) != JSON_OBJECT) {
		json_fail(obj, err, "expected an object");
		return NULL;
	}
	message = calloc(1, type->sizeof_message);
	seen = calloc(type->n_fields + 1, sizeof(*seen));
	if (!message || !seen) {
		free(message);
		free(seen);
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	protobuf_c_message_init(type, message);
	for (size_t i = 0; !ret && i < json_count(obj); i++) {
		const struct json *node = json_at(obj, i);
		const ProtobufCFieldDescriptor *field =
			find_field(type, json_key(obj, i));

		if (!field || json_type(node) == JSON_NULL)
			continue;
		if (seen[field - type->fields])
			ret = json_fail(node, err, "there in two spellings");
		else
			ret = set_member(node, field, message, err);
		seen[field - type->fields] = true;
	}
	free(seen);
	if (ret < 0) {
		protobuf_c_message_free_unpacked(message, NULL);
		return NULL;
	}
	return message;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/extensions.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIRST_NUMBER 1000u
#define NAME_MAX_LEN 168

static const char unified[] = "cgroup_unified";
static const char others[] = "spec_extensions";

void extensions_take(struct extensions *have, const char *feature)
{
	if (!strcmp(feature, unified))
		have->cgroup_unified = true;
	if (!strcmp(feature, others))
		have->spec_extensions = true;
}

/* As the specification calls it; NULL: without it nothing is lost. */
static const char *json_name(const char *field, char out[64])
{
	static const struct {
		const char *field, *json;
	} odd[] = {
		{"linux_config", "linux"},
		{"umask_plus_one", "umask"},
		{"default_errno_plus_one", "defaultErrnoRet"},
		{"has_burst", "burst"},
		{"has_idle", "idle"},
		/* Of 0, which is what it is without one. */
		{"has_oom_score_adj", NULL},
	};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		if (!strcmp(field, odd[i].field))
			return odd[i].json;
	}
	for (const char *p = field; *p && n < 63; p++) {
		bool word = *p == '_' && p[1];

		p += word;
		out[n++] = (char)(word ? toupper((unsigned char)*p) : *p);
	}
	out[n] = '\0';
	return out;
}

static bool is_set(const ProtobufCFieldDescriptor *f, const void *member,
		   size_t n)
{
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return n > 0;
	switch (f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		return *(ProtobufCMessage *const *)member != NULL;
	case PROTOBUF_C_TYPE_STRING:
		return (*(const char *const *)member)[0] != '\0';
	case PROTOBUF_C_TYPE_BOOL:
		return *(const protobuf_c_boolean *)member;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_ENUM:
		return *(const uint32_t *)member != 0;
	default:
		return *(const uint64_t *)member != 0;
	}
}

static int check_field(const struct extensions *have, const char *name,
		       const ProtobufCFieldDescriptor *f, struct err *err)
{
	bool is_unified = !strcmp(f->name, "unified");

	if (is_unified ? have->cgroup_unified : have->spec_extensions)
		return 0;
	return err_set(err, EOPNOTSUPP,
		       "%s: the agent in the guest does not take it (%s)", name,
		       is_unified ? unified : others);
}

static int check_parts(const struct extensions *have, const char *name,
		       const ProtobufCFieldDescriptor *f, const void *member,
		       size_t n, struct err *err)
{
	ProtobufCMessage *const *list = member;
	char part[NAME_MAX_LEN];
	int ret = 0;

	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return *list ? extensions_check(have, name, *list, err) : 0;
	list = *(ProtobufCMessage *const *const *)member;
	for (size_t i = 0; !ret && i < n; i++) {
		(void)snprintf(part, sizeof(part), "%.140s[%zu]", name, i);
		ret = extensions_check(have, part, list[i], err);
	}
	return ret;
}

/* As deep as oci.proto is, which has no message within itself. */
int extensions_check(const struct extensions *have, const char *name,
		     const ProtobufCMessage *message, struct err *err)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	char path[NAME_MAX_LEN], word[64];
	int ret = 0;

	for (unsigned i = 0; !ret && i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &type->fields[i];
		const char *base = (const char *)message;
		const void *member = base + f->offset;
		const char *json = json_name(f->name, word);
		size_t n = 0;

		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			memcpy(&n, base + f->quantifier_offset, sizeof(n));
		if (!json || f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
			continue;
		(void)snprintf(path, sizeof(path), "%.100s%s%s", name,
			       *name ? "." : "", json);
		if (f->id >= FIRST_NUMBER && is_set(f, member, n))
			ret = check_field(have, path, f, err);
		else if (f->id < FIRST_NUMBER &&
			 f->type == PROTOBUF_C_TYPE_MESSAGE)
			ret = check_parts(have, path, f, member, n, err);
	}
	return ret;
}

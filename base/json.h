/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

/*
 * Strict JSON on yajl, as a tree that knows its lines. Duplicate keys, bytes
 * after the value, invalid UTF-8, NUL in strings and nesting deeper than 64
 * are errors. Numbers keep their text; json_int_opt refuses what is not an
 * integer in range. Errors name file, line and path:
 *	config.json:12: process.args[1]: expected a string
 * A tree is owned by the caller of json_parse; nodes and strings live as long.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

enum json_flags {
	JSON_COMMENTS = 1 << 0, /* allow C and C++ comments */
};

struct json; /* one node */

/* name: for messages, copied. NULL: err says why. */
struct json *json_parse(const char *text, size_t len, const char *name,
			unsigned flags, struct err *err);
/* Reads at most max bytes of path (regular file); more is an error. */
struct json *json_load(const char *path, size_t max, unsigned flags,
		       struct err *err);
void json_free(struct json *root);
static inline void json_cleanup(struct json **p)
{
	json_free(*p);
}

enum json_type json_type(const struct json *node);
bool json_true(const struct json *node); /* the literal true */
/* Members or elements of a container, 0 for the rest. */
size_t json_count(const struct json *node);
const struct json *json_at(const struct json *node, size_t i);
const char *json_key(const struct json *object, size_t i);
/* NULL when node is NULL, not an object, or has no such member. */
const struct json *json_get(const struct json *node, const char *key);

/* Sets "file:line: path: what" and returns -EINVAL. */
int json_fail(const struct json *node, struct err *err, const char *what, ...)
	PRINTF(3, 4);

/* Typed access. They leave *out alone and return 0 when the member is missing
 * (null counts as missing). */
int json_string_opt(const struct json *obj, const char *key, const char **out,
		    struct err *err) MUST_CHECK;
int json_int_opt(const struct json *obj, const char *key, int64_t min,
		 int64_t max, int64_t *out, struct err *err) MUST_CHECK;
int json_u64_opt(const struct json *obj, const char *key, uint64_t *out,
		 struct err *err) MUST_CHECK;
int json_bool_opt(const struct json *obj, const char *key, bool *out,
		  struct err *err) MUST_CHECK;
/* *out is NULL when missing. */
int json_array_opt(const struct json *obj, const char *key,
		   const struct json **out, struct err *err) MUST_CHECK;
int json_object_opt(const struct json *obj, const char *key,
		    const struct json **out, struct err *err) MUST_CHECK;
/* A new NULL-terminated vector of borrowed strings (free the vector only). */
int json_strings_opt(const struct json *obj, const char *key, const char ***out,
		     size_t *count, struct err *err) MUST_CHECK;
/* The value of a node itself; -EINVAL with a message when it is another. */
int json_as_string(const struct json *node, const char **out,
		   struct err *err) MUST_CHECK;
int json_as_u64(const struct json *node, uint64_t *out,
		struct err *err) MUST_CHECK;
int json_as_int(const struct json *node, int64_t min, int64_t max, int64_t *out,
		struct err *err) MUST_CHECK;

/* The member of `names` (NULL-terminated) nearest to word, or NULL if far. */
const char *json_nearest(const char *const *names, const char *word);

/* The node as compact JSON text; NULL: out of memory. Caller frees. */
char *json_text(const struct json *node);

#endif

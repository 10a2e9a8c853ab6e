/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_gen.h>

#include "base/cleanup.h"
#include "base/json_node.h"

#define PATH_TEXT_MAX 256
#define WORD_MAX 64

enum json_type json_type(const struct json *node)
{
	return node->type;
}

bool json_true(const struct json *node)
{
	return node && node->type == JSON_BOOL && node->truth;
}

size_t json_count(const struct json *node)
{
	return node ? node->count : 0;
}

const struct json *json_at(const struct json *node, size_t i)
{
	return node && i < node->count ? node->items[i] : NULL;
}

const char *json_key(const struct json *object, size_t i)
{
	return object && i < object->count ? object->items[i]->key : NULL;
}

const struct json *json_get(const struct json *node, const char *key)
{
	if (!node || node->type != JSON_OBJECT)
		return NULL;
	for (size_t i = 0; i < node->count; i++)
		if (strcmp(node->items[i]->key, key) == 0)
			return node->items[i];
	return NULL;
}

struct path {
	char text[PATH_TEXT_MAX];
	size_t len;
};

static void path_put(struct path *path, const char *fmt, ...) PRINTF(2, 3);
static void path_put(struct path *path, const char *fmt, ...)
{
	size_t room = sizeof(path->text) - path->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path->text + path->len, room, fmt, ap);
	va_end(ap);
	path->len += (size_t)n < room ? (size_t)n : room - 1;
}

/* Annotations have dots in their names: those stand in brackets. */
static void path_put_key(struct path *path, const char *key)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	if (*key && key[strspn(key, plain)] == '\0')
		path_put(path, "%s%s", path->len ? "." : "", key);
	else
		path_put(path, "[\"%s\"]", key);
}

/* The depth of a tree is bounded by the parser. */
static void path_put_node(struct path *path, const struct json *node)
{
	if (!node->up)
		return;
	path_put_node(path, node->up);
	if (node->key)
		path_put_key(path, node->key);
	else
		path_put(path, "[%zu]", node->index);
}

static int fail_at(const struct json *node, const struct path *path,
		   struct err *err, const char *what)
{
	return err_set(err, EINVAL, "%s:%u: %s%s%s", node->name, node->line,
		       path->text, path->len ? ": " : "", what);
}

int json_fail(const struct json *node, struct err *err, const char *what, ...)
{
	struct path path = {.len = 0};
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, what);
	vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	path_put_node(&path, node);
	return fail_at(node, &path, err, text);
}

/* The member of obj; *out is NULL when there is none, or it is null. */
static int member(const struct json *obj, const char *key,
		  const struct json **out, struct err *err)
{
	*out = NULL;
	if (!obj)
		return 0;
	if (obj->type != JSON_OBJECT)
		return json_fail(obj, err, "expected an object");
	*out = json_get(obj, key);
	if (*out && (*out)->type == JSON_NULL)
		*out = NULL;
	return 0;
}

int json_as_string(const struct json *node, const char **out, struct err *err)
{
	if (node->type != JSON_STRING)
		return json_fail(node, err, "expected a string");
	*out = node->text;
	return 0;
}

static bool is_integer(const struct json *node)
{
	return node->type == JSON_NUMBER &&
	       node->text[strspn(node->text, "-0123456789")] == '\0';
}

int json_as_int(const struct json *node, int64_t min, int64_t max, int64_t *out,
		struct err *err)
{
	long long value;

	if (!is_integer(node))
		return json_fail(node, err, "expected an integer");
	errno = 0;
	value = strtoll(node->text, NULL, 10);
	if (errno || value < min || value > max)
		return json_fail(node, err,
				 "%s is not in the range from %" PRId64
				 " to %" PRId64,
				 node->text, min, max);
	*out = value;
	return 0;
}

int json_as_u64(const struct json *node, uint64_t *out, struct err *err)
{
	unsigned long long value;

	/* strtoull would take "-1" for the largest value. */
	if (!is_integer(node) || *node->text == '-')
		return json_fail(node, err, "expected an unsigned integer");
	errno = 0;
	value = strtoull(node->text, NULL, 10);
	if (errno)
		return json_fail(node, err, "%s is too large", node->text);
	*out = value;
	return 0;
}

int json_string_opt(const struct json *obj, const char *key, const char **out,
		    struct err *err)
{
	const struct json *node;
	int rc = member(obj, key, &node, err);

	return rc < 0 || !node ? rc : json_as_string(node, out, err);
}

int json_int_opt(const struct json *obj, const char *key, int64_t min,
		 int64_t max, int64_t *out, struct err *err)
{
	const struct json *node;
	int rc = member(obj, key, &node, err);

	return rc < 0 || !node ? rc : json_as_int(node, min, max, out, err);
}

int json_u64_opt(const struct json *obj, const char *key, uint64_t *out,
		 struct err *err)
{
	const struct json *node;
	int rc = member(obj, key, &node, err);

	return rc < 0 || !node ? rc : json_as_u64(node, out, err);
}

int json_bool_opt(const struct json *obj, const char *key, bool *out,
		  struct err *err)
{
	const struct json *node;
	int rc = member(obj, key, &node, err);

	if (rc < 0 || !node)
		return rc;
	if (node->type != JSON_BOOL)
		return json_fail(node, err, "expected true or false");
	*out = node->truth;
	return 0;
}

int json_array_opt(const struct json *obj, const char *key,
		   const struct json **out, struct err *err)
{
	int rc = member(obj, key, out, err);

	if (rc < 0 || !*out || (*out)->type == JSON_ARRAY)
		return rc;
	rc = json_fail(*out, err, "expected an array");
	*out = NULL;
	return rc;
}

int json_object_opt(const struct json *obj, const char *key,
		    const struct json **out, struct err *err)
{
	int rc = member(obj, key, out, err);

	if (rc < 0 || !*out || (*out)->type == JSON_OBJECT)
		return rc;
	rc = json_fail(*out, err, "expected an object");
	*out = NULL;
	return rc;
}

int json_strings_opt(const struct json *obj, const char *key, const char ***out,
		     size_t *count, struct err *err)
{
	AUTO_FREE const char **vec = NULL;
	const struct json *array;
	int rc = json_array_opt(obj, key, &array, err);

	if (rc < 0 || !array)
		return rc;
	vec = calloc(array->count + 1, sizeof(*vec));
	if (!vec)
		return err_set(err, ENOMEM, "%s: out of memory", key);
	for (size_t i = 0; i < array->count; i++) {
		rc = json_as_string(array->items[i], &vec[i], err);
		if (rc < 0)
			return rc;
	}
	if (count)
		*count = array->count;
	*out = steal_ptr(&vec);
	return 0;
}

/* Levenshtein's distance of two words of at most WORD_MAX bytes. */
static size_t distance(const char *a, size_t alen, const char *b, size_t blen)
{
	size_t row[WORD_MAX + 1];

	for (size_t j = 0; j <= blen; j++)
		row[j] = j;
	for (size_t i = 1; i <= alen; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			best = MIN(best, row[j] + 1);
			row[j] = MIN(best, row[j - 1] + 1);
		}
	}
	return row[blen];
}

const char *json_nearest(const char *const *names, const char *word)
{
	size_t len = strlen(word);
	/* One slip in three letters is a slip, more is another word. */
	size_t best = len / 3 + 1;
	const char *nearest = NULL;

	if (len > WORD_MAX)
		return NULL;
	for (; *names; names++) {
		size_t nlen = strlen(*names), d;

		if (nlen > WORD_MAX)
			continue;
		d = distance(word, len, *names, nlen);
		if (d < best) {
			best = d;
			nearest = *names;
		}
	}
	return nearest;
}

static bool generate(yajl_gen gen, const struct json *node);

static bool gen_string(yajl_gen gen, const char *s)
{
	return yajl_gen_string(gen, (const unsigned char *)s, strlen(s)) ==
	       yajl_gen_status_ok;
}

static bool gen_items(yajl_gen gen, const struct json *node)
{
	for (size_t i = 0; i < node->count; i++) {
		const struct json *item = node->items[i];

		if (item->key && !gen_string(gen, item->key))
			return false;
		if (!generate(gen, item))
			return false;
	}
	return true;
}

static bool generate(yajl_gen gen, const struct json *node)
{
	switch (node->type) {
	case JSON_NULL:
		return yajl_gen_null(gen) == yajl_gen_status_ok;
	case JSON_BOOL:
		return yajl_gen_bool(gen, node->truth) == yajl_gen_status_ok;
	case JSON_NUMBER:
		return yajl_gen_number(gen, node->text, strlen(node->text)) ==
		       yajl_gen_status_ok;
	case JSON_STRING:
		return gen_string(gen, node->text);
	case JSON_ARRAY:
		return yajl_gen_array_open(gen) == yajl_gen_status_ok &&
		       gen_items(gen, node) &&
		       yajl_gen_array_close(gen) == yajl_gen_status_ok;
	case JSON_OBJECT:
		return yajl_gen_map_open(gen) == yajl_gen_status_ok &&
		       gen_items(gen, node) &&
		       yajl_gen_map_close(gen) == yajl_gen_status_ok;
	}
	return false;
}

char *json_text(const struct json *node)
{
	yajl_gen gen = yajl_gen_alloc(NULL);
	const unsigned char *buf;
	char *text = NULL;
	size_t len;

	if (!gen)
		return NULL;
	if (generate(gen, node) &&
	    yajl_gen_get_buf(gen, &buf, &len) == yajl_gen_status_ok)
		text = strndup((const char *)buf, len);
	yajl_gen_free(gen);
	return text;
}

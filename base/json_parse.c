/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <yajl/yajl_parse.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json_node.h"
#include "base/utf8.h"

#define DEPTH_MAX 64

struct parser {
	yajl_handle yajl;
	const char *text;
	size_t len;
	size_t counted; /* text before this is in `line` */
	unsigned line;
	bool finishing; /* yajl reads a blank of its own after the text */

	char *name; /* moves to the root */
	struct json *root;
	struct json *in; /* the open container */
	unsigned depth;
	char *key; /* of the member whose value comes next */
	struct err *err;
};

/* Where yajl stands: behind the token that it reports. */
static size_t position(const struct parser *p)
{
	return p->finishing ? p->len : yajl_get_bytes_consumed(p->yajl);
}

static unsigned current_line(struct parser *p)
{
	size_t end = position(p);

	for (; p->counted < end && p->counted < p->len; p->counted++)
		if (p->text[p->counted] == '\n')
			p->line++;
	return p->line;
}

static int refuse(struct parser *p, const char *what)
{
	err_set(p->err, EINVAL, "%s:%u: %s", p->name, current_line(p), what);
	return 0;
}

static int no_memory(struct parser *p)
{
	err_set(p->err, ENOMEM, "%s: out of memory", p->name);
	return 0;
}

static bool append(struct json *in, struct json *node)
{
	if (in->count == in->capacity) {
		size_t capacity = in->capacity ? in->capacity * 2 : 4;
		struct json **items =
			realloc(in->items, capacity * sizeof(*items));

		if (!items)
			return false;
		in->items = items;
		in->capacity = capacity;
	}
	node->index = in->count;
	in->items[in->count++] = node;
	return true;
}

static struct json *add(struct parser *p, enum json_type type)
{
	struct json *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->type = type;
	node->line = current_line(p);
	node->name = p->name;
	node->up = p->in;
	node->key = steal_ptr(&p->key);
	if (!p->in) {
		p->root = node;
	} else if (!append(p->in, node)) {
		free(node->key);
		free(node);
		return NULL;
	}
	return node;
}

static int add_text(struct parser *p, enum json_type type, const char *s,
		    size_t len)
{
	struct json *node = add(p, type);

	if (node)
		node->text = strndup(s, len);
	return node && node->text ? 1 : no_memory(p);
}

static int on_null(void *ctx)
{
	return add(ctx, JSON_NULL) ? 1 : no_memory(ctx);
}

static int on_boolean(void *ctx, int value)
{
	struct json *node = add(ctx, JSON_BOOL);

	if (!node)
		return no_memory(ctx);
	node->truth = value;
	return 1;
}

static int on_number(void *ctx, const char *s, size_t len)
{
	return add_text(ctx, JSON_NUMBER, s, len);
}

/* The code unit of "\uXXXX" at s, or -1; yajl has checked the digits. */
static int escaped_unit(const char *s, const char *end)
{
	char digits[5] = {0};

	if (end - s < 6 || s[0] != '\\' || s[1] != 'u')
		return -1;
	memcpy(digits, s + 2, 4);
	return (int)strtol(digits, NULL, 16);
}

/*
 * yajl 2.1 turns half a surrogate pair into '?' or into a wrong character, so
 * that the source is to be looked at. yajl stands behind the closing quote;
 * the opening one is the next to the left that no backslash escapes.
 */
static bool escapes_paired(const struct parser *p)
{
	const char *end = p->text + position(p) - 1;
	const char *s = end;
	int unit, low;

	for (;;) {
		const char *q;

		s--;
		if (s < p->text)
			return false;
		if (*s != '"')
			continue;
		for (q = s; q > p->text && q[-1] == '\\'; q--)
			;
		if ((s - q) % 2 == 0)
			break;
	}
	for (s++; s < end; s++) {
		if (*s != '\\')
			continue;
		unit = escaped_unit(s, end);
		if (unit >= 0xdc00 && unit <= 0xdfff)
			return false;
		if (unit >= 0xd800 && unit <= 0xdbff) {
			low = escaped_unit(s + 6, end);
			if (low < 0xdc00 || low > 0xdfff)
				return false;
			s += 6;
		}
		s++;
	}
	return true;
}

/* yajl lets overlong forms and surrogates pass, hence utf8_valid. */
static int check_string(struct parser *p, const char *s, size_t len)
{
	if (memchr(s, '\0', len))
		return refuse(p, "a string must not contain NUL");
	if (!utf8_valid(s, len) || !escapes_paired(p))
		return refuse(p, "invalid UTF-8 in a string");
	return 1;
}

static int on_string(void *ctx, const unsigned char *s, size_t len)
{
	if (!check_string(ctx, (const char *)s, len))
		return 0;
	return add_text(ctx, JSON_STRING, (const char *)s, len);
}

static int on_key(void *ctx, const unsigned char *s, size_t len)
{
	struct parser *p = ctx;

	if (!check_string(p, (const char *)s, len))
		return 0;
	p->key = strndup((const char *)s, len);
	return p->key ? 1 : no_memory(p);
}

static int open_container(struct parser *p, enum json_type type)
{
	struct json *node;

	if (p->depth == DEPTH_MAX)
		return refuse(p, "nested too deep");
	node = add(p, type);
	if (!node)
		return no_memory(p);
	p->in = node;
	p->depth++;
	return 1;
}

static int close_container(struct parser *p)
{
	p->in = p->in->up;
	p->depth--;
	return 1;
}

static int on_start_map(void *ctx)
{
	return open_container(ctx, JSON_OBJECT);
}

static int on_start_array(void *ctx)
{
	return open_container(ctx, JSON_ARRAY);
}

static int on_end_array(void *ctx)
{
	return close_container(ctx);
}

static int by_key(const void *a, const void *b)
{
	const struct json *x = *(struct json *const *)a;
	const struct json *y = *(struct json *const *)b;
	int order = strcmp(x->key, y->key);

	if (order)
		return order;
	return x->index < y->index ? -1 : 1;
}

/* Sorted: an object of a peer must not cost the square of its size. */
static int on_end_map(void *ctx)
{
	struct parser *p = ctx;
	struct json *in = p->in;
	AUTO_FREE struct json **sorted = NULL;

	if (in->count < 2)
		return close_container(p);
	sorted = malloc(in->count * sizeof(*sorted));
	if (!sorted)
		return no_memory(p);
	memcpy(sorted, in->items, in->count * sizeof(*sorted));
	qsort(sorted, in->count, sizeof(*sorted), by_key);
	for (size_t i = 1; i < in->count; i++) {
		if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
			json_fail(sorted[i], p->err, "given twice");
			return 0;
		}
	}
	return close_container(p);
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_key,
	.yajl_end_map = on_end_map,
	.yajl_start_array = on_start_array,
	.yajl_end_array = on_end_array,
};

static void syntax_error(struct parser *p)
{
	unsigned char *why = yajl_get_error(p->yajl, 0, NULL, 0);
	char *text = (char *)why;

	if (!text) {
		no_memory(p);
		return;
	}
	text[strcspn(text, "\n")] = '\0';
	refuse(p, text);
	yajl_free_error(p->yajl, why);
}

static bool run(struct parser *p, unsigned flags)
{
	yajl_status status;

	yajl_config(p->yajl, yajl_allow_comments,
		    flags & JSON_COMMENTS ? 1 : 0);
	status = yajl_parse(p->yajl, (const unsigned char *)p->text, p->len);
	if (status == yajl_status_ok) {
		p->finishing = true;
		status = yajl_complete_parse(p->yajl);
	}
	if (status == yajl_status_error)
		syntax_error(p);
	return status == yajl_status_ok;
}

struct json *json_parse(const char *text, size_t len, const char *name,
			unsigned flags, struct err *err)
{
	struct parser p = {.text = text, .len = len, .line = 1, .err = err};
	bool ok;

	p.name = strdup(name);
	p.yajl = yajl_alloc(&callbacks, NULL, &p);
	if (!p.name || !p.yajl) {
		err_set(err, ENOMEM, "%s: out of memory", name);
		ok = false;
	} else {
		ok = run(&p, flags);
	}
	if (p.yajl)
		yajl_free(p.yajl);
	free(p.key);
	if (!p.root)
		free(p.name);
	if (ok)
		return p.root;
	json_free(p.root);
	return NULL;
}

struct json *json_load(const char *path, size_t max, unsigned flags,
		       struct err *err)
{
	/* O_NONBLOCK: a FIFO must not hold us up before fstat rejects it. */
	AUTO_FD int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	AUTO_FREE char *text = NULL;
	struct stat st;
	size_t len;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err, "open %s", path);
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(err, EINVAL, "%s: not a regular file", path);
		return NULL;
	}
	rc = file_read_fd(fd, max, &text, &len);
	if (rc == -EFBIG) {
		err_set(err, EFBIG, "%s: larger than %zu bytes", path, max);
		return NULL;
	}
	if (rc < 0) {
		err_ret(err, rc, "read %s", path);
		return NULL;
	}
	return json_parse(text, len, path, flags, err);
}

static void free_node(struct json *node)
{
	for (size_t i = 0; i < node->count; i++)
		free_node(node->items[i]);
	free(node->items);
	free(node->key);
	free(node->text);
	free(node);
}

void json_free(struct json *root)
{
	char *name;

	if (!root)
		return;
	BUG_ON(root->up);
	name = (char *)(uintptr_t)root->name;
	free_node(root);
	free(name);
}

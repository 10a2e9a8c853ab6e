/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jsonw.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_gen.h>

#include "base/cleanup.h"
#include "base/utf8.h"

#define DEPTH_MAX 64
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

struct jsonw {
	yajl_gen gen;
	bool object[DEPTH_MAX]; /* of the open containers: not an array */
	unsigned depth;
	bool keyed;   /* the value of a key is due */
	bool written; /* something, so that there is a value */
	bool failed;
};

/* A NULL writer is one that ran out of memory at birth: see jsonw_finish. */
static bool usable(const struct jsonw *w)
{
	return w && !w->failed;
}

static void note(struct jsonw *w, yajl_gen_status status)
{
	w->written = true;
	w->keyed = false;
	if (status != yajl_gen_status_ok)
		w->failed = true;
}

struct jsonw *jsonw_new(bool pretty)
{
	struct jsonw *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->gen = yajl_gen_alloc(NULL);
	if (!w->gen) {
		free(w);
		return NULL;
	}
	if (pretty) {
		yajl_gen_config(w->gen, yajl_gen_beautify, 1);
		yajl_gen_config(w->gen, yajl_gen_indent_string, "  ");
	}
	return w;
}

void jsonw_free(struct jsonw *w)
{
	if (!w)
		return;
	yajl_gen_free(w->gen);
	free(w);
}

static void open_container(struct jsonw *w, bool object)
{
	if (!usable(w))
		return;
	if (w->depth == DEPTH_MAX) {
		w->failed = true;
		return;
	}
	w->object[w->depth++] = object;
	note(w,
	     object ? yajl_gen_map_open(w->gen) : yajl_gen_array_open(w->gen));
}

/* yajl 2.1 closes whatever is open, or nothing. */
static void close_container(struct jsonw *w, bool object)
{
	if (!usable(w))
		return;
	if (w->depth == 0 || w->object[w->depth - 1] != object || w->keyed) {
		w->failed = true;
		return;
	}
	w->depth--;
	note(w, object ? yajl_gen_map_close(w->gen)
		       : yajl_gen_array_close(w->gen));
}

void jsonw_object(struct jsonw *w)
{
	open_container(w, true);
}

void jsonw_array(struct jsonw *w)
{
	open_container(w, false);
}

void jsonw_end_object(struct jsonw *w)
{
	close_container(w, true);
}

void jsonw_end_array(struct jsonw *w)
{
	close_container(w, false);
}

static void put_string(struct jsonw *w, const char *s, size_t len)
{
	note(w, yajl_gen_string(w->gen, (const unsigned char *)s, len));
}

static void put_repaired(struct jsonw *w, const char *s, size_t len)
{
	AUTO_FREE char *fixed = malloc(len * 3 + 1);
	size_t out = 0;

	if (!fixed) {
		w->failed = true;
		return;
	}
	while (len > 0) {
		size_t n = utf8_char(s, len);

		memcpy(fixed + out, n ? s : REPLACEMENT, n ? n : 3);
		out += n ? n : 3;
		n = n ? n : 1;
		s += n;
		len -= n;
	}
	put_string(w, fixed, out);
}

static void write_string(struct jsonw *w, const char *s)
{
	size_t len = strlen(s);

	if (utf8_valid(s, len))
		put_string(w, s, len);
	else
		put_repaired(w, s, len);
}

void jsonw_key(struct jsonw *w, const char *key)
{
	if (!usable(w))
		return;
	if (w->depth == 0 || !w->object[w->depth - 1] || w->keyed) {
		w->failed = true;
		return;
	}
	write_string(w, key);
	w->keyed = true;
}

void jsonw_str(struct jsonw *w, const char *value)
{
	if (!usable(w))
		return;
	if (value)
		write_string(w, value);
	else
		note(w, yajl_gen_null(w->gen));
}

void jsonw_int(struct jsonw *w, int64_t value)
{
	if (usable(w))
		note(w, yajl_gen_integer(w->gen, value));
}

void jsonw_u64(struct jsonw *w, uint64_t value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, value);

	if (usable(w))
		note(w, yajl_gen_number(w->gen, text, (size_t)len));
}

void jsonw_bool(struct jsonw *w, bool value)
{
	if (usable(w))
		note(w, yajl_gen_bool(w->gen, value));
}

void jsonw_kstr(struct jsonw *w, const char *key, const char *value)
{
	jsonw_key(w, key);
	jsonw_str(w, value);
}

void jsonw_kint(struct jsonw *w, const char *key, int64_t value)
{
	jsonw_key(w, key);
	jsonw_int(w, value);
}

void jsonw_ku64(struct jsonw *w, const char *key, uint64_t value)
{
	jsonw_key(w, key);
	jsonw_u64(w, value);
}

void jsonw_hundredths(struct jsonw *w, double value)
{
	char text[DBL_MAX_10_EXP + 8];
	int len = snprintf(text, sizeof(text), "%.2f", value);

	if (!usable(w))
		return;
	note(w, isfinite(value) ? yajl_gen_number(w->gen, text, (size_t)len)
				: yajl_gen_null(w->gen));
}

void jsonw_kbool(struct jsonw *w, const char *key, bool value)
{
	jsonw_key(w, key);
	jsonw_bool(w, value);
}

char *jsonw_finish(struct jsonw *w, size_t *len)
{
	const unsigned char *buf;
	char *text = NULL;
	size_t n;

	if (usable(w) && w->written && w->depth == 0 &&
	    yajl_gen_get_buf(w->gen, &buf, &n) == yajl_gen_status_ok) {
		/* yajl ends pretty text with a newline, compact text not. */
		while (n > 0 && buf[n - 1] == '\n')
			n--;
		text = malloc(n + 2);
		if (text) {
			memcpy(text, buf, n);
			memcpy(text + n, "\n", 2);
			if (len)
				*len = n + 1;
		}
	}
	jsonw_free(w);
	return text;
}

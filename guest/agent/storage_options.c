/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/storage_options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/number.h"

#define GROUP "fsgid="

/* All options with commas between them. NULL: out of memory. */
static char *join(const Agent__Storage *s)
{
	size_t len = 0, at = 0;
	char *text;

	for (size_t i = 0; i < s->n_options; i++)
		len += strlen(s->options[i]) + 1;
	text = malloc(len + 1);
	for (size_t i = 0; text && i < s->n_options; i++) {
		size_t n = strlen(s->options[i]);

		memcpy(text + at, s->options[i], n);
		text[at + n] = ',';
		at += n + 1;
	}
	if (text)
		text[at] = '\0';
	return text;
}

/* Ends the option at `at` with a NUL; the next one, or NULL. A comma in the
 * name of a directory of an overlay has a backslash. */
static char *cut(char *at)
{
	for (; *at != ','; at++)
		if (*at == '\\' && at[1])
			at++;
		else if (!*at)
			return NULL;
	*at = '\0';
	return at[1] ? at + 1 : NULL;
}

static int take_group(const char *value, struct storage_options *out,
		      struct err *err)
{
	uint64_t n;

	if (number_parse(value, UINT32_MAX - 1, &n) < 0)
		return err_set(err, EINVAL, "option " GROUP "%.32s", value);
	out->has_group = true;
	out->group = (gid_t)n;
	return 0;
}

static size_t count(const char *text)
{
	size_t n = 0;

	while ((text = strchr(text, ','))) {
		text++;
		n++;
	}
	return n;
}

int storage_options_parse(const Agent__Storage *s, bool knows_group,
			  struct storage_options *out, struct err *err)
{
	char *next;
	int ret = 0;

	memset(out, 0, sizeof(*out));
	out->text = join(s);
	if (out->text)
		out->list = calloc(count(out->text) + 1, sizeof(*out->list));
	if (!out->text || !out->list) {
		storage_options_release(out);
		return err_set(err, ENOMEM, "out of memory");
	}
	next = *out->text ? out->text : NULL;
	while (next && !ret) {
		char *o = next;

		next = cut(o);
		if (knows_group && strncmp(o, GROUP, strlen(GROUP)) == 0)
			ret = take_group(o + strlen(GROUP), out, err);
		else if (*o)
			out->list[out->n++] = o;
	}
	if (ret < 0)
		storage_options_release(out);
	return ret;
}

void storage_options_release(struct storage_options *o)
{
	free(o->text);
	free(o->list);
	o->text = NULL;
	o->list = NULL;
	o->n = 0;
}

const char *storage_option(const Agent__Storage *s, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < s->n_options; i++) {
		if (strncmp(s->options[i], name, len) == 0 &&
		    s->options[i][len] == '=')
			return s->options[i] + len + 1;
	}
	return NULL;
}

uint64_t storage_size(const char *text)
{
	static const char units[] = "KMG";
	char *end = NULL;
	uint64_t n = text ? strtoull(text, &end, 10) : 0;
	const char *unit =
		end && *end ? strchr(units, toupper((uint8_t)*end)) : NULL;
	unsigned shift = unit ? ((unsigned)(unit - units) + 1) * 10 : 0;

	return n << shift >> shift == n ? n << shift : 0;
}

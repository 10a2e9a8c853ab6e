/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#undef err_set
#undef err_sys
#undef err_ret
#undef err_wrap

/* The arguments may point into err->text, hence the copy. */
static void set_text(struct err *err, const char *fmt, va_list ap,
		     const char *tail)
{
	char text[ERR_TEXT_MAX];
	size_t len;

	vsnprintf(text, sizeof(text), fmt, ap);
	if (tail) {
		len = strlen(text);
		snprintf(text + len, sizeof(text) - len, ": %s", tail);
	}
	memcpy(err->text, text, sizeof(text));
}

/* strerror(3) may use a static buffer; this one is constant text. */
static const char *code_text(int code)
{
	const char *text = strerrordesc_np(code);

	return text ? text : "Unknown error";
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_text(err, fmt, ap, NULL);
	va_end(ap);
	err->code = code;
	return -code;
}

int err_sys(struct err *err, const char *fmt, ...)
{
	int code = errno;
	va_list ap;

	va_start(ap, fmt);
	set_text(err, fmt, ap, code_text(code));
	va_end(ap);
	err->code = code;
	return -code;
}

int err_ret(struct err *err, int neg_code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_text(err, fmt, ap, code_text(-neg_code));
	va_end(ap);
	err->code = -neg_code;
	return neg_code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char inner[ERR_TEXT_MAX];
	va_list ap;

	memcpy(inner, err->text, sizeof(inner));
	inner[sizeof(inner) - 1] = '\0';
	va_start(ap, fmt);
	set_text(err, fmt, ap, inner);
	va_end(ap);
	return -err->code;
}

void bug_at(const char *file, int line, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("BUG at %s:%d: %s", file, line, text);
	abort();
}

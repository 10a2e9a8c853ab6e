/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/*
 * Errors of set-up code: a code and one line of text on the caller's stack.
 * Nothing to free. The line reads from the thing the user typed to the call
 * that failed; each boundary of ownership wraps it once.
 *
 *	return err_set(err, EINVAL, "memory %s: not a multiple of 2 MiB", s);
 *	return err_sys(err, "open %s", path);         (appends strerror(errno))
 *	return err_wrap(err, "starting sandbox %s", id);
 */

#include <stdarg.h>

#include "base/compiler.h"

#define ERR_TEXT_MAX 512

struct err {
	int code; /* errno value; 0: none */
	char text[ERR_TEXT_MAX];
};

/* Each of these returns -code, so that it can be a return statement. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF(3, 4);
/* Takes the code from errno and appends ": " and its text. */
int err_sys(struct err *err, const char *fmt, ...) PRINTF(2, 3);
/* Like err_sys, for a function that returned -code. */
int err_ret(struct err *err, int neg_code, const char *fmt, ...) PRINTF(3, 4);
/* Puts "context: " before the text there is. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF(2, 3);

/* The analyser looks into one file at a time: these are never 0. */
#ifdef __clang_analyzer__
#define err_set(err, code, ...) ((err_set)(err, code, __VA_ARGS__), -(code))
#define err_sys(err, ...) ((err_sys)(err, __VA_ARGS__), -1)
#define err_ret(err, code, ...) ((err_ret)(err, code, __VA_ARGS__), -1)
#define err_wrap(err, ...) ((err_wrap)(err, __VA_ARGS__), -1)
#endif

/* A defect of our own: says where and aborts. */
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
#define BUG_ON(cond)                      \
	do {                              \
		if (cond)                 \
			BUG("%s", #cond); \
	} while (0)
void bug_at(const char *file, int line, const char *fmt, ...) NORETURN
	PRINTF(3, 4);

#endif

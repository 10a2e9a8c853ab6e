/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * Log lines to one descriptor, as text or as JSON objects of runc's shape:
 *	{"msg":"...","level":"error","time":"2026-01-02T03:04:05.123456789Z"}
 * Each line is one write(2) and at most LOG_LINE_MAX bytes; control bytes are
 * escaped, so that a guest cannot forge a line. Thread-safe.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define LOG_LINE_MAX 2048

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG,
};

enum log_format {
	LOG_TEXT,
	LOG_JSON,
};

/* Borrows fd. name (static storage) stands before each text line. */
void log_open(int fd, enum log_format format, enum log_level max,
	      const char *name);
int log_fd(void);
/* Each line as JSON, with its newline, goes here as well (NULL: nowhere).
 * The function must not log, and is called by any thread that does. */
void log_tee(void (*tee)(const char *line, size_t len));
bool log_wants(enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/*
 * For lines a guest or peer can cause: at most `burst` lines in 5 s; says how
 * many were left out when it opens again. Zero-initialise. Not locked: one
 * per thread or per owner of the lock.
 */
struct log_limit {
	uint64_t window_ns;
	unsigned used;
	unsigned dropped;
};
bool log_allowed(struct log_limit *limit, unsigned burst);

#endif

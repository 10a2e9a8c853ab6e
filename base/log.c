/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define LIMIT_WINDOW_NS (5 * 1000000000ull)

/* Atomic so that a thread may log while another one reopens the log. */
static struct {
	atomic_int fd;
	_Atomic(enum log_format) format;
	_Atomic(enum log_level) max;
	_Atomic(const char *) name;
	void (*_Atomic tee)(const char *line, size_t len);
} sink = {
	.fd = STDERR_FILENO,
	.format = LOG_TEXT,
	.max = LOG_INFO,
	.name = "nacre",
};

/* logrus' names: containerd and podman parse them. */
static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

struct line {
	char text[LOG_LINE_MAX];
	size_t len;
	size_t room; /* the end of what the message may fill */
};

void log_open(int fd, enum log_format format, enum log_level max,
	      const char *name)
{
	sink.fd = fd;
	sink.format = format;
	sink.max = max;
	sink.name = name;
}

void log_tee(void (*tee)(const char *line, size_t len))
{
	sink.tee = tee;
}

int log_fd(void)
{
	return sink.fd;
}

bool log_wants(enum log_level level)
{
	return level <= sink.max;
}

static bool put(struct line *line, const char *s, size_t len)
{
	if (len > line->room - line->len)
		return false;
	memcpy(line->text + line->len, s, len);
	line->len += len;
	return true;
}

/* C1 controls are U+0080 to U+009F: terminals obey them as well. */
static bool is_control(const char *s, size_t n)
{
	uint8_t c = (uint8_t)s[0];

	return (n == 1 && (c < 0x20 || c == 0x7f)) ||
	       (n == 2 && c == 0xc2 && (uint8_t)s[1] < 0xa0);
}

/* One character of the message; false: no room for the whole of it. */
static bool put_char(struct line *line, const char *s, size_t n, bool json)
{
	char esc[12];
	int len;

	if (n == 0 && json)
		return put(line, "\\ufffd", 6);
	if (n == 0)
		len = snprintf(esc, sizeof(esc), "\\x%02x", (uint8_t)s[0]);
	else if (json && (*s == '"' || *s == '\\'))
		len = snprintf(esc, sizeof(esc), "\\%c", *s);
	else if (*s == '\n')
		len = snprintf(esc, sizeof(esc), "\\n");
	else if (*s == '\t' && !json)
		len = snprintf(esc, sizeof(esc), "\t");
	else if (is_control(s, n))
		len = snprintf(esc, sizeof(esc), json ? "\\u%04x" : "\\x%02x",
			       (uint8_t)s[n - 1]);
	else
		return put(line, s, n);
	return put(line, esc, (size_t)len);
}

static void put_message(struct line *line, const char *msg, bool json)
{
	size_t len = strlen(msg);

	/* vsnprintf cut it, or it grew by escapes: say so. */
	line->room -= 3;
	while (len > 0) {
		size_t n = utf8_char(msg, len);

		if (!put_char(line, msg, n, json))
			break;
		n = n ? n : 1;
		msg += n;
		len -= n;
	}
	line->room += 3;
	if (len > 0)
		put(line, "...", 3);
}

/*
 * RFC 3339 in UTC. Not gmtime_r: its first call reads /etc/localtime, which a
 * process under seccomp cannot. Days to date as in Howard Hinnant's
 * "chrono-Compatible Low-Level Date Algorithms", years from March.
 */
static int format_time(char *out, size_t size)
{
	struct timespec ts;
	long long days, era, doe, yoe, doy, mp, sec;

	clock_gettime(CLOCK_REALTIME, &ts);
	days = ts.tv_sec / 86400 + 719468;
	sec = ts.tv_sec % 86400;
	era = days / 146097;
	doe = days % 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	return snprintf(out, size,
			"%04lld-%02lld-%02lldT%02lld:%02lld:%02lld.%09ldZ",
			yoe + era * 400 + (mp >= 10), mp < 10 ? mp + 3 : mp - 9,
			doy - (153 * mp + 2) / 5 + 1, sec / 3600, sec / 60 % 60,
			sec % 60, ts.tv_nsec);
}

static void format_json(struct line *line, enum log_level level,
			const char *msg)
{
	char stamp[64], tail[128];
	int len;

	format_time(stamp, sizeof(stamp));
	len = snprintf(tail, sizeof(tail),
		       "\",\"level\":\"%s\",\"time\":\"%s\"}\n",
		       level_names[level], stamp);
	line->room = sizeof(line->text) - (size_t)len;
	put(line, "{\"msg\":\"", 8);
	put_message(line, msg, true);
	line->room = sizeof(line->text);
	put(line, tail, (size_t)len);
}

static void format_text(struct line *line, enum log_level level,
			const char *msg)
{
	char head[128];
	int len = snprintf(head, sizeof(head),
			   "%.64s: %s: ", sink.name ? sink.name : "nacre",
			   level_names[level]);

	line->room = sizeof(line->text) - 1;
	put(line, head, (size_t)len);
	put_message(line, msg, false);
	line->room = sizeof(line->text);
	put(line, "\n", 1);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	void (*tee)(const char *, size_t) = sink.tee;
	int saved = errno;
	char msg[LOG_LINE_MAX];
	struct line line = {.len = 0};
	va_list ap;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (sink.format == LOG_JSON)
		format_json(&line, level, msg);
	else
		format_text(&line, level, msg);
	while (write(sink.fd, line.text, line.len) < 0 && errno == EINTR)
		;
	if (tee && sink.format != LOG_JSON) {
		line.len = 0;
		format_json(&line, level, msg);
	}
	if (tee)
		tee(line.text, line.len);
	errno = saved;
}

bool log_allowed(struct log_limit *limit, unsigned burst)
{
	uint64_t now = monotonic_ns();

	if (limit->window_ns == 0 ||
	    now - limit->window_ns >= LIMIT_WINDOW_NS) {
		if (limit->dropped)
			log_warn("%u lines like the next one left out",
				 limit->dropped);
		*limit = (struct log_limit){.window_ns = now};
	}
	if (limit->used < burst) {
		limit->used++;
		return true;
	}
	limit->dropped++;
	return false;
}

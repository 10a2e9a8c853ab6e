/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/agent/qmp.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_MS 30000
#define EVENTS_MAX 64

static int fd = -1;
static char text[64 << 10]; /* what is read and not a whole line yet */
static size_t len;
static char *events[EVENTS_MAX];
static unsigned n_events;

/* The next line, for the caller to free. NULL: none came in time. */
static char *next_line(void)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char *end, *line;

	while (!(end = memchr(text, '\n', len))) {
		ssize_t n;

		if (len == sizeof(text) || poll(&p, 1, TIMEOUT_MS) <= 0)
			return NULL;
		n = read(fd, text + len, sizeof(text) - len);
		if (n <= 0)
			return NULL;
		len += (size_t)n;
	}
	line = strndup(text, (size_t)(end - text));
	len -= (size_t)(end + 1 - text);
	memmove(text, end + 1, len);
	return line;
}

static char *needed_line(void)
{
	char *line = next_line();

	if (!line) {
		printf("not ok - the monitor is silent\n");
		exit(1);
	}
	return line;
}

static void keep(char *line)
{
	if (n_events == EVENTS_MAX)
		free(events[--n_events]);
	events[n_events++] = line;
}

bool qmp(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vdprintf(fd, fmt, ap);
	va_end(ap);
	for (;;) {
		char *line = needed_line();
		bool refused = strstr(line, "\"error\":") != NULL;

		if (strstr(line, "\"event\":")) {
			keep(line);
			continue;
		}
		if (refused)
			printf("# monitor: %s\n", line);
		free(line);
		return !refused;
	}
}

bool qmp_event(const char *name, const char *part)
{
	for (unsigned i = 0;; i++) {
		char *line;

		if (i == n_events) {
			line = next_line();
			if (!line)
				return false;
			keep(line);
			i = n_events - 1;
		}
		if (!strstr(events[i], name) || !strstr(events[i], part))
			continue;
		free(events[i]);
		events[i] = events[--n_events];
		return true;
	}
}

void qmp_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		perror(path);
		exit(1);
	}
	free(needed_line()); /* its greeting */
	(void)qmp("{\"execute\": \"qmp_capabilities\"}");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/console.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "base/log.h"

#define BYTES_PER_SECOND (64u << 10)

void console_init(struct console *c, bool verbose)
{
	memset(c, 0, sizeof(*c));
	c->verbose = verbose;
}

static bool within_budget(struct console *c, size_t len)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	if (now - c->window_ns > 1000000000u) {
		c->window_ns = now;
		c->window_bytes = 0;
	}
	c->window_bytes += len;
	if (c->window_bytes <= BYTES_PER_SECOND)
		return true;
	/* Once: the log is not the guest's to fill with warnings either. */
	if (!c->dropping)
		log_warn("guest: more than 64 KiB/s on the console, the rest "
			 "of each second is dropped");
	c->dropping = true;
	return false;
}

/* What a guest says of its end: its kernel, or the agent that is its first
 * process and switches it off. */
static const char *last_words(const char *line)
{
	static const char *const words[] = {
		"Kernel panic",
		"nacre-agent: ended by ",
		"nacre-agent: error: BUG at ",
		"nacre-agent: error: ended: ",
	};
	const char *at = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(words) && !at; i++)
		at = strstr(line, words[i]);
	return at;
}

static void end_line(struct console *c)
{
	const char *at;

	c->line[c->len] = '\0';
	at = c->panic[0] ? NULL : last_words(c->line);
	if (at)
		snprintf(c->panic, sizeof(c->panic), "%s", at);
	if (c->len && within_budget(c, c->len)) {
		if (c->verbose || at)
			log_info("guest: %s", c->line);
		else
			log_debug("guest: %s", c->line);
	}
	c->len = 0;
}

void console_feed(struct console *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)data[i];

		if (byte == '\n') {
			end_line(c);
			continue;
		}
		if (c->len + 1 == sizeof(c->line))
			end_line(c);
		if (byte >= 0x20 && byte != 0x7f)
			c->line[c->len++] = data[i];
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_CONSOLE_H
#define RUNTIME_SANDBOX_CONSOLE_H

/*
 * The guest's console as log lines: whole lines, printable, at most 64 KiB a
 * second. The last lines are kept, to tell why a guest died.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_LINE_MAX 512u

struct console {
	char line[CONSOLE_LINE_MAX];
	size_t len;
	char panic[CONSOLE_LINE_MAX]; /* why it ends, as it says; or "" */
	uint64_t window_ns;
	size_t window_bytes;
	bool dropping;
	bool verbose; /* log every line, not only problems */
};

void console_init(struct console *c, bool verbose);
void console_feed(struct console *c, const char *data, size_t len);

#endif

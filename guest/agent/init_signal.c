/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/init_signal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/file.h"

#define STATUS_MAX 8192

/* What follows the name (with its colon) at the beginning of a line; NULL. */
static const char *value_of(const char *status, const char *name)
{
	size_t len = strlen(name);

	while (status && strncmp(status, name, len) != 0) {
		status = strchr(status, '\n');
		status += status ? 1 : 0;
	}
	return status ? status + len : NULL;
}

/* Its pids from ours to its own namespace's: "\t123\t1". */
static bool is_first(const char *status)
{
	const char *pids = value_of(status, "NSpid:");
	unsigned n = 0;
	long pid = 0;

	while (pids && *pids == '\t') {
		char *end;

		pid = strtol(pids + 1, &end, 10);
		pids = end;
		n++;
	}
	return n > 1 && pid == 1;
}

/* By a handler, or blocked for sigwait(3) or a signalfd; who ignores it wants
 * to live. */
static bool expects(const char *status, int sig)
{
	static const char *const masks[] = {"SigBlk:", "SigIgn:", "SigCgt:"};
	uint64_t all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		const char *mask = value_of(status, masks[i]);

		all |= mask ? strtoull(mask, NULL, 16) : 0;
	}
	return all & (uint64_t)1 << (sig - 1);
}

int init_signal_by_status(const char *status, int sig)
{
	if (sig != SIGTERM || !is_first(status) || expects(status, sig))
		return sig;
	return SIGKILL;
}

int init_signal(pid_t pid, int sig)
{
	AUTO_FREE char *status = NULL;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (sig != SIGTERM ||
	    file_read(AT_FDCWD, path, STATUS_MAX, &status, NULL) < 0)
		return sig;
	return init_signal_by_status(status, sig);
}

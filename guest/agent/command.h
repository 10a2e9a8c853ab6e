/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_COMMAND_H
#define GUEST_AGENT_COMMAND_H

/*
 * A program of the guest's that runs beside the agent: some bytes in, some
 * bytes out, an end, a limit of time. The loop goes on meanwhile.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/evloop.h"

#define COMMAND_OUTPUT_MAX (2u << 20)

struct agent;

/* Embedded in its owner, who keeps it until done() ran. */
struct command {
	struct command *next;
	struct agent *agent;
	pid_t pid;
	int status; /* of waitpid(2) */
	struct evsource in, out;
	struct evtimer limit;
	char *input;
	size_t input_len, input_at;
	char *output; /* not terminated; valid in done() */
	size_t output_len;
	/* err NULL: it ended, with exit status 0. Once; may free cmd. */
	void (*done)(struct command *cmd, const struct err *err);
};

/* args: NULL-terminated, args[0] is a path; input is copied. What it writes
 * to standard error is its output too. 0, or -errno with err (and no done).
 */
int command_start(struct agent *agent, struct command *cmd, char *const *args,
		  const void *input, size_t input_len, unsigned limit_ms,
		  void (*done)(struct command *cmd, const struct err *err),
		  struct err *err) MUST_CHECK;
/* True: pid was one of them. */
bool commands_exited(struct agent *agent, pid_t pid, int status);

#endif

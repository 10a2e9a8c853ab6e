/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_PRESSURE_H
#define GUEST_AGENT_PRESSURE_H

/*
 * Pressure stall information: how long tasks waited for a resource. The files
 * are those of /proc/pressure and of control groups (accounting/psi in the
 * kernel's documentation):
 *
 *	some avg10=0.12 avg60=0.05 avg300=0.01 total=37820
 *	full avg10=0.00 avg60=0.00 avg300=0.00 total=28881
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* Percentages of the last 10, 60 and 300 seconds; microseconds in all. */
struct pressure_line {
	double avg10, avg60, avg300;
	uint64_t total;
};

struct pressure {
	struct pressure_line some; /* at least one task waited */
	struct pressure_line full; /* all that could run waited */
};

/* Text of such a file. 0 or -EINVAL. */
int pressure_parse(const char *text, struct pressure *out) MUST_CHECK;
/* 0 or -errno; kernels that keep no account of it lack the file, or answer
 * EOPNOTSUPP. */
int pressure_read(int dir, const char *file, struct pressure *out) MUST_CHECK;

/* What is waited for, as files below a directory. */
struct pressure_source {
	const char *memory, *io;
};

extern const struct pressure_source pressure_of_system; /* in /proc/pressure */
extern const struct pressure_source pressure_of_group;

/* Microseconds that some task waited for memory, and those for I/O. */
int pressure_stalled(int dir, const struct pressure_source *source,
		     uint64_t *us) MUST_CHECK;

/* A window of time that is looked at, by monotonic_us(). */
struct pressure_window {
	bool open;
	uint64_t stalled, since; /* microseconds */
};

/* Begins a window. */
void pressure_open(struct pressure_window *window, uint64_t stalled,
		   uint64_t now);
/* What of the window was stall time, in percent; 0 for one that is not open.
 * Both together may be more than 100. */
uint64_t pressure_percent(const struct pressure_window *window,
			  uint64_t stalled, uint64_t now);

#endif

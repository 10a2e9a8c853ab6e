/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_BENCH_MEASURE_H
#define INTEGRATION_BENCH_MEASURE_H

/* What the programs that measure have in common. They are static. */

/* "PROGRAM: WHAT: ERRNO'S TEXT", and the end, with status 1. */
void die(const char *what) __attribute__((noreturn));
/* A figure: NAME VALUE UNIT, a line at once. */
void say(const char *name, double value, const char *unit);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_BOOT_H
#define GUEST_AGENT_BOOT_H

/* The work of PID 1: the guest's beginning and its end. */

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"

/* Mounts, modules, loopback, console. */
int boot_guest(struct err *err) MUST_CHECK;
/* Faults and abort() of this process end the guest with a line that says
 * so, instead of a kernel panic. */
void boot_catch_faults(void);
/* Writes all that waits to be written: to the console, and by sync(2), which
 * has no end where a file server is silent. 0; -ETIMEDOUT: it goes on. */
int boot_sync(unsigned limit_ms);
/* Writes everything back and switches the machine off. */
void boot_power_off(void) NORETURN;
/* The value of name= on the kernel's command line, copied to out; false:
 * not there. */
bool boot_option(const char *cmdline, const char *name, char *out, size_t size);
/* name alone is one of its words. */
bool boot_word(const char *cmdline, const char *name);

#endif

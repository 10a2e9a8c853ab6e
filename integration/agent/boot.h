/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_AGENT_BOOT_H
#define INTEGRATION_AGENT_BOOT_H

/* Parts of boot. */

#include <stdbool.h>

/* A slot with a disk, as far as sysfs goes, of that name. */
#define BOOT_SLOT 4
#define BOOT_DISK "vdz"
/* What is in the place of vm.compact_memory. */
#define BOOT_COMPACTED "/compacted"

/* Or boot ends, as it cannot go on. */
void need(bool ok, const char *what);
/* The file is made, or what is in it replaced. */
void put(const char *path, const char *text);
/* As the agent sees it; static storage, of the last two. */
const char *in_guest(const char *path);
/* By a process with the agent's mounts, which must end well. */
void with_mounts(void (*work)(void), const char *what);

/* Methods that change the machine. */
void test_machine(void);

#endif

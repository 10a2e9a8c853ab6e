/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_UML_MACHINE_H
#define INTEGRATION_UML_MACHINE_H

/* One user-mode machine of a test, its console kept as text. */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/vmm.h"

#define CONSOLE_MAX (1u << 18)

struct test_machine {
	struct evloop *loop;
	struct vm *vm;
	bool over;
	enum vm_exit_reason reason;
	char text[256];
	size_t len;
	char console[CONSOLE_MAX + 1];
};

extern const char *test_kernel; /* path */
extern uint64_t test_memory;	/* of machines, in bytes */

/* initramfs: path; NULL: the machine is refused, and err says why. */
struct test_machine *test_machine_new(const char *initramfs,
				      const char *cmdline, struct err *err);
/* Starts it and waits for its init. False, reported and freed: none ran. */
bool test_machine_up(struct test_machine *t, const char *what);
/* Both. */
struct test_machine *test_machine_run(const char *initramfs, const char *what);
void test_machine_free(struct test_machine *t);
/* Runs the loop until the machine is over, the console holds text (NULL: no
 * matter) or the time is over. True in the former two cases. */
bool test_machine_wait(struct test_machine *t, const char *text,
		       unsigned timeout_ms);
uint64_t test_now_us(void);

/* A line "ok - ..." or "not ok - ...". Returns good. */
bool test_report(bool good, const char *fmt, ...) PRINTF(2, 3);
/* A line "skip - ...". */
void test_skip(const char *fmt, ...) PRINTF(1, 2);
/* "N passed, N failed[, N skipped]"; the exit status. */
int test_summary(void);

#endif

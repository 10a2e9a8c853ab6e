/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: boot KERNEL HELLO DEVICES
 *
 * Starts user-mode machines: with the initramfs HELLO, in each way that they
 * end; with DEVICES, which uses one device of each kind.
 */

#include <stdio.h>
#include <string.h>

#include "integration/uml/machine.h"

static bool ran(const struct test_machine *t)
{
	return strstr(t->console, "init runs") != NULL;
}

static void show(const struct test_machine *t)
{
	printf("%s\n", t->console);
}

static void test_end(const char *initramfs, const char *cmdline,
		     enum vm_exit_reason reason, const char *text)
{
	struct err err = {0};
	uint64_t start = test_now_us(), up, end;
	struct test_machine *t = test_machine_new(initramfs, cmdline, &err);
	bool good;

	if (!test_report(t != NULL, "\"%s\": made %s", cmdline, err.text))
		return;
	test_report(vm_start(t->vm, &err) == 0, "\"%s\": starts %s", cmdline,
		    err.text);
	test_machine_wait(t, "init runs", 20000);
	up = test_now_us() - start;
	test_machine_wait(t, NULL, 20000);
	end = test_now_us() - start;
	good = test_report(t->over && ran(t) && t->reason == reason &&
				   strstr(t->text, text) != NULL,
			   "\"%s\": init after %.1f ms, end after %.1f ms: %s",
			   cmdline, (double)up / 1e3, (double)end / 1e3,
			   t->text);
	if (!good)
		show(t);
	test_machine_free(t);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: boot KERNEL HELLO\n");
		return 2;
	}
	test_kernel = argv[1];
	test_end(argv[2], "quiet", VM_EXIT_SHUTDOWN, "powered off");
	test_end(argv[2], "", VM_EXIT_SHUTDOWN, "powered off");
	test_end(argv[2], "quiet -- panic", VM_EXIT_RESET, "panicked");
	test_end(argv[2], "quiet -- reset", VM_EXIT_SHUTDOWN, "");
	return test_summary();
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: confine KERNEL LOOP CALLS SPIN
 *
 * What a guest must not reach, whatever it calls and whoever dies. LOOP,
 * CALLS and SPIN are initramfs images of the programs in guest/. Processes
 * are killed 40 times, or as NACRE_KILLS says.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "integration/uml/machine.h"
#include "integration/uml/tree.h"

static const char native[] = "NATIVE";

static unsigned random_below(unsigned n)
{
	unsigned value;

	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
		abort();
	return value % n;
}

static struct test_machine *run(const char *initramfs, const char *what)
{
	struct err err = {0};
	struct test_machine *t = test_machine_new(initramfs, "quiet", &err);

	if (t && vm_start(t->vm, &err) == 0 &&
	    test_machine_wait(t, "init runs", 20000) && !t->over)
		return t;
	test_report(false, "%s: the machine runs: %s%s", what, err.text,
		    t ? t->console : "");
	if (t)
		test_machine_free(t);
	return NULL;
}

/* Kills. ----------------------------------------------------------------- */

static const struct {
	int sig;
	const char *name;
} signals[] = {
	{SIGKILL, "KILL"},
	{SIGUSR1, "USR1"},
	{SIGABRT, "ABRT"},
	{SIGTERM, "TERM"},
};

static const char *role(unsigned index)
{
	return index == 0 ? "spawner" : index == 1 ? "kernel" : "guest process";
}

/* Only these end the machine for sure: PID 1 of a namespace takes nothing
 * but KILL, and how a guest's process takes a signal is its kernel's matter. */
static bool must_end(unsigned index, int sig)
{
	return sig == SIGKILL ? index < 2 : index == 1;
}

static void test_kill(const char *initramfs, unsigned round)
{
	int sig = signals[round % ARRAY_SIZE(signals)].sig;
	const char *name = signals[round % ARRAY_SIZE(signals)].name;
	struct test_machine *t = run(initramfs, "kill");
	struct tree tree;
	unsigned target;
	bool ended, quiet;

	if (!t)
		return;
	test_machine_wait(t, native, random_below(60));
	tree_read(&tree);
	if (tree.count < 3) {
		test_report(false, "%u processes: no guest's", tree.count);
		test_machine_free(t);
		return;
	}
	/* The spawner, the kernel and the guest's in turn. */
	target = round / ARRAY_SIZE(signals) % 3;
	if (target == 2)
		target += random_below(tree.count - 2);
	kill(tree.all[target].pid, sig);
	test_machine_wait(t, native, must_end(target, sig) ? 5000 : 200);
	ended = t->over || !must_end(target, sig);
	/* What runs natively now has time to show it. */
	usleep(20000);
	t->over = false;
	test_machine_wait(t, native, 10);
	quiet = strstr(t->console, native) == NULL;
	test_machine_free(t);
	test_report(ended && quiet && tree_left(&tree) == 0,
		    "SIG%s to the %s: %s%s%u of %u processes left", name,
		    role(target), ended ? "" : "the machine goes on, ",
		    quiet ? "" : "a native call was made, ", tree_left(&tree),
		    tree.count);
}

/* Calls. ----------------------------------------------------------------- */

static void test_calls(const char *initramfs)
{
	char canary[] = "/tmp/uml-confine-XXXXXX";
	struct test_machine *t;
	struct tree tree;
	int fd = mkstemp(canary);
	bool good;

	if (fd < 0)
		abort();
	t = run(initramfs, "calls");
	if (!t)
		return;
	tree_read(&tree);
	test_machine_wait(t, NULL, 300000);
	good = test_report(strstr(t->console, "calls: done") != NULL,
			   "every system call is made");
	good &= test_report(strstr(t->console, "int 0x80: done") != NULL,
			    "every number by int 0x80 is made");
	good &= test_report(strstr(t->console, "compat: done") != NULL,
			    "calls out of a 32-bit code segment are made");
	good &= test_report(strstr(t->console, "vsyscall: done") != NULL,
			    "the vsyscall page is entered");
	good &= test_report(strstr(t->console, "signals: done") != NULL,
			    "every signal is sent");
	good &= test_report(strstr(t->console, native) == NULL,
			    "none of it by the host");
	good &= test_report(t->over && t->reason == VM_EXIT_SHUTDOWN,
			    "the guest kernel lives to power off: %s", t->text);
	good &= test_report(access(canary, F_OK) == 0 &&
				    access("/tmp/escaped", F_OK) < 0 &&
				    access("/escaped", F_OK) < 0,
			    "the host's files are as they were");
	if (!good)
		printf("%s\n", t->console);
	test_machine_free(t);
	test_report(tree_left(&tree) == 0, "no process stays");
	close(fd);
	unlink(canary);
}

/* Pause. ----------------------------------------------------------------- */

static void test_pause(const char *initramfs)
{
	struct test_machine *t = run(initramfs, "pause");
	struct tree before, after;
	struct err err = {0};

	if (!t)
		return;
	test_machine_wait(t, "spun", 50);
	test_report(vm_pause(t->vm, &err) == 0, "pause %s", err.text);
	usleep(20000);
	tree_read(&before);
	test_machine_wait(t, NULL, 300);
	tree_read(&after);
	test_report(
		tree_ticks(&after) == tree_ticks(&before),
		"paused, the machine takes no time: %u processes, %llu "
		"ticks",
		after.count,
		(unsigned long long)(tree_ticks(&after) - tree_ticks(&before)));
	test_report(!t->over && !strstr(t->console, "spun"), "nor does it end");
	test_report(vm_resume(t->vm, &err) == 0, "resume %s", err.text);
	test_machine_wait(t, NULL, 20000);
	test_report(t->over && t->reason == VM_EXIT_SHUTDOWN &&
			    strstr(t->console, "spun") != NULL,
		    "it goes on to its end: %s", t->text);
	test_machine_free(t);
}

static void test_stop(const char *initramfs)
{
	struct test_machine *t = run(initramfs, "stop");
	struct tree tree;

	if (!t)
		return;
	tree_read(&tree);
	vm_stop(t->vm);
	test_machine_wait(t, NULL, 5000);
	test_report(t->over && t->reason == VM_EXIT_STOPPED, "stop: %s",
		    t->text);
	test_machine_free(t);
	test_report(tree_left(&tree) == 0, "no process stays");
}

int main(int argc, char **argv)
{
	const char *kills = getenv("NACRE_KILLS");
	unsigned n = kills ? (unsigned)atoi(kills) : 40;

	if (argc != 5) {
		fprintf(stderr, "usage: confine KERNEL LOOP CALLS SPIN\n");
		return 2;
	}
	test_kernel = argv[1];
	test_pause(argv[4]);
	test_stop(argv[2]);
	test_calls(argv[3]);
	for (unsigned i = 0; i < n; i++)
		test_kill(argv[2], i);
	return test_summary();
}

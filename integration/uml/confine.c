/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: confine KERNEL LOOP CALLS SPIN HOSTILE HELLO
 *
 * What a guest must not reach, whatever it calls. LOOP, CALLS, SPIN and HELLO
 * are initramfs images of the programs in guest/, HOSTILE is one that runs in
 * the place of the kernel.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "integration/uml/machine.h"
#include "integration/uml/tree.h"

static const char native[] = "NATIVE";

/* The jail, as the host sees it. ------------------------------------------ */

static bool status_has(pid_t pid, const char *line)
{
	char path[64], text[4096], want[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	snprintf(want, sizeof(want), "\n%s\n", line);
	return strstr(text, want) != NULL;
}

/* Entries of a directory of the process's in /proc but "." and "..". */
static int count_entries(pid_t pid, const char *name)
{
	char path[64];
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static bool shares_namespace(pid_t pid, const char *name)
{
	char path[64], ours[64], theirs[64];
	ssize_t a, b;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	a = readlink(path, ours, sizeof(ours));
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	b = readlink(path, theirs, sizeof(theirs));
	return a <= 0 || b <= 0 ||
	       (a == b && memcmp(ours, theirs, (size_t)a) == 0);
}

static void check_process(const struct tree *tree, unsigned index)
{
	static const char *const lines[] = {
		"CapInh:\t0000000000000000",
		"CapPrm:\t0000000000000000",
		"CapEff:\t0000000000000000",
		"CapBnd:\t0000000000000000",
		"CapAmb:\t0000000000000000",
		"NoNewPrivs:\t1",
		"Uid:\t65534\t65534\t65534\t65534",
		"Gid:\t65534\t65534\t65534\t65534",
		"Groups:\t ",
	};
	static const char *const namespaces[] = {
		"mnt", "pid", "net", "ipc", "uts", "cgroup", "user",
	};
	const char *what = tree_role(index);
	pid_t pid = tree->all[index].pid;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		test_report(status_has(pid, lines[i]), "%s: %s", what,
			    lines[i]);
	if (index > 0)
		test_report(status_has(pid, "Seccomp:\t2"),
			    "%s: behind a system call filter", what);
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
		test_report(!shares_namespace(pid, namespaces[i]),
			    "%s: a %s namespace of its own", what,
			    namespaces[i]);
	test_report(count_entries(pid, "root") == 0, "%s: its root is empty",
		    what);
}

static void test_jail(const char *initramfs)
{
	struct test_machine *t = test_machine_run(initramfs, "jail");
	struct tree tree;

	if (!t)
		return;
	tree_read(&tree);
	for (unsigned i = 0; i < tree.count && i < 3; i++)
		check_process(&tree, i);
	test_report(tree.count >= 3, "%u processes", tree.count);
	test_machine_free(t);
}

/* In the kernel's place. -------------------------------------------------- */

static void test_hostile_kernel(const char *program, const char *initramfs)
{
	const char *kernel = test_kernel;
	struct test_machine *t;
	struct err err = {0};
	bool good;

	test_kernel = program;
	t = test_machine_new(initramfs, "", &err);
	test_kernel = kernel;
	if (!t || vm_start(t->vm, &err) < 0) {
		test_report(false, "hostile kernel: %s", err.text);
		return;
	}
	test_machine_wait(t, NULL, 20000);
	good = test_report(strstr(t->console, "hostile: done") &&
				   t->reason == VM_EXIT_SHUTDOWN,
			   "a hostile kernel tries all: %s", t->text);
	good &= test_report(!strstr(t->console, "BREACH"),
			    "and is refused all");
	if (!good)
		printf("%s\n", t->console);
	test_machine_free(t);
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
	t = test_machine_run(initramfs, "calls");
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

/* The guest's process that ran last stops when it has a processor again. */
static void come_to_rest(struct test_machine *t, struct tree *tree)
{
	uint64_t end = test_now_us() + 20000000u;

	tree_read(tree);
	while (!tree_at_rest(tree) && test_now_us() < end) {
		test_machine_wait(t, NULL, 1);
		tree_read(tree);
	}
}

static void test_pause(const char *initramfs)
{
	struct test_machine *t = test_machine_run(initramfs, "pause");
	struct tree before, after;
	struct err err = {0};

	if (!t)
		return;
	test_machine_wait(t, "spun", 50);
	test_report(vm_pause(t->vm, &err) == 0, "pause %s", err.text);
	come_to_rest(t, &before);
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

/* While the kernel starts and its init runs. */
static void test_pause_early(const char *initramfs)
{
	struct err err = {0};

	for (unsigned i = 0; i < 20; i++) {
		struct test_machine *t =
			test_machine_new(initramfs, "quiet", &err);
		bool good;

		if (!t || vm_start(t->vm, &err) < 0) {
			test_report(false, "early pause: %s", err.text);
			return;
		}
		test_machine_wait(t, NULL, i * 3);
		/* It may end by itself at any time. */
		good = vm_pause(t->vm, &err) == 0 || err.code == ESRCH;
		usleep(2000);
		good &= vm_resume(t->vm, &err) == 0 || err.code == ESRCH;
		test_machine_wait(t, NULL, 20000);
		good &= t->over && t->reason == VM_EXIT_SHUTDOWN;
		if (!test_report(good, "a pause after %u ms: %s", i * 3,
				 t->text))
			printf("%s\n", t->console);
		test_machine_free(t);
	}
}

static void test_stop(const char *initramfs)
{
	struct test_machine *t = test_machine_run(initramfs, "stop");
	struct tree tree;

	if (!t)
		return;
	tree_read(&tree);
	vm_stop(t->vm);
	test_machine_wait(t, NULL, 20000);
	test_report(t->over && t->reason == VM_EXIT_STOPPED, "stop: %s",
		    t->text);
	test_machine_free(t);
	test_report(tree_left(&tree) == 0, "no process stays");
}

/* The process that owns the machine dies: nothing outlives it. */
static void test_owner(const char *initramfs)
{
	struct tree tree;
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		struct test_machine *t = test_machine_run(initramfs, "owner");

		if (t && write(ready[1], "x", 1) == 1)
			test_machine_wait(t, NULL, 60000);
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		test_report(false, "the owner's machine runs");
	close(ready[0]);
	tree_read(&tree);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (unsigned i = 0; i < 2000 && tree_left(&tree) > 0; i++)
		usleep(10000);
	test_report(tree.count >= 4 && tree_left(&tree) == 0,
		    "SIGKILL to the owner: %u of %u processes left",
		    tree_left(&tree), tree.count);
}

int main(int argc, char **argv)
{
	if (argc != 7) {
		fprintf(stderr, "usage: confine KERNEL LOOP CALLS SPIN HOSTILE "
				"HELLO\n");
		return 2;
	}
	test_kernel = argv[1];
	test_jail(argv[2]);
	test_hostile_kernel(argv[5], argv[2]);
	test_pause(argv[4]);
	test_pause_early(argv[6]);
	test_stop(argv[2]);
	test_owner(argv[2]);
	test_calls(argv[3]);
	return test_summary();
}

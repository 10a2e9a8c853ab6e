/* SPDX-License-Identifier: Apache-2.0 */
/* When a process gets a processor, and a disk: as Linux says of it. */
#include <errno.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define GROUP "/nacre-test/sched"

static const char *rootfs;
static struct test_spec s;
static Oci__Scheduler scheduler;
static Oci__IOPriority io;

/* What does nothing and makes no other process, as SCHED_DEADLINE forbids. */
static void sleeper(const char *seconds)
{
	spec_init(&s, rootfs, "sleep", seconds, END);
	s.lin.cgroups_path = strdup(GROUP);
	oci__scheduler__init(&scheduler);
	oci__iopriority__init(&io);
}

static void policy(const char *name)
{
	scheduler.policy = strdup(name);
	s.process.scheduler = &scheduler;
}

static void flag(const char *name)
{
	static char *flags[2];

	flags[scheduler.n_flags++] = strdup(name);
	scheduler.flags = flags;
}

static void io_class(const char *name, int priority)
{
	io.class_ = strdup(name);
	io.priority = priority;
	s.process.io_priority = &io;
}

/* The last process of the group, as the agent's and our namespace has it. */
static pid_t last_process(void)
{
	FILE *f = fopen("/sys/fs/cgroup" GROUP "/cgroup.procs", "re");
	char line[32];
	pid_t pid = 0;

	while (f && fgets(line, sizeof(line), f)) {
		pid_t next = (pid_t)strtol(line, NULL, 10);

		pid = next > pid ? next : pid;
	}
	if (f)
		(void)fclose(f);
	return pid;
}

static bool scheduled(uint32_t want, uint32_t priority, uint64_t flags)
{
	struct sched_attr a = {.size = sizeof(a)};
	pid_t pid = last_process();

	if (pid <= 0 || syscall(SYS_sched_getattr, pid, &a, sizeof(a), 0) < 0)
		return false;
	if (a.sched_policy == want && a.sched_priority == priority &&
	    a.sched_nice == scheduler.nice && a.sched_flags == flags &&
	    (want != SCHED_DEADLINE ||
	     (a.sched_runtime == scheduler.runtime &&
	      a.sched_deadline == scheduler.deadline &&
	      a.sched_period == scheduler.period)))
		return true;
	printf("#   policy %u, priority %u, nice %d, flags %llx\n",
	       a.sched_policy, a.sched_priority, a.sched_nice,
	       (unsigned long long)a.sched_flags);
	return false;
}

static bool io_is(int class, int priority)
{
	long got = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, last_process());

	return got == (class << IOPRIO_CLASS_SHIFT | priority);
}

/* True: it runs, to be ended by gone(). */
static bool runs(const char *what)
{
	enum ttrpc_code code = create("p1", &s);

	if (code == TTRPC_OK && start("p1") == TTRPC_OK)
		return true;
	check(false, "%s: %s", what, call_text);
	if (code == TTRPC_OK)
		(void)remove_container("p1");
	return false;
}

static void gone(void)
{
	check(remove_container("p1") == TTRPC_OK, "remove");
}

static void run_as(const char *name, uint32_t want, uint64_t flags)
{
	policy(name);
	if (!runs(name))
		return;
	check(scheduled(want, (uint32_t)scheduler.priority, flags), "%s", name);
	gone();
}

static void test_policies(void)
{
	sleeper("1000");
	scheduler.nice = 7;
	run_as("SCHED_OTHER", SCHED_NORMAL, 0);
	sleeper("1000");
	scheduler.nice = -3;
	run_as("SCHED_BATCH", SCHED_BATCH, 0);
	sleeper("1000");
	run_as("SCHED_IDLE", SCHED_IDLE, 0);
	sleeper("1000");
	scheduler.priority = 5;
	run_as("SCHED_FIFO", SCHED_FIFO, 0);
	sleeper("1000");
	scheduler.priority = 99;
	flag("SCHED_FLAG_RESET_ON_FORK");
	run_as("SCHED_RR", SCHED_RR, SCHED_FLAG_RESET_ON_FORK);
	sleeper("1000");
	scheduler.runtime = 1000000;
	scheduler.deadline = 50000000;
	scheduler.period = 100000000;
	run_as("SCHED_DEADLINE", SCHED_DEADLINE, 0);
	sleeper("1000");
	scheduler.runtime = 1000000;
	scheduler.deadline = 50000000;
	scheduler.period = 100000000;
	flag("SCHED_FLAG_RECLAIM");
	flag("SCHED_FLAG_DL_OVERRUN");
	run_as("SCHED_DEADLINE", SCHED_DEADLINE,
	       SCHED_FLAG_RECLAIM | SCHED_FLAG_DL_OVERRUN);
}

static void test_kept(void)
{
	sleeper("1000");
	scheduler.nice = 4;
	flag("SCHED_FLAG_KEEP_POLICY");
	policy("SCHED_FIFO");
	if (runs("SCHED_FLAG_KEEP_POLICY")) {
		check(scheduled(SCHED_NORMAL, 0, 0), "the policy is kept");
		gone();
	}
	/* Not each kernel has them. */
	sleeper("1000");
	flag("SCHED_FLAG_UTIL_CLAMP_MIN");
	policy("SCHED_OTHER");
	if (create("p1", &s) == TTRPC_OK)
		check(remove_container("p1") == TTRPC_OK, "a clamp");
	else
		check(strstr(call_text, "sched_setattr") != NULL,
		      "a clamp that this Linux has not: %s", call_text);
}

static void test_io(void)
{
	sleeper("1000");
	io_class("IOPRIO_CLASS_RT", 3);
	if (runs("IOPRIO_CLASS_RT")) {
		check(io_is(IOPRIO_CLASS_RT, 3), "IOPRIO_CLASS_RT");
		gone();
	}
	sleeper("1000");
	io_class("IOPRIO_CLASS_BE", 6);
	if (runs("IOPRIO_CLASS_BE")) {
		check(io_is(IOPRIO_CLASS_BE, 6), "IOPRIO_CLASS_BE");
		gone();
	}
	sleeper("1000");
	io_class("IOPRIO_CLASS_IDLE", 0);
	if (runs("IOPRIO_CLASS_IDLE")) {
		check(io_is(IOPRIO_CLASS_IDLE, 0), "IOPRIO_CLASS_IDLE");
		gone();
	}
}

static void test_exec(void)
{
	int status;

	sleeper("1000");
	if (!runs("a container"))
		return;
	sleeper("1001");
	scheduler.priority = 2;
	policy("SCHED_RR");
	io_class("IOPRIO_CLASS_RT", 1);
	check(exec_process("p1", "e1", &s) == TTRPC_OK &&
		      scheduled(SCHED_RR, 2, 0) && io_is(IOPRIO_CLASS_RT, 1),
	      "of an exec: %s", call_text);
	sleeper("1001");
	scheduler.priority = 200;
	policy("SCHED_FIFO");
	check(exec_process("p1", "e2", &s) == TTRPC_INVALID_ARGUMENT &&
		      strstr(call_text, "sched_setattr SCHED_FIFO"),
	      "of an exec, out of range");
	check(kill_process("p1", "e1", SIGKILL) == TTRPC_OK &&
		      wait_process("p1", "e1", &status) == TTRPC_OK,
	      "its end");
	gone();
}

static void refused(const char *text)
{
	enum ttrpc_code code = create("p1", &s);

	check(code == TTRPC_INVALID_ARGUMENT && strstr(call_text, text),
	      "refused: %s: %s", text, call_text);
	if (code == TTRPC_OK)
		(void)remove_container("p1");
}

static void test_refusals(void)
{
	sleeper("1000");
	policy("SCHED_ISO");
	refused("policy SCHED_ISO");
	sleeper("1000");
	policy("SCHED_OTHER");
	flag("SCHED_FLAG_ALL");
	refused("flag SCHED_FLAG_ALL");
	sleeper("1000");
	policy("SCHED_RR"); /* of priority 0 */
	refused("sched_setattr SCHED_RR");
	sleeper("1000");
	policy("SCHED_DEADLINE");
	scheduler.runtime = 2000000;
	scheduler.deadline = 1000000;
	refused("sched_setattr SCHED_DEADLINE");
	sleeper("1000");
	io_class("IOPRIO_CLASS_NONE", 0);
	refused("class IOPRIO_CLASS_NONE");
	sleeper("1000");
	io_class("IOPRIO_CLASS_RT", 8);
	refused("not 0..7");
}

void test_scheduling_suite(const char *root)
{
	rootfs = root;
	test_policies();
	test_kept();
	test_io();
	test_exec();
	test_refusals();
	(void)rmdir("/sys/fs/cgroup/nacre-test");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What each action of a seccomp profile does to who calls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define BY_SIGSYS "159\n" /* 128 and SIGSYS, as a shell has it */

static const char *rootfs;
static struct test_spec s;

static void script(const char *text)
{
	spec_init(&s, rootfs, "sh", "-c", text, END);
}

static void test_errors(void)
{
	static Oci__LinuxSeccomp profile;
	static Oci__LinuxSyscall rule;
	static Oci__LinuxSyscall *rules[] = {&rule};
	static char *names[] = {(char *)"mkdir", (char *)"mkdirat",
				(char *)"not_a_call_yet"};

	for (int nnp = 0; nnp < 2; nnp++) {
		struct test_spec x;
		int status;

		oci__linux_seccomp__init(&profile);
		oci__linux_syscall__init(&rule);
		profile.default_action = strdup("SCMP_ACT_ALLOW");
		profile.syscalls = rules;
		profile.n_syscalls = 1;
		rule.names = names;
		rule.n_names = 3;
		rule.action = strdup("SCMP_ACT_ERRNO");
		rule.errno_ret_case = OCI__LINUX_SYSCALL__ERRNO_RET_ERRNORET;
		rule.errnoret = 28; /* ENOSPC */
		script("mkdir /dev/shm/x 2>&1; read x");
		s.lin.seccomp = &profile;
		s.process.no_new_privileges = nnp != 0;
		check(create("s1", &s) == TTRPC_OK && start("s1") == TTRPC_OK,
		      "seccomp, no_new_privs %d", nnp);
		spec_init(&x, rootfs, "sh", "-c", "mkdir /dev/shm/y 2>&1", END);
		x.process.no_new_privileges = nnp != 0;
		check(exec_process("s1", "e", &x) == TTRPC_OK &&
			      strstr(read_all("s1", "e", false), "No space") &&
			      wait_process("s1", "e", &status) == TTRPC_OK,
		      "filters execs too");
		check(close_stdin("s1", "") == TTRPC_OK &&
			      strstr(read_all("s1", "", false), "No space"),
		      "filters the first process");
		check(remove_container("s1") == TTRPC_OK, "remove");
	}
	profile.default_action = strdup("SCMP_ACT_NOTIFY");
	script("true");
	s.lin.seccomp = &profile;
	check(create("s1", &s) != TTRPC_OK &&
		      strstr(call_text, "SCMP_ACT_NOTIFY"),
	      "SCMP_ACT_NOTIFY");
}

/* What the script says when its one call has that action. */
static void expect(const char *action, const char *call_name, const char *text,
		   const char *want, const char *what)
{
	Oci__LinuxSeccomp profile = OCI__LINUX_SECCOMP__INIT;
	Oci__LinuxSyscall rule = OCI__LINUX_SYSCALL__INIT;
	Oci__LinuxSyscall *rules[] = {&rule};
	char *names[] = {strdup(call_name), NULL};
	int status;
	const char *out;

	if (strcmp(call_name, "mkdir") == 0)
		names[1] = strdup("mkdirat");
	profile.default_action = strdup("SCMP_ACT_ALLOW");
	profile.syscalls = rules;
	profile.n_syscalls = 1;
	rule.names = names;
	rule.n_names = names[1] ? 2 : 1;
	rule.action = strdup(action);
	script(text);
	s.lin.seccomp = &profile;
	s.process.no_new_privileges = true;
	out = run("s1", &s, &status);
	if (!check(status == 0 && strcmp(out, want) == 0, "%s: %s", action,
		   what))
		printf("#   status %d, got: %s\n", status, out);
}

/* A shell makes a directory by another process, and its mask by itself. */
static void test_actions(void)
{
	static const char *const kills[] = {
		"SCMP_ACT_KILL",
		"SCMP_ACT_KILL_THREAD",
		"SCMP_ACT_KILL_PROCESS",
	};
	static const char make[] =
		"mkdir /dev/shm/x; echo $?; ! test -d /dev/shm/x";
	static const char mask[] =
		"sh -c 'trap \"echo caught\" SYS; umask 077; echo on'; "
		"echo $?";

	for (size_t i = 0; i < ARRAY_SIZE(kills); i++) {
		expect(kills[i], "mkdir", make, BY_SIGSYS, "it is killed");
		expect(kills[i], "umask", mask, BY_SIGSYS,
		       "and cannot catch that");
	}
	expect("SCMP_ACT_TRAP", "mkdir", make, BY_SIGSYS,
	       "a signal, which kills");
	expect("SCMP_ACT_TRAP", "umask", mask, "caught\non\n0\n",
	       "unless it is caught");
	expect("SCMP_ACT_TRACE", "mkdir",
	       "mkdir /dev/shm/x 2>&1 | grep -o 'not implemented'; "
	       "test -d /dev/shm/x || echo none",
	       "not implemented\nnone\n",
	       "there is no such call where nobody traces");
	expect("SCMP_ACT_LOG", "mkdir",
	       "mkdir /dev/shm/x; test -d /dev/shm/x && echo made; "
	       "grep -c '^Seccomp:.2' /proc/self/status",
	       "made\n1\n", "it is let through");
}

void test_seccomp_suite(const char *root)
{
	rootfs = root;
	test_errors();
	test_actions();
}

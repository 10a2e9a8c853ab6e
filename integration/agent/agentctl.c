/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agentctl ADDRESS ROOTFS: drives an agent through the life of containers and
 * says what did not go as it must. ROOTFS holds a busybox in /bin.
 *
 * Where the agent is no machine's (integration/agent/native), good requests of
 * methods that change one are not here but in boot_machine.c. What a virtual
 * machine alone shows, user-mode Linux's and KVM's alike:
 *	GetOOMEvent, and limits in UpdateContainer: groups of version 2 need
 *		not have the controllers here (suite_spec.c)
 *	MemAgentMemcgSet, on: it would age the pages of all that runs here
 *		(suite_memory.c)
 *	CreateSandbox with a host name, name servers or modules: they are the
 *		machine's (suite_guest.c; modules: plug.c, as other kernels
 *		have none)
 *	SetIPTables: needs programs of the guest's image (suite_iptables.c)
 *	ResizeVolume: needs CAP_SYS_RESOURCE (suite_resources.c)
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

static const char *rootfs;

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

static void test_run(void)
{
	struct test_spec s;
	const char *out;
	int status;

	spec_init(&s, rootfs, "echo", "hello", END);
	out = run("c1", &s, &status);
	check(status == 0 && strcmp(out, "hello\n") == 0, "run echo");

	spec_init(&s, rootfs, "sh", "-c", "exit 37", END);
	run("c1", &s, &status);
	check(status == 37, "exit status 37");

	spec_init(&s, rootfs, "sh", "-c", "echo $$; echo oops >&2", END);
	check(create("c1", &s) == TTRPC_OK, "create");
	check(create("c1", &s) == TTRPC_ALREADY_EXISTS, "create twice");
	check(start("c1") == TTRPC_OK, "start");
	check(start("c1") == TTRPC_FAILED_PRECONDITION, "start twice");
	out = read_all("c1", "c1", true);
	check(strcmp(out, "oops\n") == 0, "stderr");
	out = read_all("c1", "", false);
	check(strcmp(out, "1\n") == 0, "is PID 1 of its namespace");
	check(wait_process("c1", "c1", &status) == TTRPC_OK && status == 0,
	      "wait by the container's own id");
	check(kill_process("c1", "c1", SIGTERM) == TTRPC_NOT_FOUND &&
		      has(call_text, "no such process"),
	      "signal to a dead process");
	check(remove_container("c1") == TTRPC_OK, "remove");
	check(remove_container("c1") == TTRPC_NOT_FOUND, "remove twice");
}

static void test_errors(void)
{
	struct test_spec s;
	int status;

	spec_init(&s, rootfs, "nosuch", END);
	check(create("e1", &s) == TTRPC_NOT_FOUND &&
		      has(call_text, "exec: \"nosuch\": executable file not "
				     "found in $PATH"),
	      "command that is nowhere in PATH");
	spec_init(&s, rootfs, "/bin/nosuch", END);
	check(create("e1", &s) == TTRPC_NOT_FOUND &&
		      has(call_text, "no such file or directory"),
	      "command by a path that is not there");
	spec_init(&s, rootfs, "/noexec", END);
	check(create("e1", &s) == TTRPC_PERMISSION_DENIED &&
		      has(call_text, "permission denied"),
	      "command that may not be executed");
	spec_init(&s, rootfs, "/garbage", END);
	check(create("e1", &s) == TTRPC_OK && start("e1") != TTRPC_OK &&
		      has(call_text, "xec format error"),
	      "command in no format");
	check(remove_container("e1") == TTRPC_OK, "remove what did not start");
	spec_init(&s, "/nosuch/rootfs", "true", END);
	check(create("e1", &s) == TTRPC_NOT_FOUND && has(call_text, "root"),
	      "root that is not there");
	spec_init(&s, rootfs, "true", END);
	check(create("../e1", &s) == TTRPC_INVALID_ARGUMENT, "id with slash");
	check(create("", &s) == TTRPC_INVALID_ARGUMENT, "empty id");
	s.lin.cgroups_path = strdup("/../../x");
	check(create("e1", &s) == TTRPC_INVALID_ARGUMENT, "cgroup path");
	spec_init(&s, rootfs, "true", END);
	spec_mount(&s, "nosuchfs", "x", "/mnt", "");
	check(create("e1", &s) != TTRPC_OK && has(call_text, "mount /mnt"),
	      "unknown file system");
	spec_init(&s, rootfs, "true", END);
	check(wait_process("e1", "", &status) == TTRPC_NOT_FOUND,
	      "wait for nothing");
	check(strcmp(run("e1", &s, &status), "") == 0 && status == 0,
	      "the id can be used after failures");
}

static void test_exec(void)
{
	struct test_spec s, x;
	uint32_t len = 0;
	int status;

	spec_init(&s, rootfs, "sleep", "1000", END);
	spec_init(&x, rootfs, "sh", "-c", "cat; echo $FOO; exit 5", END);
	x.env[x.process.n_env++] = strdup("FOO=bar");
	check(create("x1", &s) == TTRPC_OK && start("x1") == TTRPC_OK, "start");
	check(exec_process("x1", "e1", &x) == TTRPC_OK, "exec");
	check(exec_process("x1", "e1", &x) == TTRPC_ALREADY_EXISTS,
	      "exec id in use");
	check(write_stdin("x1", "e1", "over stdin\n", &len) == TTRPC_OK &&
		      len == 11,
	      "write stdin");
	check(close_stdin("x1", "e1") == TTRPC_OK, "close stdin");
	check(strcmp(read_all("x1", "e1", false), "over stdin\nbar\n") == 0,
	      "what cat read");
	check(wait_process("x1", "e1", &status) == TTRPC_OK && status == 5,
	      "status of exec");
	spec_init(&x, rootfs, "nosuch", END);
	check(exec_process("x1", "e2", &x) == TTRPC_NOT_FOUND &&
		      has(call_text, "not found in $PATH"),
	      "exec of nothing");
	spec_init(&x, rootfs, "sh", "-c", "kill -9 $$", END);
	check(exec_process("x1", "e2", &x) == TTRPC_OK &&
		      wait_process("x1", "e2", &status) == TTRPC_OK &&
		      status == 137,
	      "exec ended by a signal");
	spec_init(&x, rootfs, "sleep", "1000", END);
	check(exec_process("x1", "e3", &x) == TTRPC_OK, "exec sleep");
	check(kill_process("x1", "e3", SIGTERM) == TTRPC_OK &&
		      wait_process("x1", "e3", &status) == TTRPC_OK &&
		      status == 143,
	      "signal an exec");
	spec_init(&x, rootfs, "sleep", "1000", END);
	check(exec_process("x1", "e4", &x) == TTRPC_OK, "exec sleep");
	check(kill_process("x1", "", SIGKILL) == TTRPC_OK, "kill all");
	check(wait_process("x1", "e4", &status) == TTRPC_OK && status == 137,
	      "exec is dead");
	check(wait_process("x1", "", &status) == TTRPC_OK && status == 137,
	      "init is dead");
	check(exec_process("x1", "e5", &x) == TTRPC_FAILED_PRECONDITION,
	      "exec into a dead container");
	check(remove_container("x1") == TTRPC_OK, "remove");
}

/* As Kata's runtime ends it, by no call of its own. */
static void test_stdin_empty(void)
{
	struct test_spec s;
	uint32_t len = 1;
	int status;

	spec_init(&s, rootfs, "sh", "-c", "cat; echo end", END);
	check(create("b1", &s) == TTRPC_OK && start("b1") == TTRPC_OK, "start");
	check(write_stdin("b1", "", "all\n", &len) == TTRPC_OK && len == 4 &&
		      write_stdin("b1", "", "", &len) == TTRPC_OK && len == 0,
	      "an empty WriteStdin");
	check(strcmp(read_all("b1", "", false), "all\nend\n") == 0 &&
		      wait_process("b1", "", &status) == TTRPC_OK &&
		      status == 0,
	      "is the end of input");
	check(write_stdin("b1", "", "x", &len) == TTRPC_FAILED_PRECONDITION &&
		      write_stdin("b1", "", "", &len) == TTRPC_OK,
	      "nothing more can be written");
	check(remove_container("b1") == TTRPC_OK, "remove");
}

static void test_stdin_full(void)
{
	static char big[100001];
	struct test_spec s;
	uint32_t len = 0, total = 0;
	int status;

	memset(big, 'x', sizeof(big) - 1);
	spec_init(&s, rootfs, "sh", "-c", "sleep 1; wc -c", END);
	check(create("b1", &s) == TTRPC_OK && start("b1") == TTRPC_OK, "start");
	while (total < sizeof(big) - 1 &&
	       write_stdin("b1", "", big + total, &len) == TTRPC_OK) {
		if (len == 0)
			break;
		total += len;
	}
	check(total == sizeof(big) - 1, "write more than a pipe holds");
	check(close_stdin("b1", "") == TTRPC_OK, "close");
	check(atoi(read_all("b1", "", false)) == 100000, "all of it came");
	check(wait_process("b1", "", &status) == TTRPC_OK && status == 0,
	      "end");
	check(write_stdin("b1", "", "x", &len) == TTRPC_FAILED_PRECONDITION,
	      "write to a dead process");
	check(remove_container("b1") == TTRPC_OK, "remove");
}

static void test_terminal(void)
{
	Agent__TtyWinResizeRequest req = AGENT__TTY_WIN_RESIZE_REQUEST__INIT;
	struct test_spec s;
	uint32_t len;
	const char *out;
	int status;

	spec_init(&s, rootfs, "sh", "-c",
		  "read x; stty size; tty; test -c /dev/console && echo con",
		  END);
	s.process.terminal = true;
	s.process.console_size = &s.console;
	s.console.height = 30;
	s.console.width = 90;
	check(create("t1", &s) == TTRPC_OK && start("t1") == TTRPC_OK, "start");
	req.container_id = strdup("t1");
	req.row = 33;
	req.column = 99;
	check(call("TtyWinResize", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK,
	      "resize");
	check(write_stdin("t1", "", "\n", &len) == TTRPC_OK && len == 1,
	      "type a line");
	out = read_all("t1", "", false);
	check(has(out, "33 99") && has(out, "/dev/pts/0") && has(out, "con"),
	      "terminal of the container: %s", has(out, "33") ? "" : out);
	check(wait_process("t1", "", &status) == TTRPC_OK && status == 0,
	      "end");
	check(remove_container("t1") == TTRPC_OK, "remove");
	spec_init(&s, rootfs, "sleep", "1000", END);
	check(create("t1", &s) == TTRPC_OK && start("t1") == TTRPC_OK, "start");
	check(call("TtyWinResize", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_FAILED_PRECONDITION,
	      "resize without terminal");
	spec_init(&s, rootfs, "sh", "-c", "tty; cat", END);
	s.process.terminal = true;
	check(exec_process("t1", "e1", &s) == TTRPC_OK, "exec with terminal");
	check(close_stdin("t1", "e1") == TTRPC_OK, "end of input");
	check(has(read_all("t1", "e1", false), "/dev/pts/0"), "its terminal");
	check(wait_process("t1", "e1", &status) == TTRPC_OK && status == 0,
	      "end");
	check(remove_container("t1") == TTRPC_OK, "remove kills");
}

/* A child that outlives the process must not hold up the end of output. */
static void test_linger(void)
{
	struct test_spec s, x;
	int status;

	spec_init(&s, rootfs, "sleep", "1000", END);
	spec_init(&x, rootfs, "sh", "-c", "sleep 900 & echo up", END);
	check(create("l1", &s) == TTRPC_OK && start("l1") == TTRPC_OK &&
		      exec_process("l1", "e1", &x) == TTRPC_OK,
	      "exec that leaves a child");
	check(strcmp(read_all("l1", "e1", false), "up\n") == 0, "its output");
	check(wait_process("l1", "e1", &status) == TTRPC_OK && status == 0,
	      "its end");
	check(remove_container("l1") == TTRPC_OK, "remove");
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		(void)fprintf(stderr, "usage: agentctl ADDRESS ROOTFS\n");
		return 2;
	}
	client_connect(argv[1]);
	rootfs = argv[2];
	test_run();
	test_errors();
	test_exec();
	test_stdin_empty();
	test_stdin_full();
	test_terminal();
	test_linger();
	test_calls_suite(rootfs);
	test_spec_suite(rootfs);
	test_mounts_suite(rootfs);
	test_scheduling_suite(rootfs);
	test_seccomp_suite(rootfs);
	test_idmap_suite(rootfs);
	test_resources_suite(rootfs);
	test_disks_suite(rootfs);
	test_ports_suite(rootfs);
	test_iptables_suite();
	test_stdio_suite(rootfs);
	test_frames_suite();
	test_deadlines_suite(rootfs);
	test_names_suite(rootfs);
	test_memory_suite(rootfs);
	test_stats_suite(rootfs);
	test_guest_suite(rootfs);
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	return failed != 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/landlock.h"
#include "base/privilege.h"
#include "base/syscall_filter.h"

/* What cannot be taken back is done in processes of their own. */

static int run(int (*child)(const void *arg), const void *arg)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static const struct syscall_rule own_rules[] = {
	{SCMP_SYS(socket), SYSCALL_EQUAL, 0, AF_UNIX},
	{SCMP_SYS(lseek), SYSCALL_MASK, 1, 1},
	{SCMP_SYS(dup3), SYSCALL_MASK_SET, 2, O_CLOEXEC},
};

static void confine(enum syscall_refusal refusal)
{
	const struct syscall_list lists[] = {
		syscalls_common,
		SYSCALL_LIST(own_rules),
		{NULL, 0},
	};
	struct syscall_filter filter;
	struct err err;

	if (syscall_filter_make(&filter, refusal, lists, ARRAY_SIZE(lists),
				&err) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall_filter_install(&filter) < 0)
		_exit(100);
	syscall_filter_release(&filter);
}

static void on_sigsys(int signo)
{
	_exit(42);
}

static int call_refused(const void *arg)
{
	const enum syscall_refusal *refusal = arg;

	signal(SIGSYS, on_sigsys);
	confine(*refusal);
	return getppid() > 0 ? 0 : 1;
}

static void refused_calls_end_as_asked(void **state)
{
	static const enum syscall_refusal refusals[] = {
		SYSCALL_REFUSE_TRAP,
		SYSCALL_REFUSE_KILL,
		SYSCALL_REFUSE_LOG,
	};
	int status = run(call_refused, &refusals[0]);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	/* No handler. */
	status = run(call_refused, &refusals[1]);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	status = run(call_refused, &refusals[2]);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

struct call {
	long nr;
	long args[3];
	bool refused;
};

static int call_one(const void *arg)
{
	const struct call *call = arg;

	signal(SIGSYS, on_sigsys);
	confine(SYSCALL_REFUSE_TRAP);
	(void)!syscall(call->nr, call->args[0], call->args[1], call->args[2],
		       -1, 0, 0);
	return 0;
}

static void arguments_are_looked_at(void **state)
{
	static const struct call calls[] = {
		{SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, false},
		{SYS_socket, {AF_INET, SOCK_STREAM, 0}, true},
		{SYS_lseek, {-1, 2, 0}, false},
		{SYS_lseek, {-1, 3, 0}, true},
		{SYS_dup3, {-1, 3, O_CLOEXEC}, false},
		{SYS_dup3, {-1, 3, 0}, true},
		{SYS_mprotect, {0, 0, PROT_READ}, false},
		{SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		int status = run(call_one, &calls[i]);

		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status),
				 calls[i].refused ? 42 : 0);
	}
}

static int call_clone3(const void *arg)
{
	confine(SYSCALL_REFUSE_KILL);
	return syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS ? 0 : 1;
}

static void clone3_is_not_there(void **state)
{
	assert_int_equal(run(call_clone3, NULL), 0);
}

#define WANTED (CAP_MASK(CAP_CHOWN) | CAP_MASK(CAP_FOWNER))

static int reduce(const void *arg)
{
	uint64_t had = privilege_permitted();
	struct err err;

	if (privilege_reduce(WANTED, &err) < 0 ||
	    privilege_permitted() != (WANTED & had) ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 1;
	for (unsigned cap = 0; cap <= CAP_LAST_CAP && had; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			return 2;
	if (had && getgroups(0, NULL) != 0)
		return 3;
	/* There is no way back, and one to less. */
	if (had && privilege_set(had) != -EPERM)
		return 4;
	return privilege_set(0) == 0 && privilege_permitted() == 0 ? 0 : 5;
}

static void privileges_go_for_good(void **state)
{
	assert_int_equal(run(reduce, NULL), 0);
}

/* Landlock may not be in the kernel: then nothing changes. */
static int stay_below(const void *arg)
{
	const char *dir = arg;
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct err err;
	int outside;

	if (fd < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    landlock_confine(fd, &err) < 0)
		return 1;
	if (mkdirat(fd, "new", 0700) < 0 || unlinkat(fd, "new", AT_REMOVEDIR))
		return 2;
	outside = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (outside < 0 && errno != EACCES)
		return 3;
	return outside < 0 ? 0 : 77;
}

static void landlock_leaves_one_directory(void **state)
{
	char dir[] = "/tmp/nacre-confine-XXXXXX";
	int status;

	assert_non_null(mkdtemp(dir));
	status = run(stay_below, dir);
	assert_int_equal(rmdir(dir), 0);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_calls_end_as_asked),
		cmocka_unit_test(arguments_are_looked_at),
		cmocka_unit_test(clone3_is_not_there),
		cmocka_unit_test(privileges_go_for_good),
		cmocka_unit_test(landlock_leaves_one_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/daemon/listen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/nacre-listen-XXXXXX";
static char path[64];
static char lock[64];
static struct daemon_socket sock;
static struct err err;

static bool connects(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	yes = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
	close(fd);
	return yes;
}

static void listens_and_cleans_up(void **state)
{
	struct stat st;

	assert_int_equal(daemon_listen(&sock, path, NULL, &err), 0);
	assert_true(connects());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(access(lock, F_OK), 0);
	daemon_unlisten(&sock);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_not_equal(access(lock, F_OK), 0);
}

static void a_group_may_connect(void **state)
{
	struct stat st;

	if (geteuid() != 0)
		skip();
	assert_int_equal(daemon_listen(&sock, path, "daemon", &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_not_equal(st.st_gid, 0);
	daemon_unlisten(&sock);
	assert_int_not_equal(daemon_listen(&sock, path, "no-such-group", &err),
			     0);
	assert_non_null(strstr(err.text, "no-such-group"));
	daemon_unlisten(&sock);
}

/* Killed: both files are there, the lock is not. */
static void what_was_left_is_replaced(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(daemon_listen(&sock, path, NULL, &err) != 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_false(connects());
	assert_int_equal(daemon_listen(&sock, path, NULL, &err), 0);
	assert_true(connects());
	daemon_unlisten(&sock);
}

static int second(void)
{
	struct daemon_socket other;

	if (daemon_listen(&other, path, NULL, &err) == 0 ||
	    !strstr(err.text, "another process"))
		return 1;
	daemon_unlisten(&other);
	return 0;
}

static void who_runs_is_left_alone(void **state)
{
	pid_t pid;
	int status;

	assert_int_equal(daemon_listen(&sock, path, NULL, &err), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(second());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(connects());
	assert_int_equal(access(lock, F_OK), 0);
	daemon_unlisten(&sock);
}

static void other_files_stay(void **state)
{
	char longer[256];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_int_not_equal(daemon_listen(&sock, path, NULL, &err), 0);
	assert_non_null(strstr(err.text, "no socket"));
	daemon_unlisten(&sock);
	assert_int_equal(unlink(path), 0);
	/* Nor is the lock a way to another file. */
	assert_int_equal(symlink(path, lock), 0);
	assert_int_not_equal(daemon_listen(&sock, path, NULL, &err), 0);
	daemon_unlisten(&sock);
	assert_int_equal(unlink(lock), 0);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_not_equal(daemon_listen(&sock, longer, NULL, &err), 0);
	daemon_unlisten(&sock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listens_and_cleans_up),
		cmocka_unit_test(a_group_may_connect),
		cmocka_unit_test(what_was_left_is_replaced),
		cmocka_unit_test(who_runs_is_left_alone),
		cmocka_unit_test(other_files_stay),
	};
	int rc;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/fs", dir);
	snprintf(lock, sizeof(lock), "%s/fs.pid", dir);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return rc;
}

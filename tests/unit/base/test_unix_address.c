/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unix_address.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"

/* In a directory whose path does not fit into sun_path. */
static void test_deep(void **state)
{
	char top[] = "/tmp/test_unix_address.XXXXXX", name[201];
	AUTO_FD int dir = -1, server = socket(AF_UNIX, SOCK_STREAM, 0);
	AUTO_FD int client = socket(AF_UNIX, SOCK_STREAM, 0);
	AUTO_FD int parent = -1;
	struct sockaddr_un addr;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_non_null(mkdtemp(top));
	parent = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(0, mkdirat(parent, name, 0700));
	dir = openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	addr = unix_address(dir, "sock");
	assert_int_equal(0,
			 bind(server, (struct sockaddr *)&addr, sizeof(addr)));
	assert_int_equal(0, listen(server, 1));
	assert_int_equal(0, faccessat(dir, "sock", F_OK, 0));
	assert_int_equal(
		0, connect(client, (struct sockaddr *)&addr, sizeof(addr)));
	assert_int_equal(0, remove_tree(AT_FDCWD, top));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_deep)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

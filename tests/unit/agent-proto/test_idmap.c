/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings of mounts: which are wanted, and the user namespace they become. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent-proto/idmap.h"

static Oci__LinuxIDMapping one, two;
static Oci__LinuxIDMapping *both[] = {&one, &two};
static Oci__Mount m;
static Oci__Linux l;
static struct err err;

static void blank(void)
{
	oci__mount__init(&m);
	oci__linux__init(&l);
	oci__linux_idmapping__init(&one);
	oci__linux_idmapping__init(&two);
	one.host_id = 1000;
	one.size = 10;
	two.container_id = 10;
	two.host_id = 5000;
	two.size = 1;
}

static void what_is_wanted(void **state)
{
	char *words[] = {(char *)"bind", (char *)"idmap", (char *)"ridmap"};
	bool deep = true;

	blank();
	m.options = words;
	m.n_options = 1;
	assert_false(idmap_wanted(&m, &deep));
	assert_false(deep);
	m.n_options = 2;
	assert_true(idmap_wanted(&m, &deep));
	assert_false(deep);
	m.n_options = 3;
	assert_true(idmap_wanted(&m, &deep));
	assert_true(deep);
	m.n_options = 0;
	m.gid_mappings = both;
	m.n_gid_mappings = 1;
	assert_true(idmap_wanted(&m, &deep));
	assert_false(deep);
}

static char *copy(const char *text)
{
	char *new = strdup(text);

	assert_non_null(new);
	return new;
}

static void stripped(void **state)
{
	Oci__Mount *mount = malloc(sizeof(*mount));
	bool deep;

	assert_non_null(mount);
	oci__mount__init(mount);
	mount->n_options = 3;
	mount->options = calloc(3, sizeof(char *));
	mount->options[0] = copy("ridmap");
	mount->options[1] = copy("rbind");
	mount->options[2] = copy("idmap");
	mount->n_uid_mappings = 1;
	mount->uid_mappings = calloc(1, sizeof(void *));
	mount->uid_mappings[0] = malloc(sizeof(one));
	oci__linux_idmapping__init(mount->uid_mappings[0]);
	idmap_strip(mount);
	assert_false(idmap_wanted(mount, &deep));
	assert_int_equal(mount->n_options, 1);
	assert_string_equal(mount->options[0], "rbind");
	oci__mount__free_unpacked(mount, NULL);
}

static void refused(void **state)
{
	blank();
	assert_int_equal(idmap_userns(&m, NULL, &err), -EINVAL);
	assert_int_equal(idmap_userns(&m, &l, &err), -EINVAL);
	assert_non_null(strstr(err.text, "neither"));
	m.uid_mappings = both;
	m.n_uid_mappings = 2;
	assert_int_equal(idmap_userns(&m, &l, &err), -EINVAL);
	assert_non_null(strstr(err.text, "gid_map"));
	m.gid_mappings = both;
	m.n_gid_mappings = 341;
	assert_int_equal(idmap_userns(&m, &l, &err), -EINVAL);
	m.n_gid_mappings = 2;
	two.host_id = 1005; /* twice */
	assert_int_equal(idmap_userns(&m, &l, &err), -EINVAL);
}

/* In the namespace, by a process of its own: 0 if its map reads so. */
static int map_is(int fd, const char *path, const char *want)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char text[256] = "", plain[256];
		size_t len = 0;
		int map;

		if (setns(fd, CLONE_NEWUSER) < 0)
			_exit(1);
		map = open(path, O_RDONLY | O_CLOEXEC);
		if (map < 0 || read(map, text, sizeof(text) - 1) <= 0)
			_exit(2);
		/* Columns are padded. */
		for (const char *p = text; *p; p++) {
			if (*p != ' ' || p == text || p[-1] != ' ')
				plain[len++] = *p;
		}
		plain[len] = '\0';
		_exit(strcmp(plain, want) ? 3 : 0);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void of_the_mount_or_the_container(void **state)
{
	int fd;

	if (geteuid() != 0)
		skip();
	blank();
	l.uid_mappings = both;
	l.n_uid_mappings = 1;
	l.gid_mappings = both + 1;
	l.n_gid_mappings = 1;
	fd = idmap_userns(&m, &l, &err);
	if (fd == -EPERM || fd == -ENOSPC)
		skip(); /* no user namespaces here */
	assert_true(fd >= 0);
	assert_int_equal(map_is(fd, "/proc/self/uid_map", " 0 1000 10\n"), 0);
	assert_int_equal(map_is(fd, "/proc/self/gid_map", " 10 5000 1\n"), 0);
	close(fd);
	m.uid_mappings = m.gid_mappings = both;
	m.n_uid_mappings = m.n_gid_mappings = 2;
	fd = idmap_userns(&m, &l, &err);
	assert_true(fd >= 0);
	assert_int_equal(
		map_is(fd, "/proc/self/gid_map", " 0 1000 10\n 10 5000 1\n"),
		0);
	close(fd);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wanted),
		cmocka_unit_test(stripped),
		cmocka_unit_test(refused),
		cmocka_unit_test(of_the_mount_or_the_container),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Last words of a container: where they are, and what of them is told. */
#include "guest/agent/termination_log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

static char dir[] = "/tmp/nacre-test-XXXXXX";
static char path[64];
static char text[TERMINATION_LOG_MAX + 1];
static struct err err;

static char *str(const char *s)
{
	return (char *)(uintptr_t)s;
}

/* Its source, of two mounts of which the first one is at /dev/log. */
static const char *source_of(const char *annotation, const char *type,
			     const char *source, const char *second)
{
	static Oci__Spec spec;
	static Oci__Mount mounts[2], *list[] = {&mounts[0], &mounts[1]};
	static Oci__Pair pair, *pairs[] = {&pair};

	oci__spec__init(&spec);
	oci__pair__init(&pair);
	pair.key = str("io.kubernetes.container.terminationMessagePath");
	pair.value = str(annotation);
	spec.n_annotations = annotation ? 1 : 0;
	spec.annotations = pairs;
	for (int i = 0; i < 2; i++)
		oci__mount__init(&mounts[i]);
	mounts[0].destination = str("/dev/log");
	mounts[0].type = str(type);
	mounts[0].source = str(source);
	mounts[1].destination = str(second);
	mounts[1].type = str("bind");
	mounts[1].source = str("/second");
	spec.mounts = list;
	spec.n_mounts = 2;
	return termination_log_source(&spec);
}

static void is_of_the_mount(void **state)
{
	assert_string_equal(source_of("/dev/log", "bind", "/a/b", "/x"),
			    "/a/b");
	assert_string_equal(source_of("/dev/log", "bind", "/a", "/dev/log"),
			    "/second");
	assert_null(source_of(NULL, "bind", "/a", "/x"));
	assert_null(source_of("/dev/other", "bind", "/a", "/x"));
	assert_null(source_of("", "bind", "/a", "/x"));
	/* Whose source is no file in the guest. */
	assert_null(source_of("/dev/log", "tmpfs", "/a", "/x"));
	assert_null(source_of("/dev/log", "bind", "a", "/x"));
	assert_null(source_of("/dev/log", "bind", "/a/../b", "/x"));
}

static void holds(const void *data, size_t len)
{
	(void)unlink(path);
	assert_int_equal(file_replace(AT_FDCWD, path, data, len, 0644), 0);
	assert_int_equal(termination_log_read(path, text, &err), 0);
}

static void is_told(void **state)
{
	holds("out of luck\n", 12);
	assert_string_equal(text, "out of luck\n");
	holds("", 0);
	assert_string_equal(text, "");
	holds("\xc3\xa9 \xff\xc3", 5);
	assert_string_equal(text, "\xc3\xa9 ??");
	holds("a\0b", 3);
	assert_string_equal(text, "a?b");
	assert_int_equal(unlink(path), 0);
	strcpy(text, "old");
	assert_int_equal(termination_log_read(path, text, &err), 0);
	assert_string_equal(text, "");
}

static void its_end_is_told(void **state)
{
	static const char end[] = {'e', 'n', 'd', '.', '\n'};
	static char big[3 * TERMINATION_LOG_MAX];

	memset(big, 'x', sizeof(big));
	memcpy(big + sizeof(big) - sizeof(end), end, sizeof(end));
	holds(big, sizeof(big));
	assert_int_equal(strlen(text), TERMINATION_LOG_MAX);
	assert_string_equal(text + TERMINATION_LOG_MAX - 5, "end.\n");
	holds(big + 1, TERMINATION_LOG_MAX);
	assert_int_equal(strlen(text), TERMINATION_LOG_MAX);
}

/* What a container may put there. */
static void is_a_file(void **state)
{
	char other[sizeof(path) + 8];

	(void)unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(termination_log_read(path, text, &err), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/proc/self/exe", path), 0);
	assert_int_equal(termination_log_read(path, text, &err), -ELOOP);
	assert_int_equal(unlink(path), 0);
	/* On the way as well. */
	assert_int_equal(symlink("/etc", path), 0);
	(void)snprintf(other, sizeof(other), "%s/passwd", path);
	assert_int_equal(termination_log_read(other, text, &err), -ELOOP);
	assert_int_equal(unlink(path), 0);
	/* Nobody writes into it, and nobody waits for that. */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(termination_log_read(path, text, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a regular file"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(termination_log_read(path, text, &err), -EINVAL);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(termination_log_read("/dev/null", text, &err),
			 -EINVAL);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_of_the_mount),
		cmocka_unit_test(is_told),
		cmocka_unit_test(its_end_is_told),
		cmocka_unit_test(is_a_file),
	};
	int ret;

	if (!mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	return remove_tree(AT_FDCWD, dir) < 0 ? 1 : ret;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/core/window.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct mem_window w;

static int setup(void **state)
{
	return mem_window_init(&w, 2 * MEM_WINDOW_UNIT);
}

static int teardown(void **state)
{
	mem_window_release(&w);
	mem_window_release(&w); /* as often as one likes */
	return 0;
}

static int file_of(const char *text, size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 4096), strlen(text));
	return fd;
}

/* What a system call finds there. */
static bool accessible(uint64_t off, bool write_to)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int pair[2];
	bool good;

	assert_int_equal(pipe(pair), 0);
	if (write_to)
		good = read(fd, w.host + off, 1) == 1;
	else
		good = write(pair[1], w.host + off, 1) == 1;
	close(pair[0]);
	close(pair[1]);
	close(fd);
	return good;
}

static void begins_without_access(void **state)
{
	assert_false(accessible(0, false));
	assert_false(accessible(w.size - 1, false));
	mem_window_blank(&w, 4096, 4096);
	assert_true(accessible(4096, true));
	assert_false(accessible(4095, false));
	assert_false(accessible(8192, false));
	mem_window_clear(&w, 0, w.size);
	assert_false(accessible(4096, false));
}

static void shows_files(void **state)
{
	int fd = file_of("text", 12288);

	assert_int_equal(mem_window_map(&w, 8192, 8192, PROT_READ, fd, 4096),
			 0);
	assert_memory_equal(w.host + 8192, "text", 4);
	assert_false(accessible(8192, true));
	assert_false(accessible(16384, false));
	close(fd);
}

/* A mapping that fails leaves neither what was there nor a hole. */
static void failure_leaves_no_access(void **state)
{
	int fd = file_of("text", 12288);
	int pair[2];

	assert_int_equal(pipe(pair), 0);
	assert_int_equal(mem_window_map(&w, 0, 8192, PROT_READ, fd, 4096), 0);
	assert_int_equal(mem_window_map(&w, 0, 4096, PROT_READ, pair[0], 0),
			 -ENODEV);
	assert_false(accessible(0, false));
	assert_true(accessible(4096, false));
	/* It is still ours: nothing else may be put there. */
	assert_ptr_equal(mmap(w.host, 4096, PROT_READ,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			      -1, 0),
			 MAP_FAILED);
	assert_int_equal(errno, EEXIST);
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

static void few_windows(void **state)
{
	struct mem_window more[FAULT_SPANS_MAX];
	unsigned i, n = 0;

	while (n < FAULT_SPANS_MAX &&
	       mem_window_init(&more[n], MEM_WINDOW_UNIT) == 0)
		n++;
	assert_int_equal(n, FAULT_SPANS_MAX - 1);
	assert_int_equal(mem_window_init(&more[n], MEM_WINDOW_UNIT), -ENOSPC);
	for (i = 0; i < n; i++)
		mem_window_release(&more[i]);
	assert_int_equal(mem_window_init(&more[0], MEM_WINDOW_UNIT), 0);
	mem_window_release(&more[0]);
}

/* How a child ends that touches what is no window. */
static int end_of(int (*child)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(child());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int touch_window(void)
{
	static struct mem_window mine;

	if (mem_window_init(&mine, MEM_WINDOW_UNIT) < 0)
		return 2;
	mine.host[5000] = 7;
	return mine.torn && mine.host[4096] == 0 && mine.host[5000] == 7 ? 0
									 : 1;
}

static int touch_elsewhere(void)
{
	static struct mem_window mine;
	volatile uint8_t *at =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	signal(SIGSEGV, SIG_DFL); /* the framework has one of its own */
	if (mem_window_init(&mine, MEM_WINDOW_UNIT) < 0)
		return 0;
	*at = 1;
	return 0;
}

static void own_faults(void **state)
{
	assert_int_equal(end_of(touch_window), 0);
	/* A bug is a bug, as it was before. */
	assert_int_equal(end_of(touch_elsewhere) & 0x7f, SIGSEGV);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(begins_without_access),
		TEST(shows_files),
		TEST(failure_leaves_no_access),
		TEST(few_windows),
		TEST(own_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/core/guestmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static uint8_t ram_a[0x2000];
static uint8_t ram_b[0x1000];

/* Two regions that touch: [0x1000, 0x3000) and [0x3000, 0x4000). */
static void two_regions(struct guestmem *mem)
{
	guestmem_init(mem);
	assert_int_equal(
		guestmem_add_borrowed(mem, 0x1000, ram_a, sizeof(ram_a)), 0);
	assert_int_equal(
		guestmem_add_borrowed(mem, 0x3000, ram_b, sizeof(ram_b)), 0);
}

static void translates_inside_a_region(void **state)
{
	struct guestmem mem;
	struct iovec iov;

	two_regions(&mem);
	assert_int_equal(guestmem_iov(&mem, 0x1000, 0x2000, &iov), 0);
	assert_ptr_equal(iov.iov_base, ram_a);
	assert_int_equal(iov.iov_len, 0x2000);
	assert_int_equal(guestmem_iov(&mem, 0x3fff, 1, &iov), 0);
	assert_ptr_equal(iov.iov_base, ram_b + 0xfff);
}

static void refuses_what_is_not_ram(void **state)
{
	static const struct {
		uint64_t gpa;
		uint64_t len;
	} bad[] = {
		{0x1000, 0},
		{0, 1},
		{0xfff, 1},
		{0xfff, 2},
		{0x4000, 1},
		{0x3fff, 2},
		{0x2fff, 2}, /* both RAM, but two regions */
		{0x1000, 0x3000},
		{0x1000, UINT64_MAX},
		{0x1fff, UINT64_MAX - 10},
		{UINT64_MAX, 1},
		{UINT64_MAX, UINT64_MAX},
		{UINT64_MAX - 0xfff, 0x2000},
	};
	struct guestmem mem;
	struct iovec iov;
	size_t i;

	two_regions(&mem);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			guestmem_iov(&mem, bad[i].gpa, bad[i].len, &iov),
			-EFAULT);
}

static void regions_never_overlap(void **state)
{
	struct guestmem mem;
	unsigned i;

	two_regions(&mem);
	assert_int_equal(guestmem_add_borrowed(&mem, 0x2fff, ram_b, 1),
			 -EEXIST);
	assert_int_equal(guestmem_add_borrowed(&mem, 0x0, ram_b, 0x1001),
			 -EEXIST);
	assert_int_equal(guestmem_add_borrowed(&mem, 0x0, ram_b, 0x10000),
			 -EEXIST);
	assert_int_equal(guestmem_add_borrowed(&mem, 0x1800, ram_b, 0x10),
			 -EEXIST);
	assert_int_equal(guestmem_add_borrowed(&mem, 0x8000, ram_b, 0),
			 -EINVAL);
	assert_int_equal(
		guestmem_add_borrowed(&mem, UINT64_MAX - 1, ram_b, 0x10),
		-EINVAL);
	assert_int_equal(mem.count, 2);
	for (i = 2; i < GUESTMEM_REGIONS_MAX; i++)
		assert_int_equal(guestmem_add_borrowed(&mem,
						       0x100000 + 0x1000ull * i,
						       ram_b, 0x1000),
				 0);
	assert_int_equal(guestmem_add_borrowed(&mem, 0x900000, ram_b, 0x1000),
			 -ENOSPC);
}

static void copies_are_checked(void **state)
{
	struct guestmem mem;
	char back[4] = "";

	two_regions(&mem);
	assert_int_equal(guestmem_write(&mem, 0x3ffc, "abc", 4), 0);
	assert_int_equal(guestmem_read(&mem, 0x3ffc, back, 4), 0);
	assert_string_equal(back, "abc");
	assert_int_equal(guestmem_write(&mem, 0x3ffd, "abc", 4), -EFAULT);
	assert_int_equal(guestmem_read(&mem, 0x3ffd, back, 4), -EFAULT);
}

static void new_memory_is_sealed(void **state)
{
	struct guestmem mem;
	struct err err;
	char byte = 1;

	guestmem_init(&mem);
	assert_int_equal(guestmem_add_new(&mem, 0, 0x10000, &err), 0);
	assert_int_equal(ftruncate(mem.regions[0].fd, 0x1000), -1);
	assert_int_equal(guestmem_read(&mem, 0xffff, &byte, 1), 0);
	assert_int_equal(byte, 0);
	assert_int_equal(guestmem_write(&mem, 0xffff, "x", 1), 0);
	assert_int_equal(pread(mem.regions[0].fd, &byte, 1, 0xffff), 1);
	assert_int_equal(byte, 'x');
	guestmem_release(&mem);
	assert_int_equal(mem.count, 0);
}

/* Its file, with memory in it, is gone: a region of zeros, and whoever waits is
 * told. Huge pages come with it, where there are any. */
static void cut_memory(unsigned flags)
{
	int file = memfd_create("cut", MFD_CLOEXEC | flags);
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct guestmem mem;
	struct stat st;
	struct err err;
	char byte = 1;
	uint64_t n;

	if (file < 0)
		skip();
	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(ftruncate(file, 2 * st.st_blksize), 0);
	guestmem_init(&mem);
	guestmem_guard(&mem, event);
	assert_int_equal(guestmem_add(&mem, 0, 2 * (uint64_t)st.st_blksize,
				      dup(file), 0, &err),
			 0);
	if (!flags) {
		assert_int_equal(guestmem_write(&mem, 0, "x", 1), 0);
		assert_false(guestmem_cut(&mem));
		assert_int_equal(read(event, &n, sizeof(n)), -1);
	}
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(
		guestmem_write(&mem, (uint64_t)st.st_blksize + 10, "y", 1), 0);
	assert_true(guestmem_cut(&mem));
	assert_int_equal(read(event, &n, sizeof(n)), sizeof(n));
	assert_int_equal(guestmem_read(&mem, 0, &byte, 1), 0);
	assert_int_equal(byte, 0);
	assert_int_equal(
		guestmem_read(&mem, (uint64_t)st.st_blksize + 10, &byte, 1), 0);
	assert_int_equal(byte, 'y');
	guestmem_release(&mem);
	close(event);
	close(file);
}

static void memory_may_be_cut_short(void **state)
{
	cut_memory(0);
}

static void huge_pages_may_be_cut_short(void **state)
{
	cut_memory(MFD_HUGETLB);
}

/* The line "name:" of the mapping that holds an address in /proc/self/smaps. */
static bool smaps_line(const void *address, const char *name, char *line,
		       int size)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	uintptr_t at = (uintptr_t)address, from, to;
	bool here = false, found = false;

	assert_non_null(f);
	while (!found && fgets(line, size, f)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
			here = from <= at && at < to;
		else
			found = here && !strncmp(line, name, strlen(name));
	}
	fclose(f);
	return found;
}

static void private_memory_is_nobody_elses(void **state)
{
	struct guestmem mem;
	struct err err;
	char byte = 1, line[512];

	guestmem_init(&mem);
	assert_int_equal(
		guestmem_add_private(&mem, 0x3000, 8u << 20, true, &err), 0);
	assert_int_equal(
		guestmem_add_private(&mem, 1u << 30, 4u << 20, false, &err), 0);
	assert_int_equal(mem.regions[0].fd, -1);
	/* What is huge there can be huge here. */
	assert_int_equal((uintptr_t)mem.regions[0].host % (2u << 20), 0x3000);
	assert_int_equal((uintptr_t)mem.regions[1].host % (2u << 20), 0);
	assert_int_equal(guestmem_read(&mem, 0x802fff, &byte, 1), 0);
	assert_int_equal(byte, 0);
	assert_int_equal(guestmem_write(&mem, 0x802fff, "x", 1), 0);
	assert_int_equal(guestmem_read(&mem, 0x802fff, &byte, 1), 0);
	assert_int_equal(byte, 'x');
	/* "dd": not dumped; "hg", "nh": what was asked for. */
	assert_true(smaps_line(mem.regions[0].host, "VmFlags:", line, 512));
	assert_non_null(strstr(line, " dd"));
	assert_non_null(strstr(line, " hg"));
	assert_true(smaps_line(mem.regions[1].host, "VmFlags:", line, 512));
	assert_non_null(strstr(line, " dd"));
	assert_non_null(strstr(line, " nh"));
	guestmem_release(&mem);
	assert_int_equal(mem.count, 0);
}

static void private_memory_leaves_nothing_mapped(void **state)
{
	struct guestmem mem;
	struct err err;
	char line[512];
	uint8_t *host;

	guestmem_init(&mem);
	assert_int_equal(guestmem_add_private(&mem, 0, 4u << 20, true, &err),
			 0);
	host = mem.regions[0].host;
	assert_true(smaps_line(host, "Size:", line, 512));
	assert_int_equal(strtoul(line + strlen("Size:"), NULL, 10), 4096);
	guestmem_release(&mem);
	assert_false(smaps_line(host, "VmFlags:", line, 512) &&
		     strstr(line, " dd"));
	/* Bad shapes leave nothing either. */
	assert_int_equal(guestmem_add_private(&mem, 0, 0x1800, true, &err),
			 -EINVAL);
	assert_int_equal(guestmem_add_private(&mem, 0x800, 0x1000, true, &err),
			 -EINVAL);
	assert_int_equal(guestmem_add_private(&mem, 0, 0, true, &err), -EINVAL);
	assert_int_equal(guestmem_add_private(&mem, 0, UINT64_MAX & ~0xfffull,
					      true, &err),
			 -ENOMEM);
	assert_int_equal(mem.count, 0);
	assert_int_equal(guestmem_add_private(&mem, 0, 0x2000, true, &err), 0);
	assert_int_equal(guestmem_add_private(&mem, 0x1000, 0x2000, true, &err),
			 -EEXIST);
	guestmem_release(&mem);
}

static int file_of(off_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static void files_must_hold_the_region(void **state)
{
	struct guestmem mem;
	struct err err;
	int fd;

	guestmem_init(&mem);
	/* One page short, also by the offset, also by a wrapping offset. */
	assert_int_equal(
		guestmem_add(&mem, 0, 0x2000, file_of(0x1000), 0, &err),
		-EINVAL);
	assert_int_equal(
		guestmem_add(&mem, 0, 0x2000, file_of(0x2000), 0x1000, &err),
		-EINVAL);
	assert_int_equal(guestmem_add(&mem, 0, 0x2000, file_of(0x2000),
				      UINT64_MAX - 0xfff, &err),
			 -EINVAL);
	assert_int_equal(
		guestmem_add(&mem, 0, 0x1800, file_of(0x2000), 0, &err),
		-EINVAL);
	assert_int_equal(
		guestmem_add(&mem, 0, 0x1000, file_of(0x2000), 0x800, &err),
		-EINVAL);
	fd = file_of(0x2000);
	assert_int_equal(guestmem_add(&mem, 0x5000, 0, fd, 0, &err), -EINVAL);
	/* Taken on failure. */
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(mem.count, 0);

	fd = file_of(0x3000);
	assert_int_equal(pwrite(fd, "z", 1, 0x1000), 1);
	assert_int_equal(guestmem_add(&mem, 0x5000, 0x2000, fd, 0x1000, &err),
			 0);
	assert_int_equal(mem.regions[0].host[0], 'z');
	guestmem_release(&mem);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void buffers_may_lie_in_the_window(void **state)
{
	static uint8_t files[0x2000];
	struct guestmem mem;
	struct iovec iov;

	two_regions(&mem);
	assert_int_equal(guestmem_buffer_iov(&mem, 0x9000, 1, &iov), -EFAULT);
	assert_int_equal(guestmem_set_window(&mem, 0x3fff, files, 0x2000),
			 -EEXIST);
	assert_int_equal(
		guestmem_set_window(&mem, UINT64_MAX - 10, files, 0x2000),
		-EINVAL);
	assert_int_equal(guestmem_set_window(&mem, 0x9000, files, 0), -EINVAL);
	assert_int_equal(guestmem_set_window(&mem, 0x9000, files, 0x2000), 0);
	assert_int_equal(guestmem_set_window(&mem, 0x20000, files, 0x2000),
			 -EEXIST);
	/* Nor is RAM put over it. */
	assert_int_equal(guestmem_add_borrowed(&mem, 0xafff, ram_b, 1),
			 -EEXIST);
	assert_int_equal(guestmem_buffer_iov(&mem, 0x9800, 0x1800, &iov), 0);
	assert_ptr_equal(iov.iov_base, files + 0x800);
	assert_int_equal(iov.iov_len, 0x1800);
	assert_int_equal(guestmem_buffer_iov(&mem, 0x1000, 0x2000, &iov), 0);
	assert_ptr_equal(iov.iov_base, ram_a);
	assert_int_equal(guestmem_buffer_iov(&mem, 0x9800, 0x1801, &iov),
			 -EFAULT);
	assert_int_equal(guestmem_buffer_iov(&mem, 0x9000, 0, &iov), -EFAULT);
	assert_int_equal(guestmem_buffer_iov(&mem, 0x8fff, 2, &iov), -EFAULT);
	assert_int_equal(guestmem_buffer_iov(&mem, 0xafff, UINT64_MAX, &iov),
			 -EFAULT);
	/* For all else it is no memory. */
	assert_int_equal(guestmem_iov(&mem, 0x9000, 1, &iov), -EFAULT);
	assert_int_equal(guestmem_write(&mem, 0x9000, "x", 1), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(translates_inside_a_region),
		cmocka_unit_test(refuses_what_is_not_ram),
		cmocka_unit_test(regions_never_overlap),
		cmocka_unit_test(copies_are_checked),
		cmocka_unit_test(new_memory_is_sealed),
		cmocka_unit_test(memory_may_be_cut_short),
		cmocka_unit_test(huge_pages_may_be_cut_short),
		cmocka_unit_test(private_memory_is_nobody_elses),
		cmocka_unit_test(private_memory_leaves_nothing_mapped),
		cmocka_unit_test(files_must_hold_the_region),
		cmocka_unit_test(buffers_may_lie_in_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

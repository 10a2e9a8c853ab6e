/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_groups.h"
#include "integration/virtiofs/hostile_tree.h"

#define FAR (1ull << 40)
#define HANDLES_MOST 70000u
#define UNIT (2ull << 20)
#define READS FUSE_SETUPMAPPING_FLAG_READ
#define WRITES FUSE_SETUPMAPPING_FLAG_WRITE

static int write_at(uint64_t node, uint64_t fh, uint64_t offset)
{
	struct {
		struct fuse_write_in in;
		char data[8];
	} args = {.in = {.fh = fh, .offset = offset, .size = 8}};

	return hostile_call(FUSE_WRITE, node, &args, sizeof(args));
}

static int allocate(uint64_t node, uint64_t fh, uint64_t offset, uint64_t len,
		    uint32_t mode)
{
	const struct fuse_fallocate_in in = {fh, offset, len, mode, 0};

	return hostile_call(FUSE_FALLOCATE, node, &in, sizeof(in));
}

static int seek(uint64_t node, uint64_t fh, uint64_t offset, uint32_t whence)
{
	const struct fuse_lseek_in in = {fh, offset, whence, 0};

	return hostile_call(FUSE_LSEEK, node, &in, sizeof(in));
}

static int copy(uint64_t node, uint64_t fh, uint64_t from, uint64_t to,
		uint64_t len, uint64_t flags)
{
	const struct fuse_copy_file_range_in in = {
		fh, from, node, fh, to, len, flags,
	};

	return hostile_call(FUSE_COPY_FILE_RANGE, node, &in, sizeof(in));
}

static int resize(uint64_t node, uint64_t size)
{
	const struct fuse_setattr_in in = {.valid = FATTR_SIZE, .size = size};

	return hostile_call(FUSE_SETATTR, node, &in, sizeof(in));
}

/* What is behind the host's own limit is refused, and no signal. */
static void too_far(uint64_t node, uint64_t fh)
{
	if (!hostile.size_limit)
		return;
	hostile_want("WRITE far away", write_at(node, fh, FAR), -EFBIG);
	hostile_want("SETATTR far away", resize(node, FAR), -EFBIG);
	hostile_want("FALLOCATE far away", allocate(node, fh, FAR, 4096, 0),
		     -EFBIG);
	hostile_check(copy(node, fh, 0, FAR, 8, 0) < 0, "COPY far away");
}

void group_limits(void)
{
	uint64_t node = hostile_lookup(HOSTILE_ROOT, "f");
	const uint64_t beyond[] = {INT64_MAX, 1ull << 63, UINT64_MAX - 7,
				   UINT64_MAX};
	uint64_t fh;

	if (hostile.readonly) {
		hostile_skip("the server is read-only");
		return;
	}
	hostile_want("OPEN", hostile_open(node, O_RDWR, &fh), 0);
	for (size_t i = 0; i < ARRAY_SIZE(beyond); i++) {
		uint64_t at = beyond[i];

		hostile_want("READ", hostile_read(node, fh, at, 1u << 20),
			     -EINVAL);
		hostile_want("WRITE", write_at(node, fh, at), -EINVAL);
		hostile_check(resize(node, at) < 0, "SETATTR");
		hostile_check(allocate(node, fh, at, 4096, 0) < 0 &&
				      allocate(node, fh, 0, at, 0) < 0 &&
				      allocate(node, fh, at, at, 0) < 0,
			      "FALLOCATE");
		hostile_want("LSEEK", seek(node, fh, at, SEEK_DATA), -ENXIO);
		hostile_check(copy(node, fh, at, 0, 8, 0) <= 0 &&
				      copy(node, fh, 0, at, 8, 0) < 0 &&
				      copy(node, fh, 0, 4, at, 0) < 0,
			      "COPY_FILE_RANGE");
	}
	for (uint32_t bit = 0; bit < 32; bit++) {
		allocate(node, fh, 0, 64, 1u << bit);
		hostile_check((1u << bit) == SEEK_HOLE - 0u || bit < 3 ||
				      seek(node, fh, 0, 1u << bit) == -EINVAL,
			      "LSEEK whence %u", 1u << bit);
	}
	hostile_want("LSEEK", seek(node, fh, 0, SEEK_SET), -EINVAL);
	hostile_want("LSEEK", seek(node, fh, 0, UINT32_MAX), -EINVAL);
	hostile_want("COPY with flags", copy(node, fh, 0, 64, 8, 1), -EINVAL);
	hostile_want("WRITE of nothing", hostile_read(node, fh, 0, 0), 0);
	too_far(node, fh);
}

/* Counts of lookups. ------------------------------------------------------- */

static void forget_batch(const struct fuse_forget_one *ones, uint32_t n,
			 uint32_t count)
{
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one ones[64];
	} args = {.in.count = count};

	memcpy(args.ones, ones, n * sizeof(ones[0]));
	hostile_call(FUSE_BATCH_FORGET, 0, &args,
		     sizeof(args.in) + n * sizeof(ones[0]));
}

void group_forget(void)
{
	uint64_t node = hostile_lookup(HOSTILE_ROOT, "alive");
	const struct fuse_forget_one ones[] = {
		{FUSE_ROOT_ID, UINT64_MAX}, {0, 1},    {UINT64_MAX, UINT64_MAX},
		{node, UINT64_MAX},	    {node, 1},
	};
	const struct fuse_interrupt_in interrupt = {.unique = UINT64_MAX};
	uint64_t fh;

	hostile_want("OPEN", hostile_open(node, O_RDONLY, &fh), 0);
	for (unsigned i = 0; i < 100; i++)
		hostile_want("LOOKUP",
			     hostile_name(FUSE_LOOKUP, HOSTILE_ROOT, "alive"),
			     0);
	hostile_forget(FUSE_ROOT_ID, UINT64_MAX);
	hostile_forget(0, 1);
	hostile_forget(node + 77, 1);
	hostile_forget(node, 0);
	hostile_forget(node, 100);
	hostile_want("READ", hostile_read(node, fh, 0, 8), 0);
	forget_batch(ones, 5, 5);
	hostile_want("READ of what is forgotten", hostile_read(node, fh, 0, 8),
		     -ESTALE);
	hostile_want("the root is not",
		     hostile_name(FUSE_LOOKUP, HOSTILE_ROOT, "f"), 0);
	/* Again, the same file with the handle of before. */
	node = hostile_lookup(HOSTILE_ROOT, "alive");
	hostile_want("READ by a handle of before", hostile_read(node, fh, 0, 8),
		     -EBADF);
	forget_batch(ones, 5, UINT32_MAX);
	forget_batch(ones, 5, UINT32_MAX / 16);
	forget_batch(ones, 0, 1);
	hostile_call(FUSE_INTERRUPT, 0, &interrupt, sizeof(interrupt));
	hostile_call(FUSE_INTERRUPT, UINT64_MAX, &interrupt, 8);
}

/* Tables that are full. ---------------------------------------------------- */

static unsigned inodes_fill(uint64_t dir)
{
	char name[16];
	unsigned n = 0;
	int got = 0;

	for (; n < TREE_MANY && !got; n++) {
		snprintf(name, sizeof(name), "%u", n);
		got = hostile_name(FUSE_LOOKUP, dir, name);
	}
	hostile_check(got == (hostile.no_fds ? 0 : -ENFILE), "inode %u: %d", n,
		      got);
	return n;
}

static void handles_fill(uint64_t node)
{
	struct fuse_read_in in = {.size = 8192};
	uint64_t first = 0, fh;
	unsigned n = 0;
	int got;

	do {
		got = n % 3 ? hostile_open(node, O_RDONLY, &fh)
			    : hostile_opendir(HOSTILE_ROOT, &fh);
		if (!n)
			first = fh;
	} while (!got && ++n < HANDLES_MOST);
	hostile_check(got == -ENFILE, "handle %u: %d", n, got);
	hostile_want("OPENDIR", hostile_opendir(HOSTILE_ROOT, &fh), -ENFILE);
	in.fh = first;
	hostile_want(
		"READDIRPLUS without room for inodes",
		hostile_call(FUSE_READDIRPLUS, HOSTILE_ROOT, &in, sizeof(in)),
		0);
}

void group_caps(void)
{
	uint64_t dir = hostile_lookup(HOSTILE_ROOT, "d");
	uint64_t sub = hostile_lookup(dir, "sub");
	uint64_t node = hostile_lookup(HOSTILE_ROOT, "f");
	struct fuse_open_in none = {0};

	if (hostile.readonly) {
		hostile_skip("the server is read-only");
		return;
	}
	tree_many(true);
	inodes_fill(sub);
	handles_fill(node);
	hostile_check(hostile_call(FUSE_OPEN, node, &none, sizeof(none)) ==
			      -ENFILE,
		      "OPEN");
	/* Those with handles go to the end of the session without a name. */
	hostile_destroy();
	hostile_want("INIT", hostile_init(), 0);
	tree_many(false);
}

/* The DAX window. ---------------------------------------------------------- */

static int map(uint64_t node, uint64_t foffset, uint64_t len, uint64_t moffset,
	       uint64_t flags)
{
	const struct fuse_setupmapping_in in = {
		.fh = UINT64_MAX,
		.foffset = foffset,
		.len = len,
		.flags = flags,
		.moffset = moffset,
	};

	return hostile_call(FUSE_SETUPMAPPING, node, &in, sizeof(in));
}

void group_dax(void)
{
	static const char *const names[] = {"d", "fifo", "zero", "sec", "sock"};
	const uint64_t odd[] = {
		1,	   4096,       UNIT - 1,       UNIT + 1,
		INT64_MAX, 1ull << 63, UINT64_MAX - 1, UINT64_MAX};
	uint64_t node = hostile_lookup(HOSTILE_ROOT, "f");
	int none = hostile.dax ? 0 : -ENOSYS;

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		int wanted = hostile.dax ? -EINVAL : -ENOSYS;

		hostile_want("offset in the file",
			     map(node, odd[i], UNIT, 0, READS), wanted);
		hostile_want("length", map(node, 0, odd[i], 0, READS), wanted);
		hostile_want("offset in the window",
			     map(node, 0, UNIT, odd[i], READS), wanted);
		hostile_want("flags",
			     map(node, 0, UNIT, 0, (odd[i] & ~3ull) | 4),
			     wanted);
	}
	hostile_check(map(node, 0, 0, 0, READS) < 0, "nothing");
	hostile_check(map(node, 0, UINT64_MAX - UNIT + 1, UNIT, READS) < 0,
		      "all of it");
	hostile_check(map(HOSTILE_ROOT, 0, UNIT, 0, READS) < 0, "the root");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		hostile_check(map(hostile_lookup(HOSTILE_ROOT, names[i]), 0,
				  UNIT, 0, 3) < 0,
			      "a mapping of %s", names[i]);
	hostile_want("a mapping", map(node, 0, UNIT, 0, READS), none);
	hostile_want("far behind the file's end",
		     map(node, INT64_MAX / UNIT / 2 * UNIT, UNIT, UNIT, READS),
		     none);
	if (hostile.readonly)
		hostile_want("a mapping to write",
			     map(node, 0, UNIT, 0, WRITES),
			     hostile.dax ? -EROFS : -ENOSYS);
}

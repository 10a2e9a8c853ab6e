/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/client.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include "virtiofs/dax.h"

#define SLOTS 4u
#define SLOT FS_DAX_SLOT
#define READ FUSE_SETUPMAPPING_FLAG_READ
#define WRITE FUSE_SETUPMAPPING_FLAG_WRITE

static struct client *c;
static struct mem_window *w;
static bool own_mounts;
static enum virtiofs_file_handles file_handles;

static void begin(bool readonly)
{
	struct virtiofs_config config = {
		.cache = VIRTIOFS_CACHE_AUTO,
		.readonly = readonly,
		.dax_size = SLOTS * SLOT,
		.file_handles = file_handles,
	};

	c = client_new(&config);
	assert_int_equal(client_init(c, ~(uint64_t)FUSE_WRITEBACK_CACHE), 0);
	w = fs_dax_window(c->fs);
	assert_non_null(w);
	assert_int_equal(w->size, SLOTS * SLOT);
}

static int setup(void **state)
{
	begin(false);
	return 0;
}

static int teardown(void **state)
{
	client_free(c);
	return 0;
}

/* A file of the host: each page begins with `mark` and its number. */
static void make(const char *name, size_t size, uint32_t mark)
{
	int fd = openat(c->dir, name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	uint32_t page[1024] = {mark};

	assert_true(fd >= 0);
	for (uint32_t i = 0; i * sizeof(page) < size; i++) {
		page[1] = i;
		assert_int_equal(write_full(fd, page, sizeof(page)), 0);
	}
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static void resize(const char *name, size_t size)
{
	int fd = openat(c->dir, name, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static int map(uint64_t node, uint64_t foffset, uint64_t len, uint64_t moffset,
	       uint64_t flags)
{
	struct fuse_setupmapping_in in = {
		.fh = UINT64_MAX,
		.foffset = foffset,
		.len = len,
		.flags = flags,
		.moffset = moffset,
	};

	return client_call(c, FUSE_SETUPMAPPING, node, &in, sizeof(in), NULL,
			   0);
}

static int unmap(uint64_t node, uint32_t count, uint64_t moffset, uint64_t len)
{
	struct fuse_removemapping_in in = {.count = count};
	struct fuse_removemapping_one one = {.moffset = moffset, .len = len};

	return client_call(c, FUSE_REMOVEMAPPING, node, &in, sizeof(in), &one,
			   sizeof(one));
}

/* What a system call finds there, which takes no signal to tell. */
static bool readable(uint64_t off)
{
	int ends[2];
	bool good;

	assert_int_equal(pipe(ends), 0);
	good = write(ends[1], w->host + off, 8) == 8;
	close(ends[0]);
	close(ends[1]);
	return good;
}

static bool writable(uint64_t off)
{
	int fd = open("/dev/zero", O_RDONLY);
	bool good = read(fd, w->host + off, 8) == 8;

	close(fd);
	return good;
}

static uint32_t word(uint64_t off)
{
	uint32_t value;

	memcpy(&value, w->host + off, sizeof(value));
	return value;
}

static void is_negotiated(void **state)
{
	struct fuse_init_out *out = client_body(c);
	uint64_t node;

	assert_true(c->features & FUSE_MAP_ALIGNMENT);
	assert_true(c->features & FUSE_HAS_INODE_DAX);
	assert_int_equal(out->map_alignment, 21);
	make("a", SLOT, 1);
	assert_int_equal(map(client_lookup(c, 1, "a"), 0, SLOT, 0, READ), 0);
	/* A session that did not ask for it. */
	client_call(c, FUSE_DESTROY, 0, NULL, 0, NULL, 0);
	assert_int_equal(client_init(c, 0), 0);
	assert_int_equal(out->map_alignment, 0);
	node = client_lookup(c, 1, "a");
	assert_int_equal(map(node, 0, SLOT, 0, READ), -ENOSYS);
	assert_int_equal(unmap(node, 1, 0, SLOT), -ENOSYS);
	assert_false(readable(0));
}

static void needs_a_window(void **state)
{
	struct client *plain = client_started(VIRTIOFS_CACHE_AUTO);
	struct client *ours = c;
	struct virtiofs_config config = {.dax_size = SLOT + 4096};
	struct err err;
	uint64_t node;

	c = plain;
	assert_false(c->features & (FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX));
	make("a", SLOT, 1);
	node = client_lookup(c, 1, "a");
	assert_int_equal(map(node, 0, SLOT, 0, READ), -ENOSYS);
	assert_int_equal(unmap(node, 1, 0, SLOT), -ENOSYS);
	config.root_fd = open(c->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	config.proc_fd = -1;
	assert_null(virtiofs_new(&config, &err));
	client_free(c);
	c = ours;
}

static void maps_files(void **state)
{
	uint64_t a, fh;

	make("a", 2 * SLOT, 7);
	a = client_lookup(c, 1, "a");
	assert_false(readable(0));
	assert_int_equal(map(a, SLOT, SLOT, 2 * SLOT, READ), 0);
	assert_int_equal(word(2 * SLOT), 7);
	assert_int_equal(word(2 * SLOT + 4096 + 4), SLOT / 4096 + 1);
	assert_false(readable(2 * SLOT - 8));
	assert_false(readable(3 * SLOT));
	assert_false(writable(2 * SLOT));
	/* The same range to write, as Linux does it; then it is the file. */
	assert_int_equal(map(a, SLOT, SLOT, 2 * SLOT, READ | WRITE), 0);
	memcpy(w->host + 2 * SLOT, "word", 4);
	assert_int_equal(client_open(c, FUSE_OPEN, a, O_RDONLY, &fh), 0);
	assert_int_equal(client_read(c, a, fh, SLOT, 4), 4);
	assert_memory_equal(client_body(c), "word", 4);
	/* Several slots at once, over what was there. */
	assert_int_equal(map(a, 0, 2 * SLOT, SLOT, READ), 0);
	assert_int_equal(word(SLOT + 4), 0);
	assert_memory_equal(w->host + 2 * SLOT, "word", 4);
	assert_false(writable(2 * SLOT));
}

static void refuses(void **state)
{
	static const struct {
		uint64_t foffset, len, moffset, flags;
	} bad[] = {
		{0, 0, 0, READ},
		{0, SLOT, 0, 0},
		{0, SLOT, 0, 4 | READ},
		{4096, SLOT, 0, READ},
		{0, SLOT, 4096, READ},
		{0, SLOT / 2, 0, READ},
		{0, SLOT + 4096, 0, READ},
		{0, SLOT, SLOTS * SLOT, READ},
		{0, (SLOTS + 1) * SLOT, 0, READ},
		{0, 2 * SLOT, (SLOTS - 1) * SLOT, READ},
		{0, SLOT, UINT64_MAX - SLOT + 1, READ},
		{0, UINT64_MAX - SLOT + 1, SLOT, READ},
		{UINT64_MAX - SLOT + 1, SLOT, 0, READ},
		{1ull << 63, SLOT, 0, READ},
		{INT64_MAX - SLOT + 1, SLOT, 0, READ},
	};
	uint64_t a, node;

	make("a", SLOT, 1);
	assert_int_equal(mkdirat(c->dir, "d", 0755), 0);
	assert_int_equal(symlinkat("a", c->dir, "s"), 0);
	assert_int_equal(mkfifoat(c->dir, "p", 0644), 0);
	a = client_lookup(c, 1, "a");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(map(a, bad[i].foffset, bad[i].len,
				     bad[i].moffset, bad[i].flags),
				 -EINVAL);
		if (bad[i].flags == READ && bad[i].foffset == 0)
			assert_int_equal(
				unmap(a, 1, bad[i].moffset, bad[i].len),
				-EINVAL);
	}
	for (uint64_t i = 0; i < SLOTS; i++)
		assert_false(readable(i * SLOT));
	assert_int_equal(map(1, 0, SLOT, 0, READ), -ENODEV);
	node = client_lookup(c, 1, "s");
	assert_int_equal(map(node, 0, SLOT, 0, READ), -ENODEV);
	node = client_lookup(c, 1, "p");
	assert_int_equal(map(node, 0, SLOT, 0, READ), -ENODEV);
	assert_int_equal(map(a + 12345, 0, SLOT, 0, READ), -ESTALE);
	assert_int_equal(unmap(a, 2, 0, SLOT), -EINVAL);
	assert_int_equal(unmap(a, UINT32_MAX, 0, SLOT), -EINVAL);
	assert_int_equal(unmap(a, 0, 0, 0), 0);
}

static void read_only_tree(void **state)
{
	uint64_t a;

	client_free(c);
	begin(true);
	make("a", SLOT, 1);
	a = client_lookup(c, 1, "a");
	assert_int_equal(map(a, 0, SLOT, 0, READ | WRITE), -EROFS);
	assert_int_equal(map(a, 0, SLOT, 0, WRITE), -EROFS);
	assert_int_equal(map(a, 0, SLOT, 0, READ), 0);
	assert_false(writable(0));
}

static void removes(void **state)
{
	struct fuse_forget_in forget = {.nlookup = 1};
	uint64_t a;

	make("a", 3 * SLOT, 1);
	a = client_lookup(c, 1, "a");
	assert_int_equal(map(a, 0, 3 * SLOT, 0, READ), 0);
	assert_int_equal(unmap(a, 1, SLOT, SLOT), 0);
	assert_true(readable(0));
	assert_false(readable(SLOT));
	assert_true(readable(2 * SLOT));
	assert_int_equal(unmap(a, 1, 0, SLOTS * SLOT), 0);
	assert_false(readable(0));
	assert_false(readable(2 * SLOT));

	/* A mapping outlives what the guest knows of its file. */
	assert_int_equal(map(a, 0, SLOT, 0, READ), 0);
	client_call(c, FUSE_FORGET, a, &forget, sizeof(forget), NULL, 0);
	assert_int_equal(unlinkat(c->dir, "a", 0), 0);
	assert_int_equal(word(0), 1);
	assert_int_equal(unmap(1, 1, 0, SLOT), 0);
	assert_int_equal(client_getattr(c, a, NULL), -ESTALE);

	/* The end of the session ends all. */
	make("b", SLOT, 1);
	assert_int_equal(map(client_lookup(c, 1, "b"), 0, SLOT, 0, READ), 0);
	client_call(c, FUSE_DESTROY, 0, NULL, 0, NULL, 0);
	assert_false(readable(0));
}

static void cut_short(void **state)
{
	struct fuse_attr attr;
	uint64_t a, fh;

	make("a", SLOT, 9);
	a = client_lookup(c, 1, "a");
	assert_int_equal(map(a, 0, SLOT, SLOT, READ), 0);
	fs_dax_check(c->fs);
	assert_false(fs_dax_fault(c->fs));
	resize("a", 3 * 4096 + 5);
	fs_dax_check(c->fs);
	assert_false(readable(SLOT + 4 * 4096));
	assert_int_equal(word(SLOT + 3 * 4096), 9);
	/* The guest's kernel went there: zeros from the next page on. */
	assert_true(fs_dax_fault(c->fs));
	assert_int_equal(word(SLOT + 2 * 4096), 9);
	assert_int_equal(word(SLOT + 4 * 4096), 0);
	assert_int_equal(word(2 * SLOT - 4), 0);
	assert_false(fs_dax_fault(c->fs));
	/* Shorter still. */
	resize("a", 0);
	assert_true(fs_dax_fault(c->fs));
	assert_int_equal(word(SLOT), 0);
	/* Longer again, by the host: before the guest hears of it. */
	make("a", SLOT, 10);
	assert_int_equal(word(SLOT), 0);
	assert_int_equal(client_getattr(c, a, &attr), 0);
	assert_int_equal(word(SLOT), 10);
	assert_int_equal(word(2 * SLOT - 4096 + 4), SLOT / 4096 - 1);
	/* And by the guest. */
	resize("a", 0);
	fs_dax_check(c->fs);
	assert_false(readable(SLOT));
	assert_int_equal(client_open(c, FUSE_OPEN, a, O_WRONLY, &fh), 0);
	assert_false(readable(SLOT));
	assert_int_equal(client_write(c, a, fh, 0, "data", 4, 0), 4);
	assert_memory_equal(w->host + SLOT, "data", 4);
	assert_false(readable(SLOT + 4096));
}

/* A file that ends inside its slot is not cut short, and may grow there. */
static void short_from_the_start(void **state)
{
	uint64_t a;

	make("a", 5 * 4096, 4);
	a = client_lookup(c, 1, "a");
	assert_int_equal(map(a, 0, SLOT, 0, READ), 0);
	fs_dax_check(c->fs);
	make("a", 6 * 4096, 4);
	assert_int_equal(word(5 * 4096), 4);
	fs_dax_check(c->fs);
	assert_false(fs_dax_fault(c->fs));
	/* Then back to where it was: that is a cut. */
	resize("a", 5 * 4096);
	fs_dax_check(c->fs);
	resize("a", 6 * 4096);
	assert_false(readable(5 * 4096));
	assert_int_equal(client_getattr(c, a, NULL), 0);
	assert_true(readable(5 * 4096));
}

static void own_accesses_survive(void **state)
{
	uint64_t a;

	/* The framework takes these signals for itself, test by test. */
	client_free(c);
	begin(false);
	make("a", SLOT, 3);
	a = client_lookup(c, 1, "a");
	assert_int_equal(map(a, 0, SLOT, 0, READ), 0);
	resize("a", 4096);
	/* SIGBUS; SIGSEGV: a page that is read-only, and one of no file. */
	assert_int_equal(word(8192), 0);
	memcpy(w->host, "mine", 4);
	assert_int_equal(word(SLOT), 0);
	assert_true(w->torn);
	/* The next reply finds all as it should be. */
	assert_int_equal(client_getattr(c, a, NULL), 0);
	assert_false(w->torn);
	assert_int_equal(word(0), 3);
	assert_false(readable(8192));
	assert_false(readable(SLOT));
	assert_false(writable(0));
}

static uint32_t flags_of(const char *name)
{
	struct fuse_entry_out *out = client_body(c);
	uint64_t node = client_lookup(c, 1, name);
	uint32_t flags = out->attr.flags;
	struct fuse_attr attr;

	assert_int_equal(client_getattr(c, node, &attr), 0);
	assert_int_equal(attr.flags, flags);
	/* Known by now, which is another way there. */
	client_lookup(c, 1, name);
	assert_int_equal(out->attr.flags, flags);
	return flags;
}

static void which_files(void **state)
{
	int fd;

	make("small", FS_DAX_FILE_MIN - 1, 1);
	make("big", FS_DAX_FILE_MIN, 1);
	make("holes", FS_DAX_FILE_MIN, 1);
	resize("holes", 2 * FS_DAX_FILE_MIN);
	assert_int_equal(mkdirat(c->dir, "d", 0755), 0);
	assert_int_equal(flags_of("small"), 0);
	assert_int_equal(flags_of("holes"), 0);
	assert_int_equal(flags_of("d"), 0);
	assert_int_equal(flags_of("big"), FUSE_ATTR_DAX);
	fd = openat(c->dir, "small", O_WRONLY | O_APPEND);
	assert_int_equal(write_full(fd, "x", 1), 0);
	close(fd);
	assert_int_equal(flags_of("small"), FUSE_ATTR_DAX);
}

/* Who forgets a file and its descriptor still has it mapped. */
static void forgotten(void **state)
{
	struct fuse_forget_in in = {.nlookup = 1};
	uint64_t a, again;

	make("a", SLOT, 9);
	a = client_lookup(c, 1, "a");
	assert_int_equal(map(a, 0, SLOT, 0, READ), 0);
	client_call(c, FUSE_FORGET, a, &in, sizeof(in), NULL, 0);
	assert_int_equal(word(0), 9);
	resize("a", 0);
	fs_dax_check(c->fs);
	assert_false(readable(0));
	resize("a", SLOT);
	fs_dax_settle(c->fs);
	assert_int_equal(word(0), 0);
	/* The inode is there as long as it is mapped, and no longer. */
	again = client_lookup(c, 1, "a");
	assert_true(again == a);
	client_call(c, FUSE_FORGET, a, &in, sizeof(in), NULL, 0);
	assert_int_equal(unmap(1, 1, 0, SLOT), 0);
	assert_int_equal(client_getattr(c, a, NULL), -ESTALE);
	assert_false(readable(0));
}

/* The host's process that has one is told by a signal; it may keep waiting who
 * wants the file. */
static int lease(const char *name)
{
	int fd = openat(c->dir, name, O_RDWR | O_CLOEXEC);

	assert_true(signal(SIGIO, SIG_IGN) != SIG_ERR);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	return fd;
}

static void leased(void **state)
{
	struct fuse_interrupt_in in;
	uint64_t a;
	int fd;

	make("a", SLOT, 9);
	a = client_lookup(c, 1, "a");
	fd = lease("a");
	in.unique = c->unique + 2;
	client_call(c, FUSE_INTERRUPT, 0, &in, sizeof(in), NULL, 0);
	assert_int_equal(map(a, 0, SLOT, 0, READ), -EINTR);
	assert_false(readable(0));
	close(fd);
	/* Once there is nothing left of what was mapped. */
	assert_int_equal(map(a, 0, SLOT, 0, READ), 0);
	resize("a", 0);
	fs_dax_check(c->fs);
	fd = lease("a");
	assert_int_equal(ftruncate(fd, SLOT), 0);
	fs_dax_settle(c->fs);
	assert_false(readable(0));
	close(fd);
	assert_int_equal(map(a, 0, SLOT, 0, READ), 0);
	assert_true(readable(0));
}

/* On an overlay, opening for writing makes it another file. */
static void copied_up(void **state)
{
	char options[400];
	char at[100];
	uint64_t dir, a, fh;

	if (!own_mounts)
		skip();
	snprintf(at, sizeof(at), "%s/space", c->top);
	assert_int_equal(mkdir(at, 0755), 0);
	assert_int_equal(mount("tmpfs", at, "tmpfs", 0, NULL), 0);
	snprintf(options, sizeof(options), "%s/lower", at);
	assert_int_equal(mkdir(options, 0755), 0);
	snprintf(options, sizeof(options), "%s/upper", at);
	assert_int_equal(mkdir(options, 0755), 0);
	snprintf(options, sizeof(options), "%s/work", at);
	assert_int_equal(mkdir(options, 0755), 0);
	snprintf(options, sizeof(options), "../space/lower/a");
	make(options, SLOT, 5);
	snprintf(options, sizeof(options),
		 "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", at, at,
		 at);
	assert_int_equal(mkdirat(c->dir, "o", 0755), 0);
	snprintf(at, sizeof(at), "%s/o", c->path);
	if (mount("overlay", at, "overlay", 0, options) < 0) {
		snprintf(at, sizeof(at), "%s/space", c->top);
		umount2(at, MNT_DETACH);
		skip();
	}
	dir = client_lookup(c, 1, "o");
	a = client_lookup(c, dir, "a");
	assert_int_equal(map(a, 0, SLOT, 0, READ), 0);
	assert_int_equal(word(0), 5);
	assert_int_equal(client_open(c, FUSE_OPEN, a, O_WRONLY, &fh), 0);
	assert_int_equal(client_write(c, a, fh, 0, "upper", 5, 0), 5);
	assert_memory_equal(w->host, "upper", 5);
	client_release(c, FUSE_RELEASE, a, fh);
	client_call(c, FUSE_DESTROY, 0, NULL, 0, NULL, 0);
	umount2(at, MNT_DETACH);
	snprintf(at, sizeof(at), "%s/space", c->top);
	umount2(at, MNT_DETACH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_negotiated),
		TEST(needs_a_window),
		TEST(maps_files),
		TEST(refuses),
		TEST(read_only_tree),
		TEST(removes),
		TEST(cut_short),
		TEST(short_from_the_start),
		TEST(own_accesses_survive),
		TEST(which_files),
		TEST(forgotten),
		TEST(leased),
		TEST(copied_up),
	};

	int failed;

	own_mounts = unshare(CLONE_NEWNS) == 0 &&
		     mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	/* Where there are any: the descriptors come and go. */
	file_handles = VIRTIOFS_HANDLES_PREFER;
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>

#include "tests/unit/virtiofs/client.h"
#include "virtiofs/handle.h"
#include "virtiofs/io.h"

/* What is answered without waiting, and what is left for a worker. */

static enum fs_patience patience = FS_NOWAIT;

static int begin_call(struct client *c, uint32_t opcode, uint64_t node,
		      const void *arg, size_t len, size_t room)
{
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + len),
		.opcode = opcode,
		.unique = ++c->unique,
		.nodeid = node,
		.uid = c->uid,
		.gid = c->gid,
	};

	memcpy(c->in, &head, sizeof(head));
	memcpy(c->in + sizeof(head), arg, len);
	memset(c->out, 0, 4096);
	*c->chain = (struct virtq_chain){
		.nread = 1,
		.nwrite = 1,
		.read_len = head.len,
		.write_len = room,
		.iov = {{c->in, head.len}, {c->out, room}},
	};
	return virtiofs_begin(c->thread, c->chain);
}

static int end_call(struct client *c)
{
	const struct fuse_out_header *out = (const void *)c->out;

	assert_true(out->unique == c->unique);
	assert_true(out->len == c->written);
	return out->error;
}

static int try_call(struct client *c, uint32_t opcode, uint64_t node,
		    const void *arg, size_t len, int *error)
{
	int least = begin_call(c, opcode, node, arg, len, CLIENT_BUF);

	assert_true(least >= 0);
	if (!virtiofs_try(c->thread, patience, &c->written)) {
		assert_int_equal(c->written, 0);
		return 0;
	}
	assert_true(least <= (int)patience);
	*error = end_call(c);
	return 1;
}

static void test_names(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_entry_out *entry = client_body(c);
	struct fuse_getattr_in getattr = {0};
	struct fuse_open_in open_in = {.flags = O_WRONLY | O_TRUNC};
	uint64_t node;
	int error;

	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	assert_int_equal(try_call(c, FUSE_LOOKUP, 1, "f", 2, &error), 1);
	assert_int_equal(error, 0);
	assert_true(entry->nodeid == node);
	assert_int_equal(try_call(c, FUSE_LOOKUP, 1, "../f", 5, &error), 1);
	assert_int_equal(error, -EINVAL);
	/* Cached or not, it is not there. */
	if (try_call(c, FUSE_LOOKUP, 1, "none", 5, &error) == 1)
		assert_int_equal(error, -ENOENT);
	assert_int_equal(try_call(c, FUSE_GETATTR, node, &getattr,
				  sizeof(getattr), &error),
			 1);
	assert_int_equal(error, 0);
	assert_int_equal(try_call(c, FUSE_GETATTR, 99, &getattr,
				  sizeof(getattr), &error),
			 1);
	assert_int_equal(error, -ESTALE);
	/* Nothing that changes something, nor what is unknown. */
	assert_int_equal(
		try_call(c, FUSE_OPEN, node, &open_in, sizeof(open_in), &error),
		0);
	assert_int_equal(try_call(c, FUSE_UNLINK, 1, "f", 2, &error), 0);
	assert_int_equal(faccessat(c->dir, "f", F_OK, 0), 0);
	assert_int_equal(try_call(c, 4096, 1, "f", 2, &error), 0);
	assert_int_equal(client_getattr(c, node, NULL), 0);
	client_free(c);
}

static void test_reads(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_read_in in = {.size = 4096};
	uint64_t node;
	int error;
	int ret;
	int fd;

	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &in.fh), 0);
	/* Short, because it ends there. */
	ret = try_call(c, FUSE_READ, node, &in, sizeof(in), &error);
	if (ret == 1) {
		assert_int_equal(error, 0);
		assert_int_equal(c->written, 16 + 5);
		assert_memory_equal(client_body(c), "hello", 5);
	}
	in.size = 1 << 20;
	assert_int_equal(try_call(c, FUSE_READ, node, &in, sizeof(in), &error),
			 0);
	assert_int_equal(try_call(c, FUSE_RELEASE, node,
				  &(struct fuse_release_in){.fh = in.fh,
							    .flags = O_RDWR},
				  sizeof(struct fuse_release_in), &error),
			 0);
	assert_int_equal(client_read(c, node, in.fh, 0, 5), 5);
	assert_int_equal(try_call(c, FUSE_RELEASE, node,
				  &(struct fuse_release_in){.fh = in.fh},
				  sizeof(struct fuse_release_in), &error),
			 1);
	assert_int_equal(error, 0);
	assert_int_equal(client_read(c, node, in.fh, 0, 5), -EBADF);
	in.fh = 77;
	in.size = 1;
	assert_int_equal(try_call(c, FUSE_READ, node, &in, sizeof(in), &error),
			 1);
	assert_int_equal(error, -EBADF);

	/* A cold file: all of it, or nothing. */
	fd = openat(c->dir, "cold", O_RDWR | O_CREAT, 0644);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(write_full(fd, c->out, 4096), 0);
	assert_int_equal(fsync(fd), 0);
	posix_fadvise(fd, 8192, 0, POSIX_FADV_DONTNEED);
	close(fd);
	node = client_lookup(c, 1, "cold");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &in.fh), 0);
	in.size = 1 << 16;
	ret = try_call(c, FUSE_READ, node, &in, sizeof(in), &error);
	if (ret == 1)
		assert_int_equal(c->written, 16 + (1 << 16));
	assert_int_equal(client_read(c, node, in.fh, 0, 1 << 16), 1 << 16);
	client_free(c);
}

static int try_read(struct client *c, uint64_t node, uint64_t fh)
{
	struct fuse_read_in in = {.fh = fh, .size = 4096};
	int error = -1;
	int ret = try_call(c, FUSE_READ, node, &in, sizeof(in), &error);

	if (ret == 1)
		assert_int_equal(error, 0);
	return ret;
}

static int try_write(struct client *c, uint64_t node, uint64_t fh, size_t len)
{
	const struct fuse_write_out *out = client_body(c);
	struct {
		struct fuse_write_in in;
		char data[(128 << 10) + 1];
	} args = {.in = {.fh = fh, .size = (uint32_t)len}, .data = "hello"};
	int error = -1;
	int ret = try_call(c, FUSE_WRITE, node, &args, sizeof(args.in) + len,
			   &error);

	if (ret == 1) {
		assert_int_equal(error, 0);
		assert_int_equal(out->size, len);
	}
	return ret;
}

static enum fs_waiting waiting_of(struct client *c, uint64_t node, uint64_t fh)
{
	struct fs_handle *handle = fs_handle_get(c->fs, fh, FS_FILE, node);
	enum fs_waiting waiting;

	assert_non_null(handle);
	waiting = atomic_load(&handle->waiting);
	fs_handle_put(c->fs, handle);
	return waiting;
}

/* What is in memory alone never waits; what does not say is asked once. */
static void test_waiting(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	int memory = memfd_create("tmpfs", MFD_CLOEXEC);
	int other = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	struct fuse_open_out out;
	uint64_t node;

	assert_true(memory >= 0 && other >= 0);
	client_host_file(c, "f", "x");
	node = client_lookup(c, 1, "f");
	assert_int_equal(fs_file_add(c->fs, dup(memory), O_RDONLY, node, &out),
			 0);
	assert_int_equal(waiting_of(c, node, out.fh), FS_WAITING_ASK);
	/* Not known yet, and reading may not have to ask. */
	assert_int_equal(try_write(c, node, out.fh, 5), 0);
	assert_int_equal(try_read(c, node, out.fh), 1);
	assert_int_equal(c->written, 16);

	assert_int_equal(fs_file_add(c->fs, dup(memory), O_RDWR, node, &out),
			 0);
	assert_int_equal(waiting_of(c, node, out.fh), FS_WAITING_NEVER);
	assert_int_equal(try_write(c, node, out.fh, 5), 1);
	assert_int_equal(try_read(c, node, out.fh), 1);
	assert_int_equal(c->written, 16 + 5);
	assert_memory_equal(client_body(c), "hello", 5);
	assert_int_equal(try_write(c, node, out.fh, (128 << 10) + 1), 0);
	assert_int_equal(try_read(c, node, out.fh), 1);
	assert_int_equal(c->written, 16 + 5);

	assert_int_equal(fs_file_add(c->fs, dup(other), O_RDONLY, node, &out),
			 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(try_read(c, node, out.fh), 0);
		assert_int_equal(waiting_of(c, node, out.fh), FS_WAITING_MAYBE);
	}
	assert_true(client_read(c, node, out.fh, 0, 4096) > 0);
	close(memory);
	close(other);
	client_free(c);
}

static int try_setattr(struct client *c, uint64_t node, uint32_t valid)
{
	struct fuse_setattr_in in = {.valid = valid, .size = 3, .mode = 0600};
	int error = -1;
	int ret = try_call(c, FUSE_SETATTR, node, &in, sizeof(in), &error);

	if (ret == 1)
		assert_int_equal(error, 0);
	return ret;
}

static int try_open(struct client *c, uint64_t node, uint32_t flags)
{
	struct fuse_open_in in = {.flags = flags};
	int error = -1;
	int ret = try_call(c, FUSE_OPEN, node, &in, sizeof(in), &error);

	if (ret == 1)
		assert_int_equal(error, 0);
	return ret;
}

static int try_create(struct client *c, const char *name, uint32_t flags)
{
	struct {
		struct fuse_create_in in;
		char name[8];
	} arg = {{.flags = flags | O_CREAT, .mode = 0644}, {0}};
	int error = -1;
	int ret;

	snprintf(arg.name, sizeof(arg.name), "%s", name);
	ret = try_call(c, FUSE_CREATE, 1, &arg, sizeof(arg), &error);
	if (ret == 1)
		assert_int_equal(error, 0);
	return ret;
}

/* What is done as well where a wait is rare, and what is not even there. */
static void test_briefly(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	int other = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	struct fuse_fsync_in fsync_in = {0};
	struct fuse_open_out out;
	uint64_t node;
	int error;

	client_host_file(c, "f", "hello");
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDWR, &fsync_in.fh),
			 0);
	patience = FS_BRIEF;
	assert_int_equal(try_call(c, FUSE_LOOKUP, 1, "none", 5, &error), 1);
	assert_int_equal(error, -ENOENT);
	assert_int_equal(try_open(c, node, O_RDWR), 1);
	assert_int_equal(try_open(c, node, O_RDWR | O_TRUNC), 0);
	assert_int_equal(try_create(c, "f", O_RDWR), 1);
	assert_int_equal(try_create(c, "f", O_RDWR | O_TRUNC), 0);
	assert_int_equal(try_create(c, "new", O_RDWR | O_TRUNC), 1);
	assert_int_equal(try_setattr(c, node, FATTR_MODE), 1);
	assert_int_equal(try_setattr(c, node, FATTR_MODE | FATTR_SIZE), 0);
	assert_int_equal(try_write(c, node, fsync_in.fh, 5), 1);
	assert_int_equal(try_write(c, node, fsync_in.fh, (128 << 10) + 1), 0);
	assert_int_equal(try_call(c, FUSE_FSYNC, node, &fsync_in,
				  sizeof(fsync_in), &error),
			 0);
	/* Whether it would wait was asked before. */
	assert_int_equal(try_read(c, node, fsync_in.fh), 0);
	assert_int_equal(try_call(c, FUSE_UNLINK, 1, "f", 2, &error), 1);
	assert_int_equal(error, 0);
	assert_int_equal(faccessat(c->dir, "f", F_OK, 0), -1);
	/* A file system that does not say. */
	assert_int_equal(fs_file_add(c->fs, other, O_RDONLY, node, &out), 0);
	patience = FS_NOWAIT;
	assert_int_equal(try_read(c, node, out.fh), 0);
	patience = FS_BRIEF;
	assert_int_equal(try_read(c, node, out.fh), 1);
	patience = FS_NOWAIT;
	client_free(c);
}

/* As memory of the guest's, which is there for it to change. */
static void rewrite(struct client *c, uint32_t opcode, const char *name)
{
	struct fuse_in_header head = {
		.len = UINT32_MAX,
		.opcode = opcode,
		.unique = 4711,
		.nodeid = 4711,
		.uid = 4711,
		.gid = 4711,
		.total_extlen = UINT16_MAX,
	};

	memcpy(c->in, &head, sizeof(head));
	memcpy(c->in + sizeof(head), name, strlen(name) + 1);
}

/* A request is what it was when it was begun, however often it is tried. */
static void test_read_once(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_open_in open_in = {.flags = O_WRONLY | O_TRUNC};
	uint64_t node;
	struct stat st;

	client_host_file(c, "f", "hello");
	client_host_file(c, "g", "hello");
	/* What takes more patience than it was tried with. */
	assert_int_equal(begin_call(c, FUSE_UNLINK, 1, "f", 2, CLIENT_BUF),
			 FS_BRIEF);
	assert_false(virtiofs_try(c->thread, FS_NOWAIT, &c->written));
	assert_int_equal(c->written, 0);
	rewrite(c, FUSE_RMDIR, "g");
	assert_true(virtiofs_try(c->thread, FS_BRIEF, &c->written));
	assert_int_equal(end_call(c), 0);
	assert_int_equal(faccessat(c->dir, "f", F_OK, 0), -1);
	assert_int_equal(faccessat(c->dir, "g", F_OK, 0), 0);

	/* What turned out to, in the midst of its work. */
	node = client_lookup(c, 1, "g");
	assert_int_equal(begin_call(c, FUSE_OPEN, node, &open_in,
				    sizeof(open_in), CLIENT_BUF),
			 FS_NOWAIT);
	for (enum fs_patience p = FS_NOWAIT; p < FS_PATIENT; p++) {
		assert_false(virtiofs_try(c->thread, p, &c->written));
		assert_int_equal(c->written, 0);
		rewrite(c, FUSE_DESTROY, "f");
	}
	assert_int_equal(fstatat(c->dir, "g", &st, 0), 0);
	assert_int_equal(st.st_size, 5);
	assert_true(virtiofs_try(c->thread, FS_PATIENT, &c->written));
	assert_int_equal(end_call(c), 0);
	assert_int_equal(fstatat(c->dir, "g", &st, 0), 0);
	assert_int_equal(st.st_size, 0);
	client_free(c);
}

/* A request with which something is wrong, and one that is none. */
static void test_refused(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_fsync_in fsync_in = {0};

	/* Arguments that are too short stay so. */
	assert_int_equal(begin_call(c, FUSE_GETATTR, 1, "", 1, CLIENT_BUF),
			 FS_NOWAIT);
	rewrite(c, FUSE_LOOKUP, "f");
	assert_true(virtiofs_try(c->thread, FS_NOWAIT, &c->written));
	assert_int_equal(end_call(c), -EINVAL);
	assert_int_equal(begin_call(c, FUSE_FSYNC, 1, &fsync_in,
				    sizeof(fsync_in) - 1, CLIENT_BUF),
			 FS_PATIENT);
	assert_false(virtiofs_try(c->thread, FS_BRIEF, &c->written));
	assert_true(virtiofs_try(c->thread, FS_PATIENT, &c->written));
	assert_int_equal(end_call(c), -EINVAL);
	assert_int_equal(begin_call(c, 4096, 1, "f", 2, CLIENT_BUF),
			 FS_PATIENT);
	assert_true(virtiofs_try(c->thread, FS_PATIENT, &c->written));
	assert_int_equal(end_call(c), -ENOSYS);
	/* No room for a reply's header, where there is a reply. */
	assert_int_equal(begin_call(c, FUSE_LOOKUP, 1, "f", 2,
				    sizeof(struct fuse_out_header) - 1),
			 -EPROTO);
	assert_int_equal(begin_call(c, FUSE_FORGET, 99,
				    &(struct fuse_forget_in){.nlookup = 1},
				    sizeof(struct fuse_forget_in), 0),
			 FS_BRIEF);
	assert_true(virtiofs_try(c->thread, FS_BRIEF, &c->written));
	assert_int_equal(c->written, 0);
	c->chain->read_len = c->chain->iov[0].iov_len =
		sizeof(struct fuse_in_header) - 1;
	assert_int_equal(virtiofs_begin(c->thread, c->chain), -EPROTO);
	client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_briefly),
		cmocka_unit_test(test_read_once),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

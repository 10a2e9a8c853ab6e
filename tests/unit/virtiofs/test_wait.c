/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "tests/unit/virtiofs/client.h"
#include "virtiofs/wait.h"

/*
 * A process of the host, here the test, holds a lease on a file. It is told by
 * SIGIO that the server tries to open the file, so that the server waits.
 */

#define LEASED "leased"

struct open_call {
	struct client *c;
	struct fs_thread *thread;
	struct fuse_in_header head;
	union {
		struct fuse_open_in open;
		struct fuse_setattr_in setattr;
	} args;
	struct fuse_out_header out;
	char body[512];
	pthread_t id;
	enum fs_patience patience;
	bool done;
};

static void *call_run(void *arg)
{
	struct open_call *call = arg;
	struct virtq_chain *chain = calloc(1, sizeof(*chain));
	size_t len = call->head.len - sizeof(call->head);
	uint32_t written;

	if (!chain)
		return NULL;
	*chain = (struct virtq_chain){
		.nread = 2,
		.nwrite = 2,
		.read_len = call->head.len,
		.write_len = sizeof(call->out) + sizeof(call->body),
		.iov = {{&call->head, sizeof(call->head)},
			{&call->args, len},
			{&call->out, sizeof(call->out)},
			{call->body, sizeof(call->body)}},
	};
	call->done = virtiofs_begin(call->thread, chain) >= 0 &&
		     virtiofs_try(call->thread, call->patience, &written);
	free(chain);
	return NULL;
}

static struct open_call call_new(struct client *c, uint64_t node, int flags)
{
	struct open_call call = {
		.c = c,
		.thread = fs_thread_new(c->fs, false),
		.head = {.len = sizeof(call.head) + sizeof(call.args.open),
			 .opcode = FUSE_OPEN,
			 .unique = ++c->unique,
			 .nodeid = node,
			 .uid = c->uid,
			 .gid = c->gid},
		.args.open.flags = (uint32_t)flags,
		.patience = FS_PATIENT,
	};

	assert_non_null(call.thread);
	return call;
}

/* In a thread: -EINTR or the like is what the guest gets. */
static void call_start(struct open_call *call)
{
	call->done = false;
	assert_int_equal(pthread_create(&call->id, NULL, call_run, call), 0);
}

static int call_end(struct open_call *call)
{
	assert_int_equal(pthread_join(call->id, NULL), 0);
	assert_true(call->done);
	assert_true(call->out.unique == call->head.unique);
	fs_thread_free(call->thread);
	return call->out.error;
}

static void interrupt(struct client *c, uint64_t unique)
{
	struct fuse_interrupt_in in = {.unique = unique};

	assert_int_equal(
		client_call(c, FUSE_INTERRUPT, 0, &in, sizeof(in), NULL, 0), 0);
	/* It has no reply. */
	assert_int_equal(c->written, 0);
}

static bool told_within(time_t seconds)
{
	const struct timespec limit = {.tv_sec = seconds};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	return sigtimedwait(&set, NULL, &limit) == SIGIO;
}

static bool somebody_waits(void)
{
	return told_within(30);
}

struct leased {
	struct client *c;
	uint64_t node;
	int fd; /* with the lease */
};

static void lease(struct leased *l)
{
	assert_int_equal(fcntl(l->fd, F_SETLEASE, F_WRLCK), 0);
}

static int setup(void **state)
{
	struct leased *l = calloc(1, sizeof(*l));
	sigset_t set;

	assert_non_null(l);
	/* Before there are threads, for all of them. */
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	l->c = client_started(VIRTIOFS_CACHE_AUTO);
	client_host_file(l->c, LEASED, "hello");
	l->node = client_lookup(l->c, 1, LEASED);
	l->fd = openat(l->c->dir, LEASED, O_RDWR | O_CLOEXEC);
	assert_true(l->fd >= 0);
	lease(l);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct leased *l = *state;

	close(l->fd);
	client_free(l->c);
	free(l);
	while (told_within(0))
		;
	return 0;
}

static void test_given_up(void **state)
{
	struct leased *l = *state;
	struct open_call call = call_new(l->c, l->node, O_RDONLY);

	call_start(&call);
	assert_true(somebody_waits());
	assert_int_equal(fcntl(l->fd, F_SETLEASE, F_UNLCK), 0);
	assert_int_equal(call_end(&call), 0);
}

static void test_interrupted(void **state)
{
	struct leased *l = *state;
	struct open_call call = call_new(l->c, l->node, O_RDONLY);
	struct open_call other = call_new(l->c, l->node, O_RDONLY);

	call_start(&call);
	assert_true(somebody_waits());
	call_start(&other);
	/* Of nobody; and of one of the two. */
	interrupt(l->c, 4711);
	interrupt(l->c, call.head.unique);
	assert_int_equal(call_end(&call), -EINTR);
	assert_int_equal(fcntl(l->fd, F_SETLEASE, F_UNLCK), 0);
	assert_int_equal(call_end(&other), 0);
}

/* The two queues are not in step. */
static void test_interrupted_before(void **state)
{
	struct leased *l = *state;
	struct open_call call = call_new(l->c, l->node, O_RDWR | O_TRUNC);
	uint64_t forgotten = call.head.unique + 1;
	struct stat st;

	interrupt(l->c, call.head.unique);
	for (unsigned i = 1; i < FS_INTERRUPTS; i++)
		interrupt(l->c, call.head.unique + 1000 + i);
	call_start(&call);
	assert_int_equal(call_end(&call), -EINTR);
	assert_int_equal(fstat(l->fd, &st), 0);
	assert_int_equal(st.st_size, 5);
	/* Not more of them than the table has room for, and none of another
	 * session. */
	interrupt(l->c, forgotten);
	for (unsigned i = 0; i < 5 * FS_INTERRUPTS; i++)
		interrupt(l->c, forgotten + 1000 + i);
	assert_true(l->c->fs->waits.count <= 2 * FS_INTERRUPTS);
	virtiofs_reset(l->c->fs);
	assert_int_equal(l->c->fs->waits.count, 0);
}

static void test_truncate(void **state)
{
	struct leased *l = *state;
	struct open_call call = call_new(l->c, l->node, 0);

	call.head.opcode = FUSE_SETATTR;
	call.head.len = sizeof(call.head) + sizeof(call.args.setattr);
	call.args.setattr = (struct fuse_setattr_in){.valid = FATTR_SIZE};
	call_start(&call);
	assert_true(somebody_waits());
	interrupt(l->c, call.head.unique);
	assert_int_equal(call_end(&call), -EINTR);
}

/* CREATE of what is there. */
static void test_create(void **state)
{
	struct leased *l = *state;
	uint64_t node;
	uint64_t fh;

	interrupt(l->c, l->c->unique + 2);
	assert_int_equal(
		client_create(l->c, 1, LEASED, O_RDWR, 0644, &node, &fh),
		-EINTR);
}

/* Of the file system that it is on. */
static void test_syncfs(void **state)
{
	struct leased *l = *state;
	struct fuse_syncfs_in in = {0};

	interrupt(l->c, l->c->unique + 2);
	assert_int_equal(client_call(l->c, FUSE_SYNCFS, l->node, &in,
				     sizeof(in), NULL, 0),
			 -EINTR);
}

static void test_no_wait(void **state)
{
	struct leased *l = *state;
	struct open_call call = call_new(l->c, l->node, O_RDONLY);
	uint64_t fh;

	/* The loop leaves it to a worker. */
	call.patience = FS_NOWAIT;
	call_run(&call);
	assert_false(call.done);
	/* And so does a vCPU. */
	call.patience = FS_BRIEF;
	call_run(&call);
	assert_false(call.done);
	fs_thread_free(call.thread);
	assert_true(somebody_waits());
	/* The guest's program does not want to wait. */
	assert_int_equal(client_open(l->c, FUSE_OPEN, l->node,
				     O_RDONLY | O_NONBLOCK, &fh),
			 -EAGAIN);
	/* To read, a lease for readers is no hindrance. */
	assert_int_equal(fcntl(l->fd, F_SETLEASE, F_UNLCK), 0);
	close(l->fd);
	l->fd = openat(l->c->dir, LEASED, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fcntl(l->fd, F_SETLEASE, F_RDLCK), 0);
	assert_int_equal(client_open(l->c, FUSE_OPEN, l->node, O_RDONLY, &fh),
			 0);
}

/* No device waits for its end. */
static void test_end(void **state)
{
	struct leased *l = *state;
	struct open_call call = call_new(l->c, l->node, O_RDONLY);

	call_start(&call);
	assert_true(somebody_waits());
	fs_waits_end(&l->c->fs->waits);
	assert_int_equal(call_end(&call), -EINTR);
	assert_int_equal(client_call(l->c, FUSE_DESTROY, 0, NULL, 0, NULL, 0),
			 0);
	/* Nor does it by a guest that says goodbye meanwhile. */
	assert_true(l->c->fs->waits.over);
	fs_waits_allow(&l->c->fs->waits);
	assert_false(l->c->fs->waits.over);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_given_up),
		TEST(test_interrupted),
		TEST(test_interrupted_before),
		TEST(test_truncate),
		TEST(test_create),
		TEST(test_syncfs),
		TEST(test_no_wait),
		TEST(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

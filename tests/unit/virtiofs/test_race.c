/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/client.h"

#include <pthread.h>

/* Several threads of one server on the same few names, as a guest with many
 * CPUs does; one of them forgets and closes what the others use. */

#define THREADS 4
#define ROUNDS 1500

static struct client *client_share(const struct client *first)
{
	struct client *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	*c = *first;
	c->thread = fs_thread_new(c->fs, true);
	c->chain = calloc(1, sizeof(*c->chain));
	c->in = calloc(1, CLIENT_BUF);
	c->out = calloc(1, CLIENT_BUF);
	assert_true(c->thread && c->chain && c->in && c->out);
	return c;
}

static void client_unshare(struct client *c)
{
	fs_thread_free(c->thread);
	free(c->chain);
	free(c->in);
	free(c->out);
	free(c);
}

static void forget(struct client *c, uint64_t node, uint64_t n)
{
	struct fuse_forget_in in = {.nlookup = n};

	client_call(c, FUSE_FORGET, node, &in, sizeof(in), NULL, 0);
}

/* Looks up, opens, reads, closes, forgets: whatever number comes to mind. */
static void one_round(struct client *c, unsigned i)
{
	static const char *const names[] = {"a", "b", "c"};
	uint64_t node = 2 + i % 5;
	uint64_t fh = 1 + i % 3;
	int n = client_name(c, FUSE_LOOKUP, 1, names[i % 3]);

	assert_true(n > 0);
	node = i % 4 ? client_entry(c, n) : node;
	n = client_getattr(c, node, NULL);
	assert_true(n == 0 || n == -ESTALE);
	n = client_open(c, FUSE_OPEN, node, O_RDONLY, &fh);
	assert_true(n == 0 || n == -ESTALE || n == -ENFILE);
	n = client_read(c, node, fh, 0, 5);
	assert_true(n == 5 || n == -EBADF || n == -ESTALE);
	if (n == 5)
		assert_memory_equal(client_body(c), "hello", 5);
	n = client_release(c, FUSE_RELEASE, node, fh);
	assert_true(n == 0 || n == -EBADF || n == -ESTALE);
	forget(c, node, 1 + i % 2);
}

static void *run(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		one_round(arg, i);
	return NULL;
}

static void share_names(enum virtiofs_file_handles file_handles)
{
	struct virtiofs_config config = {
		.max_inodes = 8,
		.max_handles = 4,
		.file_handles = file_handles,
	};
	struct client *first = client_new(&config);
	struct client *clients[THREADS];
	pthread_t threads[THREADS];
	uint64_t nodes[7];
	unsigned i;

	assert_int_equal(client_init(first, 0), 0);
	client_host_file(first, "a", "hello");
	client_host_file(first, "b", "hello");
	client_host_file(first, "c", "hello");
	for (i = 0; i < THREADS; i++)
		clients[i] = client_share(first);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, run, clients[i]), 0);
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		client_unshare(clients[i]);
	}
	/* Nothing is lost: after the end of the session, all of it is free. */
	assert_int_equal(client_call(first, FUSE_DESTROY, 0, NULL, 0, NULL, 0),
			 0);
	assert_int_equal(client_init(first, 0), 0);
	for (i = 0; i < 7; i++) {
		char name[2] = {(char)('a' + i), 0};

		client_host_file(first, name, "hello");
		nodes[i] = client_lookup(first, 1, name);
	}
	for (i = 0; i < 4; i++) {
		uint64_t fh;

		assert_int_equal(
			client_open(first, FUSE_OPEN, nodes[i], O_RDONLY, &fh),
			0);
	}
	client_free(first);
}

static void test_shared_names(void **state)
{
	share_names(VIRTIOFS_HANDLES_NEVER);
}

/* Their descriptors come and go below the others as well. */
static void test_shared_file_handles(void **state)
{
	share_names(VIRTIOFS_HANDLES_PREFER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared_names),
		cmocka_unit_test(test_shared_file_handles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

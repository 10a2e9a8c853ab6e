/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/rig.h"

#include <pthread.h>
#include <time.h>

/*
 * Several vCPUs at the same rings, with the pool and the loop: each sends
 * requests of all kinds, what is done at once and what is left to others, and
 * takes replies from the ring, whosever they are.
 */

#define VCPUS 4u
#define DEPTH 3u /* requests of one vCPU at a time */
#define ROUNDS 1600u
#define RING 64
#define EPOCHS 100u
#define FILE_SIZE (200u << 10)
#define SLOT_TABLE (2u * 16u)
#define PATIENCE_S 30 /* until what did not come counts as lost */

struct kind {
	uint32_t opcode;
	uint64_t node;
	size_t len;
	int error;
	size_t body; /* of the reply */
	union {
		struct fuse_getattr_in getattr;
		struct fuse_setattr_in setattr;
		struct fuse_fsync_in fsync;
		struct fuse_read_in read;
		struct fuse_interrupt_in interrupt;
		char name[8];
	} args;
};

enum {
	GETATTR,
	LOOKUP,
	READ,
	SETATTR,
	FSYNC,	   /* for the pool, as the next one */
	LONG_READ, /* as long as the file */
	INTERRUPT, /* of nobody; has no reply */
	KINDS,
};

/* A place for a request, which is in the guest's memory. */
struct slot {
	unsigned q;
	uint16_t head;
	uint64_t table;
	uint64_t in;
	uint64_t out;
	const struct kind *kind; /* NULL: free */
	uint64_t unique;
};

struct guest;

struct vcpu {
	struct guest *g;
	unsigned index;
	pthread_t id;
	struct slot slots[DEPTH];
	struct slot urgent; /* for HIPRIO */
	unsigned epoch;	    /* of what it sent last */
};

/* test_lock guards the rings, the slots and what is below. */
struct guest {
	struct rig rig;
	unsigned queues;
	struct kind kinds[KINDS];
	struct evsource hiprio; /* the usual way of its kicks */
	struct vcpu vcpus[VCPUS];
	struct slot *by_head[1 + VIRTIOFS_QUEUES_MAX][RING];
	unsigned sent;
	unsigned came;
	unsigned running;
	unsigned epoch;	   /* of the device, between two resets; 0: over */
	char failure[160]; /* the first one; all end */
};

static void complain(struct guest *g, const char *what, unsigned q,
		     uint64_t number)
{
	if (!g->failure[0])
		snprintf(g->failure, sizeof(g->failure),
			 "%s: queue %u, %llu; %u sent, %u came", what, q,
			 (unsigned long long)number, g->sent, g->came);
	pthread_cond_broadcast(&test_signalled);
}

/* What was written there is seen before what is read next: a full barrier, in
 * a way that TSan knows. */
static void settle16(struct rig *rig, uint64_t gpa, uint16_t v)
{
	__atomic_exchange_n((uint16_t *)test_ptr(rig->d, gpa), htole16(v),
			    __ATOMIC_SEQ_CST);
}

static void slot_init(struct guest *g, struct slot *s, unsigned q,
		      uint16_t head)
{
	struct test_driver *d = g->rig.d;
	uint32_t in_len = sizeof(struct fuse_in_header) + sizeof(s->kind->args);
	uint32_t out_len = sizeof(struct fuse_out_header) + FILE_SIZE;

	*s = (struct slot){.q = q, .head = head};
	s->table = test_alloc(d, SLOT_TABLE, 16);
	s->in = test_alloc(d, in_len, 8);
	s->out = test_alloc(d, out_len, 8);
	test_put_desc(d, s->table, 0, s->in, in_len, TEST_F_NEXT, 1);
	test_put_desc(d, s->table, 1, s->out, out_len, TEST_F_WRITE, 0);
	g->by_head[q][head] = s;
}

/* In the rings that there are now. */
static void slots_place(struct guest *g)
{
	struct test_driver *d = g->rig.d;

	for (unsigned q = 0; q <= g->queues; q++) {
		for (uint16_t head = 0; head < RING; head++) {
			const struct slot *s = g->by_head[q][head];

			if (s)
				test_put_desc(d, d->rings[q].desc, head,
					      s->table, SLOT_TABLE,
					      TEST_F_INDIRECT, 0);
		}
	}
}

/* True: the device wants to be told. */
static bool publish(struct guest *g, struct slot *s, const struct kind *kind)
{
	struct test_driver *d = g->rig.d;
	struct test_ring *r = &d->rings[s->q];
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + kind->len),
		.opcode = kind->opcode,
		.unique = ++g->rig.unique,
		.nodeid = kind->node,
		.uid = getuid(),
		.gid = getgid(),
	};

	memcpy(test_ptr(d, s->in), &head, sizeof(head));
	memcpy(test_ptr(d, s->in + sizeof(head)), &kind->args,
	       sizeof(kind->args));
	memset(test_ptr(d, s->out), 0xee,
	       sizeof(struct fuse_out_header) + kind->body);
	s->kind = kind;
	s->unique = head.unique;
	g->sent++;
	test_publish(d, s->q, s->head);
	settle16(&g->rig, r->avail + 2, r->avail_idx);
	return asks_for_kick(&g->rig, s->q);
}

static void submit(struct guest *g, struct slot *s, unsigned kind)
{
	bool kick;

	pthread_mutex_lock(&test_lock);
	kick = publish(g, s, &g->kinds[kind]);
	pthread_mutex_unlock(&test_lock);
	if (!kick || virtio_device_kick_now(g->rig.d->dev, s->q))
		return;
	if (s->q == HIPRIO && eventfd_write(g->hiprio.fd, 1) == 0)
		return;
	pthread_mutex_lock(&test_lock);
	complain(g, "not for a vCPU", s->q, s->unique);
	pthread_mutex_unlock(&test_lock);
}

static bool is_right(struct guest *g, const struct slot *s, uint32_t len)
{
	const struct kind *kind = s->kind;
	const struct fuse_out_header *out = test_ptr(g->rig.d, s->out);
	const uint8_t *body = (const uint8_t *)(out + 1);

	if (kind->opcode == FUSE_INTERRUPT)
		return len == 0 && out->unique == 0xeeeeeeeeeeeeeeee;
	if (out->unique != s->unique || out->error != kind->error ||
	    out->len != len || len != sizeof(*out) + kind->body)
		return false;
	return kind->opcode != FUSE_READ ||
	       (body[0] == 'a' && body[kind->body - 1] == 'a');
}

static void take_one(struct guest *g, unsigned q, uint32_t head, uint32_t len)
{
	struct slot *s = head < RING ? g->by_head[q][head] : NULL;

	if (!s || !s->kind) {
		complain(g, "a reply to nothing", q, head);
		return;
	}
	if (!is_right(g, s, len))
		complain(g, "a wrong reply", q, s->unique);
	s->kind = NULL;
	g->came++;
}

/* All that is there, and the next one is to be told of. */
static void take_replies(struct guest *g, unsigned q)
{
	struct test_driver *d = g->rig.d;
	struct test_ring *r = &d->rings[q];
	unsigned before = g->came;
	uint32_t head;
	uint32_t len;

	do {
		while (test_used(d, q, &head, &len))
			take_one(g, q, head, len);
		settle16(&g->rig, r->avail + 4 + 2ull * r->size, r->used_idx);
	} while (test_get16(d, r->used + 2) != r->used_idx);
	/* They may be others' who wait. */
	if (g->came != before)
		pthread_cond_broadcast(&test_signalled);
}

static void wait_for(struct guest *g, struct slot *s)
{
	struct timespec end;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&test_lock);
	for (;;) {
		take_replies(g, s->q);
		if (ret && s->kind)
			complain(g, "lost", s->q, s->unique);
		if (!s->kind || g->failure[0])
			break;
		ret = pthread_cond_clockwait(&test_signalled, &test_lock,
					     CLOCK_MONOTONIC, &end);
	}
	pthread_mutex_unlock(&test_lock);
}

static bool goes_on(struct guest *g, unsigned round)
{
	bool good;

	pthread_mutex_lock(&test_lock);
	good = !g->failure[0] && round < ROUNDS;
	pthread_mutex_unlock(&test_lock);
	return good;
}

static void *vcpu_run(void *arg)
{
	struct vcpu *v = arg;
	struct guest *g = v->g;
	int ret = virtio_device_vcpu_started(g->rig.d->dev, v->index);
	unsigned kind = v->index;

	if (ret) {
		pthread_mutex_lock(&test_lock);
		complain(g, "no vCPU", v->index, (uint64_t)-ret);
		pthread_mutex_unlock(&test_lock);
	}
	for (unsigned round = 0; goes_on(g, round); round++) {
		unsigned depth = 1 + (round + v->index) % DEPTH;
		bool urgent = round % 4 == 0;

		for (unsigned i = 0; i < depth; i++)
			submit(g, &v->slots[i], kind++ % INTERRUPT);
		if (urgent)
			submit(g, &v->urgent, INTERRUPT);
		for (unsigned i = 0; i < depth; i++)
			wait_for(g, &v->slots[i]);
		if (urgent)
			wait_for(g, &v->urgent);
	}
	pthread_mutex_lock(&test_lock);
	if (--g->running == 0)
		evloop_stop(g->rig.loop);
	pthread_mutex_unlock(&test_lock);
	return NULL;
}

static void on_hiprio(struct evsource *src, uint32_t revents)
{
	struct guest *g = container_of(src, struct guest, hiprio);
	eventfd_t value;

	if (eventfd_read(src->fd, &value) == 0)
		test_kick(g->rig.d, HIPRIO);
}

/* A file, open. */
static uint64_t file_open(struct rig *rig, uint64_t *fh)
{
	struct fuse_open_in open_in = {.flags = O_RDONLY};
	const struct fuse_entry_out *entry;
	const struct fuse_open_out *opened;
	static char text[FILE_SIZE];
	char path[96];
	const void *body;
	uint64_t node;
	int fd;

	memset(text, 'a', sizeof(text));
	snprintf(path, sizeof(path), "%s/file", rig->path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, text, sizeof(text)), 0);
	close(fd);
	assert_int_equal(call(rig, REQUEST, FUSE_LOOKUP, 1, "file", 5, &body),
			 0);
	entry = body;
	node = entry->nodeid;
	assert_int_equal(call(rig, REQUEST, FUSE_OPEN, node, &open_in,
			      sizeof(open_in), &body),
			 0);
	opened = body;
	*fh = opened->fh;
	return node;
}

static void kinds_init(struct guest *g)
{
	uint64_t fh;
	uint64_t node = file_open(&g->rig, &fh);
	struct kind *kinds = g->kinds;

	kinds[GETATTR] = (struct kind){FUSE_GETATTR,
				       1,
				       sizeof(struct fuse_getattr_in),
				       0,
				       sizeof(struct fuse_attr_out),
				       {{0}}};
	kinds[LOOKUP] =
		(struct kind){FUSE_LOOKUP, 1, 5, -ENOENT, 0, {.name = "none"}};
	kinds[READ] = (struct kind){
		FUSE_READ, node, sizeof(struct fuse_read_in),
		0,	   4096, {.read = {.fh = fh, .size = 4096}}};
	kinds[SETATTR] =
		(struct kind){FUSE_SETATTR,
			      node,
			      sizeof(struct fuse_setattr_in),
			      0,
			      sizeof(struct fuse_attr_out),
			      {.setattr = {.valid = FATTR_MODE, .mode = 0644}}};
	kinds[FSYNC] =
		(struct kind){FUSE_FSYNC, node, sizeof(struct fuse_fsync_in),
			      -EBADF,	  0,	{.fsync = {.fh = 4711}}};
	kinds[LONG_READ] = (struct kind){
		FUSE_READ, node,      sizeof(struct fuse_read_in),
		0,	   FILE_SIZE, {.read = {.fh = fh, .size = FILE_SIZE}}};
	kinds[INTERRUPT] = (struct kind){FUSE_INTERRUPT,
					 0,
					 sizeof(struct fuse_interrupt_in),
					 0,
					 0,
					 {.interrupt = {.unique = UINT64_MAX}}};
}

static struct guest *guest_new(unsigned queues)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct rig *rig = &g->rig;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_non_null(g);
	rig_open_for(rig, 2, queues, true);
	test_driver_start(rig->d, FEATURES, RING);
	assert_int_equal(
		evsource_add(rig->loop, &g->hiprio, fd, EPOLLIN, on_hiprio), 0);
	g->queues = queues;
	session(rig);
	kinds_init(g);
	for (unsigned q = 0; q <= queues; q++)
		test_kick(rig->d, q);
	for (unsigned i = 0; i < VCPUS; i++) {
		struct vcpu *v = &g->vcpus[i];

		v->g = g;
		v->index = i;
		for (unsigned j = 0; j < DEPTH; j++)
			slot_init(g, &v->slots[j], REQUEST + (i + j) % queues,
				  (uint16_t)(i * DEPTH + j));
		slot_init(g, &v->urgent, HIPRIO, (uint16_t)i);
	}
	slots_place(g);
	return g;
}

static void guest_free(struct guest *g)
{
	evsource_close(&g->hiprio);
	rig_close(&g->rig);
	free(g);
}

static void at_work(unsigned queues)
{
	struct guest *g = guest_new(queues);

	g->running = VCPUS;
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(pthread_create(&g->vcpus[i].id, NULL, vcpu_run,
						&g->vcpus[i]),
				 0);
	assert_int_equal(evloop_run(g->rig.loop), 0);
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(pthread_join(g->vcpus[i].id, NULL), 0);
	/* Nor does anything more come once nobody is at work any more. */
	virtio_device_set_status(g->rig.d->dev, 0);
	for (unsigned q = 0; q <= queues; q++)
		take_replies(g, q);
	assert_string_equal(g->failure, "");
	assert_int_equal(g->came, g->sent);
	assert_true(g->sent > VCPUS * ROUNDS);
	guest_free(g);
}

static void test_one_ring(void **state)
{
	at_work(1);
}

static void test_two_rings(void **state)
{
	at_work(2);
}

/* Once for each epoch, all that there is room for. */
static bool send_again(struct vcpu *v)
{
	struct guest *g = v->g;
	bool goes_on;

	pthread_mutex_lock(&test_lock);
	goes_on = g->epoch > 0;
	for (unsigned i = 0; i < DEPTH && v->epoch != g->epoch; i++)
		(void)publish(g, &v->slots[i],
			      &g->kinds[(v->index + i) % INTERRUPT]);
	v->epoch = g->epoch;
	pthread_mutex_unlock(&test_lock);
	return goes_on;
}

/* Whether there is something, and whether the device runs: it does not ask. */
static void *restless_run(void *arg)
{
	struct vcpu *v = arg;
	struct virtio_device *dev = v->g->rig.d->dev;
	unsigned kicks = 0;
	int ret = virtio_device_vcpu_started(dev, v->index);

	while (ret == 0 && send_again(v))
		kicks += virtio_device_kick_now(dev, REQUEST);
	return kicks ? v : NULL;
}

static void reset(struct guest *g, unsigned epoch)
{
	virtio_device_set_status(g->rig.d->dev, 0);
	pthread_mutex_lock(&test_lock);
	test_driver_start(g->rig.d, FEATURES, RING);
	slots_place(g);
	g->epoch = epoch;
	pthread_mutex_unlock(&test_lock);
	test_kick(g->rig.d, REQUEST);
}

/* Resets, half of them in the midst of work: what was not replied to before is
 * not afterwards, and what comes next is. */
static void test_reset(void **state)
{
	struct guest *g = guest_new(1);
	struct test_ring *r = &g->rig.d->rings[REQUEST];
	uint64_t idx_at[EPOCHS];
	uint16_t idx[EPOCHS];
	void *worked;

	g->epoch = EPOCHS;
	for (unsigned i = 0; i < VCPUS; i++) {
		g->vcpus[i].epoch = EPOCHS;
		assert_int_equal(pthread_create(&g->vcpus[i].id, NULL,
						restless_run, &g->vcpus[i]),
				 0);
	}
	for (unsigned i = 0; i < EPOCHS; i++) {
		reset(g, 1 + i);
		for (unsigned n = 0; n < VCPUS * DEPTH && i % 2; n++)
			wait_used(&g->rig, REQUEST, NULL, NULL);
		virtio_device_set_status(g->rig.d->dev, 0);
		idx_at[i] = r->used + 2;
		idx[i] = test_get16(g->rig.d, idx_at[i]);
		assert_true(idx[i] <= VCPUS * DEPTH);
	}
	pthread_mutex_lock(&test_lock);
	g->epoch = 0;
	pthread_mutex_unlock(&test_lock);
	for (unsigned i = 0; i < VCPUS; i++) {
		assert_int_equal(pthread_join(g->vcpus[i].id, &worked), 0);
		assert_non_null(worked);
	}
	for (unsigned i = 0; i < EPOCHS; i++)
		assert_int_equal(test_get16(g->rig.d, idx_at[i]), idx[i]);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_ring),
		cmocka_unit_test(test_two_rings),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

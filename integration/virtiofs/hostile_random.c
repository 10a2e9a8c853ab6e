/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/replay.h"
#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_groups.h"
#include "integration/virtiofs/hostile_shape.h"
#include "integration/virtiofs/hostile_tree.h"

#define NODES 24u
#define HANDLES 16u
#define RACES_LEAST 50u
#define RACES_NS 30000000000ull /* a slow host has that long for them */
#define DATA 64u

static const char *const names[] = {
	"swap",	 "swap", "swap",   "file",   "file", "node", "dev",   "d",
	"deep",	 "sub",	 "secret", "victim", "f",    "new",  "new2",  ".swap",
	".file", ".dev", "inner",  "abs",    "up",   "sec",  "alive", ".node",
};

static struct {
	uint64_t nodes[NODES];
	struct {
		uint64_t node;
		uint64_t fh;
	} handles[HANDLES];
	unsigned nodes_n;
	unsigned handles_n;
} known;

static const char *any_name(void)
{
	static const char *const bad[] = {"..", "../outside/secret", "", ".",
					  "swap/secret"};

	if (hostile_draw(40) == 0)
		return bad[hostile_draw(ARRAY_SIZE(bad))];
	return names[hostile_draw(ARRAY_SIZE(names))];
}

static uint64_t any_node(void)
{
	if (hostile_draw(2) || !known.nodes_n)
		return HOSTILE_ROOT;
	return known.nodes[hostile_draw(MIN(known.nodes_n, NODES))];
}

static uint64_t any_handle(uint64_t *node)
{
	unsigned i;

	if (!known.handles_n || hostile_draw(16) == 0)
		return hostile_draw(64);
	i = (unsigned)hostile_draw(MIN(known.handles_n, HANDLES));
	*node = known.handles[i].node;
	return known.handles[i].fh;
}

static uint32_t open_flags(void)
{
	static const uint32_t flags[] = {
		O_RDONLY,
		O_RDWR,
		O_WRONLY | O_TRUNC,
		O_RDWR | O_APPEND,
		O_RDONLY | O_NONBLOCK,
	};

	return flags[hostile_draw(ARRAY_SIZE(flags))];
}

/* What a shape leaves at zero, so that a request does something. */
static size_t arguments(uint32_t opcode, uint8_t *buf, size_t len)
{
	struct fuse_setattr_in *attr = (void *)buf;
	struct fuse_write_in *write = (void *)buf;
	struct fuse_setxattr_in *set = (void *)buf;
	struct fuse_rename2_in *rename = (void *)buf;
	struct fuse_link_in *link = (void *)buf;
	struct fuse_create_in *create = (void *)buf;

	switch (opcode) {
	case FUSE_SETATTR:
		attr->valid = (uint32_t)hostile_draw(1u << 8);
		attr->mode = (uint32_t)hostile_draw(010000);
		attr->size = hostile_draw(9000);
		attr->uid = attr->gid = (uint32_t)hostile_draw(3);
		break;
	case FUSE_WRITE:
		write->size = DATA;
		memset(buf + len, 'w', DATA);
		return len + DATA;
	case FUSE_SETXATTR:
		set->size = DATA;
		memset(buf + len, 'x', DATA);
		return len + DATA;
	case FUSE_RENAME:
	case FUSE_RENAME2:
		rename->newdir = any_node();
		if (opcode == FUSE_RENAME2)
			rename->flags = (uint32_t)hostile_draw(3);
		break;
	case FUSE_LINK:
		link->oldnodeid = any_node();
		break;
	case FUSE_OPEN:
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		create->flags = open_flags();
		break;
	default:
		break;
	}
	return len;
}

/* Two names: the second one is another, or where a link leads. */
static size_t second_name(const struct shape *shape, uint8_t *buf)
{
	char *first = (char *)buf + shape->fixed;
	size_t len = shape->fixed + strlen(first) + 1;
	const char *other = any_name();

	if (shape->opcode == FUSE_SYMLINK && hostile_draw(2))
		other = "../outside";
	strcpy((char *)buf + len, other);
	return len + strlen(other) + 1;
}

static const char *xattr_name(void)
{
	static const char *const of[] = {
		"user.x",	  "security.capability",
		"trusted.canary", "system.posix_acl_access",
		"nacre.replay",
	};

	return of[hostile_draw(ARRAY_SIZE(of))];
}

static const struct shape *any_shape(void)
{
	const struct shape *shape;

	/* Half of them are of the calls that have to do with names. */
	do
		shape = &shapes[hostile_draw(hostile_draw(2) ? 13 : shapes_n)];
	while (shape->opcode == FUSE_SYNCFS);
	return shape;
}

static void request_make(struct hostile_request *r, uint8_t *buf, bool noise)
{
	const struct shape *shape = any_shape();
	uint64_t node = any_node();
	uint64_t fh = shape->handle ? any_handle(&node) : 0;
	bool xattr = shape->opcode == FUSE_SETXATTR ||
		     shape->opcode == FUSE_GETXATTR ||
		     shape->opcode == FUSE_REMOVEXATTR;
	size_t len =
		shape_fill(shape, buf, fh, xattr ? xattr_name() : any_name());

	if (shape->names > 1)
		len = second_name(shape, buf);
	len = arguments(shape->opcode, buf, len);
	if (shape->opcode == FUSE_FORGET)
		buf[0] = 1;
	*r = (struct hostile_request){
		.opcode = shape->opcode,
		.node = node,
		.args = buf,
		.len = len,
		.room = 8192,
		.queue = (unsigned)hostile_draw(LINK_REQUEST_QUEUES),
	};
	if (!noise)
		return;
	for (uint64_t n = hostile_draw(4); n > 0 && len; n--)
		buf[hostile_draw(len)] = (uint8_t)hostile_draw(256);
	if (hostile_draw(4) == 0)
		r->len = hostile_draw(SHAPE_ROOM);
	if (hostile_draw(4) == 0)
		r->room = hostile_draw(600);
	if (hostile_draw(8) == 0) {
		r->uid = hostile_draw(2) ? REPLAY_UID : UINT32_MAX;
		r->gid = hostile_draw(2) ? REPLAY_GID : 7;
	}
}

/* The end of the session, and the beginning of another, amid the others. */
static void session_make(struct hostile_request *r, uint8_t *buf)
{
	const struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 38,
		.flags = (uint32_t)hostile_draw(UINT32_MAX),
	};

	memcpy(buf, &in, sizeof(in));
	r->opcode = hostile_draw(4) ? FUSE_INIT : FUSE_DESTROY;
	r->args = buf;
	r->len = r->opcode == FUSE_INIT ? sizeof(in) : 0;
	r->room = 8192;
}

static void learn_handle(uint64_t node, uint64_t fh)
{
	known.handles[known.handles_n % HANDLES].node = node;
	known.handles[known.handles_n++ % HANDLES].fh = fh;
}

static void learn(const struct hostile_request *r, unsigned slot)
{
	const struct fuse_entry_out *entry = hostile_reply_of(slot);
	const struct fuse_open_out *open = hostile_reply_of(slot);

	switch (r->opcode) {
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		open = (const void *)(entry + 1);
		learn_handle(entry->nodeid, open->fh);
		/* fall through */
	case FUSE_LOOKUP:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		if (r->room >= sizeof(*entry))
			known.nodes[known.nodes_n++ % NODES] = entry->nodeid;
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		learn_handle(r->node, open->fh);
		break;
	default:
		break;
	}
}

/* Handles that are no longer known would fill the table. */
static void start_again(void)
{
	memset(&known, 0, sizeof(known));
	hostile_destroy();
	hostile_want("INIT", hostile_init(), 0);
}

static void run(bool noise)
{
	static uint8_t bufs[LINK_SLOTS][SHAPE_ROOM];
	struct hostile_request requests[LINK_SLOTS];
	int errors[LINK_SLOTS];

	for (unsigned i = 0; i < LINK_SLOTS; i++) {
		request_make(&requests[i], bufs[i], noise);
		if (noise && hostile_draw(128) == 0)
			session_make(&requests[i], bufs[i]);
	}
	hostile_batch(requests, LINK_SLOTS, errors);
	for (unsigned i = 0; i < LINK_SLOTS; i++)
		if (errors[i] == 0)
			learn(&requests[i], i);
	/* One of them may have forgotten it. */
	if (hostile.path)
		hostile_find_root();
}

static void run_for(unsigned seconds, bool noise)
{
	uint64_t end = monotonic_ns() + seconds * 1000000000ull;

	start_again();
	for (unsigned i = 1; monotonic_ns() < end && !hostile.wrong; i++) {
		run(noise);
		if (i % 64 == 0)
			start_again();
	}
	memset(&known, 0, sizeof(known));
}

void group_race(void)
{
	uint64_t end = monotonic_ns() + RACES_NS;
	unsigned long races = tree_races();

	tree_racer_start();
	do
		run_for(hostile.seconds, false);
	while (!hostile.wrong && tree_races() - races <= RACES_LEAST &&
	       monotonic_ns() < end);
	tree_racer_stop();
	hostile_check(tree_races() - races > RACES_LEAST,
		      "only %lu changes by the host", tree_races() - races);
}

void group_noise(void)
{
	run_for(hostile.seconds, true);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "integration/virtiofs/hostile_tree.h"

#define WRONG_SAID 8u

struct hostile hostile = {.root = FUSE_ROOT_ID};

static uint64_t unique;

/* Guest memory. ------------------------------------------------------------ */

static uint64_t in_at(unsigned slot)
{
	return (uint64_t)slot * 2 * HOSTILE_HALF;
}

static uint64_t out_at(unsigned slot)
{
	return in_at(slot) + HOSTILE_HALF;
}

const void *hostile_reply_of(unsigned slot)
{
	return link_memory + out_at(slot) + sizeof(struct fuse_out_header);
}

const void *hostile_reply(void)
{
	return hostile_reply_of(0);
}

bool hostile_check(bool good, const char *fmt, ...)
{
	va_list ap;

	if (good)
		return true;
	if (hostile.wrong++ < WRONG_SAID) {
		va_start(ap, fmt);
		printf("    ");
		vprintf(fmt, ap);
		printf("\n");
		va_end(ap);
	}
	return false;
}

void hostile_skip(const char *why)
{
	hostile.skipped = why;
}

bool hostile_want(const char *what, int got, int wanted)
{
	return hostile_check(got == wanted, "%s: got %d, wanted %d", what, got,
			     wanted);
}

static bool has_secret(const void *bytes, size_t len)
{
	return memmem(bytes, len, TREE_SECRET, strlen(TREE_SECRET)) != NULL;
}

/* A reply as the protocol has it, and nothing in it that is not the guest's.
 * Bytes behind its end are looked at as well. */
static int reply_check(uint64_t at, uint64_t number, uint32_t written,
		       size_t room)
{
	struct fuse_out_header head;
	const uint8_t *reply = link_memory + at;

	memcpy(&head, reply, sizeof(head));
	hostile_check(written >= sizeof(head) && written == head.len &&
			      head.len <= sizeof(head) + room,
		      "a reply of %u bytes says %u, with room for %zu", written,
		      head.len, sizeof(head) + room);
	hostile_check(head.unique == number, "a reply to another request");
	hostile_check(head.error <= 0 && head.error > -512, "error %d",
		      head.error);
	hostile_check(!head.error || head.len == sizeof(head),
		      "error %d, and %u bytes", head.error, head.len);
	hostile_check(!has_secret(reply, sizeof(head) + room),
		      "the secret, in a reply");
	hostile.reply_len = head.len - (uint32_t)sizeof(head);
	return head.error;
}

/* Requests. ---------------------------------------------------------------- */

static unsigned queue_of(const struct hostile_request *r)
{
	return r->hiprio ? LINK_HIPRIO : LINK_REQUESTS + r->queue;
}

static void request_submit(const struct hostile_request *r, unsigned slot)
{
	uint8_t *in = link_memory + in_at(slot);
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + r->len),
		.opcode = r->opcode,
		.unique = unique + slot,
		.nodeid = r->node,
		.uid = r->uid,
		.gid = r->gid,
		.pid = 1,
	};
	const struct link_seg segs[] = {
		{in_at(slot), head.len, false},
		{out_at(slot),
		 (uint32_t)(sizeof(struct fuse_out_header) + r->room), true},
	};

	if (head.len > HOSTILE_HALF || segs[1].len > HOSTILE_HALF)
		link_die("a request without room");
	memcpy(in, &head, sizeof(head));
	if (r->len)
		memcpy(in + sizeof(head), r->args, r->len);
	memset(link_memory + out_at(slot), 0, segs[1].len);
	link_submit(queue_of(r), slot, segs, r->silent ? 1 : 2);
}

static bool answers(uint32_t opcode)
{
	return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET &&
	       opcode != FUSE_INTERRUPT;
}

void hostile_batch(const struct hostile_request *requests, unsigned n,
		   int *errors)
{
	unsigned slot;
	uint32_t written;

	unique += 2 * LINK_SLOTS;
	hostile.requests += n;
	for (unsigned i = 0; i < n; i++) {
		errors[i] = HOSTILE_FAULT;
		request_submit(&requests[i], i);
	}
	for (unsigned i = 0; i < n; i++) {
		if (!link_next(queue_of(&requests[i]), &slot, &written))
			return;
		if (slot >= n)
			link_die("a chain that was not sent");
		if (!answers(requests[slot].opcode)) {
			hostile_check(written == 0, "an answer to opcode %u",
				      requests[slot].opcode);
			errors[slot] = 0;
			continue;
		}
		errors[slot] = reply_check(out_at(slot), unique + slot, written,
					   requests[slot].room);
	}
}

int hostile_run(const struct hostile_request *request)
{
	int error;

	hostile_batch(request, 1, &error);
	return error;
}

int hostile_call(uint32_t opcode, uint64_t node, const void *args, size_t len)
{
	const struct hostile_request request = {
		.opcode = opcode,
		.node = node,
		.args = args,
		.len = len,
		.room = HOSTILE_HALF - sizeof(struct fuse_out_header),
	};

	return hostile_run(&request);
}

int hostile_name(uint32_t opcode, uint64_t node, const char *name)
{
	return hostile_call(opcode, node, name, strlen(name) + 1);
}

int hostile_raw(unsigned queue, const struct link_seg *segs, unsigned n,
		uint64_t out)
{
	struct fuse_out_header head;
	unsigned slot;
	uint32_t written;

	hostile.requests++;
	link_submit(queue, 0, segs, n);
	if (!link_next(queue, &slot, &written))
		return HOSTILE_FAULT;
	if (!written)
		return 0;
	memcpy(&head, link_memory + out, sizeof(head));
	hostile_check(written == head.len, "a reply of %u bytes says %u",
		      written, head.len);
	hostile_check(head.error <= 0 && head.error > -512, "error %d",
		      head.error);
	hostile_check(!has_secret(link_memory + out,
				  MIN(LINK_MEMORY - out, (uint64_t)65536)),
		      "the secret, in a reply");
	return head.error;
}

/* Sessions. ---------------------------------------------------------------- */

int hostile_init(void)
{
	const struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 38,
		.max_readahead = 128u << 10,
		.flags = UINT32_MAX & ~(uint32_t)FUSE_WRITEBACK_CACHE,
		.flags2 = UINT32_MAX,
	};

	int error = hostile_call(FUSE_INIT, 0, &in, sizeof(in));

	if (!error) {
		hostile_find_root();
		hostile_check(hostile.root, "LOOKUP of the share");
	}
	return error;
}

void hostile_find_root(void)
{
	const char *at = hostile.path;
	uint64_t node = FUSE_ROOT_ID;
	char name[256];
	size_t n;

	for (; at && *at && node; at += n + (at[n] == '/')) {
		n = strcspn(at, "/");
		snprintf(name, sizeof(name), "%.*s", (int)n, at);
		node = hostile_lookup(node, name);
	}
	hostile.root = node;
}

void hostile_destroy(void)
{
	hostile_want("DESTROY", hostile_call(FUSE_DESTROY, 0, NULL, 0), 0);
}

void hostile_again(void)
{
	link_again();
	hostile_want("INIT after a fault", hostile_init(), 0);
}

uint64_t hostile_lookup(uint64_t dir, const char *name)
{
	const struct fuse_entry_out *out = hostile_reply();

	return hostile_name(FUSE_LOOKUP, dir, name) ? 0 : out->nodeid;
}

static int open_by(uint32_t opcode, uint64_t node, uint32_t flags, uint64_t *fh)
{
	const struct fuse_open_in in = {.flags = flags};
	const struct fuse_open_out *out = hostile_reply();
	int error = hostile_call(opcode, node, &in, sizeof(in));

	*fh = error ? 0 : out->fh;
	return error;
}

int hostile_open(uint64_t node, uint32_t flags, uint64_t *fh)
{
	return open_by(FUSE_OPEN, node, flags, fh);
}

int hostile_opendir(uint64_t node, uint64_t *fh)
{
	return open_by(FUSE_OPENDIR, node, O_RDONLY, fh);
}

int hostile_read(uint64_t node, uint64_t fh, uint64_t offset, uint32_t size)
{
	const struct fuse_read_in in = {
		.fh = fh,
		.offset = offset,
		.size = size,
	};

	return hostile_call(FUSE_READ, node, &in, sizeof(in));
}

int hostile_release(uint64_t node, uint64_t fh)
{
	const struct fuse_release_in in = {.fh = fh};

	return hostile_call(FUSE_RELEASE, node, &in, sizeof(in));
}

int hostile_forget(uint64_t node, uint64_t n)
{
	const struct fuse_forget_in in = {.nlookup = n};

	return hostile_call(FUSE_FORGET, node, &in, sizeof(in));
}

uint64_t hostile_draw(uint64_t below)
{
	static uint64_t state;

	if (!state)
		state = hostile.seed * 0x9e3779b97f4a7c15ull | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % below;
}

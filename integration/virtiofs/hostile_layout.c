/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "base/clock.h"
#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_groups.h"

#define HEAD ((uint32_t)sizeof(struct fuse_in_header))
#define REPLY ((uint32_t)sizeof(struct fuse_out_header))
/* Long, for one request, even on a busy machine. */
#define MOMENT_NS 1000000000ull
#define TRIES 5u
#define IN HOSTILE_OWN
#define OUT (HOSTILE_OWN + (1u << 20))
#define TABLE link_address(OUT + 8192)
#define ASKS (HEAD + (uint32_t)sizeof(struct fuse_getattr_in))
#define ANSWERS (REPLY + (uint32_t)sizeof(struct fuse_attr_out))

static uint32_t put(uint32_t opcode, uint64_t node, const void *args,
		    size_t len)
{
	const struct fuse_in_header head = {
		.len = (uint32_t)(HEAD + len),
		.opcode = opcode,
		.nodeid = node,
	};

	memcpy(link_memory + IN, &head, sizeof(head));
	memcpy(link_memory + IN + HEAD, args, len);
	memset(link_memory + OUT, 0, 4096);
	return head.len;
}

static uint32_t put_getattr(void)
{
	const struct fuse_getattr_in in = {0};

	return put(FUSE_GETATTR, HOSTILE_ROOT, &in, sizeof(in));
}

/* GETATTR of the root, as it lies in segs; 0, -errno or HOSTILE_FAULT. */
static void getattr(const char *what, const struct link_seg *segs, unsigned n,
		    uint64_t out, int wanted)
{
	int got;

	put_getattr();
	got = hostile_raw(LINK_REQUESTS, segs, n, out);
	hostile_want(what, got, wanted);
	if (got == HOSTILE_FAULT)
		hostile_again();
}

static void pieces(void)
{
	struct link_seg segs[LINK_SEGS];
	unsigned n = 0;

	for (uint32_t i = 0; i < ASKS; i++)
		segs[n++] = (struct link_seg){IN + i, 1, false};
	for (uint32_t i = 0; i < 7; i++)
		segs[n++] = (struct link_seg){OUT + i, 1, true};
	segs[n++] = (struct link_seg){OUT + 7, ANSWERS - 7, true};
	getattr("byte by byte", segs, n, OUT, 0);
}

static void room_for_replies(void)
{
	const struct link_seg ask = {IN, ASKS, false};

	for (uint32_t room = 0; room < REPLY; room++) {
		const struct link_seg segs[] = {ask, {OUT, room, true}};

		getattr("no room for a reply", segs, room ? 2 : 1, OUT,
			HOSTILE_FAULT);
	}
	for (uint32_t room = REPLY; room < ANSWERS; room += 8) {
		const struct link_seg segs[] = {ask, {OUT, room, true}};

		getattr("room for a part of it", segs, 2, OUT, -EINVAL);
	}
}

static void requests_cut(void)
{
	for (uint32_t len = 1; len < HEAD; len++) {
		const struct link_seg segs[] = {
			{IN, len, false},
			{OUT, 4096, true},
		};

		getattr("half a header", segs, 2, OUT, HOSTILE_FAULT);
	}
}

static void overlaps(void)
{
	const struct link_seg same[] = {{IN, ASKS, false}, {IN, 4096, true}};
	const struct link_seg within[] = {
		{IN, ASKS, false},
		{IN + 24, 4096, true},
	};
	const struct link_seg twice[] = {
		{IN, ASKS, false},
		{OUT, 64, true},
		{OUT, 64, true},
	};
	uint64_t node = hostile_lookup(HOSTILE_ROOT, "alive");
	struct fuse_read_in in = {.size = 4096};
	const struct link_seg read[] = {
		{IN, HEAD + sizeof(in), false},
		{IN, 1u << 16, true},
	};

	getattr("a reply over its request", same, 2, IN, 0);
	getattr("over a part of it", within, 2, IN + 24, 0);
	/* The header of the reply is overwritten by what follows it: nobody's
	 * loss but the guest's. */
	put_getattr();
	link_submit(LINK_REQUESTS, 0, twice, 3);
	hostile_check(link_next(LINK_REQUESTS, &(unsigned){0}, &(uint32_t){0}),
		      "a reply over itself");
	hostile_want("OPEN", hostile_open(node, O_RDONLY, &in.fh), 0);
	put(FUSE_READ, node, &in, sizeof(in));
	hostile_want("data over its request",
		     hostile_raw(LINK_REQUESTS, read, 2, IN), 0);
}

/* As much as descriptors can say, of memory that is there once. */
static void far_too_much(void)
{
	struct link_seg segs[LINK_SEGS];
	struct fuse_batch_forget_in in = {.count = UINT32_MAX};
	const uint32_t big = LINK_MEMORY - (uint32_t)OUT;
	uint64_t took = UINT64_MAX, start;
	struct fuse_in_header head = {
		.opcode = FUSE_BATCH_FORGET,
		.len = HEAD + sizeof(in) + 60 * big,
	};

	in.count = 60 * big / sizeof(struct fuse_forget_one);
	memset(link_memory + OUT, 0xff, big);
	segs[0] = (struct link_seg){IN, HEAD + sizeof(in), false};
	for (unsigned i = 1; i <= 60; i++)
		segs[i] = (struct link_seg){OUT, big, false};
	segs[61] = (struct link_seg){IN, 4096, true};
	/* Whatever else the host does makes it longer, once is enough. */
	for (unsigned i = 0; i < TRIES && took >= MOMENT_NS; i++) {
		memcpy(link_memory + IN, &head, sizeof(head));
		memcpy(link_memory + IN + HEAD, &in, sizeof(in));
		start = monotonic_ns();
		hostile_raw(LINK_HIPRIO, segs, 61, IN);
		took = MIN(took, monotonic_ns() - start);
	}
	hostile_check(took < MOMENT_NS,
		      "15 million nodes to forget: the loop had to wait");
	put(FUSE_LOOKUP, HOSTILE_ROOT, "n", 1);
	head.len = HEAD + 60 * big;
	head.opcode = FUSE_LOOKUP;
	head.nodeid = HOSTILE_ROOT;
	memcpy(link_memory + IN, &head, sizeof(head));
	hostile_want("a name of megabytes",
		     hostile_raw(LINK_REQUESTS, segs, 62, IN), -E2BIG);
}

void group_layout(void)
{
	pieces();
	room_for_replies();
	requests_cut();
	overlaps();
	far_too_much();
	put_getattr();
}

/* Rings. ------------------------------------------------------------------- */

static void fault(const char *what, uint16_t head, uint16_t advance)
{
	unsigned slot;
	uint32_t len;

	hostile.requests++;
	link_push(LINK_REQUESTS, head, advance);
	hostile_check(!link_next(LINK_REQUESTS, &slot, &len),
		      "%s: the device goes on", what);
	hostile_again();
}

/* Two descriptors for GETATTR, to be made worse. */
static struct vring_desc *fresh(void)
{
	struct vring_desc *desc = link_desc(LINK_REQUESTS);

	put_getattr();
	desc[0] = (struct vring_desc){link_address(IN), ASKS, VRING_DESC_F_NEXT,
				      1};
	desc[1] = (struct vring_desc){link_address(OUT), 4096,
				      VRING_DESC_F_WRITE, 0};
	return desc;
}

static void bad_addresses(void)
{
	const struct {
		uint64_t at;
		uint32_t len;
	} bad[] = {
		{link_end(), 64}, {link_end() - 8, 64}, {UINT64_MAX - 4, 64},
		{UINT64_MAX, 1},  {0, UINT32_MAX},	{1ull << 63, 4096},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fresh()[1].addr = bad[i].at;
		link_desc(LINK_REQUESTS)[1].len = bad[i].len;
		fault("a reply outside of memory", 0, 1);
		fresh()[0].addr = bad[i].at;
		link_desc(LINK_REQUESTS)[0].len = bad[i].len;
		fault("a request outside of memory", 0, 1);
	}
}

static void bad_indirect(void)
{
	struct vring_desc table[2];
	struct vring_desc *desc = fresh();
	const uint32_t lens[] = {0, 1, 15, 17, 2 * sizeof(*desc) + 8};

	memcpy(table, desc, sizeof(table));
	memcpy(link_memory + OUT + 8192, table, sizeof(table));
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		fresh()[0] = (struct vring_desc){TABLE, lens[i],
						 VRING_DESC_F_INDIRECT, 0};
		fault("an indirect table of odd length", 0, 1);
	}
	table[0].flags = VRING_DESC_F_INDIRECT;
	memcpy(link_memory + OUT + 8192, table, sizeof(table));
	fresh()[0] = (struct vring_desc){TABLE, sizeof(table),
					 VRING_DESC_F_INDIRECT, 0};
	fault("a table in a table", 0, 1);
	fresh()[0].flags = VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT;
	fault("a table and more", 0, 1);
}

void group_rings(void)
{
	if (link_is_local()) {
		hostile_skip("no rings");
		return;
	}
	fresh()[1].flags = VRING_DESC_F_WRITE | VRING_DESC_F_NEXT;
	fault("a chain without an end", 0, 1);
	fresh()[0].next = LINK_RING;
	fault("a next that is none", 0, 1);
	fresh()[0].flags |= VRING_DESC_F_WRITE;
	link_desc(LINK_REQUESTS)[1].flags = 0;
	fault("a request behind its reply", 0, 1);
	fresh();
	fault("a head that is none", LINK_RING, 1);
	fresh();
	fault("more heads than the ring has", 0, LINK_RING + 1);
	fresh();
	fault("an index that goes back", 0, UINT16_MAX);
	bad_addresses();
	bad_indirect();
}

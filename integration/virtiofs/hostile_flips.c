/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Descriptors, headers and names that another thread changes while the device
 * looks at them: what was checked is what is used, or the device faults.
 */

#include <linux/virtio_ring.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_groups.h"
#include "integration/virtiofs/hostile_tree.h"

#define IN HOSTILE_OWN
#define OUT (HOSTILE_OWN + (1u << 20))
#define QUEUE (LINK_REQUESTS + 1) /* its own */
#define ROOM 4096u
#define NAME_AT (IN + sizeof(struct fuse_in_header))
#define BURST 64u /* changes before another thread may run */

static const char names[][6] = {"alive", "..", ".", "up/..", "/etc", "alive"};

static atomic_bool flipping;
static unsigned long answers, refusals, faults;

/* What a request needs, and what it must not have. */
static void flip(unsigned i)
{
	volatile struct vring_desc *desc = link_desc(QUEUE);
	volatile struct fuse_in_header *head =
		(volatile void *)(link_memory + IN);
	volatile char *name = (volatile char *)link_memory + NAME_AT;
	const bool bad = i % 2;

	switch (i / 2 % 6) {
	case 0:
		desc[0].addr = bad ? link_end() - 8 : link_address(IN);
		break;
	case 1:
		desc[1].addr = bad ? UINT64_MAX - 64 : link_address(OUT);
		break;
	case 2:
		desc[1].len = bad ? UINT32_MAX : ROOM;
		break;
	case 3:
		desc[0].next = bad ? 0 : 1;
		break;
	case 4:
		head->len = bad ? UINT32_MAX
				: (uint32_t)(sizeof(*head) + sizeof(names[0]));
		break;
	default:
		for (size_t n = 0; n < sizeof(names[0]); n++)
			name[n] = names[bad ? 1 + i / 12 % 4 : 0][n];
		break;
	}
}

static void *flip_run(void *arg)
{
	for (unsigned i = 0; atomic_load(&flipping); i++) {
		flip(i);
		if (i % BURST == 0)
			sched_yield();
	}
	return NULL;
}

static void request_make(void)
{
	struct vring_desc *desc = link_desc(QUEUE);
	const struct fuse_in_header head = {
		.len = sizeof(head) + sizeof(names[0]),
		.opcode = FUSE_LOOKUP,
		.nodeid = HOSTILE_ROOT,
	};

	memset(link_memory + OUT, 0, ROOM);
	memcpy(link_memory + IN, &head, sizeof(head));
	memcpy(link_memory + NAME_AT, names[0], sizeof(names[0]));
	desc[0] = (struct vring_desc){link_address(IN),
				      sizeof(head) + sizeof(names[0]),
				      VRING_DESC_F_NEXT, 1};
	desc[1] = (struct vring_desc){link_address(OUT), ROOM,
				      VRING_DESC_F_WRITE, 0};
}

/* The file that is there, or a refusal. */
static void reply_look(void)
{
	struct fuse_out_header head;
	struct fuse_entry_out entry;

	memcpy(&head, link_memory + OUT, sizeof(head));
	memcpy(&entry, link_memory + OUT + sizeof(head), sizeof(entry));
	hostile_check(!memmem(link_memory + OUT, ROOM, TREE_SECRET,
			      strlen(TREE_SECRET)),
		      "the secret, in a reply");
	if (head.error || head.len != sizeof(head) + sizeof(entry)) {
		refusals++;
		return;
	}
	answers++;
	hostile_check(S_ISREG(entry.attr.mode) &&
			      entry.attr.size == strlen(TREE_ALIVE),
		      "a name that is checked, and another one that is used: "
		      "mode %o",
		      entry.attr.mode);
}

static void flip_for(uint64_t ns)
{
	uint64_t end = monotonic_ns() + ns;
	unsigned slot;
	uint32_t len;

	while (monotonic_ns() < end && !hostile.wrong) {
		hostile.requests++;
		request_make();
		link_push(QUEUE, 0, 1);
		if (link_next(QUEUE, &slot, &len)) {
			reply_look();
			continue;
		}
		faults++;
		hostile_again();
	}
}

void group_flips(void)
{
	pthread_t thread;

	atomic_store(&flipping, true);
	if (pthread_create(&thread, NULL, flip_run, NULL))
		link_die("pthread_create");
	flip_for(hostile.seconds * 1000000000ull);
	atomic_store(&flipping, false);
	pthread_join(thread, NULL);
	hostile_again();
	hostile_check(answers && refusals + faults,
		      "%lu answers, %lu refusals, %lu faults", answers,
		      refusals, faults);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/frontend.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdpass.h"
#include "integration/bench/measure.h"
#include "vmm/virtio/inflight.h"
#include "vmm/virtio/vhost_user_msg.h"

#define QUEUES 2u
#define REQUESTS 1u /* the queue; 0 is for what may not wait */
#define RING 128u
#define RING_ROOM 8192u
/* Of a slot: arguments with header, reply with header, data. */
#define ARGS_ROOM 4096u
#define SLOT (3 * ARGS_ROOM + FRONTEND_DATA)
#define MEMORY (QUEUES * RING_ROOM + FRONTEND_DEPTH * SLOT)
#define PARTS 4u
#define NOTES_NS 20000000000ull
/* The server's addresses are ours: guest memory begins at 0. */
#define GUEST_BASE 0ull

struct frontend {
	int sock;
	int memfd;
	int kick;
	int call;
	uint8_t *memory;
	struct vring ring;
	uint16_t avail; /* as far as requests were added */
	uint16_t kicked;
	uint16_t used; /* as far as replies were taken */
	uint64_t unique;
	int notes_fd; /* -1: none */
	struct vu_inflight notes;
	uint8_t *map;
};

/* Messages. ------------------------------------------------------------- */

static void send_fd(struct frontend *fe, uint32_t request, const void *payload,
		    uint32_t len, int fd)
{
	struct {
		struct vu_header header;
		uint8_t payload[VU_PAYLOAD_MAX];
	} msg = {.header = {request, VU_VERSION, len}};
	ssize_t n;

	if (len)
		memcpy(msg.payload, payload, len);
	n = fd_send(fe->sock, &msg, sizeof(msg.header) + len, &fd, fd >= 0, 0);
	if (n != (ssize_t)(sizeof(msg.header) + len))
		die("vhost-user");
}

static void send_u64(struct frontend *fe, uint32_t request, uint64_t v, int fd)
{
	send_fd(fe, request, &v, sizeof(v), fd);
}

static void send_state(struct frontend *fe, uint32_t request, uint32_t q,
		       uint32_t num)
{
	const struct vu_vring_state state = {q, num};

	send_fd(fe, request, &state, sizeof(state), -1);
}

static uint64_t ask(struct frontend *fe, uint32_t request)
{
	struct {
		struct vu_header header;
		uint64_t v;
	} __attribute__((packed)) reply;

	send_fd(fe, request, NULL, 0, -1);
	if (recv(fe->sock, &reply, sizeof(reply), MSG_WAITALL) !=
		    sizeof(reply) ||
	    reply.header.request != request)
		die("vhost-user: no reply");
	return reply.v;
}

/* Rings. ---------------------------------------------------------------- */

static uint64_t address_of(const struct frontend *fe, const void *p)
{
	return GUEST_BASE + (uint64_t)((const uint8_t *)p - fe->memory);
}

/* Where it was, unless the server's notes say more; from 0 on at first. */
static void start_ring(struct frontend *fe, unsigned q)
{
	bool old = q == REQUESTS && fe->kick >= 0;
	int kick = old ? fe->kick : eventfd(0, EFD_CLOEXEC);
	int call = old ? fe->call : eventfd(0, EFD_CLOEXEC);
	struct vu_vring_addr addr = {.index = q};
	struct vring ring;

	vring_init(&ring, RING, fe->memory + q * RING_ROOM, 64);
	addr.desc = (uintptr_t)ring.desc;
	addr.avail = (uintptr_t)ring.avail;
	addr.used = (uintptr_t)ring.used;
	send_state(fe, VU_SET_VRING_NUM, q, RING);
	send_state(fe, VU_SET_VRING_BASE, q, ring.used->idx);
	send_fd(fe, VU_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	send_u64(fe, VU_SET_VRING_KICK, q, kick);
	send_u64(fe, VU_SET_VRING_CALL, q, call);
	send_state(fe, VU_SET_VRING_ENABLE, q, 1);
	if (kick < 0 || call < 0)
		die("eventfd");
	if (q == REQUESTS) {
		fe->ring = ring;
		fe->kick = kick;
		fe->call = call;
	}
}

/* The first server gives it, each gets it. */
static void share_notes(struct frontend *fe)
{
	struct {
		struct vu_header header;
		struct vu_inflight notes;
	} __attribute__((packed)) reply;
	const struct vu_inflight shape = {.num_queues = QUEUES,
					  .queue_size = RING};
	unsigned nfds = 1;

	if (fe->notes_fd < 0) {
		send_fd(fe, VU_GET_INFLIGHT_FD, &shape, sizeof(shape), -1);
		if (fd_recv(fe->sock, &reply, sizeof(reply), &fe->notes_fd,
			    &nfds, MSG_WAITALL) != sizeof(reply) ||
		    nfds != 1)
			die("vhost-user: GET_INFLIGHT_FD");
		fe->notes = reply.notes;
		fe->map = mmap(NULL, fe->notes.mmap_size,
			       PROT_READ | PROT_WRITE, MAP_SHARED, fe->notes_fd,
			       (off_t)fe->notes.mmap_offset);
		if (fe->map == MAP_FAILED)
			die("vhost-user: inflight memory");
	}
	send_fd(fe, VU_SET_INFLIGHT_FD, &fe->notes, sizeof(fe->notes),
		fe->notes_fd);
}

static void start(struct frontend *fe, bool tracked)
{
	const uint64_t want =
		1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |
		1ull << VIRTIO_RING_F_INDIRECT_DESC | VU_F_PROTOCOL_FEATURES;
	const uint64_t protocol =
		VU_PROTOCOL_F_MQ | (tracked ? VU_PROTOCOL_F_INFLIGHT_SHMFD : 0);
	struct vu_memory memory = {
		.count = 1,
		.regions = {{GUEST_BASE, MEMORY, (uintptr_t)fe->memory, 0}},
	};
	uint64_t features = ask(fe, VU_GET_FEATURES) & want;

	if (features != want)
		die("vhost-user: features");
	if (!(ask(fe, VU_GET_PROTOCOL_FEATURES) &
	      VU_PROTOCOL_F_INFLIGHT_SHMFD) &&
	    tracked)
		die("vhost-user: no inflight tracking");
	send_u64(fe, VU_SET_PROTOCOL_FEATURES, protocol, -1);
	send_fd(fe, VU_SET_OWNER, NULL, 0, -1);
	send_u64(fe, VU_SET_FEATURES, features, -1);
	if (tracked)
		share_notes(fe);
	send_fd(fe, VU_SET_MEM_TABLE, &memory,
		(uint32_t)(offsetof(struct vu_memory, regions) +
			   sizeof(memory.regions[0])),
		fe->memfd);
	for (unsigned q = 0; q < QUEUES; q++)
		start_ring(fe, q);
	/* Whoever answers has done all before. */
	ask(fe, VU_GET_FEATURES);
}

static uint8_t *slot_at(const struct frontend *fe, unsigned slot)
{
	return fe->memory + QUEUES * RING_ROOM + (size_t)slot * SLOT;
}

void *frontend_data(const struct frontend *fe, unsigned slot)
{
	return slot_at(fe, slot) + 2 * ARGS_ROOM;
}

static const struct fuse_out_header *header_of(const struct frontend *fe,
					       unsigned slot)
{
	return (const void *)(slot_at(fe, slot) + ARGS_ROOM);
}

const void *frontend_reply(const struct frontend *fe, unsigned slot)
{
	return header_of(fe, slot) + 1;
}

void frontend_add(struct frontend *fe, unsigned slot, const struct request *r)
{
	uint8_t *at = slot_at(fe, slot);
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + r->args_len + r->data_len),
		.opcode = r->opcode,
		.unique = fe->unique += 2,
		.nodeid = r->node,
		.pid = 1,
	};
	const struct {
		uint8_t *at;
		size_t len;
		uint16_t flags;
	} parts[PARTS] = {
		{at, sizeof(head) + r->args_len, 0},
		{at + 2 * ARGS_ROOM, r->data_len, 0},
		{at + ARGS_ROOM, sizeof(struct fuse_out_header) + r->room,
		 VRING_DESC_F_WRITE},
		{at + 2 * ARGS_ROOM, r->data_room, VRING_DESC_F_WRITE},
	};
	uint16_t first = (uint16_t)(slot * PARTS);
	struct vring_desc *desc = NULL;
	uint16_t n = first;

	memcpy(at, &head, sizeof(head));
	if (r->args_len)
		memcpy(at + sizeof(head), r->args, r->args_len);
	for (unsigned i = 0; i < PARTS; i++) {
		if (!parts[i].len)
			continue;
		desc = &fe->ring.desc[n++];
		desc->addr = address_of(fe, parts[i].at);
		desc->len = (uint32_t)parts[i].len;
		desc->flags = parts[i].flags | VRING_DESC_F_NEXT;
		desc->next = n;
	}
	desc->flags &= (uint16_t)~VRING_DESC_F_NEXT;
	fe->ring.avail->ring[fe->avail++ % RING] = first;
}

void frontend_kick(struct frontend *fe)
{
	const uint64_t one = 1;
	uint16_t event;

	__atomic_store_n(&fe->ring.avail->idx, fe->avail, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&vring_avail_event(&fe->ring),
				__ATOMIC_RELAXED);
	if (vring_need_event(event, fe->avail, fe->kicked) &&
	    write(fe->kick, &one, sizeof(one)) != sizeof(one))
		die("kick");
	fe->kicked = fe->avail;
}

static bool has_reply(const struct frontend *fe)
{
	return __atomic_load_n(&fe->ring.used->idx, __ATOMIC_ACQUIRE) !=
	       fe->used;
}

unsigned frontend_next(struct frontend *fe, int *error)
{
	struct pollfd call = {.fd = fe->call, .events = POLLIN};
	unsigned slot;
	uint64_t count;

	while (!has_reply(fe)) {
		__atomic_store_n(&vring_used_event(&fe->ring), fe->used,
				 __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (has_reply(fe))
			break;
		/* Its other end may have made it one that does not wait. */
		if (poll(&call, 1, -1) < 0 ||
		    read(fe->call, &count, sizeof(count)) != sizeof(count))
			die("call");
	}
	slot = fe->ring.used->ring[fe->used++ % RING].id / PARTS;
	*error = header_of(fe, slot)->error;
	return slot;
}

/* What was added in slot 0. */
static const void *call_slot(struct frontend *fe, uint32_t opcode)
{
	int error;

	frontend_kick(fe);
	frontend_next(fe, &error);
	if (error) {
		fprintf(stderr, "opcode %u: ", opcode);
		errno = -error;
		die("FUSE");
	}
	return frontend_reply(fe, 0);
}

const void *frontend_call(struct frontend *fe, const struct request *r)
{
	frontend_add(fe, 0, r);
	return call_slot(fe, r->opcode);
}

/* ------------------------------------------------------------------------ */

void frontend_add_init(struct frontend *fe, unsigned slot)
{
	/* What Linux 6.1 offers, as far as servers care. */
	const struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = 128u << 10,
		.flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC |
			 FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |
			 FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
			 FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |
			 FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT,
	};
	const struct request init = {
		.opcode = FUSE_INIT,
		.args = &in,
		.args_len = sizeof(in),
		.room = sizeof(struct fuse_init_out),
	};

	frontend_add(fe, slot, &init);
}

void frontend_begin(struct frontend *fe)
{
	frontend_add_init(fe, 0);
	call_slot(fe, FUSE_INIT);
}

static void connect_to(struct frontend *fe, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(addr.sun_path))
		die(path);
	strcpy(addr.sun_path, path);
	fe->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fe->sock < 0 ||
	    connect(fe->sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die(path);
}

static struct frontend *open_one(const char *path, bool tracked)
{
	struct frontend *fe = calloc(1, sizeof(*fe));

	if (!fe)
		die(path);
	fe->kick = fe->call = fe->notes_fd = -1;
	connect_to(fe, path);
	fe->memfd = memfd_create("guest", MFD_CLOEXEC);
	if (fe->memfd < 0 || ftruncate(fe->memfd, MEMORY) < 0)
		die("memory");
	fe->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, fe->memfd, 0);
	if (fe->memory == MAP_FAILED)
		die("memory");
	start(fe, tracked);
	frontend_begin(fe);
	return fe;
}

struct frontend *frontend_open(const char *path)
{
	return open_one(path, false);
}

/* Of a server that comes and goes. -------------------------------------- */

struct frontend *frontend_open_tracked(const char *path)
{
	return open_one(path, true);
}

void frontend_drop(struct frontend *fe)
{
	close(fe->sock);
	fe->sock = -1;
}

void frontend_cut(struct frontend *fe)
{
	const uint64_t one = 1;

	if (ftruncate(fe->memfd, 0) ||
	    write(fe->kick, &one, sizeof(one)) != sizeof(one))
		die("cut");
}

void frontend_again(struct frontend *fe, const char *path)
{
	connect_to(fe, path);
	start(fe, true);
}

static void enable_rings(struct frontend *fe, uint32_t on)
{
	for (unsigned q = 0; q < QUEUES; q++)
		send_state(fe, VU_SET_VRING_ENABLE, q, on);
	ask(fe, VU_GET_FEATURES);
}

void frontend_pause(struct frontend *fe)
{
	enable_rings(fe, 0);
}

void frontend_resume(struct frontend *fe)
{
	enable_rings(fe, 1);
}

static struct inflight_map *map_of(const struct frontend *fe)
{
	return (void *)(fe->map + REQUESTS * (fe->notes.mmap_size / QUEUES));
}

void frontend_note(struct frontend *fe, unsigned slot, uint64_t counter)
{
	struct inflight_desc *desc = &map_of(fe)->desc[slot * PARTS];

	desc->counter = counter;
	desc->inflight = 1;
}

static unsigned count_notes(const struct frontend *fe)
{
	const struct inflight_map *map = map_of(fe);
	unsigned n = 0;

	for (unsigned i = 0; i < RING; i++)
		n += __atomic_load_n(&map->desc[i].inflight, __ATOMIC_ACQUIRE);
	return n;
}

unsigned frontend_missing(const struct frontend *fe)
{
	return (uint16_t)(fe->avail - fe->used);
}

/* The last answer is noted as given, too, or the next server would see to that:
 * whatever is noted of its slot by then. */
static bool has_notes(const struct frontend *fe, unsigned n)
{
	return count_notes(fe) == n &&
	       __atomic_load_n(&map_of(fe)->used_idx, __ATOMIC_ACQUIRE) ==
		       fe->used;
}

bool frontend_has_notes(const struct frontend *fe, unsigned n)
{
	uint64_t end = monotonic_ns() + NOTES_NS;

	while (!has_notes(fe, n) && monotonic_ns() < end)
		sched_yield();
	return has_notes(fe, n);
}

bool frontend_settled(const struct frontend *fe)
{
	return frontend_has_notes(fe, 0) && frontend_missing(fe) == 0 &&
	       !has_reply(fe);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/hostile_link.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fdpass.h"
#include "integration/virtiofs/hostile_device.h"
#include "virtiofs/server.h"
#include "vmm/virtio/vhost_user_msg.h"

#define ANSWER_MS 30000
#define ALL (LINK_MEMORY + LINK_RINGS)
#define RING_ROOM (LINK_RINGS / LINK_QUEUES)

struct ring {
	struct vring vring;
	int kick;
	int call;
	int err;
	uint16_t avail;
	uint16_t used;
};

/* In process: what came back and was not asked for yet. */
struct done {
	unsigned n;
	unsigned slots[LINK_SLOTS];
	uint32_t lens[LINK_SLOTS];
	bool fault;
};

uint8_t *link_memory;

static const char *path;
static int sock = -1;
static int memfd;
static struct ring rings[LINK_QUEUES];
static struct virtiofs *fs;
static struct fs_thread *thread;
static struct virtq_chain *chain;
static struct done done[LINK_QUEUES];
static bool plugged; /* a device of this process */
static struct device_ring where[LINK_QUEUES];

void link_die(const char *what)
{
	fprintf(stderr, "hostile: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Rings. ------------------------------------------------------------------- */

static void ring_clear(unsigned q)
{
	struct ring *ring = &rings[q];

	memset(link_memory + LINK_MEMORY + q * RING_ROOM, 0, RING_ROOM);
	vring_init(&ring->vring, LINK_RING,
		   link_memory + LINK_MEMORY + q * RING_ROOM, 4096);
	ring->avail = ring->used = 0;
}

static void ring_open(unsigned q)
{
	struct ring *ring = &rings[q];

	ring->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->kick < 0 || ring->call < 0 || ring->err < 0)
		link_die("eventfd");
}

/* Over vhost-user. --------------------------------------------------------- */

static void tell(uint32_t request, const void *payload, uint32_t len, int fd)
{
	union vu_payload body;
	struct {
		struct vu_header header;
		uint8_t bytes[sizeof(body)];
	} msg = {.header = {request, VU_VERSION, len}};
	size_t size = sizeof(msg.header) + len;

	memcpy(msg.bytes, payload, len);
	if (fd_send(sock, &msg, size, &fd, fd >= 0, 0) != (ssize_t)size)
		link_die("vhost-user");
}

static void tell_u64(uint32_t request, uint64_t value, int fd)
{
	tell(request, &value, sizeof(value), fd);
}

static void tell_ring(uint32_t request, uint32_t q, uint32_t num)
{
	const struct vu_vring_state state = {q, num};

	tell(request, &state, sizeof(state), -1);
}

static uint64_t ask(uint32_t request)
{
	struct {
		struct vu_header header;
		uint64_t value;
	} __attribute__((packed)) reply;

	tell(request, "", 0, -1);
	if (recv(sock, &reply, sizeof(reply), MSG_WAITALL) != sizeof(reply) ||
	    reply.header.request != request)
		link_die("vhost-user: no reply");
	return reply.value;
}

static void ring_start(unsigned q)
{
	struct ring *ring = &rings[q];
	struct vu_vring_addr addr = {.index = q};

	ring_clear(q);
	ring_open(q);
	addr.desc = (uintptr_t)ring->vring.desc;
	addr.avail = (uintptr_t)ring->vring.avail;
	addr.used = (uintptr_t)ring->vring.used;
	tell_ring(VU_SET_VRING_NUM, q, LINK_RING);
	tell_ring(VU_SET_VRING_BASE, q, 0);
	tell(VU_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	tell_u64(VU_SET_VRING_ERR, q, ring->err);
	tell_u64(VU_SET_VRING_CALL, q, ring->call);
	tell_u64(VU_SET_VRING_KICK, q, ring->kick);
	tell_ring(VU_SET_VRING_ENABLE, q, 1);
}

static void connection_start(void)
{
	const uint64_t want = 1ull << VIRTIO_F_VERSION_1 |
			      1ull << VIRTIO_RING_F_INDIRECT_DESC |
			      VU_F_PROTOCOL_FEATURES;
	const struct vu_memory memory = {
		.count = 1,
		.regions = {{0, ALL, (uintptr_t)link_memory, 0}},
	};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(addr.sun_path))
		link_die(path);
	strcpy(addr.sun_path, path);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0 ||
	    connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		link_die(path);
	if ((ask(VU_GET_FEATURES) & want) != want)
		link_die("vhost-user: features");
	ask(VU_GET_PROTOCOL_FEATURES);
	tell_u64(VU_SET_PROTOCOL_FEATURES, VU_PROTOCOL_F_MQ, -1);
	tell(VU_SET_OWNER, "", 0, -1);
	tell_u64(VU_SET_FEATURES, want, -1);
	tell(VU_SET_MEM_TABLE, &memory,
	     (uint32_t)(offsetof(struct vu_memory, regions) +
			sizeof(memory.regions[0])),
	     memfd);
	for (unsigned q = 0; q < LINK_QUEUES; q++)
		ring_start(q);
	/* Whoever answers has done all before. */
	ask(VU_GET_FEATURES);
}

static void memory_make(void)
{
	memfd = memfd_create("guest", MFD_CLOEXEC);
	if (memfd < 0 || ftruncate(memfd, ALL) < 0)
		link_die("memory");
	link_memory =
		mmap(NULL, ALL, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (link_memory == MAP_FAILED)
		link_die("memory");
}

void link_connect(const char *socket_path)
{
	path = socket_path;
	memory_make();
	connection_start();
}

struct vring_desc *link_desc(unsigned queue)
{
	return rings[queue].vring.desc;
}

void link_push(unsigned queue, uint16_t head, uint16_t advance)
{
	struct ring *ring = &rings[queue];
	const uint64_t one = 1;

	ring->vring.avail->ring[ring->avail % LINK_RING] = head;
	ring->avail = (uint16_t)(ring->avail + advance);
	__atomic_store_n(&ring->vring.avail->idx, ring->avail,
			 __ATOMIC_RELEASE);
	if (plugged) {
		device_kick(queue);
		return;
	}
	if (write(ring->kick, &one, sizeof(one)) != sizeof(one))
		link_die("kick");
}

/* Asks for the next interrupt (virtio 1.2, 2.7.7.2), and looks once more. */
static bool ring_empty(struct ring *ring)
{
	__atomic_exchange_n(&vring_used_event(&ring->vring), ring->used,
			    __ATOMIC_SEQ_CST);
	return __atomic_load_n(&ring->vring.used->idx, __ATOMIC_SEQ_CST) ==
	       ring->used;
}

static bool ring_next(struct ring *ring, unsigned *slot, uint32_t *len)
{
	struct pollfd fds[] = {
		{.fd = ring->call, .events = POLLIN},
		{.fd = ring->err, .events = POLLIN},
		{.fd = sock, .events = POLLIN | POLLRDHUP},
	};
	const struct vring_used_elem *elem;
	uint64_t count;

	while (ring_empty(ring)) {
		if (poll(fds, 3, ANSWER_MS) <= 0)
			link_die("the server does not answer");
		if (fds[2].revents)
			link_die("the server is gone");
		if (fds[1].revents)
			return false;
		if (read(ring->call, &count, sizeof(count)) < 0 &&
		    errno != EAGAIN)
			link_die("call");
	}
	elem = &ring->vring.used->ring[ring->used++ % LINK_RING];
	*slot = elem->id / LINK_SEGS;
	*len = elem->len;
	return true;
}

/* In process. -------------------------------------------------------------- */

void link_serve(const struct virtiofs_config *config)
{
	struct err err;

	memory_make();
	fs = virtiofs_new(config, &err);
	if (!fs) {
		fprintf(stderr, "hostile: %s\n", err.text);
		exit(1);
	}
	thread = fs_thread_new(fs, false);
	chain = calloc(1, sizeof(*chain));
	if (!thread || !chain)
		link_die("server");
}

/* As the device does: what need not wait, then the rest. */
static void local_run(unsigned queue, unsigned slot,
		      const struct link_seg *segs, unsigned n)
{
	struct done *d = &done[queue];
	uint32_t len = 0;

	*chain = (struct virtq_chain){0};
	for (unsigned i = 0; i < n; i++) {
		chain->iov[i] = (struct iovec){
			link_memory + segs[i].at,
			segs[i].len,
		};
		if (segs[i].writable) {
			chain->nwrite++;
			chain->write_len += segs[i].len;
		} else {
			chain->nread++;
			chain->read_len += segs[i].len;
		}
	}
	if (virtiofs_begin(thread, chain) < 0) {
		d->fault = true;
		return;
	}
	if (!virtiofs_try(thread, FS_NOWAIT, &len) &&
	    !virtiofs_try(thread, FS_PATIENT, &len))
		link_die("request");
	d->slots[d->n] = slot;
	d->lens[d->n++] = len;
}

/* A device in process. ----------------------------------------------------- */

static void device_boot(void)
{
	eventfd_t count;

	device_reset();
	for (unsigned q = 0; q < LINK_QUEUES; q++) {
		ring_clear(q);
		(void)!eventfd_read(rings[q].err, &count);
	}
	device_start();
}

void link_plug(const struct virtiofs_config *config)
{
	memory_make();
	for (unsigned q = 0; q < LINK_QUEUES; q++) {
		struct ring *ring = &rings[q];
		struct vring *vring = &ring->vring;
		const uint8_t *base = link_memory;

		ring_clear(q);
		ring_open(q);
		where[q] = (struct device_ring){
			.desc = (uint64_t)((uint8_t *)vring->desc - base),
			.avail = (uint64_t)((uint8_t *)vring->avail - base),
			.used = (uint64_t)((uint8_t *)vring->used - base),
			.kick = ring->kick,
			.call = ring->call,
			.err = ring->err,
		};
	}
	plugged = true;
	device_make(config, link_memory, ALL, where);
	device_boot();
}

/* All. --------------------------------------------------------------------- */

uint64_t link_address(uint64_t at)
{
	return at;
}

uint64_t link_end(void)
{
	return ALL;
}

bool link_is_local(void)
{
	return fs != NULL;
}

void link_again(void)
{
	memset(done, 0, sizeof(done));
	if (fs) {
		virtiofs_reset(fs);
		return;
	}
	if (plugged) {
		device_boot();
		return;
	}
	for (unsigned q = 0; q < LINK_QUEUES; q++) {
		close(rings[q].kick);
		close(rings[q].call);
		close(rings[q].err);
	}
	close(sock);
	connection_start();
}

void link_submit(unsigned queue, unsigned slot, const struct link_seg *segs,
		 unsigned n)
{
	if (fs)
		local_run(queue, slot, segs, n);
	else
		link_chain(queue, slot, segs, n);
}

bool link_next(unsigned queue, unsigned *slot, uint32_t *len)
{
	struct done *d = &done[queue];

	if (!fs)
		return ring_next(&rings[queue], slot, len);
	if (d->fault)
		return false;
	if (!d->n)
		link_die("no request is under way");
	*slot = d->slots[0];
	*len = d->lens[0];
	d->n--;
	memmove(d->slots, d->slots + 1, d->n * sizeof(d->slots[0]));
	memmove(d->lens, d->lens + 1, d->n * sizeof(d->lens[0]));
	return true;
}

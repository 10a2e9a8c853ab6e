/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_VMM_VIRTIO_FRONTEND_H
#define TESTS_UNIT_VMM_VIRTIO_FRONTEND_H

/*
 * The other side of vhost-user, for tests: guest memory in a memfd, rings as
 * test_driver writes them, messages byte by byte. Everything runs on the
 * test's thread: what was sent is handled by evloop_once.
 */

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdpass.h"
#include "tests/unit/vmm/virtio/driver.h"
#include "vmm/virtio/vhost_user.h"
#include "vmm/virtio/vhost_user_msg.h"

/* Where the front-end "has" guest memory; only differences matter. */
#define FE_USER 0x7f0000000000ull
#define FE_SIZE (4u << 20)

struct frontend {
	struct evloop *loop;
	struct vhost_user *vu;
	int sock;
	int memfd;
	int kick[VIRTIO_QUEUES_MAX];
	int call[VIRTIO_QUEUES_MAX]; /* our end */
	bool acks;		     /* REPLY_ACK was negotiated */
	unsigned closed;	     /* times the callback came */
	struct test_driver d;	     /* d.dev stays NULL */
};

static inline void fe_closed(struct vhost_user *vu, void *arg)
{
	struct frontend *fe = arg;

	BUG_ON(vu != fe->vu);
	fe->closed++;
}

static inline void fe_connect(struct frontend *fe, struct virtio_device *dev,
			      struct vhost_user_options options)
{
	struct err err;
	int sv[2];

	options.closed = fe_closed;
	options.arg = fe;
	BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0);
	fe->sock = sv[0];
	fe->acks = false;
	fe->vu = vhost_user_new(fe->loop, dev, sv[1], &options, &err);
	if (!fe->vu)
		BUG("vhost_user_new: %s", err.text);
}

static inline struct frontend *fe_new(struct evloop *loop)
{
	struct frontend *fe = calloc(1, sizeof(*fe));
	unsigned i;

	BUG_ON(!fe);
	fe->loop = loop;
	fe->memfd = memfd_create("guest", MFD_CLOEXEC);
	BUG_ON(fe->memfd < 0 || ftruncate(fe->memfd, FE_SIZE + 4096) < 0);
	fe->d.size = FE_SIZE;
	/* One page is not shared, as with user-mode Linux. */
	fe->d.ram = mmap(NULL, FE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 fe->memfd, 4096);
	BUG_ON(fe->d.ram == MAP_FAILED);
	for (i = 0; i < VIRTIO_QUEUES_MAX; i++)
		fe->kick[i] = fe->call[i] = -1;
	return fe;
}

static inline void fe_disconnect(struct frontend *fe)
{
	vhost_user_free(fe->vu);
	fe->vu = NULL;
	close(fe->sock);
}

static inline void fe_free(struct frontend *fe)
{
	unsigned i;

	if (fe->vu)
		fe_disconnect(fe);
	for (i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		if (fe->kick[i] >= 0)
			close(fe->kick[i]);
		if (fe->call[i] >= 0)
			close(fe->call[i]);
	}
	munmap(fe->d.ram, FE_SIZE);
	close(fe->memfd);
	free(fe);
}

/* Runs the loop until it has nothing more to do. */
static inline void fe_run(struct frontend *fe)
{
	unsigned i;

	for (i = 0; i < 8; i++) {
		if (evloop_once(fe->loop, 0) < 0)
			BUG("evloop_once");
	}
}

static inline void fe_raw(struct frontend *fe, uint32_t request, uint32_t flags,
			  uint32_t size, const void *payload, const int *fds,
			  unsigned nfds)
{
	uint8_t buf[1024] = {0};
	struct vu_header header = {request, flags, size};

	memcpy(buf, &header, sizeof(header));
	if (payload)
		memcpy(buf + sizeof(header), payload,
		       MIN((size_t)size, sizeof(buf) - sizeof(header)));
	if (fd_send(fe->sock, buf, MIN(sizeof(header) + size, sizeof(buf)), fds,
		    nfds, 0) < 0)
		BUG("fd_send");
	fe_run(fe);
}

/* The size of the reply's payload, or -1: there is none. */
static inline int fe_reply(struct frontend *fe, uint32_t request, void *payload,
			   size_t room)
{
	uint8_t buf[1024];
	struct vu_header header;
	ssize_t n = recv(fe->sock, buf, sizeof(buf), MSG_DONTWAIT);

	if (n <= 0)
		return -1;
	BUG_ON((size_t)n < sizeof(header));
	memcpy(&header, buf, sizeof(header));
	BUG_ON(header.request != request || header.flags != 5);
	BUG_ON(header.size != (size_t)n - sizeof(header) || header.size > room);
	memcpy(payload, buf + sizeof(header), header.size);
	return (int)header.size;
}

/* A request without a reply of its own: whether it was obeyed. */
static inline bool fe_send(struct frontend *fe, uint32_t request,
			   const void *payload, uint32_t size, const int *fds,
			   unsigned nfds)
{
	uint64_t result = 99;
	uint32_t flags = fe->acks ? 9 : 1;
	unsigned closed = fe->closed;
	int n;

	fe_raw(fe, request, flags, size, payload, fds, nfds);
	n = fe_reply(fe, request, &result, sizeof(result));
	if (!fe->acks) {
		BUG_ON(n >= 0);
		return fe->closed == closed;
	}
	BUG_ON(n != 8 || result > 1);
	return result == 0;
}

static inline bool fe_u64(struct frontend *fe, uint32_t request, uint64_t v)
{
	return fe_send(fe, request, &v, sizeof(v), NULL, 0);
}

static inline bool fe_state(struct frontend *fe, uint32_t request,
			    uint32_t index, uint32_t num)
{
	struct vu_vring_state state = {index, num};

	return fe_send(fe, request, &state, sizeof(state), NULL, 0);
}

static inline bool fe_fd(struct frontend *fe, uint32_t request, uint64_t v,
			 int fd)
{
	return fe_send(fe, request, &v, sizeof(v), &fd, fd >= 0 ? 1 : 0);
}

static inline uint64_t fe_get(struct frontend *fe, uint32_t request)
{
	uint64_t v;

	fe_raw(fe, request, 1, 0, NULL, NULL, 0);
	if (fe_reply(fe, request, &v, sizeof(v)) != 8)
		BUG("no reply to %u", request);
	return v;
}

static inline uint32_t fe_get_base(struct frontend *fe, uint32_t index)
{
	struct vu_vring_state state = {index, 0};

	fe_raw(fe, VU_GET_VRING_BASE, 1, sizeof(state), &state, NULL, 0);
	if (fe_reply(fe, VU_GET_VRING_BASE, &state, sizeof(state)) != 8 ||
	    state.index != index)
		BUG("no reply to GET_VRING_BASE");
	return state.num;
}

static inline bool fe_memory(struct frontend *fe)
{
	struct vu_memory m = {.count = 1};

	m.regions[0] = (struct vu_region){TEST_GPA, FE_SIZE, FE_USER, 4096};
	/* The length user-mode Linux sends. */
	return fe_send(fe, VU_SET_MEM_TABLE, &m, 8 + 2 * sizeof(m.regions[0]),
		       &fe->memfd, 1);
}

static inline bool fe_hello(struct frontend *fe, uint64_t features,
			    uint64_t protocol)
{
	bool ok = fe_send(fe, VU_SET_OWNER, NULL, 0, NULL, 0);

	/* Asks for an answer already here, as user-mode Linux does. */
	fe->acks = (protocol & VU_PROTOCOL_F_REPLY_ACK) != 0;
	ok = ok && fe_u64(fe, VU_SET_PROTOCOL_FEATURES, protocol);
	return ok &&
	       fe_u64(fe, VU_SET_FEATURES,
		      features | VIRTIO_F_VERSION_1 | VU_F_PROTOCOL_FEATURES);
}

static inline bool fe_addr(struct frontend *fe, unsigned q)
{
	struct test_ring *r = &fe->d.rings[q];
	struct vu_vring_addr addr = {
		.index = q,
		.desc = FE_USER + (r->desc - TEST_GPA),
		.used = FE_USER + (r->used - TEST_GPA),
		.avail = FE_USER + (r->avail - TEST_GPA),
		.log = UINT64_MAX,
	};

	return fe_send(fe, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

/* call: a stream socket as user-mode Linux has it, or an eventfd. */
static inline bool fe_call(struct frontend *fe, unsigned q, bool sock)
{
	int theirs;
	int sv[2];
	bool ok;

	if (fe->call[q] >= 0)
		close(fe->call[q]);
	if (sock) {
		BUG_ON(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0);
		fe->call[q] = sv[0];
		theirs = sv[1];
	} else {
		fe->call[q] = eventfd(0, EFD_NONBLOCK);
		theirs = dup(fe->call[q]);
	}
	ok = fe_fd(fe, VU_SET_VRING_CALL, q, theirs);
	close(theirs);
	return ok;
}

/* Whether a call came since the last look. */
static inline bool fe_called(struct frontend *fe, unsigned q)
{
	uint64_t n[64];
	ssize_t got = recv(fe->call[q], n, sizeof(n), MSG_DONTWAIT);

	if (got < 0 && errno == ENOTSOCK)
		got = read(fe->call[q], n, sizeof(n[0]));
	BUG_ON(got > 0 && got % 8 != 0);
	return got > 0;
}

/* Registers of a ring at `base`, without kicking it off. */
static inline bool fe_ring(struct frontend *fe, unsigned q, uint32_t base)
{
	return fe_state(fe, VU_SET_VRING_NUM, q, fe->d.rings[q].size) &&
	       fe_state(fe, VU_SET_VRING_BASE, q, base) && fe_addr(fe, q);
}

static inline bool fe_start(struct frontend *fe, unsigned q)
{
	if (fe->kick[q] >= 0)
		close(fe->kick[q]);
	fe->kick[q] = eventfd(0, EFD_NONBLOCK);
	return fe_fd(fe, VU_SET_VRING_KICK, q, fe->kick[q]) &&
	       fe_state(fe, VU_SET_VRING_ENABLE, q, 1);
}

/* Fresh rings for n queues, up and running. */
static inline bool fe_start_rings(struct frontend *fe, unsigned n,
				  uint16_t size, bool sock)
{
	bool ok = fe_memory(fe);
	unsigned q;

	for (q = 0; q < n; q++) {
		test_ring_make(&fe->d, q, size);
		ok = ok && fe_call(fe, q, sock) && fe_ring(fe, q, 0);
	}
	for (q = 0; q < n; q++)
		ok = ok && fe_start(fe, q);
	return ok;
}

static inline void fe_kick(struct frontend *fe, unsigned q)
{
	const uint64_t one = 1;

	if (write(fe->kick[q], &one, sizeof(one)) != sizeof(one))
		BUG("kick");
	fe_run(fe);
}

#endif

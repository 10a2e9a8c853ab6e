/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hostile vhost-user front-end: any message with any descriptors, kicks,
 * and guest memory that changes in between. A set-up that works comes first
 * when the first byte asks for it, so that rings are reached.
 */

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdpass.h"
#include "base/log.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/vhost_user.h"
#include "vmm/virtio/vhost_user_msg.h"

#define RAM 0x10000u
/* Requests in flight: two rings of up to 64 entries. */
#define NOTES 4096u
#define GPA 0x1000ull
#define USER 0x7000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	FD_MEMORY,
	FD_KICK,
	FD_CALL,
	FD_SOCKET,
	FD_PIPE,
	FD_INFLIGHT,
	FD_KINDS
};

static struct {
	struct evloop *loop;
	struct virtio_device *dev;
	struct vhost_user *vu;
	uint8_t *ram;
	int fds[FD_KINDS];
	int peer; /* of FD_SOCKET */
	int pipe;
	uint8_t *notes; /* of FD_INFLIGHT */
	int sock;
	bool closed;
} fe;

static void closed(struct vhost_user *vu, void *arg)
{
	fe.closed = true;
}

static void output(void *arg, const void *data, size_t len)
{
	static uint8_t copy[4096];

	BUG_ON(len == 0 || len > sizeof(copy));
	memcpy(copy, data, len); /* for ASan to look at */
}

static void set_up(void)
{
	int pipes[2];
	int sv[2];

	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_TEXT, LOG_ERROR,
		 "fuzz");
	fe.loop = evloop_new();
	fe.dev = virtio_console_new(output, NULL);
	fe.fds[FD_MEMORY] = memfd_create("guest", MFD_CLOEXEC);
	BUG_ON(!fe.loop || !fe.dev || fe.fds[FD_MEMORY] < 0);
	BUG_ON(ftruncate(fe.fds[FD_MEMORY], RAM) < 0);
	fe.ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED,
		      fe.fds[FD_MEMORY], 0);
	BUG_ON(fe.ram == MAP_FAILED);
	fe.fds[FD_KICK] = eventfd(0, EFD_NONBLOCK);
	fe.fds[FD_CALL] = eventfd(0, EFD_NONBLOCK);
	BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) < 0);
	fe.fds[FD_SOCKET] = sv[0];
	fe.peer = sv[1];
	BUG_ON(pipe2(pipes, O_NONBLOCK) < 0);
	fe.fds[FD_PIPE] = pipes[0];
	fe.pipe = pipes[1];
	fe.fds[FD_INFLIGHT] =
		memfd_create("notes", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	BUG_ON(ftruncate(fe.fds[FD_INFLIGHT], NOTES) < 0);
	BUG_ON(fcntl(fe.fds[FD_INFLIGHT], F_ADD_SEALS, F_SEAL_SHRINK) < 0);
	fe.notes = mmap(NULL, NOTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			fe.fds[FD_INFLIGHT], 0);
	BUG_ON(fe.notes == MAP_FAILED);
}

static void run(void)
{
	uint8_t buf[512];
	unsigned i;

	for (i = 0; i < 3; i++)
		BUG_ON(evloop_once(fe.loop, 0) < 0);
	while (recv(fe.sock, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void send_msg(uint32_t request, uint32_t flags, const void *payload,
		     size_t len, uint32_t said, const int *fds, unsigned nfds)
{
	uint8_t buf[sizeof(struct vu_header) + VU_PAYLOAD_MAX];
	struct vu_header header = {request, flags, said};

	len = MIN(len, (size_t)VU_PAYLOAD_MAX);
	memcpy(buf, &header, sizeof(header));
	memcpy(buf + sizeof(header), payload, len);
	if (fd_send(fe.sock, buf, sizeof(header) + len, fds, nfds,
		    MSG_DONTWAIT) < 0)
		return;
	run();
}

static void good(uint32_t request, const void *payload, uint32_t len, int fd)
{
	send_msg(request, 1, payload, len, len, &fd, fd >= 0);
}

static void good_u64(uint32_t request, uint64_t v, int fd)
{
	good(request, &v, sizeof(v), fd);
}

static void good_state(uint32_t request, uint32_t index, uint32_t num)
{
	struct vu_vring_state state = {index, num};

	good(request, &state, sizeof(state), -1);
}

static void working_rings(uint64_t protocol)
{
	struct vu_memory m = {.count = 1, .regions = {{GPA, RAM, USER, 0}}};
	const struct vu_inflight notes = {
		.mmap_size = NOTES,
		.num_queues = 2,
		.queue_size = 16,
	};
	uint32_t q;

	good_u64(VU_SET_PROTOCOL_FEATURES, protocol, -1);
	good_u64(VU_SET_FEATURES, VIRTIO_F_VERSION_1 | VU_F_PROTOCOL_FEATURES,
		 -1);
	good(VU_SET_MEM_TABLE, &m, 8 + 32, fe.fds[FD_MEMORY]);
	if (protocol & VU_PROTOCOL_F_INFLIGHT_SHMFD)
		good(VU_SET_INFLIGHT_FD, &notes, sizeof(notes),
		     fe.fds[FD_INFLIGHT]);
	for (q = 0; q < 2; q++) {
		struct vu_vring_addr addr = {
			.index = q,
			.desc = USER + q * 0x1000,
			.avail = USER + q * 0x1000 + 0x400,
			.used = USER + q * 0x1000 + 0x800,
		};

		good_state(VU_SET_VRING_NUM, q, 16);
		good_state(VU_SET_VRING_BASE, q, 0);
		good(VU_SET_VRING_ADDR, &addr, sizeof(addr), -1);
		good_u64(VU_SET_VRING_CALL, q, fe.fds[FD_CALL]);
	}
	for (q = 0; q < 2; q++) {
		good_u64(VU_SET_VRING_KICK, q, fe.fds[FD_KICK]);
		good_state(VU_SET_VRING_ENABLE, q, 1);
	}
}

/* One step; bytes used. */
static size_t step(const uint8_t *data, size_t size)
{
	const uint64_t one = 1;
	size_t len = data[1];
	int fds[8];
	unsigned nfds;
	unsigned i;

	if (size < 2 + 2)
		return size;
	len = MIN(len, size - 4);
	switch (data[0] % 8) {
	case 0: /* guest memory, or notes */
		if (data[3] & 0x80)
			memcpy(fe.notes + data[2] * 8, data + 4, len);
		else
			memcpy(fe.ram + (data[2] | (data[3] & 0x1f) << 8),
			       data + 4, len);
		break;
	case 1:
		if (write(fe.fds[FD_KICK], &one, sizeof(one)) < 0)
			break;
		run();
		break;
	case 2: /* raw bytes */
		if (send(fe.sock, data + 4, len, MSG_DONTWAIT | MSG_NOSIGNAL) <
		    0)
			break;
		run();
		break;
	default:
		nfds = data[3] & 7;
		for (i = 0; i < nfds; i++)
			fds[i] = fe.fds[(data[3] >> 3) % FD_KINDS];
		send_msg(data[2] & 63, data[2] & 64 ? 9 : 1, data + 4, len,
			 (uint32_t)len + (data[2] & 128 ? 1 : 0), fds, nfds);
	}
	return 4 + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_user_options options = {.memory_fd = -1, .closed = closed};
	struct err err;
	int sv[2];

	if (!fe.loop)
		set_up();
	if (size < 1)
		return 0;
	memset(fe.ram, 0, RAM);
	memset(fe.notes, 0, NOTES);
	fe.closed = false;
	options.inband = data[0] & 1;
	options.inflight = data[0] & 16;
	if (data[0] & 2)
		options.memory_fd = fe.fds[FD_MEMORY];
	BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0);
	fe.sock = sv[1];
	fe.vu = vhost_user_new(fe.loop, fe.dev, sv[0], &options, &err);
	BUG_ON(!fe.vu);
	if (data[0] & 4)
		working_rings(
			(data[0] & 8 ? VU_PROTOCOL_F_REPLY_ACK : 0) |
			VU_PROTOCOL_F_BACKEND_REQ | VU_PROTOCOL_F_CONFIG |
			VU_PROTOCOL_F_STATUS | VU_PROTOCOL_F_RESET_DEVICE |
			(data[0] & 16 ? VU_PROTOCOL_F_INFLIGHT_SHMFD : 0) |
			(data[0] & 1 ? VU_PROTOCOL_F_INBAND : 0));
	data++;
	size--;
	while (size > 1 && !fe.closed) {
		size_t n = step(data, size);

		data += n;
		size -= n;
	}
	vhost_user_free(fe.vu);
	close(fe.sock);
	BUG_ON(virtio_device_status(fe.dev) != 0);
	return 0;
}

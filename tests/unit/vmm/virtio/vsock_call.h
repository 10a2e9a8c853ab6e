/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_VMM_VIRTIO_VSOCK_CALL_H
#define TESTS_UNIT_VMM_VIRTIO_VSOCK_CALL_H

/* Calls that come with a descriptor for what the guest sends. */

#include "base/fdpass.h"
#include "tests/unit/vmm/virtio/vsock_guest.h"

struct call {
	int fd; /* the caller's socket */
	uint32_t port;
	int sink; /* the reader's end of what it gave, or -1 */
};

static inline int dial_with(const int *fds, unsigned n)
{
	int fd = connect_to(g.path);

	assert_int_equal(fd_send(fd, "CONNECT 1024\n", 13, fds, n, 0), 13);
	settle();
	return fd;
}

/* A call that comes with sink, taken by the guest. Closes sink. */
static inline struct call call_with(int sink)
{
	struct call c = {.fd = dial_with(&sink, 1), .sink = -1};
	char line[32];

	close(sink);
	c.port = expect(VSOCK_OP_REQUEST, NULL).src_port;
	send_packet(packet(PORT, c.port, VSOCK_OP_RESPONSE), NULL);
	snprintf(line, sizeof(line), "OK %u\n", c.port);
	expect_text(c.fd, line);
	return c;
}

static inline struct call call_pipe(void)
{
	struct call c;
	int ends[2];

	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	c = call_with(ends[1]);
	c.sink = ends[0];
	return c;
}

static inline void take_credit(void)
{
	struct seen s;

	while (next(&s)) {
		post_rx(1);
		assert_int_equal(s.p.op, VSOCK_OP_CREDIT_UPDATE);
	}
}

static inline void hang_up(struct call *c)
{
	close(c->fd);
	if (c->sink >= 0)
		close(c->sink);
	settle();
}

#endif

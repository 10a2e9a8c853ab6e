/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VSOCK_H
#define VMM_VIRTIO_VSOCK_H

/*
 * Socket device (virtio 1.2, 5.10) whose host side is Unix sockets, in this
 * process and without vhost:
 *
 *	host to guest	connect to the listening socket, write
 *			"CONNECT <port>\n", read "OK <host port>\n"; the
 *			connection is closed when the guest refuses
 *	guest to host	CID 2, port P: the Unix socket "<prefix>_P"
 *
 * A non-blocking descriptor that comes with the line "CONNECT" takes what the
 * guest sends, in the socket's place: a copy and a process fewer for streams
 * that go to a pipe. The socket still tells the end, after all of it was
 * written. The process ignores SIGPIPE.
 *
 * System calls after activation: accept4, socket, connect, recvfrom, recvmsg,
 * readv, writev, sendto, sendmsg, shutdown, fcntl (F_GETFL, F_GETPIPE_SZ,
 * F_SETPIPE_SZ), close, and those of the event loop.
 */

#include <stdint.h>

#include "base/err.h"
#include "vmm/virtio/device.h"

/* Connections at a time, those being made or closed included. */
#define VSOCK_CONNS_MAX 1023u

/*
 * Takes listen_fd in every case; copies prefix, which is relative to the
 * working directory of the process when a call is made. cid: 3 or more.
 */
struct virtio_device *virtio_vsock_new(uint32_t cid, int listen_fd,
				       const char *prefix, struct err *err);

#endif

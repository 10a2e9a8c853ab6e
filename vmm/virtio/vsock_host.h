/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VSOCK_HOST_H
#define VMM_VIRTIO_VSOCK_HOST_H

/* The Unix side of the socket device: who calls, and how the host is called. */

#include "vmm/virtio/vsock_conn.h"

/* Starts to accept calls. 0 or -errno. */
int vsock_host_start(struct vsock *vsock) MUST_CHECK;
void vsock_host_stop(struct vsock *vsock);
/* The ready callback of a connection in VSOCK_HANDSHAKE. May free conn. */
void vsock_host_handshake(struct vsock_conn *conn, uint32_t revents);
/* The guest took the call: tells the caller. 0 or -errno. */
int vsock_host_accepted(struct vsock_conn *conn) MUST_CHECK;
/* A new socket, connected to the one that listens for the port. -errno. */
int vsock_host_dial(struct vsock *vsock, uint32_t port) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VSOCK_TX_H
#define VMM_VIRTIO_VSOCK_TX_H

/*
 * The socket device's transmit queue: what the guest sends. Packets of one
 * connection that follow each other are one write to the host, so that a
 * stream costs its reader one wake-up for many of them.
 */

#include "base/compiler.h"
#include "vmm/virtio/vsock_conn.h"

/* 0 or -errno. */
int vsock_tx_start(struct vsock *vsock) MUST_CHECK;
void vsock_tx_stop(struct vsock *vsock);
/* Takes what is there, up to a budget; may break the device. */
void vsock_tx_pump(struct vsock *vsock);
/* A chain that was popped is done with. The guest is told at the end of
 * vsock_tx_pump, or by what follows. */
void vsock_tx_push(struct vsock *vsock, uint16_t head);
void vsock_tx_tell_soon(struct vsock *vsock);

#endif

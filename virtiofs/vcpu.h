/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_VCPU_H
#define VIRTIOFS_VCPU_H

/*
 * Requests that the thread of a vCPU serves on its own, in the midst of the
 * write that notifies the device. What is in the host's memory takes less time
 * than to wake another thread for it, and the guest has its reply before it
 * could go to sleep: neither side waits for the other. What waits, or is long,
 * is left to the pool, or the loop; a large piece only if the guest has other
 * vCPUs, whose requests would wait behind it.
 *
 * Such a thread has the rights of a thread of the pool.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vmm/virtio/device.h"

struct fs_vcpu;

struct fs_vcpus {
	struct fs_vcpu *threads[VIRTIO_VCPUS_MAX];
	atomic_bool several; /* that have started */
	bool alone;	     /* tests: nobody looks for the next request */
};

/* For struct virtio_device_ops. */
int fs_vcpu_started(struct virtio_device *dev, unsigned vcpu) MUST_CHECK;
bool fs_vcpu_kick(struct virtio_device *dev, unsigned q,
		  unsigned vcpu) MUST_CHECK;

/* Once the threads are gone. */
void fs_vcpus_free(struct fs_vcpus *vcpus);

#endif

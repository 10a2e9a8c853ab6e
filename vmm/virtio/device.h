/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_DEVICE_H
#define VMM_VIRTIO_DEVICE_H

/*
 * A virtio device (virtio 1.2, 2.1 to 2.4), independent of its transport. The
 * device embeds struct virtio_device and fills `ops`; the transport fills
 * `transport` and drives it by the virtio_device_* functions below, which
 * hold the rules about status bits, features and frozen queues.
 *
 * Threads: the register block (status, features, queue registers) is guarded
 * by `lock` and may be used from vCPU threads. activate, kick and reset run
 * on `loop`. config_read and config_write run on any thread, one at a time.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/evloop.h"
#include "base/log.h"
#include "vmm/core/guestmem.h"
#include "vmm/core/window.h"
#include "vmm/virtio/queue.h"

#define VIRTIO_QUEUES_MAX 16u
#define VIRTIO_VCPUS_MAX 64u

enum virtio_id {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_RNG = 4,
	VIRTIO_ID_VSOCK = 19,
	VIRTIO_ID_FS = 26,
};

enum virtio_status {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 64,
	VIRTIO_FAILED = 128,
};

#define VIRTIO_RING_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_RING_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

struct virtio_device;

struct virtio_device_ops {
	const char *name; /* for messages: "vsock" */
	uint16_t id;	  /* enum virtio_id */
	size_t config_len;
	/* Queues that the driver enabled were started, features are
	 * negotiated. 0, or -errno with nothing left behind: the device then
	 * needs a reset, and no reset callback comes. */
	int (*activate)(struct virtio_device *dev);
	/* The driver made buffers available in queue q. */
	void (*kick)(struct virtio_device *dev, unsigned q);
	/* NULL: the device takes no kicks off the transport. On the loop:
	 * what kick_take returned is about to be closed. */
	void (*kick_lost)(struct virtio_device *dev, unsigned q);
	/*
	 * NULL for a device without direct queues. On the thread of a vCPU
	 * (number 0 to VIRTIO_VCPUS_MAX - 1) before that runs, and on none but
	 * this: it may call kick_now. What it takes is freed by destroy. 0 or
	 * -errno.
	 */
	int (*vcpu_started)(struct virtio_device *dev, unsigned vcpu);
	/* The driver's kick of a direct queue, on the thread of the vCPU that
	 * gave it. False: not now, it has to come by the loop. */
	bool (*kick_now)(struct virtio_device *dev, unsigned q, unsigned vcpu);
	/* After activate: returns when nothing is in flight any more. Queues
	 * are still started; they stop right after. */
	void (*reset)(struct virtio_device *dev);
	/* NULL: reset. The same but for what the device has of its driver,
	 * which activate finds again; reset comes in any case. */
	void (*stop)(struct virtio_device *dev);
	/* Range already checked against config_len. May be NULL when that is
	 * 0. */
	void (*config_read)(struct virtio_device *dev, size_t off, void *dst,
			    size_t len);
	/* NULL: config space is read-only. */
	void (*config_write)(struct virtio_device *dev, size_t off,
			     const void *src, size_t len);
	void (*destroy)(struct virtio_device *dev);
	/*
	 * NULL without a window. On the loop: the guest found no memory at
	 * some address there. True: something was put there, it may try
	 * again.
	 */
	bool (*window_fault)(struct virtio_device *dev);
};

/* What the transport does for a device. Signals: thread-safe. */
struct virtio_transport_ops {
	void (*signal_queue)(struct virtio_device *dev, unsigned q);
	void (*signal_config)(struct virtio_device *dev);
	/*
	 * On the loop, for a device that waits for the kicks of a queue that
	 * was started on a thread of its own: what becomes readable, with an
	 * edge, with each of them; it is borrowed, and not to be read. Until
	 * kick_back, at the latest in ops->reset or stop, they come no more by
	 * ops->kick, but for some that have no descriptor. -1: none has. Both
	 * NULL: the same.
	 */
	int (*kick_take)(struct virtio_device *dev, unsigned q);
	void (*kick_back)(struct virtio_device *dev, unsigned q);
};

struct virtio_device {
	const struct virtio_device_ops *ops;
	const struct virtio_transport_ops *transport;
	uint64_t offered;		       /* features, set by the device */
	unsigned nqueues;		       /* set by the device */
	uint16_t queue_max[VIRTIO_QUEUES_MAX]; /* set by the device */
	/* Queues, a bit for each, whose kicks are for kick_now where the
	 * transport knows the vCPU; set by the device. */
	uint32_t direct;
	/*
	 * Shared memory region 0 (virtio 1.2, 2.10), set and owned by the
	 * device; NULL: none. A machine that cannot show it to the guest
	 * refuses the device.
	 */
	struct mem_window *window;

	/* Set when the device is plugged into a vm. */
	struct evloop *loop;
	const struct guestmem *mem;

	/* Loop only: queues that ops->kick asked to be kicked again. */
	struct evsource again; /* an eventfd of its own */
	uint32_t again_queues;
	bool kept; /* loop only: ops->stop came, and no ops->reset */

	pthread_mutex_t config_lock; /* one config access at a time */

	/* Guards the fields below; never held across a callback. */
	pthread_mutex_t lock;
	uint8_t status;
	uint64_t features; /* accepted by the driver */
	bool active;	   /* between activate and reset */
	/* Where each queue stopped at the last reset: the index of the first
	 * request that was not completed. */
	uint16_t stopped_at[VIRTIO_QUEUES_MAX];
	/* Registers of each under `lock`; the rest belongs to the device. */
	struct virtq queues[VIRTIO_QUEUES_MAX];
	struct log_limit faults;
};

/* offered gets VERSION_1 added; queue_max must be powers of two. */
void virtio_device_init(struct virtio_device *dev,
			const struct virtio_device_ops *ops, uint64_t offered,
			unsigned nqueues, uint16_t queue_max);
void virtio_device_release(struct virtio_device *dev);
/* On the loop: resets the device if it is active, then ops->destroy. */
void virtio_device_free(struct virtio_device *dev);

/* Transport side. ------------------------------------------------------- */

/* Status bits only advance; 0 resets. Queues freeze at DRIVER_OK. */
void virtio_device_set_status(struct virtio_device *dev, uint8_t status);
/* As 0, for a transport whose queues stop although the driver goes on. */
void virtio_device_stop(struct virtio_device *dev);
uint8_t virtio_device_status(struct virtio_device *dev);
/* Low (sel 0) or high (sel 1) half of the driver's features; ignored after
 * FEATURES_OK. Bits not offered keep FEATURES_OK from being set. */
void virtio_device_set_features(struct virtio_device *dev, unsigned sel,
				uint32_t value);
/*
 * A queue register may change: true before DRIVER_OK, with q in range. The
 * caller holds dev->lock from here until it has written the register.
 */
bool virtio_device_queue_open(struct virtio_device *dev, unsigned q);
void virtio_device_config_read(struct virtio_device *dev, uint64_t off,
			       void *dst, size_t len);
void virtio_device_config_write(struct virtio_device *dev, uint64_t off,
				const void *src, size_t len);
/* On the loop: passes a kick to an active device, drops it otherwise. */
void virtio_device_kick(struct virtio_device *dev, unsigned q);

/* On each vCPU's thread, before it runs, for each device. 0 or -errno. */
int virtio_device_vcpu_started(struct virtio_device *dev,
			       unsigned vcpu) MUST_CHECK;
/* From any thread, without a lock: the driver's kick. True: it is dealt with,
 * false: virtio_device_kick has to follow on the loop. */
bool virtio_device_kick_now(struct virtio_device *dev, unsigned q) MUST_CHECK;

/* On the loop: the descriptor of q's kicks is about to be closed. */
void virtio_device_kick_lost(struct virtio_device *dev, unsigned q);

/*
 * On the loop, for a transport whose driver starts queues one by one: starts
 * q of an active device with the registers of regs. -EINVAL: they break a
 * rule.
 */
int virtio_device_start_queue(struct virtio_device *dev, unsigned q,
			      const struct virtq *regs) MUST_CHECK;

/* Device side. ---------------------------------------------------------- */

/* Whether to process anything: active, and not at fault. Any thread. */
bool virtio_device_running(struct virtio_device *dev);
/*
 * On the loop, with a kick that did as much as one wake-up may: kicks queue q
 * again after everything else that is ready.
 */
void virtio_device_kick_again(struct virtio_device *dev, unsigned q);
/* Interrupts the driver if it asked for it (virtq_wants_signal). */
void virtio_device_signal(struct virtio_device *dev, unsigned q);
/*
 * The guest broke a rule: one rate-limited line, NEEDS_RESET, a config
 * interrupt; nothing more is processed until the driver resets the device.
 * From any thread.
 */
void vdev_fault(struct virtio_device *dev, const char *fmt, ...) PRINTF(2, 3);
static inline bool virtio_has(const struct virtio_device *dev, uint64_t bit)
{
	return (dev->features & bit) != 0;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VIRTIO_VHOST_USER_INTERNAL_H
#define VMM_VIRTIO_VHOST_USER_INTERNAL_H

/* Between the files of the vhost-user transport. */

#include <pthread.h>

#include "vmm/virtio/vhost_user.h"
#include "vmm/virtio/vhost_user_msg.h"

struct vu_ring {
	struct vhost_user *vu;

	/* Of the front-end; addresses are its own. */
	uint16_t size;
	uint16_t base;
	struct vu_vring_addr addr;
	bool addr_set;
	bool started;  /* kick descriptor given or kicked in band */
	bool enabled;  /* VRING_ENABLE, or not asked for */
	bool disabled; /* by VRING_ENABLE, so it is not waited for */
	struct virtq_inflight track; /* of the queue, while it runs */
	struct evsource kick;	     /* owns its fd */

	/* Under vu->call_lock, since devices signal from any thread. */
	int call_fd;
	int err_fd;
	bool call_fd_is_socket;
	bool no_call; /* the front-end polls */
};

struct vhost_user {
	struct virtio_transport_ops transport; /* container_of for signals */
	struct evloop *loop;
	struct virtio_device *dev;
	struct vhost_user_options options;
	struct evsource conn; /* owns its fd */
	bool closed;
	struct vu_msg msg;
	struct log_limit refused;

	uint64_t features;
	bool features_set;
	uint64_t protocol;
	uint8_t status; /* what the front-end last set */

	struct guestmem mem;
	struct vu_region regions[VU_REGIONS_MAX]; /* as mem.regions */

	uint8_t *inflight; /* mapped; NULL: requests are not noted */
	size_t inflight_len;
	unsigned inflight_queues;
	uint16_t inflight_size;
	int reply_fd; /* goes with the reply under way; -1: none */

	bool running; /* the device was activated */
	struct vu_ring rings[VIRTIO_QUEUES_MAX];

	pthread_mutex_t call_lock;
	int backend_fd; /* of requests to the front-end; -1: none */
	/* In-band calls the backend channel had no room for. */
	uint32_t missed_calls;
	bool missed_config;
	/* An eventfd of its own: wakes the loop, for these or because memory
	 * was cut short. */
	struct evsource retry;
	struct evsource room; /* backend_fd, while something was missed */
};

static inline struct vhost_user *vu_of(struct virtio_device *dev)
{
	return container_of(dev->transport, struct vhost_user, transport);
}

/* vhost_user_mem.c */
int vu_set_mem_table(struct vhost_user *vu, struct vu_msg *msg);
void vu_mem_release(struct vhost_user *vu);
/* -EFAULT: no region holds this address. */
int vu_to_gpa(const struct vhost_user *vu, uint64_t user, uint64_t *gpa);

/* vhost_user_inflight.c */
int vu_get_inflight_fd(struct vhost_user *vu, struct vu_msg *msg);
int vu_set_inflight_fd(struct vhost_user *vu, struct vu_msg *msg);
/* Of a ring; NULL: it has none. */
struct inflight_map *vu_inflight_map(const struct vhost_user *vu, unsigned q);
/* The device must not run. */
void vu_inflight_release(struct vhost_user *vu);

/* vhost_user_ring.c */
void vu_rings_init(struct vhost_user *vu);
void vu_rings_release(struct vhost_user *vu);
/* Rings forget everything but their call and err descriptors, and whether
 * they are enabled. */
void vu_rings_reset(struct vhost_user *vu);
void vu_rings_enable(struct vhost_user *vu, bool on);
/* Stops the device; rings keep what they are, and remember their index. */
void vu_stop(struct vhost_user *vu);
/*
 * Starts what is ready; unless now, waits for rings that are still being set
 * up, so that the device sees them all. 0 or -errno.
 */
int vu_start_ready(struct vhost_user *vu, bool now);
int vu_set_vring_num(struct vhost_user *vu, struct vu_msg *msg);
int vu_set_vring_addr(struct vhost_user *vu, struct vu_msg *msg);
int vu_set_vring_base(struct vhost_user *vu, struct vu_msg *msg);
int vu_get_vring_base(struct vhost_user *vu, struct vu_msg *msg);
int vu_set_vring_kick(struct vhost_user *vu, struct vu_msg *msg);
int vu_set_vring_enable(struct vhost_user *vu, struct vu_msg *msg);
int vu_vring_kick(struct vhost_user *vu, struct vu_msg *msg);
int vu_kick_take(struct virtio_device *dev, unsigned q);
void vu_kick_back(struct virtio_device *dev, unsigned q);

/* vhost_user_call.c */
int vu_calls_init(struct vhost_user *vu);
void vu_calls_release(struct vhost_user *vu);
void vu_signal_queue(struct virtio_device *dev, unsigned q);
void vu_signal_config(struct virtio_device *dev);
int vu_set_vring_call(struct vhost_user *vu, struct vu_msg *msg);
int vu_set_vring_err(struct vhost_user *vu, struct vu_msg *msg);
int vu_set_backend_req_fd(struct vhost_user *vu, struct vu_msg *msg);
/* The ring and descriptor of a SET_VRING_{KICK,CALL,ERR}; *fd is the
 * caller's, -1 when the front-end sent none. */
int vu_vring_fd(struct vhost_user *vu, struct vu_msg *msg,
		struct vu_ring **ring, int *fd);
/* Refuses what is no anonymous inode, as an eventfd is: pipes raise signals,
 * files grow. Makes it non-blocking. */
int vu_check_event_fd(int fd);

#endif

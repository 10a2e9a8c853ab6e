/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vhost_user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/virtio/vhost_user_internal.h"

/* Per wake-up of the loop. */
#define MESSAGES_MAX 16u

/* With STATUS, QEMU resets a device whenever it stops its rings. */
static uint64_t protocol_offered(const struct vhost_user *vu)
{
	return VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_REPLY_ACK |
	       VU_PROTOCOL_F_BACKEND_REQ | VU_PROTOCOL_F_RESET_DEVICE |
	       (vu->dev->ops->stop ? 0 : VU_PROTOCOL_F_STATUS) |
	       (vu->options.no_config ? 0 : VU_PROTOCOL_F_CONFIG) |
	       (vu->options.inflight ? VU_PROTOCOL_F_INFLIGHT_SHMFD : 0) |
	       (vu->options.inband ? VU_PROTOCOL_F_INBAND : 0);
}

static int reply_u64(struct vu_msg *msg, uint64_t v)
{
	msg->payload.u64 = v;
	msg->header.size = sizeof(v);
	return 0;
}

/* Requests about the device. -------------------------------------------- */

static int get_features(struct vhost_user *vu, struct vu_msg *msg)
{
	return reply_u64(msg, vu->dev->offered | VU_F_PROTOCOL_FEATURES);
}

/* Without the protocol's features a ring that starts is enabled. */
static bool enabled_from_start(const struct vhost_user *vu)
{
	return vu->features_set && !(vu->features & VU_F_PROTOCOL_FEATURES);
}

static void forget_rings(struct vhost_user *vu)
{
	vu_stop(vu);
	vu_rings_reset(vu);
}

static void reset(struct vhost_user *vu)
{
	forget_rings(vu);
	virtio_device_set_status(vu->dev, 0);
	vu_rings_enable(vu, enabled_from_start(vu));
}

static int set_features(struct vhost_user *vu, struct vu_msg *msg)
{
	uint64_t v = msg->payload.u64;
	bool was;

	if (v & ~(vu->dev->offered | VU_F_PROTOCOL_FEATURES))
		return -EINVAL;
	if (!(v & VIRTIO_F_VERSION_1))
		return -EINVAL; /* a legacy driver */
	was = enabled_from_start(vu);
	/* A driver that begins again, or a machine that was paused. User-mode
	 * Linux, and QEMU before 8.2, say no more than this of a reset. */
	vu->features = v;
	vu->features_set = true;
	forget_rings(vu);
	/* QEMU enables the rings of a network device before this request, and
	 * not again. */
	if (was || enabled_from_start(vu))
		vu_rings_enable(vu, enabled_from_start(vu));
	return 0;
}

static int set_owner(struct vhost_user *vu, struct vu_msg *msg)
{
	return 0;
}

static int reset_owner(struct vhost_user *vu, struct vu_msg *msg)
{
	reset(vu);
	return 0;
}

static int reset_device(struct vhost_user *vu, struct vu_msg *msg)
{
	vu->features = 0;
	vu->features_set = false;
	vu->status = 0;
	reset(vu);
	return 0;
}

static int get_protocol_features(struct vhost_user *vu, struct vu_msg *msg)
{
	return reply_u64(msg, protocol_offered(vu));
}

static int set_protocol_features(struct vhost_user *vu, struct vu_msg *msg)
{
	if (msg->payload.u64 & ~protocol_offered(vu))
		return -EINVAL;
	pthread_mutex_lock(&vu->call_lock);
	vu->protocol = msg->payload.u64;
	pthread_mutex_unlock(&vu->call_lock);
	return 0;
}

static int get_queue_num(struct vhost_user *vu, struct vu_msg *msg)
{
	return reply_u64(msg, vu->dev->nqueues);
}

static int set_status(struct vhost_user *vu, struct vu_msg *msg)
{
	if (msg->payload.u64 > UINT8_MAX)
		return -EINVAL;
	vu->status = (uint8_t)msg->payload.u64;
	if (vu->status == 0)
		reset(vu);
	return 0;
}

static int get_status(struct vhost_user *vu, struct vu_msg *msg)
{
	uint8_t ours = virtio_device_status(vu->dev) & VIRTIO_NEEDS_RESET;

	return reply_u64(msg, vu->status | ours);
}

#define CONFIG_HEAD offsetof(struct vu_config, bytes)

static int check_config(const struct vu_msg *msg)
{
	const struct vu_config *c = &msg->payload.config;

	if (c->size > VU_CONFIG_MAX || c->offset > VU_CONFIG_MAX - c->size ||
	    msg->header.size != CONFIG_HEAD + c->size)
		return -EINVAL;
	return 0;
}

/* The reply has the size of the request, also beyond our config space. */
static int get_config(struct vhost_user *vu, struct vu_msg *msg)
{
	struct vu_config *c = &msg->payload.config;

	if (check_config(msg) < 0)
		return -EINVAL;
	virtio_device_config_read(vu->dev, c->offset, c->bytes, c->size);
	return 0;
}

static int set_config(struct vhost_user *vu, struct vu_msg *msg)
{
	const struct vu_config *c = &msg->payload.config;

	/* flags 1 is migration, which writes read-only fields. */
	if (check_config(msg) < 0 || c->flags != 0)
		return -EINVAL;
	virtio_device_config_write(vu->dev, c->offset, c->bytes, c->size);
	return 0;
}

/* The table. ------------------------------------------------------------ */

struct request {
	const char *name;
	int (*handle)(struct vhost_user *vu, struct vu_msg *msg);
	uint32_t min; /* of the payload */
	uint32_t max;
	unsigned nfds;	/* at most */
	bool replies;	/* by itself, with msg's header and payload */
	uint64_t needs; /* of the protocol's features */
};

#define NONE .min = 0, .max = 0
#define U64 .min = 8, .max = 8
#define STATE                                 \
	.min = sizeof(struct vu_vring_state), \
	.max = sizeof(struct vu_vring_state)
#define CONFIG .min = CONFIG_HEAD, .max = sizeof(struct vu_config)
/* With or without the padding. */
#define INFLIGHT                                      \
	.min = offsetof(struct vu_inflight, padding), \
	.max = sizeof(struct vu_inflight)

/* clang-format off */
static const struct request requests[] = {
[VU_GET_FEATURES] = {"GET_FEATURES", get_features, NONE, .replies = true},
[VU_SET_FEATURES] = {"SET_FEATURES", set_features, U64},
[VU_SET_OWNER] = {"SET_OWNER", set_owner, NONE},
[VU_RESET_OWNER] = {"RESET_OWNER", reset_owner, NONE},
[VU_SET_MEM_TABLE] = {"SET_MEM_TABLE", vu_set_mem_table,
	.min = 8, .max = sizeof(struct vu_memory), .nfds = VU_REGIONS_MAX},
[VU_SET_VRING_NUM] = {"SET_VRING_NUM", vu_set_vring_num, STATE},
[VU_SET_VRING_ADDR] = {"SET_VRING_ADDR", vu_set_vring_addr,
	.min = sizeof(struct vu_vring_addr),
	.max = sizeof(struct vu_vring_addr)},
[VU_SET_VRING_BASE] = {"SET_VRING_BASE", vu_set_vring_base, STATE},
[VU_GET_VRING_BASE] = {"GET_VRING_BASE", vu_get_vring_base, STATE,
	.replies = true},
[VU_SET_VRING_KICK] = {"SET_VRING_KICK", vu_set_vring_kick, U64, .nfds = 1},
[VU_SET_VRING_CALL] = {"SET_VRING_CALL", vu_set_vring_call, U64, .nfds = 1},
[VU_SET_VRING_ERR] = {"SET_VRING_ERR", vu_set_vring_err, U64, .nfds = 1},
[VU_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", get_protocol_features,
	NONE, .replies = true},
[VU_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", set_protocol_features,
	U64},
[VU_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", get_queue_num, NONE, .replies = true},
[VU_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", vu_set_vring_enable, STATE},
[VU_SET_BACKEND_REQ_FD] = {"SET_BACKEND_REQ_FD", vu_set_backend_req_fd, NONE,
	.nfds = 1, .needs = VU_PROTOCOL_F_BACKEND_REQ},
[VU_GET_CONFIG] = {"GET_CONFIG", get_config, CONFIG, .replies = true,
	.needs = VU_PROTOCOL_F_CONFIG},
[VU_SET_CONFIG] = {"SET_CONFIG", set_config, CONFIG,
	.needs = VU_PROTOCOL_F_CONFIG},
[VU_GET_INFLIGHT_FD] = {"GET_INFLIGHT_FD", vu_get_inflight_fd, INFLIGHT,
	.replies = true, .needs = VU_PROTOCOL_F_INFLIGHT_SHMFD},
[VU_SET_INFLIGHT_FD] = {"SET_INFLIGHT_FD", vu_set_inflight_fd, INFLIGHT,
	.nfds = 1, .needs = VU_PROTOCOL_F_INFLIGHT_SHMFD},
[VU_RESET_DEVICE] = {"RESET_DEVICE", reset_device, NONE,
	.needs = VU_PROTOCOL_F_RESET_DEVICE},
[VU_VRING_KICK] = {"VRING_KICK", vu_vring_kick, STATE,
	.needs = VU_PROTOCOL_F_INBAND},
[VU_SET_STATUS] = {"SET_STATUS", set_status, U64,
	.needs = VU_PROTOCOL_F_STATUS},
[VU_GET_STATUS] = {"GET_STATUS", get_status, NONE, .replies = true,
	.needs = VU_PROTOCOL_F_STATUS},
};
/* clang-format on */

static const struct request *find_request(uint32_t id)
{
	if (id >= ARRAY_SIZE(requests) || !requests[id].handle)
		return NULL;
	return &requests[id];
}

static int handle(struct vhost_user *vu, const struct request *r,
		  struct vu_msg *msg)
{
	if (!r)
		return -EOPNOTSUPP;
	if (msg->header.size < r->min || msg->header.size > r->max ||
	    msg->nfds > r->nfds)
		return -EPROTO;
	if ((vu->protocol & r->needs) != r->needs)
		return -EOPNOTSUPP;
	return r->handle(vu, msg);
}

static void drop_reply_fd(struct vhost_user *vu)
{
	if (vu->reply_fd >= 0)
		close(steal_fd(&vu->reply_fd));
}

/*
 * 0, or -errno: the connection is to be closed. A request that fails is
 * refused by its reply when the front-end asked for one; otherwise it would
 * go on as if it had been obeyed.
 */
static int dispatch(struct vhost_user *vu)
{
	struct vu_msg *msg = &vu->msg;
	const struct request *r = find_request(msg->header.request);
	bool replies = r && r->replies;
	bool ack = !replies && (msg->header.flags & VU_FLAG_NEED_REPLY);
	int rc = handle(vu, r, msg);

	/* User-mode Linux wants a reply to the very request that agrees on
	 * replies. */
	ack = ack && (vu->protocol & VU_PROTOCOL_F_REPLY_ACK);
	if (rc < 0 && log_allowed(&vu->refused, 5))
		log_warn("vhost-user %s: %s (%u): %s", vu->dev->ops->name,
			 r ? r->name : "request", msg->header.request,
			 strerror(-rc));
	if (rc < 0 && !ack)
		return rc;
	if (ack)
		reply_u64(msg, rc < 0);
	if (!ack && !replies)
		return 0;
	/* User-mode Linux compares the flags for equality. */
	msg->header.flags = VU_VERSION | VU_FLAG_REPLY;
	rc = vu_msg_send(vu->conn.fd, &msg->header, &msg->payload,
			 vu->reply_fd);
	drop_reply_fd(vu);
	return rc;
}

/* The connection. ------------------------------------------------------- */

static void shut(struct vhost_user *vu)
{
	int fd = vu->conn.fd;

	vu->closed = true;
	vu_stop(vu);
	virtio_device_set_status(vu->dev, 0);
	vu_rings_release(vu);
	vu_msg_release(&vu->msg);
	evsource_del(&vu->conn);
	close(fd);
	vu_inflight_release(vu);
	vu_mem_release(vu);
}

static void conn_ready(struct evsource *src, uint32_t revents)
{
	struct vhost_user *vu = container_of(src, struct vhost_user, conn);
	unsigned i;
	int rc = 0;

	for (i = 0; i < MESSAGES_MAX; i++) {
		rc = vu_msg_receive(src->fd, &vu->msg);
		if (rc <= 0)
			break;
		rc = dispatch(vu);
		vu_msg_release(&vu->msg);
		if (rc < 0)
			break;
	}
	if (rc >= 0)
		return;
	log_info("vhost-user %s: connection closed: %s", vu->dev->ops->name,
		 strerror(-rc));
	shut(vu);
	/* May free vu. */
	if (vu->options.closed)
		vu->options.closed(vu, vu->options.arg);
}

struct vhost_user *vhost_user_new(struct evloop *loop,
				  struct virtio_device *dev, int conn_fd,
				  const struct vhost_user_options *options,
				  struct err *err)
{
	AUTO_FD int fd = conn_fd;
	struct vhost_user *vu = calloc(1, sizeof(*vu));
	int rc;

	if (!vu) {
		err_set(err, ENOMEM, "vhost-user: out of memory");
		return NULL;
	}
	vu->transport.signal_queue = vu_signal_queue;
	vu->transport.signal_config = vu_signal_config;
	vu->transport.kick_take = vu_kick_take;
	vu->transport.kick_back = vu_kick_back;
	vu->loop = loop;
	vu->dev = dev;
	vu->options.memory_fd = -1;
	if (options)
		vu->options = *options;
	vu->backend_fd = -1;
	vu->retry.fd = -1;
	vu->conn.fd = -1;
	vu->reply_fd = -1;
	vu_msg_init(&vu->msg);
	guestmem_init(&vu->mem);
	pthread_mutex_init(&vu->call_lock, NULL);
	vu_rings_init(vu);
	vu_rings_reset(vu);
	dev->loop = loop;
	dev->mem = &vu->mem;
	dev->transport = &vu->transport;

	rc = vu_calls_init(vu);
	if (rc == 0)
		rc = evsource_add(loop, &vu->conn, fd, EPOLLIN, conn_ready);
	if (rc < 0) {
		err_ret(err, rc, "vhost-user %s", dev->ops->name);
		vu->closed = true;
		vhost_user_free(vu);
		return NULL;
	}
	steal_fd(&fd);
	return vu;
}

void vhost_user_free(struct vhost_user *vu)
{
	if (!vu)
		return;
	if (!vu->closed)
		shut(vu);
	vu_calls_release(vu);
	vu->dev->transport = NULL;
	vu->dev->mem = NULL;
	pthread_mutex_destroy(&vu->call_lock);
	free(vu);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/virtio/vhost_user_internal.h"

/* The peer, which has the same description, can make it blocking again. */
static int unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/*
 * Eight bytes, always: an eventfd takes nothing else, and user-mode Linux
 * reads its socket by eights. Full means that the interrupt is pending.
 */
static void notify(int fd, bool is_socket)
{
	const uint64_t one = 1;

	if (is_socket)
		(void)!send(fd, &one, sizeof(one), MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (unblock(fd) == 0)
		(void)!write(fd, &one, sizeof(one));
}

/* In band, under call_lock. False: the channel has no room now. */
static bool tell(struct vhost_user *vu, uint32_t request, uint32_t index)
{
	const struct vu_vring_state state = {.index = index};
	struct vu_header header = {.request = request, .flags = VU_VERSION};

	if (request != VU_BACKEND_CONFIG_CHANGE)
		header.size = sizeof(state);
	return vu_msg_send(vu->backend_fd, &header, &state, -1) != -EAGAIN;
}

static void ask_for_retry(struct vhost_user *vu)
{
	const uint64_t one = 1;

	(void)!write(vu->retry.fd, &one, sizeof(one));
}

void vu_signal_queue(struct virtio_device *dev, unsigned q)
{
	struct vhost_user *vu = vu_of(dev);
	struct vu_ring *ring = &vu->rings[q];

	pthread_mutex_lock(&vu->call_lock);
	if (ring->call_fd >= 0) {
		notify(ring->call_fd, ring->call_fd_is_socket);
	} else if (!ring->no_call && vu->backend_fd >= 0 &&
		   (vu->protocol & VU_PROTOCOL_F_INBAND)) {
		if (!tell(vu, VU_BACKEND_VRING_CALL, q)) {
			vu->missed_calls |= 1u << q;
			ask_for_retry(vu);
		}
	}
	pthread_mutex_unlock(&vu->call_lock);
}

static void signal_errors(struct vhost_user *vu)
{
	unsigned i;

	for (i = 0; i < vu->dev->nqueues; i++) {
		if (vu->rings[i].err_fd >= 0)
			notify(vu->rings[i].err_fd, false);
	}
}

void vu_signal_config(struct virtio_device *dev)
{
	struct vhost_user *vu = vu_of(dev);
	bool fault = (virtio_device_status(dev) & VIRTIO_NEEDS_RESET) != 0;

	pthread_mutex_lock(&vu->call_lock);
	if (fault)
		signal_errors(vu);
	if (vu->backend_fd >= 0 && (vu->protocol & VU_PROTOCOL_F_CONFIG) &&
	    !tell(vu, VU_BACKEND_CONFIG_CHANGE, 0)) {
		vu->missed_config = true;
		ask_for_retry(vu);
	}
	pthread_mutex_unlock(&vu->call_lock);
}

/* Room in the backend channel, on the loop. */
static void room_ready(struct evsource *src, uint32_t revents)
{
	struct vhost_user *vu = container_of(src, struct vhost_user, room);
	unsigned i;

	pthread_mutex_lock(&vu->call_lock);
	for (i = 0; i < vu->dev->nqueues; i++) {
		if (!(vu->missed_calls & (1u << i)))
			continue;
		if (!tell(vu, VU_BACKEND_VRING_CALL, i))
			break;
		vu->missed_calls &= ~(1u << i);
	}
	if (!vu->missed_calls && vu->missed_config &&
	    tell(vu, VU_BACKEND_CONFIG_CHANGE, 0))
		vu->missed_config = false;
	if ((!vu->missed_calls && !vu->missed_config) ||
	    (revents & (EPOLLHUP | EPOLLERR)))
		evsource_del(src);
	pthread_mutex_unlock(&vu->call_lock);
}

static void retry_ready(struct evsource *src, uint32_t revents)
{
	struct vhost_user *vu = container_of(src, struct vhost_user, retry);
	uint64_t count;

	if (read(src->fd, &count, sizeof(count)) < 0)
		return;
	if (guestmem_cut(&vu->mem))
		vdev_fault(vu->dev, "guest memory was cut short");
	if (vu->room.loop || vu->backend_fd < 0)
		return;
	/* Without it a call is late until the next one: not worth a fault. */
	if (evsource_add(vu->loop, &vu->room, vu->backend_fd, EPOLLOUT,
			 room_ready) < 0)
		return;
}

int vu_calls_init(struct vhost_user *vu)
{
	AUTO_FD int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int rc;

	if (fd < 0)
		return -errno;
	rc = evsource_add(vu->loop, &vu->retry, fd, EPOLLIN, retry_ready);
	if (rc < 0)
		return rc;
	steal_fd(&fd);
	return 0;
}

static void replace_fd(int *slot, int fd)
{
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

void vu_calls_release(struct vhost_user *vu)
{
	int fd = vu->retry.fd;
	bool added = vu->retry.loop != NULL;
	unsigned i;

	evsource_del(&vu->room);
	evsource_del(&vu->retry);
	if (added)
		close(fd);
	pthread_mutex_lock(&vu->call_lock);
	replace_fd(&vu->backend_fd, -1);
	for (i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		replace_fd(&vu->rings[i].call_fd, -1);
		replace_fd(&vu->rings[i].err_fd, -1);
	}
	pthread_mutex_unlock(&vu->call_lock);
}

int vu_vring_fd(struct vhost_user *vu, struct vu_msg *msg,
		struct vu_ring **ring, int *fd)
{
	uint64_t v = msg->payload.u64;
	uint64_t index = v & VU_VRING_INDEX_MASK;
	bool no_fd = (v & VU_VRING_NO_FD) != 0;

	if ((v & ~(VU_VRING_INDEX_MASK | VU_VRING_NO_FD)) ||
	    index >= vu->dev->nqueues || msg->nfds != (no_fd ? 0 : 1))
		return -EINVAL;
	*ring = &vu->rings[index];
	*fd = no_fd ? -1 : vu_msg_take_fd(msg, 0);
	return 0;
}

int vu_check_event_fd(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return (st.st_mode & S_IFMT) != 0 ? -EINVAL : unblock(fd);
}

static int is_socket(int fd, bool *yes)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*yes = S_ISSOCK(st.st_mode);
	return 0;
}

int vu_set_vring_call(struct vhost_user *vu, struct vu_msg *msg)
{
	struct vu_ring *ring;
	AUTO_FD int fd = -1;
	bool sock = false;
	int rc;

	rc = vu_vring_fd(vu, msg, &ring, &fd);
	if (rc < 0)
		return rc;
	if (fd >= 0) {
		rc = is_socket(fd, &sock);
		if (rc < 0)
			return rc;
		rc = sock ? 0 : vu_check_event_fd(fd);
		if (rc < 0)
			return rc;
	}
	pthread_mutex_lock(&vu->call_lock);
	ring->no_call = fd < 0;
	ring->call_fd_is_socket = sock;
	replace_fd(&ring->call_fd, steal_fd(&fd));
	/* What was signalled to the one before may have been lost. */
	if (ring->call_fd >= 0 && vu->running)
		notify(ring->call_fd, sock);
	pthread_mutex_unlock(&vu->call_lock);
	return 0;
}

int vu_set_vring_err(struct vhost_user *vu, struct vu_msg *msg)
{
	struct vu_ring *ring;
	AUTO_FD int fd = -1;
	int rc;

	rc = vu_vring_fd(vu, msg, &ring, &fd);
	if (rc < 0)
		return rc;
	if (fd >= 0) {
		rc = vu_check_event_fd(fd);
		if (rc < 0)
			return rc;
	}
	pthread_mutex_lock(&vu->call_lock);
	replace_fd(&ring->err_fd, steal_fd(&fd));
	pthread_mutex_unlock(&vu->call_lock);
	return 0;
}

int vu_set_backend_req_fd(struct vhost_user *vu, struct vu_msg *msg)
{
	bool sock = false;
	int rc;

	if (msg->nfds != 1)
		return -EINVAL;
	rc = is_socket(msg->fds[0], &sock);
	if (rc < 0)
		return rc;
	if (!sock)
		return -ENOTSOCK;
	evsource_del(&vu->room);
	pthread_mutex_lock(&vu->call_lock);
	replace_fd(&vu->backend_fd, vu_msg_take_fd(msg, 0));
	vu->missed_calls = 0;
	vu->missed_config = false;
	pthread_mutex_unlock(&vu->call_lock);
	return 0;
}

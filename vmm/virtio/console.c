/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/console.h"

#include <stdlib.h>

#include "vmm/virtio/device.h"

#define QUEUE_SIZE 256u
/* Per wake-up of the loop. */
#define KICK_BYTES_MAX (64u << 10)

enum {
	QUEUE_RX, /* port0 receiveq; its buffers stay the driver's */
	QUEUE_TX, /* port0 transmitq */
	QUEUES,
};

struct console {
	struct virtio_device dev;
	void (*output)(void *arg, const void *data, size_t len);
	void *arg;
	/* The request being written out, if any, and how far it is. */
	struct virtq_chain tx;
	bool tx_held;
	size_t tx_done;
};

static struct console *to_console(struct virtio_device *dev)
{
	return container_of(dev, struct console, dev);
}

static int console_activate(struct virtio_device *dev)
{
	struct console *con = to_console(dev);

	con->tx_held = false;
	return 0;
}

static void console_reset(struct virtio_device *dev)
{
	to_console(dev)->tx_held = false;
}

/* Copied out first: the consumer must not see the guest change its mind. */
static size_t put_some(struct console *con, size_t max)
{
	uint8_t buf[4096];
	size_t n = virtq_chain_read(&con->tx, con->tx_done, buf,
				    MIN(max, sizeof(buf)));

	if (n > 0)
		con->output(con->arg, buf, n);
	con->tx_done += n;
	return n;
}

/* 1: a request is held; 0: none is there; -EPROTO. */
static int hold_tx(struct console *con, struct virtq *vq)
{
	int rc;

	if (con->tx_held)
		return 1;
	rc = virtq_pop(vq, &con->tx);
	if (rc > 0) {
		con->tx_held = true;
		con->tx_done = 0;
	}
	return rc;
}

static void transmit(struct console *con)
{
	struct virtio_device *dev = &con->dev;
	struct virtq *vq = &dev->queues[QUEUE_TX];
	size_t budget = KICK_BYTES_MAX;
	int rc;

	virtq_disable_kick(vq);
	do {
		while ((rc = hold_tx(con, vq)) > 0) {
			if (con->tx.nwrite > 0) {
				vdev_fault(dev, "output request to be written");
				return;
			}
			if (budget == 0) {
				virtio_device_signal(dev, QUEUE_TX);
				virtio_device_kick_again(dev, QUEUE_TX);
				return;
			}
			budget -= put_some(con, budget);
			if (con->tx_done < con->tx.read_len)
				continue;
			con->tx_held = false;
			virtq_push(vq, con->tx.head, 0);
		}
		if (rc < 0) {
			vdev_fault(dev, "queue %u: broken ring", QUEUE_TX);
			return;
		}
		virtio_device_signal(dev, QUEUE_TX);
	} while (virtq_enable_kick(vq));
}

static void console_kick(struct virtio_device *dev, unsigned q)
{
	if (q == QUEUE_TX)
		transmit(to_console(dev));
}

static void console_destroy(struct virtio_device *dev)
{
	virtio_device_release(dev);
	free(to_console(dev));
}

static const struct virtio_device_ops console_ops = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.activate = console_activate,
	.kick = console_kick,
	.reset = console_reset,
	.destroy = console_destroy,
};

struct virtio_device *
virtio_console_new(void (*output)(void *arg, const void *data, size_t len),
		   void *arg)
{
	struct console *con = calloc(1, sizeof(*con));

	if (!con)
		return NULL;
	con->output = output;
	con->arg = arg;
	virtio_device_init(&con->dev, &console_ops,
			   VIRTIO_RING_F_INDIRECT_DESC |
				   VIRTIO_RING_F_EVENT_IDX,
			   QUEUES, QUEUE_SIZE);
	return &con->dev;
}

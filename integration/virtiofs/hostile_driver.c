/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/hostile_driver.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "integration/virtiofs/hostile_memory.h"
#include "integration/virtiofs/hostile_pci.h"

#define ANSWER_NS 30000000000ull
#define RING_ROOM (LINK_RINGS / LINK_QUEUES)
/* Looks at a used ring between two at the status, which costs an exit. */
#define LOOKS 2000u
#define PAUSE_NS 50000
#define NO_VECTOR 0xffffu
#define WANTED                                                              \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ull << VIRTIO_RING_F_EVENT_IDX)

struct ring {
	struct vring vring;
	uint16_t avail;
	uint16_t used;
};

uint8_t *link_memory;

static uint64_t base; /* guest-physical, of link_memory */
static uint64_t end;
static struct ring rings[LINK_QUEUES];

bool link_is_local(void)
{
	return false;
}

uint64_t link_address(uint64_t at)
{
	return base + at;
}

uint64_t link_end(void)
{
	return end;
}

/* The device. -------------------------------------------------------------- */

static void pause_ns(long ns)
{
	const struct timespec ts = {.tv_nsec = ns};

	nanosleep(&ts, NULL);
}

static unsigned status(void)
{
	return (unsigned)pci_read(PCI_STATUS, 1);
}

static void features(void)
{
	uint64_t offered;

	pci_write(PCI_DEVICE_FEATURE_SELECT, 4, 1);
	offered = pci_read(PCI_DEVICE_FEATURE, 4) << 32;
	pci_write(PCI_DEVICE_FEATURE_SELECT, 4, 0);
	offered |= pci_read(PCI_DEVICE_FEATURE, 4);
	if ((offered & WANTED) != WANTED)
		link_die("features");
	pci_write(PCI_DRIVER_FEATURE_SELECT, 4, 0);
	pci_write(PCI_DRIVER_FEATURE, 4, WANTED & UINT32_MAX);
	pci_write(PCI_DRIVER_FEATURE_SELECT, 4, 1);
	pci_write(PCI_DRIVER_FEATURE, 4, WANTED >> 32);
}

/* Until it is done with what is under way (virtio 1.2, 4.1.4.3.2). */
static void reset(void)
{
	uint64_t start = monotonic_ns();

	pci_write(PCI_STATUS, 1, 0);
	while (status() != 0) {
		if (monotonic_ns() - start > ANSWER_NS)
			link_die("the device does not reset");
		pause_ns(PAUSE_NS);
	}
}

void driver_negotiate(void)
{
	const unsigned driver =
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	reset();
	pci_write(PCI_STATUS, 1, driver);
	features();
	pci_write(PCI_STATUS, 1, driver | VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(status() & VIRTIO_CONFIG_S_FEATURES_OK))
		link_die("the device refuses its features");
}

void driver_queue(unsigned q)
{
	const uint64_t at = LINK_MEMORY + q * RING_ROOM;
	struct vring *vring = &rings[q].vring;
	const uint8_t *desc;

	memset(link_memory + at, 0, RING_ROOM);
	vring_init(vring, LINK_RING, link_memory + at, 4096);
	rings[q].avail = rings[q].used = 0;
	desc = (const uint8_t *)vring->desc;
	pci_write(PCI_QUEUE_SELECT, 2, q);
	pci_write(PCI_QUEUE_SIZE, 2, LINK_RING);
	pci_write(PCI_QUEUE_VECTOR, 2, NO_VECTOR);
	pci_write(PCI_QUEUE_DESC, 8, base + at);
	pci_write(PCI_QUEUE_DRIVER, 8,
		  base + at + (uint64_t)((uint8_t *)vring->avail - desc));
	pci_write(PCI_QUEUE_DEVICE, 8,
		  base + at + (uint64_t)((uint8_t *)vring->used - desc));
}

bool driver_ok(void)
{
	pci_write(PCI_STATUS, 1,
		  VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			  VIRTIO_CONFIG_S_FEATURES_OK |
			  VIRTIO_CONFIG_S_DRIVER_OK);
	return (status() &
		(VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET)) ==
	       VIRTIO_CONFIG_S_DRIVER_OK;
}

void link_again(void)
{
	driver_negotiate();
	for (unsigned q = 0; q < LINK_QUEUES; q++) {
		driver_queue(q);
		pci_write(PCI_QUEUE_ENABLE, 2, 1);
	}
	if (!driver_ok())
		link_die("the device does not start");
}

void driver_start(uint64_t memory_end)
{
	end = memory_end;
	link_memory = memory_map(LINK_MEMORY + LINK_RINGS, &base);
	pci_take();
	if (pci_read(PCI_NUM_QUEUES, 2) < LINK_QUEUES) {
		errno = ENOTSUP;
		link_die("too few queues");
	}
	link_again();
}

/* Rings. ------------------------------------------------------------------- */

struct vring_desc *link_desc(unsigned queue)
{
	return rings[queue].vring.desc;
}

void link_push(unsigned queue, uint16_t head, uint16_t advance)
{
	struct ring *ring = &rings[queue];

	ring->vring.avail->ring[ring->avail % LINK_RING] = head;
	ring->avail = (uint16_t)(ring->avail + advance);
	__atomic_store_n(&ring->vring.avail->idx, ring->avail,
			 __ATOMIC_RELEASE);
	pci_notify(queue, queue, 2);
}

void link_submit(unsigned queue, unsigned slot, const struct link_seg *segs,
		 unsigned n)
{
	link_chain(queue, slot, segs, n);
}

static bool came_back(const struct ring *ring)
{
	for (unsigned i = 0; i < LOOKS; i++) {
		if (__atomic_load_n(&ring->vring.used->idx, __ATOMIC_ACQUIRE) !=
		    ring->used)
			return true;
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
	}
	return false;
}

bool link_next(unsigned queue, unsigned *slot, uint32_t *len)
{
	struct ring *ring = &rings[queue];
	uint64_t start = monotonic_ns();
	const struct vring_used_elem *elem;

	while (!came_back(ring)) {
		if (status() & VIRTIO_CONFIG_S_NEEDS_RESET)
			return false;
		if (monotonic_ns() - start > ANSWER_NS)
			link_die("the device does not answer");
		pause_ns(PAUSE_NS);
	}
	elem = &ring->vring.used->ring[ring->used++ % LINK_RING];
	*slot = elem->id / LINK_SEGS;
	*len = elem->len;
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a driver can do to the device beside requests: registers, and rings and
 * buffers where none can be. After each the device serves, or asks for a reset
 * and serves after it.
 */

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "base/clock.h"
#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_driver.h"
#include "integration/virtiofs/hostile_groups.h"
#include "integration/virtiofs/hostile_pci.h"

#define PAGE 0x1000u
#define MSIX_PAGE 4u
#define HEADER_END 0x40u /* of configuration space, what the kernel uses */
#define ALL_SET                                                 \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define RESETS 50u
#define IN HOSTILE_OWN
#define OUT (HOSTILE_OWN + (1u << 20))

/* Of a guest that has forgotten all: as good as new. */
static void served(const char *what)
{
	hostile.requests++;
	hostile_again();
	hostile_check(hostile_lookup(HOSTILE_ROOT, "alive"), "%s: not served",
		      what);
}

/* Status, features. -------------------------------------------------------- */

static void statuses(void)
{
	static const uint8_t orders[] = {
		VIRTIO_CONFIG_S_DRIVER_OK,
		VIRTIO_CONFIG_S_FEATURES_OK,
		VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK,
		ALL_SET,
		VIRTIO_CONFIG_S_NEEDS_RESET,
		VIRTIO_CONFIG_S_FAILED,
		UINT8_MAX,
	};

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		pci_write(PCI_STATUS, 1, 0);
		pci_write(PCI_STATUS, 1, orders[i]);
		for (unsigned q = 0; q < LINK_QUEUES; q++)
			pci_notify(q, q, 2);
		pci_write(PCI_STATUS, 1, 1);
		pci_write(PCI_STATUS, 1, 0);
		pci_write(PCI_STATUS, 1, orders[i] | 1);
		served("status in another order");
	}
}

static void features(void)
{
	const unsigned driver =
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	/* 0 takes none, 1 all that there are, 2 those of no device. */
	for (uint32_t i = 0; i < 3; i++) {
		pci_write(PCI_STATUS, 1, 0);
		pci_write(PCI_STATUS, 1, driver);
		for (uint32_t select = 0; select < 4; select++) {
			pci_write(PCI_DRIVER_FEATURE_SELECT, 4,
				  select == 3 ? UINT32_MAX : select);
			pci_write(PCI_DRIVER_FEATURE, 4,
				  i == 0 ? 0 : UINT32_MAX << (i == 2));
		}
		pci_write(PCI_STATUS, 1, driver | VIRTIO_CONFIG_S_FEATURES_OK);
		hostile_check(!(pci_read(PCI_STATUS, 1) &
				VIRTIO_CONFIG_S_FEATURES_OK),
			      "features %u are fine", i);
		served("features");
	}
}

/* Queues. ------------------------------------------------------------------ */

static void sizes(void)
{
	static const uint16_t odd[] = {0, 3, LINK_RING + 1, 1u << 15,
				       UINT16_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		driver_negotiate();
		driver_queue(LINK_REQUESTS);
		pci_write(PCI_QUEUE_SIZE, 2, odd[i]);
		hostile_check(pci_read(PCI_QUEUE_SIZE, 2) != odd[i],
			      "a queue of %u", odd[i]);
		pci_write(PCI_QUEUE_ENABLE, 2, 1);
		driver_ok();
		served("a queue of odd size");
	}
}

static void no_queues(void)
{
	static const uint16_t none[] = {LINK_QUEUES, 64, 1u << 15, UINT16_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		pci_write(PCI_QUEUE_SELECT, 2, none[i]);
		hostile_check(pci_read(PCI_QUEUE_SIZE, 2) == 0,
			      "queue %u is there", none[i]);
		pci_write(PCI_QUEUE_SIZE, 2, 16);
		pci_write(PCI_QUEUE_VECTOR, 2, none[i]);
		pci_write(PCI_QUEUE_DESC, 8, UINT64_MAX);
		pci_write(PCI_QUEUE_ENABLE, 2, 1);
	}
	for (unsigned q = 0; q < 64; q++)
		pci_notify(q, UINT32_MAX, 1u << (q % 3));
	served("queues that are not there");
	driver_negotiate();
	driver_ok();
	for (unsigned q = 0; q < LINK_QUEUES; q++)
		pci_notify(q, q, 2);
	served("no queue at all");
}

/* What is enabled is frozen: the device goes on with what it had. */
static void frozen(void)
{
	for (unsigned q = 0; q < LINK_QUEUES; q++) {
		pci_write(PCI_QUEUE_SELECT, 2, q);
		pci_write(PCI_QUEUE_SIZE, 2, 2);
		pci_write(PCI_QUEUE_DESC, 8, link_end());
		pci_write(PCI_QUEUE_DRIVER, 8, 0);
		pci_write(PCI_QUEUE_DEVICE, 8, pci_bars[0].address);
		pci_write(PCI_QUEUE_ENABLE, 2, 0);
		pci_write(PCI_QUEUE_ENABLE, 2, 1);
	}
	pci_write(PCI_DRIVER_FEATURE_SELECT, 4, 0);
	pci_write(PCI_DRIVER_FEATURE, 4, UINT32_MAX);
	hostile_check(hostile_lookup(HOSTILE_ROOT, "alive"),
		      "queues that were changed in use");
	served("queues that were changed in use");
}

/* Any access. -------------------------------------------------------------- */

/* Interrupts of its own making are the guest's own trouble, and would end it.
 */
static void accesses(void)
{
	for (unsigned bar = 0; bar < PCI_BARS; bar += 4) {
		const struct pci_bar *b = &pci_bars[bar];
		uint64_t step = b->at ? 4 : 1;

		for (uint64_t at = 0; at < b->size; at += step) {
			uint64_t width = 1u << hostile_draw(b->at ? 4 : 3);
			uint64_t off = at / width * width;

			if (b->at && at % PAGE >= 0x100)
				continue;
			pci_bar_read(bar, off, (unsigned)width);
			if (b->at && at / PAGE == MSIX_PAGE)
				continue;
			pci_bar_write(bar, off, (unsigned)width,
				      hostile_draw(2) ? hostile_draw(UINT64_MAX)
						      : UINT64_MAX);
		}
	}
	served("any register, with anything");
}

/* The way into BARs by configuration space (virtio 1.2, 4.1.4.9). */
static void window(void)
{
	static const uint32_t offsets[] = {
		0, 0x14, 0x7ffd, 0x8000, 0xfffffffc, 0x80000000, UINT32_MAX};
	static const uint32_t lens[] = {0, 1, 3, 4, 8, UINT32_MAX};
	unsigned cap = pci_capability(VIRTIO_PCI_CAP_PCI_CFG);
	uint32_t data = 0;

	if (!hostile_check(cap, "no window"))
		return;
	for (unsigned bar = 0; bar < 256; bar += bar < 6 ? 1 : 83) {
		for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
			const uint32_t at = offsets[i];
			const uint32_t len = lens[i % ARRAY_SIZE(lens)];
			const uint8_t b = (uint8_t)bar;

			pci_config_write(cap + 4, &b, 1);
			pci_config_write(cap + 8, &at, 4);
			pci_config_write(cap + 12, &len, 4);
			pci_config_read(cap + 16, &data, 4);
			pci_config_write(cap + 16, &data, 4);
			pci_config_write(cap + 16, &data, 1);
		}
	}
	served("the window in configuration space");
}

/* Each byte, all bits one way and the other; BARs that lie over memory, over
 * each other and over nothing. */
static void configuration(void)
{
	uint8_t was[256], byte;
	uint32_t places[] = {0, 0x1000, 0xfee00000, 0xe8000000, UINT32_MAX};

	pci_config_read(0, was, sizeof(was));
	for (unsigned at = HEADER_END; at < sizeof(was); at++) {
		byte = (uint8_t)~was[at];
		pci_config_write(at, &byte, 1);
		pci_config_write(at, &was[at], 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (unsigned bar = 0; bar < PCI_BARS; bar++) {
			pci_config_write(0x10 + 4 * bar, &places[i], 4);
			pci_config_write(0x10 + 4 * bar, was + 0x10 + 4 * bar,
					 4);
		}
	pci_config_write(4, was + 4, 2);
	served("configuration space");
}

void group_registers(void)
{
	statuses();
	features();
	sizes();
	no_queues();
	frozen();
	accesses();
	window();
	configuration();
}

/* Rings and buffers where none can be. ------------------------------------- */

static void ring_at(unsigned reg, uint64_t address)
{
	bool well;

	driver_negotiate();
	driver_queue(LINK_HIPRIO);
	pci_write(PCI_QUEUE_ENABLE, 2, 1);
	driver_queue(LINK_REQUESTS);
	pci_write(reg, 8, address);
	pci_write(PCI_QUEUE_ENABLE, 2, 1);
	well = driver_ok();
	if (well)
		pci_notify(LINK_REQUESTS, LINK_REQUESTS, 2);
	hostile_check(!well || pci_read(PCI_STATUS, 1) &
				       VIRTIO_CONFIG_S_NEEDS_RESET,
		      "a ring at %#llx, register %#x",
		      (unsigned long long)address, reg);
	served("a ring where none can be");
}

static void rings(void)
{
	static const unsigned registers[] = {PCI_QUEUE_DESC, PCI_QUEUE_DRIVER,
					     PCI_QUEUE_DEVICE};
	const uint64_t places[] = {
		link_end(),
		link_end() - 16,
		link_address(0) + 1,
		pci_bars[0].address,
		pci_bars[2].address ? pci_bars[2].address : 1ull << 40,
		1ull << 63,
		UINT64_MAX,
		UINT64_MAX - 15,
		UINT64_MAX - 4095,
	};

	for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
		for (size_t j = 0; j < ARRAY_SIZE(places); j++)
			ring_at(registers[i], places[j]);
}

static uint32_t put_getattr(void)
{
	const struct {
		struct fuse_in_header head;
		struct fuse_getattr_in in;
	} ask = {.head = {.len = sizeof(ask),
			  .opcode = FUSE_GETATTR,
			  .nodeid = HOSTILE_ROOT}};

	memcpy(link_memory + IN, &ask, sizeof(ask));
	memset(link_memory + OUT, 0, PAGE);
	return sizeof(ask);
}

static bool taken(uint64_t asks, uint64_t answers)
{
	struct vring_desc *desc = link_desc(LINK_REQUESTS);
	uint32_t len;
	unsigned slot;

	hostile.requests++;
	desc[0] =
		(struct vring_desc){asks, put_getattr(), VRING_DESC_F_NEXT, 1};
	desc[1] = (struct vring_desc){answers, PAGE, VRING_DESC_F_WRITE, 0};
	link_push(LINK_REQUESTS, 0, 1);
	return link_next(LINK_REQUESTS, &slot, &len);
}

/* No device reads or writes another one, nor itself. In the DAX window a buffer
 * may lie; where no file is, there are zeros. */
static void buffers(void)
{
	const uint64_t places[] = {
		pci_bars[0].address, pci_bars[0].address + 0x14,
		0xe8000000,	     0xfee00000,
		1ull << 40,	     pci_bars[2].address,
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		bool may = i + 1 == ARRAY_SIZE(places);

		if (!places[i])
			continue;
		hostile_check(!taken(places[i], link_address(OUT)) || may,
			      "a request at %#llx",
			      (unsigned long long)places[i]);
		served("a request that is no memory");
		hostile_check(!taken(link_address(IN), places[i]) || may,
			      "a reply at %#llx",
			      (unsigned long long)places[i]);
		served("a reply that is no memory");
	}
}

/* A ring that is its own buffer, and two queues that are one. */
static void aliases(void)
{
	struct vring_desc *desc = link_desc(LINK_REQUESTS);
	uint64_t ring = LINK_MEMORY + LINK_RINGS / LINK_QUEUES * LINK_REQUESTS;

	desc[0] = (struct vring_desc){link_address(IN), put_getattr(),
				      VRING_DESC_F_NEXT, 1};
	desc[1] = (struct vring_desc){link_address(ring), 1u << 16,
				      VRING_DESC_F_WRITE, 0};
	link_push(LINK_REQUESTS, 0, 1);
	served("a reply over its ring");
	driver_negotiate();
	for (unsigned q = 0; q < LINK_QUEUES; q++) {
		driver_queue(q);
		pci_write(PCI_QUEUE_DESC, 8, link_address(ring));
		pci_write(PCI_QUEUE_DRIVER, 8, link_address(ring + PAGE * 2));
		pci_write(PCI_QUEUE_DEVICE, 8, link_address(ring + PAGE * 4));
		pci_write(PCI_QUEUE_ENABLE, 2, 1);
	}
	driver_ok();
	memset(link_memory + ring, 0xff, PAGE * 8);
	for (unsigned q = 0; q < LINK_QUEUES; q++)
		pci_notify(q, q, 2);
	served("queues that are one, of garbage");
}

/* Requests are under way, and the device is taken from them. */
static void resets(void)
{
	for (unsigned i = 0; i < RESETS; i++) {
		for (unsigned slot = 0; slot < LINK_SLOTS; slot++) {
			const struct link_seg segs[] = {
				{IN, put_getattr(), false},
				{OUT + slot * PAGE, PAGE, true},
			};

			hostile.requests++;
			link_submit(LINK_REQUESTS + slot % LINK_REQUEST_QUEUES,
				    slot, segs, 2);
		}
		link_again();
		hostile_want("INIT after a reset in between", hostile_init(),
			     0);
	}
	served("resets in between");
}

void group_memory(void)
{
	rings();
	buffers();
	aliases();
	resets();
}

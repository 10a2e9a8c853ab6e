/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_VMM_VIRTIO_CARD_H
#define TESTS_UNIT_VMM_VIRTIO_CARD_H

/* A device behind its registers on a PCI bus, as a driver sees them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/evloop.h"
#include "tests/unit/vmm/pci/fake_host.h"
#include "vmm/virtio/pci.h"

struct card {
	struct virtio_device dev;
	unsigned activations, resets;
	unsigned kicks[2];
	unsigned kicks_now; /* of queue 1 */
	int vcpu;
	bool serves_now;
	uint8_t config[6];
};

static inline int card_activate(struct virtio_device *dev)
{
	container_of(dev, struct card, dev)->activations++;
	return 0;
}

static inline void card_kick(struct virtio_device *dev, unsigned q)
{
	container_of(dev, struct card, dev)->kicks[q]++;
}

static inline int card_vcpu_started(struct virtio_device *dev, unsigned vcpu)
{
	container_of(dev, struct card, dev)->vcpu = (int)vcpu;
	return 0;
}

static inline bool card_kick_now(struct virtio_device *dev, unsigned q,
				 unsigned vcpu)
{
	struct card *card = container_of(dev, struct card, dev);

	assert_int_equal(q, 1);
	assert_int_equal(vcpu, card->vcpu);
	card->kicks_now++;
	return card->serves_now;
}

static inline void card_reset(struct virtio_device *dev)
{
	container_of(dev, struct card, dev)->resets++;
}

static inline void card_config_read(struct virtio_device *dev, size_t off,
				    void *dst, size_t len)
{
	memcpy(dst, container_of(dev, struct card, dev)->config + off, len);
}

static inline void card_config_write(struct virtio_device *dev, size_t off,
				     const void *src, size_t len)
{
	memcpy(container_of(dev, struct card, dev)->config + off, src, len);
}

static inline void card_destroy(struct virtio_device *dev)
{
}

static const struct virtio_device_ops card_ops = {
	.name = "card",
	.id = VIRTIO_ID_RNG,
	.config_len = 6,
	.activate = card_activate,
	.kick = card_kick,
	.vcpu_started = card_vcpu_started,
	.kick_now = card_kick_now,
	.reset = card_reset,
	.config_read = card_config_read,
	.config_write = card_config_write,
	.destroy = card_destroy,
};

#define FEATURE (1ull << 5)
#define PORTS 0x1000u
#define COMMON FAKE_WINDOW
#define ISR (FAKE_WINDOW + 0x1000)
#define DEVICE (FAKE_WINDOW + 0x2000)
#define NOTIFY (FAKE_WINDOW + 0x3000)
#define TABLE (FAKE_WINDOW + 0x4000)

static struct fake_host host;
static struct card card;
static struct guestmem mem;
static struct iobus ports;
static struct evloop *loop;
static struct virtio_pci *vp;
static uint8_t ram[0x10000] __attribute__((aligned(4096)));

static inline int plug(uint32_t direct, bool with_ports)
{
	struct err err;

	memset(&card, 0, sizeof(card));
	loop = evloop_new();
	guestmem_init(&mem);
	if (!loop || fake_host_init(&host) < 0 ||
	    guestmem_add_borrowed(&mem, 0, ram, sizeof(ram)) < 0)
		return -1;
	memset(&ports, 0, sizeof(ports));
	if (with_ports)
		pci_host_set_ports(&host.pci, &ports, PORTS, 0x1000);
	virtio_device_init(&card.dev, &card_ops, FEATURE, 2, 128);
	card.dev.direct = direct;
	card.dev.loop = loop;
	card.dev.mem = &mem;
	vp = virtio_pci_new(&card.dev, &host.pci, &err);
	return vp ? 0 : -1;
}

static inline int setup(void **state)
{
	return plug(0, false);
}

static inline int setup_direct(void **state)
{
	return plug(1u << 1, false);
}

static inline int setup_ports(void **state)
{
	return plug(1u << 1, true);
}

static inline int teardown(void **state)
{
	virtio_pci_free(vp);
	virtio_device_free(&card.dev);
	virtio_device_release(&card.dev);
	guestmem_release(&mem);
	pci_host_release(&host.pci);
	evloop_free(loop);
	return 0;
}

static inline uint64_t get(uint64_t gpa, unsigned len)
{
	return fake_load(&host, gpa, len);
}

static inline void set(uint64_t gpa, unsigned len, uint64_t value)
{
	fake_store(&host, gpa, len, value);
}

static inline uint64_t config(unsigned off, unsigned len)
{
	return fake_load(&host, fake_config(1, off), len);
}

/* Offset of the n-th capability of a kind; 0: not there. */
static inline unsigned find_cap(uint8_t id, int cfg_type)
{
	unsigned at = (unsigned)config(0x34, 1);

	while (at) {
		if (config(at, 1) == id &&
		    (cfg_type < 0 || config(at + 3, 1) == (unsigned)cfg_type))
			return at;
		at = (unsigned)config(at + 1, 1);
	}
	return 0;
}

static inline void select_queue(unsigned q)
{
	set(COMMON + 0x16, 2, q);
}

static inline void set_ring(unsigned q)
{
	select_queue(q);
	set(COMMON + 0x18, 2, 16);
	set(COMMON + 0x20, 4, 0x1000 + q * 0x3000);
	set(COMMON + 0x24, 4, 0);
	set(COMMON + 0x28, 8, 0x2000 + q * 0x3000);
	set(COMMON + 0x30, 4, 0x3000 + q * 0x3000);
	set(COMMON + 0x1a, 2, q + 1);
	set(COMMON + 0x1c, 2, 1);
}

static inline void negotiate(void)
{
	set(COMMON + 0x14, 1, 1);
	set(COMMON + 0x14, 1, 3);
	set(COMMON + 0x08, 4, 1);
	set(COMMON + 0x0c, 4, 1);
	set(COMMON + 0x14, 1, 11);
}

static inline void bring_up(void)
{
	negotiate();
	set(COMMON + 0x10, 2, 0);
	set_ring(0);
	set_ring(1);
	set(COMMON + 0x14, 1, 15);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/evloop.h"
#include "tests/unit/vmm/pci/fake_host.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/pci.h"

/*
 * A guest's accesses to configuration space, BAR and what lies around them,
 * eleven bytes each: what, where, how wide, and the value. Whatever comes,
 * nothing is out of bounds, routes stay within the device's vectors, and
 * after DRIVER_OK the ring registers do not move.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct step {
	uint8_t what;
	uint8_t at[2];
	uint8_t value[8];
};

static struct {
	struct virtio_device dev;
	bool active;
	struct virtq frozen[2];
	uint8_t config[10];
} card;

static int card_activate(struct virtio_device *dev)
{
	card.active = true;
	memcpy(card.frozen, dev->queues, sizeof(card.frozen));
	return 0;
}

static void card_kick(struct virtio_device *dev, unsigned q)
{
	if (!card.active || q >= 2)
		abort();
	dev->transport->signal_queue(dev, q);
}

static void card_reset(struct virtio_device *dev)
{
	card.active = false;
}

static void card_config_read(struct virtio_device *dev, size_t off, void *dst,
			     size_t len)
{
	memcpy(dst, card.config + off, len);
}

static void card_config_write(struct virtio_device *dev, size_t off,
			      const void *src, size_t len)
{
	memcpy(card.config + off, src, len);
	dev->transport->signal_config(dev);
}

static void card_destroy(struct virtio_device *dev)
{
	virtio_device_release(dev);
}

static const struct virtio_device_ops card_ops = {
	.name = "card",
	.id = VIRTIO_ID_BLOCK,
	.config_len = sizeof(card.config),
	.activate = card_activate,
	.kick = card_kick,
	.reset = card_reset,
	.config_read = card_config_read,
	.config_write = card_config_write,
	.destroy = card_destroy,
};

static void check_frozen(void)
{
	unsigned i;

	for (i = 0; i < 2 && card.active; i++) {
		const struct virtq *now = &card.dev.queues[i];
		const struct virtq *was = &card.frozen[i];

		if (now->size != was->size || now->enabled != was->enabled ||
		    now->desc_gpa != was->desc_gpa ||
		    now->avail_gpa != was->avail_gpa ||
		    now->used_gpa != was->used_gpa)
			abort();
	}
}

static void check_routes(const struct fake_host *host)
{
	unsigned i;

	for (i = 0; i < FAKE_GSIS; i++)
		if (host->routes[i].valid &&
		    (i >= host->ngsis || host->routes[i].gsi != i))
			abort();
}

static void access_one(struct fake_host *host, const struct step *s)
{
	static const uint64_t bases[] = {FAKE_WINDOW, FAKE_WINDOW,
					 FAKE_ECAM + (1u << 15), FAKE_ECAM};
	uint64_t at = (uint64_t)s->at[0] | (uint64_t)s->at[1] << 8;
	unsigned len = 1u << (s->what >> 1 & 3);
	uint64_t value;

	at += bases[s->what >> 3 & 3];
	memcpy(&value, s->value, sizeof(value));
	if (s->what & 1)
		fake_store(host, at, len, value);
	else
		(void)fake_load(host, at, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t ram[0x10000] __attribute__((aligned(4096)));
	static struct fake_host host;
	struct evloop *loop = evloop_new();
	struct guestmem mem;
	struct virtio_pci *vp;
	struct step s;
	struct err err;

	memset(&card, 0, sizeof(card));
	guestmem_init(&mem);
	if (!loop || fake_host_init(&host) < 0 ||
	    guestmem_add_borrowed(&mem, 0, ram, sizeof(ram)) < 0)
		abort();
	virtio_device_init(&card.dev, &card_ops, 0, 2, 64);
	card.dev.loop = loop;
	card.dev.mem = &mem;
	vp = virtio_pci_new(&card.dev, &host.pci, &err);
	if (!vp)
		abort();
	for (; size >= sizeof(s); data += sizeof(s), size -= sizeof(s)) {
		memcpy(&s, data, sizeof(s));
		access_one(&host, &s);
		check_frozen();
		/* Now and then the loop gets its turn. */
		if ((s.what & 0xe0) == 0xe0 && evloop_once(loop, 0) < 0)
			abort();
	}
	check_routes(&host);
	virtio_pci_free(vp);
	virtio_device_free(&card.dev);
	guestmem_release(&mem);
	pci_host_release(&host.pci);
	evloop_free(loop);
	return 0;
}

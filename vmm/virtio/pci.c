/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bytes.h"
#include "vmm/virtio/pci_internal.h"

enum {
	PAGE_COMMON,
	PAGE_ISR,
	PAGE_DEVICE,
	PAGE_NOTIFY,
	PAGE_MSIX_TABLE,
	PAGE_MSIX_PENDING,
};

#define PAGE_SIZE 0x1000u
#define NOTIFY_STEP 4u
#define CAP_MSIX 0x11u
#define CAP_VENDOR 0x09u

/* Kinds of capability (virtio 1.2, 4.1.4). */
enum {
	CFG_COMMON = 1,
	CFG_NOTIFY = 2,
	CFG_ISR = 3,
	CFG_DEVICE = 4,
	CFG_PCI = 5,
	CFG_SHARED_MEMORY = 8,
};

/* After the capability's id and next bytes. */
struct virtio_cap {
	uint8_t cap_len;
	uint8_t cfg_type;
	uint8_t bar;
	uint8_t id;
	uint8_t padding[2];
	le32 offset;
	le32 length;
	le32 extra; /* notify multiplier, or the window's data */
} PACKED;
#define CAP_LEN_PLAIN 16u
#define CAP_LEN_EXTRA 20u

/* A shared memory region: offset and length have 64 bits (4.1.4.7). */
struct virtio_cap64 {
	uint8_t cap_len;
	uint8_t cfg_type;
	uint8_t bar;
	uint8_t id;
	uint8_t padding[2];
	le32 offset;
	le32 length;
	le32 offset_high;
	le32 length_high;
} PACKED;
#define CAP_LEN_64 24u
#define MEMORY_BAR 2u
#define PORT_BAR 4u
#define NOTIFY_PORTS (VIRTIO_QUEUES_MAX * NOTIFY_STEP)

/* Offsets from the capability's first byte. */
#define WINDOW_BAR 4u
#define WINDOW_OFFSET 8u
#define WINDOW_LENGTH 12u
#define WINDOW_DATA 16u

/* BAR 0. ---------------------------------------------------------------- */

static uint64_t device_read(struct virtio_pci *vp, uint64_t off, unsigned len)
{
	le64 wire = {0};

	virtio_device_config_read(vp->dev, off, &wire, len);
	return le64_get(wire);
}

static void device_write(struct virtio_pci *vp, uint64_t off, unsigned len,
			 uint64_t value)
{
	le64 wire = le64_make(value);

	virtio_device_config_write(vp->dev, off, &wire, len);
}

static void notify_write(struct virtio_pci *vp, uint64_t off, bool directly)
{
	static const uint64_t one = 1;
	uint64_t q = off / NOTIFY_STEP;

	if (q < vp->dev->nqueues && directly &&
	    virtio_device_kick_now(vp->dev, (unsigned)q))
		return;
	/* Nobody reads the counter, which is full after 2^64 - 2 kicks. */
	if (q < vp->dev->nqueues &&
	    write(vp->kicks[q].eventfd, &one, sizeof(one)) < 0)
		return;
}

static uint64_t bar_read(struct virtio_pci *vp, uint64_t at, unsigned len)
{
	uint64_t off = at % PAGE_SIZE;

	switch (at / PAGE_SIZE) {
	case PAGE_COMMON:
		return virtio_pci_common_read(vp, off, len);
	case PAGE_ISR: /* reading clears it (4.1.4.5) */
		return off == 0 ? atomic_exchange(&vp->isr, 0) : 0;
	case PAGE_DEVICE:
		return device_read(vp, off, len);
	case PAGE_MSIX_TABLE:
		return msix_table_read(&vp->msix, off, len);
	case PAGE_MSIX_PENDING:
		return msix_pending_read(&vp->msix, off, len);
	default:
		return 0;
	}
}

/* directly: the caller holds no lock, so that a device may work on a kick. */
static void bar_write(struct virtio_pci *vp, uint64_t at, unsigned len,
		      uint64_t value, bool directly)
{
	uint64_t off = at % PAGE_SIZE;

	switch (at / PAGE_SIZE) {
	case PAGE_COMMON:
		virtio_pci_common_write(vp, off, len, value);
		break;
	case PAGE_DEVICE:
		device_write(vp, off, len, value);
		break;
	case PAGE_NOTIFY:
		notify_write(vp, off, directly);
		break;
	case PAGE_MSIX_TABLE:
		msix_table_write(&vp->msix, off, len, value);
		break;
	default:
		break;
	}
}

static uint64_t bar_io_read(struct iodev *io, uint64_t off, unsigned len)
{
	struct virtio_pci *vp = container_of(io, struct virtio_pci, bar);

	if (!pci_function_decodes(&vp->fn))
		return UINT64_MAX;
	return bar_read(vp, off, len);
}

static void bar_io_write(struct iodev *io, uint64_t off, unsigned len,
			 uint64_t value)
{
	struct virtio_pci *vp = container_of(io, struct virtio_pci, bar);

	if (pci_function_decodes(&vp->fn))
		bar_write(vp, off, len, value, true);
}

static const struct iodev_ops bar_ops = {
	.read = bar_io_read,
	.write = bar_io_write,
};

static void port_write(struct iodev *io, uint64_t off, unsigned len,
		       uint64_t value)
{
	struct virtio_pci *vp = container_of(io, struct virtio_pci, ports);

	if (pci_function_decodes_ports(&vp->fn))
		notify_write(vp, off, true);
}

static uint64_t port_read(struct iodev *io, uint64_t off, unsigned len)
{
	struct virtio_pci *vp = container_of(io, struct virtio_pci, ports);

	return pci_function_decodes_ports(&vp->fn) ? 0 : UINT64_MAX;
}

static const struct iodev_ops port_ops = {
	.read = port_read,
	.write = port_write,
};

/* Configuration space. -------------------------------------------------- */

/*
 * The window into the BAR (4.1.4.9): an access to its data of the width that
 * its length says is an access to the BAR at its offset.
 */
static bool window_target(struct virtio_pci *vp, unsigned off, unsigned len,
			  uint32_t *at)
{
	unsigned cap = vp->window_cap;
	uint32_t bar, length;

	if (off != cap + WINDOW_DATA)
		return false;
	bar = pci_function_peek(&vp->fn, cap + WINDOW_BAR, 1);
	*at = pci_function_peek(&vp->fn, cap + WINDOW_OFFSET, 4);
	length = pci_function_peek(&vp->fn, cap + WINDOW_LENGTH, 4);
	return bar == 0 && length == len && *at % len == 0 &&
	       *at <= VIRTIO_PCI_BAR_SIZE - len;
}

static bool config_read(struct pci_function *fn, unsigned off, unsigned len,
			uint32_t *value)
{
	struct virtio_pci *vp = container_of(fn, struct virtio_pci, fn);
	uint32_t at;

	if (!window_target(vp, off, len, &at))
		return false;
	*value = (uint32_t)bar_read(vp, at, len);
	return true;
}

static void config_written(struct pci_function *fn, unsigned off, unsigned len)
{
	struct virtio_pci *vp = container_of(fn, struct virtio_pci, fn);
	unsigned control = vp->msix_cap + 2;
	uint32_t at;

	if (off < control + 2 && off + len > control)
		msix_control(&vp->msix,
			     (uint16_t)pci_function_peek(fn, control, 2));
	/* A window that is open makes reads of its data reads of the BAR. */
	if (off + len > vp->window_cap + WINDOW_LENGTH &&
	    pci_function_peek(fn, vp->window_cap + WINDOW_LENGTH, 4) != 0)
		pci_host_trap_reads(vp->host);
	if (window_target(vp, off, len, &at))
		bar_write(vp, at, len, pci_function_peek(fn, off, len), false);
}

static const struct pci_function_ops function_ops = {
	.config_read = config_read,
	.config_written = config_written,
};

static unsigned add_cap_of(struct virtio_pci *vp, uint8_t bar, uint8_t type,
			   uint8_t len, uint32_t offset, uint32_t length,
			   uint32_t extra)
{
	/* The window's bar, offset, length and data belong to the driver. */
	static const struct virtio_cap window_mask = {
		.bar = 0xff,
		.offset = {UINT32_MAX},
		.length = {UINT32_MAX},
		.extra = {UINT32_MAX},
	};
	struct virtio_cap cap = {
		.cap_len = len,
		.cfg_type = type,
		.bar = bar,
		.offset = le32_make(offset),
		.length = le32_make(length),
		.extra = le32_make(extra),
	};

	return pci_function_add_cap(&vp->fn, CAP_VENDOR, &cap,
				    type == CFG_PCI ? &window_mask : NULL,
				    len - 2u);
}

static unsigned add_cap(struct virtio_pci *vp, uint8_t type, uint8_t len,
			uint32_t offset, uint32_t length, uint32_t extra)
{
	return add_cap_of(vp, 0, type, len, offset, length, extra);
}

static void add_notify_cap(struct virtio_pci *vp)
{
	bool ports = vp->ports.size != 0;

	add_cap_of(vp, ports ? PORT_BAR : 0, CFG_NOTIFY, CAP_LEN_EXTRA,
		   ports ? 0 : PAGE_NOTIFY * PAGE_SIZE,
		   vp->dev->nqueues * NOTIFY_STEP, NOTIFY_STEP);
}

/* Region 0, at the start of its BAR. */
static void add_memory_cap(struct virtio_pci *vp, uint64_t size)
{
	const struct virtio_cap64 cap = {
		.cap_len = CAP_LEN_64,
		.cfg_type = CFG_SHARED_MEMORY,
		.bar = MEMORY_BAR,
		.length = le32_make((uint32_t)size),
		.length_high = le32_make((uint32_t)(size >> 32)),
	};

	pci_function_add_cap(&vp->fn, CAP_VENDOR, &cap, NULL, CAP_LEN_64 - 2u);
}

static void add_caps(struct virtio_pci *vp)
{
	struct virtio_device *dev = vp->dev;
	/* Message control, table and pending bits with BAR 0. */
	struct {
		le16 control;
		le32 table;
		le32 pending;
	} PACKED msix =
			 {
				 .control = le16_make(
					 (uint16_t)(vp->msix.count - 1)),
				 .table =
					 le32_make(PAGE_MSIX_TABLE * PAGE_SIZE),
				 .pending = le32_make(PAGE_MSIX_PENDING *
						      PAGE_SIZE),
			 },
		 msix_mask = {
			 .control = le16_make(MSIX_CONTROL_ENABLE |
					      MSIX_CONTROL_MASK),
		 };

	vp->msix_cap = pci_function_add_cap(&vp->fn, CAP_MSIX, &msix,
					    &msix_mask, sizeof(msix));
	add_cap(vp, CFG_COMMON, CAP_LEN_PLAIN, PAGE_COMMON * PAGE_SIZE,
		VIRTIO_PCI_COMMON_SIZE, 0);
	add_cap(vp, CFG_ISR, CAP_LEN_PLAIN, PAGE_ISR * PAGE_SIZE, 1, 0);
	if (dev->ops->config_len)
		add_cap(vp, CFG_DEVICE, CAP_LEN_PLAIN, PAGE_DEVICE * PAGE_SIZE,
			(uint32_t)dev->ops->config_len, 0);
	add_notify_cap(vp);
	vp->window_cap = add_cap(vp, CFG_PCI, CAP_LEN_EXTRA, 0, 0, 0);
	if (dev->window)
		add_memory_cap(vp, dev->window->size);
}

/* Class code: what lspci and udev show; drivers go by the device id. */
static uint32_t class_of(uint16_t id)
{
	switch (id) {
	case VIRTIO_ID_NET:
		return 0x020000; /* Ethernet controller */
	case VIRTIO_ID_BLOCK:
	case VIRTIO_ID_FS:
		return 0x018000; /* other mass storage */
	case VIRTIO_ID_CONSOLE:
		return 0x078000; /* other communication controller */
	case VIRTIO_ID_VSOCK:
		return 0x028000; /* other network controller */
	default:
		return 0xff0000; /* unassigned */
	}
}

/* Interrupts and kicks. ------------------------------------------------- */

static struct virtio_pci *of_device(struct virtio_device *dev)
{
	return container_of(dev->transport, struct virtio_pci, transport);
}

static void signal_queue(struct virtio_device *dev, unsigned q)
{
	struct virtio_pci *vp = of_device(dev);

	if (q >= VIRTIO_QUEUES_MAX)
		return;
	atomic_fetch_or(&vp->isr, 1);
	msix_signal(&vp->msix, atomic_load(&vp->queue_vector[q]));
}

static void signal_config(struct virtio_device *dev)
{
	struct virtio_pci *vp = of_device(dev);

	atomic_fetch_or(&vp->isr, 2);
	msix_signal(&vp->msix, atomic_load(&vp->config_vector));
}

static int kick_take(struct virtio_device *dev, unsigned q)
{
	struct virtio_pci_kick *kick = &of_device(dev)->kicks[q];

	return evsource_modify(&kick->src, EPOLLET) < 0 ? -1 : kick->eventfd;
}

/* One too many may come of it at once. */
static void kick_back(struct virtio_device *dev, unsigned q)
{
	struct virtio_pci_kick *kick = &of_device(dev)->kicks[q];

	BUG_ON(evsource_modify(&kick->src, EPOLLIN | EPOLLET) < 0);
}

static void signal_nobody(struct virtio_device *dev, unsigned q)
{
}

static void signal_config_nobody(struct virtio_device *dev)
{
}

static const struct virtio_transport_ops unplugged_ops = {
	.signal_queue = signal_nobody,
	.signal_config = signal_config_nobody,
};

static void kicked(struct evsource *src, uint32_t revents)
{
	struct virtio_pci_kick *kick =
		container_of(src, struct virtio_pci_kick, src);

	virtio_device_kick(kick->vp->dev, kick->queue);
}

static int kick_init(struct virtio_pci *vp, struct pci_host *host, unsigned q,
		     struct err *err)
{
	struct virtio_pci_kick *kick = &vp->kicks[q];
	bool port = vp->ports.size != 0;
	uint64_t base = port ? vp->ports.base
			     : vp->fn.bars[0].base + PAGE_NOTIFY * PAGE_SIZE;
	int ret = 0;

	kick->vp = vp;
	kick->queue = q;
	kick->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (kick->eventfd < 0)
		return err_sys(err, "queue %u: eventfd", q);
	/* A doorbell would answer before the vCPU's thread could. */
	if (!(vp->dev->direct & (1u << q)))
		ret = host->ops->doorbell_add(host, base + q * NOTIFY_STEP,
					      port, kick->eventfd);
	if (ret < 0)
		return err_ret(err, ret, "queue %u: ioeventfd", q);
	/* Each write is an edge, so that nobody has to read the count. */
	ret = evsource_add(vp->dev->loop, &kick->src, kick->eventfd,
			   EPOLLIN | EPOLLET, kicked);
	if (ret < 0)
		return err_ret(err, ret, "queue %u: epoll", q);
	return 0;
}

/* Life. ----------------------------------------------------------------- */

/* BARs are powers of two; behind the end of the window there is nothing. */
static int plug_window(struct virtio_pci *vp, struct pci_host *host,
		       struct err *err)
{
	struct mem_window *w = vp->dev->window;
	uint64_t size = MEM_WINDOW_UNIT;
	uint64_t base;
	int ret;

	if (!host->ops->memory_map)
		return err_set(err, ENOTSUP,
			       "a memory window: not supported by this "
			       "machine");
	while (size < w->size)
		size *= 2;
	base = pci_host_high_take(host, size);
	if (!base)
		return err_set(err, ENOSPC,
			       "a memory window of %llu MiB: this processor's "
			       "addresses end at 0x%llx",
			       (unsigned long long)(w->size >> 20),
			       (unsigned long long)host->high_end);
	ret = host->ops->memory_map(host, base, w->host, w->size);
	if (ret < 0)
		return err_ret(err, ret, "a memory window of %llu MiB",
			       (unsigned long long)(w->size >> 20));
	pci_function_set_memory_bar(&vp->fn, base, size);
	return 0;
}

static int plug_ports(struct virtio_pci *vp, struct pci_host *host)
{
	uint16_t base = pci_host_ports_take(host, NOTIFY_PORTS);

	if (!base)
		return 0;
	pci_function_set_port_bar(&vp->fn, base, NOTIFY_PORTS);
	return iobus_add(host->ports, &vp->ports, base, NOTIFY_PORTS);
}

static int plug(struct virtio_pci *vp, struct pci_host *host, struct err *err)
{
	uint64_t base = pci_host_window_take(host, VIRTIO_PCI_BAR_SIZE);
	unsigned q;
	int ret;

	if (!base)
		return err_set(err, ENOSPC, "the PCI memory window is full");
	if (msix_init(&vp->msix, host, vp->dev->nqueues + 1, err) < 0)
		return -err->code;
	pci_function_set_bar(&vp->fn, base, VIRTIO_PCI_BAR_SIZE);
	if (vp->dev->window && plug_window(vp, host, err) < 0)
		return -err->code;
	ret = plug_ports(vp, host);
	if (ret < 0)
		return err_ret(err, ret, "ports");
	add_caps(vp);
	for (q = 0; q < vp->dev->nqueues; q++)
		if (kick_init(vp, host, q, err) < 0)
			return -err->code;
	ret = pci_host_plug(host, &vp->fn, &vp->bar);
	if (ret < 0)
		return err_ret(err, ret, "the PCI bus is full");
	vp->dev->transport = &vp->transport;
	return 0;
}

struct virtio_pci *virtio_pci_new(struct virtio_device *dev,
				  struct pci_host *host, struct err *err)
{
	struct pci_id id = {
		.vendor = VIRTIO_PCI_VENDOR,
		.device = (uint16_t)(VIRTIO_PCI_DEVICE_BASE + dev->ops->id),
		.subsystem = (uint16_t)(VIRTIO_PCI_DEVICE_BASE + dev->ops->id),
		.class = class_of(dev->ops->id),
		.revision = 1,
	};
	struct virtio_pci *vp = calloc(1, sizeof(*vp));
	unsigned q;

	if (!vp) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	vp->transport.signal_queue = signal_queue;
	vp->transport.signal_config = signal_config;
	vp->transport.kick_take = kick_take;
	vp->transport.kick_back = kick_back;
	vp->dev = dev;
	vp->host = host;
	vp->bar.ops = &bar_ops;
	vp->ports.ops = &port_ops;
	for (q = 0; q < VIRTIO_QUEUES_MAX; q++)
		vp->kicks[q].eventfd = -1;
	virtio_pci_common_reset(vp);
	if (pci_function_init(&vp->fn, &id, &function_ops) < 0) {
		err_set(err, ENOMEM, "out of memory");
		free(vp);
		return NULL;
	}
	if (plug(vp, host, err) < 0) {
		virtio_pci_free(vp);
		return NULL;
	}
	return vp;
}

void virtio_pci_free(struct virtio_pci *vp)
{
	unsigned q;

	if (!vp)
		return;
	/* Its threads signal until then. */
	if (vp->dev->transport == &vp->transport)
		virtio_device_set_status(vp->dev, 0);
	vp->dev->transport = &unplugged_ops;
	for (q = 0; q < VIRTIO_QUEUES_MAX; q++) {
		evsource_del(&vp->kicks[q].src);
		if (vp->kicks[q].eventfd >= 0)
			close(vp->kicks[q].eventfd);
	}
	msix_release(&vp->msix);
	pci_function_release(&vp->fn);
	free(vp);
}

struct pci_function *virtio_pci_function(struct virtio_pci *vp)
{
	return &vp->fn;
}

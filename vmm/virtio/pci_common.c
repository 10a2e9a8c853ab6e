/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/pci_internal.h"

/* The common configuration structure (virtio 1.2, 4.1.4.3). */
enum {
	REG_DEVICE_FEATURE_SELECT = 0x00,
	REG_DEVICE_FEATURE = 0x04,
	REG_DRIVER_FEATURE_SELECT = 0x08,
	REG_DRIVER_FEATURE = 0x0c,
	REG_CONFIG_VECTOR = 0x10,
	REG_NUM_QUEUES = 0x12,
	REG_STATUS = 0x14,
	REG_GENERATION = 0x15,
	REG_QUEUE_SELECT = 0x16,
	REG_QUEUE_SIZE = 0x18,
	REG_QUEUE_VECTOR = 0x1a,
	REG_QUEUE_ENABLE = 0x1c,
	REG_QUEUE_NOTIFY_OFF = 0x1e,
	REG_QUEUE_DESC = 0x20,
	REG_QUEUE_DRIVER = 0x28,
	REG_QUEUE_DEVICE = 0x30,
	REG_QUEUE_NOTIFY_DATA = 0x38,
	REG_QUEUE_RESET = 0x3a,
};

/* Width of the field that begins at each even offset, but for the status
 * byte and the generation; 64-bit fields may be taken by halves (4.1.3.1). */
static bool width_ok(uint64_t off, unsigned len)
{
	if (off < REG_CONFIG_VECTOR)
		return len == 4 && off % 4 == 0;
	if (off == REG_STATUS || off == REG_GENERATION)
		return len == 1;
	if (off < REG_QUEUE_DESC)
		return len == 2 && off % 2 == 0;
	if (off < REG_QUEUE_NOTIFY_DATA)
		return (len == 4 || len == 8) && off % len == 0;
	return len == 2 &&
	       (off == REG_QUEUE_NOTIFY_DATA || off == REG_QUEUE_RESET);
}

void virtio_pci_common_reset(struct virtio_pci *vp)
{
	unsigned i;

	atomic_store(&vp->config_vector, VIRTIO_PCI_NO_VECTOR);
	for (i = 0; i < VIRTIO_QUEUES_MAX; i++)
		atomic_store(&vp->queue_vector[i], VIRTIO_PCI_NO_VECTOR);
	atomic_store(&vp->isr, 0);
	vp->device_feature_select = 0;
	vp->driver_feature_select = 0;
	vp->queue_select = 0;
}

static uint32_t half(uint64_t value, uint32_t select)
{
	if (select > 1)
		return 0;
	return (uint32_t)(value >> (select * 32));
}

static uint64_t address_read(uint64_t gpa, uint64_t off, unsigned len)
{
	if (len == 8)
		return gpa;
	return half(gpa, (uint32_t)(off / 4 % 2));
}

/* Registers of the selected queue; a queue that is not there has size 0. */
static uint64_t queue_read(const struct virtio_pci *vp, uint64_t off,
			   unsigned len)
{
	unsigned sel = vp->queue_select;
	const struct virtq *q;

	if (sel >= vp->dev->nqueues)
		return 0;
	q = &vp->dev->queues[sel];
	switch (off & ~7ull) {
	case REG_QUEUE_DESC:
		return address_read(q->desc_gpa, off, len);
	case REG_QUEUE_DRIVER:
		return address_read(q->avail_gpa, off, len);
	case REG_QUEUE_DEVICE:
		return address_read(q->used_gpa, off, len);
	default:
		break;
	}
	switch (off) {
	case REG_QUEUE_SIZE:
		return q->size;
	case REG_QUEUE_VECTOR:
		return atomic_load(&vp->queue_vector[sel]);
	case REG_QUEUE_ENABLE:
		return q->enabled;
	case REG_QUEUE_NOTIFY_OFF:
		return sel;
	default: /* notify data and queue reset are not offered */
		return 0;
	}
}

uint64_t virtio_pci_common_read(struct virtio_pci *vp, uint64_t off,
				unsigned len)
{
	struct virtio_device *dev = vp->dev;
	uint64_t value;

	if (!width_ok(off, len))
		return 0;
	pthread_mutex_lock(&dev->lock);
	switch (off) {
	case REG_DEVICE_FEATURE_SELECT:
		value = vp->device_feature_select;
		break;
	case REG_DEVICE_FEATURE:
		value = half(dev->offered, vp->device_feature_select);
		break;
	case REG_DRIVER_FEATURE_SELECT:
		value = vp->driver_feature_select;
		break;
	case REG_DRIVER_FEATURE:
		value = half(dev->features, vp->driver_feature_select);
		break;
	case REG_CONFIG_VECTOR:
		value = atomic_load(&vp->config_vector);
		break;
	case REG_NUM_QUEUES:
		value = dev->nqueues;
		break;
	case REG_STATUS:
		value = dev->status;
		break;
	case REG_GENERATION: /* fields change one at a time, atomically */
		value = 0;
		break;
	case REG_QUEUE_SELECT:
		value = vp->queue_select;
		break;
	default:
		value = queue_read(vp, off, len);
		break;
	}
	pthread_mutex_unlock(&dev->lock);
	return value;
}

static uint16_t vector_of(const struct virtio_pci *vp, uint64_t value)
{
	return value < vp->msix.count ? (uint16_t)value : VIRTIO_PCI_NO_VECTOR;
}

static void address_write(uint64_t *gpa, uint64_t off, unsigned len,
			  uint64_t value)
{
	if (len == 8)
		*gpa = value;
	else if (off & 4)
		*gpa = (*gpa & UINT32_MAX) | value << 32;
	else
		*gpa = (*gpa & ~(uint64_t)UINT32_MAX) | (uint32_t)value;
}

/* Under dev->lock. Nothing of a queue changes after DRIVER_OK. */
static void queue_write(struct virtio_pci *vp, uint64_t off, unsigned len,
			uint64_t value)
{
	unsigned sel = vp->queue_select;
	struct virtq *q;

	if (!virtio_device_queue_open(vp->dev, sel))
		return;
	q = &vp->dev->queues[sel];
	switch (off & ~7ull) {
	case REG_QUEUE_DESC:
		address_write(&q->desc_gpa, off, len, value);
		return;
	case REG_QUEUE_DRIVER:
		address_write(&q->avail_gpa, off, len, value);
		return;
	case REG_QUEUE_DEVICE:
		address_write(&q->used_gpa, off, len, value);
		return;
	default:
		break;
	}
	switch (off) {
	case REG_QUEUE_SIZE:
		if (value != 0 && (value & (value - 1)) == 0 &&
		    value <= vp->dev->queue_max[sel])
			q->size = (uint16_t)value;
		break;
	case REG_QUEUE_VECTOR:
		atomic_store(&vp->queue_vector[sel], vector_of(vp, value));
		break;
	case REG_QUEUE_ENABLE:
		if (value == 1) /* 0 must not be written (4.1.4.3.2) */
			q->enabled = true;
		break;
	default:
		break;
	}
}

static void select_write(struct virtio_pci *vp, uint64_t off, unsigned len,
			 uint64_t value)
{
	pthread_mutex_lock(&vp->dev->lock);
	switch (off) {
	case REG_DEVICE_FEATURE_SELECT:
		vp->device_feature_select = (uint32_t)value;
		break;
	case REG_DRIVER_FEATURE_SELECT:
		vp->driver_feature_select = (uint32_t)value;
		break;
	case REG_CONFIG_VECTOR:
		atomic_store(&vp->config_vector, vector_of(vp, value));
		break;
	case REG_QUEUE_SELECT:
		vp->queue_select = (uint16_t)value;
		break;
	default:
		queue_write(vp, off, len, value);
		break;
	}
	pthread_mutex_unlock(&vp->dev->lock);
}

static void status_write(struct virtio_pci *vp, uint8_t status)
{
	virtio_device_set_status(vp->dev, status);
	if (status != 0)
		return;
	pthread_mutex_lock(&vp->dev->lock);
	virtio_pci_common_reset(vp);
	pthread_mutex_unlock(&vp->dev->lock);
}

void virtio_pci_common_write(struct virtio_pci *vp, uint64_t off, unsigned len,
			     uint64_t value)
{
	uint32_t select;

	if (!width_ok(off, len))
		return;
	switch (off) {
	case REG_STATUS: /* takes dev->lock itself, and waits for the loop */
		status_write(vp, (uint8_t)value);
		break;
	case REG_DRIVER_FEATURE:
		pthread_mutex_lock(&vp->dev->lock);
		select = vp->driver_feature_select;
		pthread_mutex_unlock(&vp->dev->lock);
		virtio_device_set_features(vp->dev, select, (uint32_t)value);
		break;
	default:
		select_write(vp, off, len, value);
		break;
	}
}

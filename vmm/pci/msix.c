/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/pci/msix.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	WORD_ADDRESS_LOW,
	WORD_ADDRESS_HIGH,
	WORD_DATA,
	WORD_CONTROL, /* bit 0: masked */
};

int msix_init(struct msix *msix, struct pci_host *host, unsigned count,
	      struct err *err)
{
	unsigned i;
	int ret;

	BUG_ON(count > MSIX_VECTORS_MAX);
	memset(msix, 0, sizeof(*msix));
	msix->host = host;
	msix->count = count;
	for (i = 0; i < count; i++) {
		msix->vectors[i].eventfd = -1;
		msix->vectors[i].masked = true;
	}
	pthread_mutex_init(&msix->lock, NULL);
	for (i = 0; i < count; i++) {
		struct msix_vector *v = &msix->vectors[i];

		v->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->eventfd < 0)
			return err_sys(err, "MSI-X vector %u: eventfd", i);
		ret = host->ops->gsi_add(host, v->eventfd, &v->route.gsi);
		if (ret < 0)
			return err_ret(err, ret, "MSI-X vector %u: irqfd", i);
	}
	return 0;
}

void msix_release(struct msix *msix)
{
	unsigned i;

	if (!msix->host)
		return;
	for (i = 0; i < msix->count; i++)
		if (msix->vectors[i].eventfd >= 0)
			close(msix->vectors[i].eventfd);
	pthread_mutex_destroy(&msix->lock);
	msix->host = NULL;
}

static void fire(const struct msix_vector *v)
{
	static const uint64_t one = 1;

	/* Full only after 2^64 - 1 writes that nobody took: not lost then. */
	if (write(v->eventfd, &one, sizeof(one)) < 0)
		return;
}

static bool live(const struct msix *msix, const struct msix_vector *v)
{
	return msix->enabled && !msix->masked && !v->masked;
}

static bool stale(const struct msix_vector *v)
{
	return !v->route.valid || v->route.address_low != v->address_low ||
	       v->route.address_high != v->address_high ||
	       v->route.data != v->data;
}

/*
 * Brings the machine's routes up to date for the vectors that can fire, in
 * one change, and sends what was pending. While a driver fills the table, its
 * vectors are masked and nothing is changed.
 */
static void update(struct msix *msix)
{
	struct msi_route routes[MSIX_VECTORS_MAX];
	unsigned i, n = 0;
	int ret;

	for (i = 0; i < msix->count; i++) {
		struct msix_vector *v = &msix->vectors[i];

		if (!live(msix, v) || !stale(v))
			continue;
		v->route.valid = true;
		v->route.address_low = v->address_low;
		v->route.address_high = v->address_high;
		v->route.data = v->data;
		routes[n++] = v->route;
	}
	if (n > 0) {
		ret = msix->host->ops->routes_set(msix->host, routes, n);
		if (ret < 0 && log_allowed(&msix->log, 5))
			log_error("MSI-X: setting routes: %s", strerror(-ret));
	}
	for (i = 0; i < msix->count; i++) {
		struct msix_vector *v = &msix->vectors[i];

		if (!live(msix, v) || !v->pending)
			continue;
		v->pending = false;
		fire(v);
	}
}

static uint32_t word_read(const struct msix_vector *v, unsigned word)
{
	switch (word) {
	case WORD_ADDRESS_LOW:
		return v->address_low;
	case WORD_ADDRESS_HIGH:
		return v->address_high;
	case WORD_DATA:
		return v->data;
	default:
		return v->masked;
	}
}

static void word_write(struct msix_vector *v, unsigned word, uint32_t value)
{
	switch (word) {
	case WORD_ADDRESS_LOW:
		v->address_low = value & ~3u; /* always aligned (6.8.2.7) */
		break;
	case WORD_ADDRESS_HIGH:
		v->address_high = value;
		break;
	case WORD_DATA:
		v->data = value;
		break;
	default:
		v->masked = value & 1;
		break;
	}
}

/* Aligned 4 or 8 bytes (6.8.2), within the table. */
static bool table_access(const struct msix *msix, uint64_t off, unsigned len)
{
	return (len == 4 || len == 8) && off % len == 0 &&
	       off / MSIX_ENTRY_SIZE < msix->count;
}

uint64_t msix_table_read(struct msix *msix, uint64_t off, unsigned len)
{
	const struct msix_vector *v;
	unsigned word = (unsigned)(off % MSIX_ENTRY_SIZE / 4);
	uint64_t value;

	if (!table_access(msix, off, len))
		return UINT64_MAX;
	v = &msix->vectors[off / MSIX_ENTRY_SIZE];
	pthread_mutex_lock(&msix->lock);
	value = word_read(v, word);
	if (len == 8)
		value |= (uint64_t)word_read(v, word + 1) << 32;
	pthread_mutex_unlock(&msix->lock);
	return value;
}

void msix_table_write(struct msix *msix, uint64_t off, unsigned len,
		      uint64_t value)
{
	struct msix_vector *v;
	unsigned word = (unsigned)(off % MSIX_ENTRY_SIZE / 4);

	if (!table_access(msix, off, len))
		return;
	v = &msix->vectors[off / MSIX_ENTRY_SIZE];
	pthread_mutex_lock(&msix->lock);
	word_write(v, word, (uint32_t)value);
	if (len == 8)
		word_write(v, word + 1, (uint32_t)(value >> 32));
	update(msix);
	pthread_mutex_unlock(&msix->lock);
}

uint64_t msix_pending_read(struct msix *msix, uint64_t off, unsigned len)
{
	uint64_t bits = 0;
	unsigned i;

	if ((len != 4 && len != 8) || off % len != 0)
		return UINT64_MAX;
	pthread_mutex_lock(&msix->lock);
	for (i = 0; i < msix->count; i++)
		if (msix->vectors[i].pending)
			bits |= 1ull << i;
	pthread_mutex_unlock(&msix->lock);
	return off < 8 ? bits >> (off * 8) : 0;
}

void msix_control(struct msix *msix, uint16_t control)
{
	pthread_mutex_lock(&msix->lock);
	msix->enabled = (control & MSIX_CONTROL_ENABLE) != 0;
	msix->masked = (control & MSIX_CONTROL_MASK) != 0;
	update(msix);
	pthread_mutex_unlock(&msix->lock);
}

void msix_signal(struct msix *msix, unsigned vector)
{
	struct msix_vector *v;

	if (vector >= msix->count)
		return;
	v = &msix->vectors[vector];
	pthread_mutex_lock(&msix->lock);
	if (live(msix, v))
		fire(v);
	else if (msix->enabled)
		v->pending = true;
	pthread_mutex_unlock(&msix->lock);
}

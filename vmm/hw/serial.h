/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_HW_SERIAL_H
#define VMM_HW_SERIAL_H

/*
 * The transmitting half of a 16550A UART, without interrupts: the driver
 * polls. Nothing is ever received. Bytes gather in a buffer that the loop
 * empties; a vCPU that fills it waits for the loop.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/evloop.h"
#include "vmm/core/iobus.h"

#define SERIAL_BASE 0x3f8u
#define SERIAL_PORTS 8u
#define SERIAL_BUFFER 4096u

struct serial {
	struct iodev io;
	struct evloop *loop;
	/* On the loop. */
	void (*output)(void *arg, const void *data, size_t len);
	void *arg;
	struct evsource wake;
	int wake_fd;

	pthread_mutex_t lock; /* guards the rest */
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scratch;
	uint16_t divisor;
	size_t len;
	uint8_t buffer[SERIAL_BUFFER];
};

int serial_init(struct serial *serial, struct evloop *loop,
		void (*output)(void *arg, const void *data, size_t len),
		void *arg, struct err *err) MUST_CHECK;
/* Hands out what is still in the buffer. */
void serial_release(struct serial *serial);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/hw/serial.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Registers of the 16550 by offset; the first two change with LCR.DLAB. */
enum {
	REG_DATA = 0,
	REG_IER = 1,
	REG_IIR_FCR = 2,
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCRATCH = 7,
};

#define LCR_DLAB 0x80u
#define MCR_LOOP 0x10u
#define FCR_ENABLE 0x01u
#define IER_THRI 0x02u
#define IIR_NONE 0x01u
#define IIR_THRI 0x02u
#define IIR_FIFO 0xc0u
#define LSR_IDLE 0x60u /* THRE and TEMT */
#define MSR_LINE 0xb0u /* DCD, DSR, CTS */

static void drain(void *arg)
{
	struct serial *serial = arg;
	uint8_t chunk[SERIAL_BUFFER];
	size_t len;

	pthread_mutex_lock(&serial->lock);
	len = serial->len;
	memcpy(chunk, serial->buffer, len);
	serial->len = 0;
	pthread_mutex_unlock(&serial->lock);
	if (len)
		serial->output(serial->arg, chunk, len);
}

static void woken(struct evsource *src, uint32_t revents)
{
	struct serial *serial = container_of(src, struct serial, wake);
	uint64_t count;

	if (read(serial->wake_fd, &count, sizeof(count)) < 0)
		return;
	drain(serial);
}

static void transmit(struct serial *serial, uint8_t byte)
{
	static const uint64_t one = 1;
	bool first;

	pthread_mutex_lock(&serial->lock);
	while (serial->len == SERIAL_BUFFER) {
		pthread_mutex_unlock(&serial->lock);
		evloop_call(serial->loop, drain, serial);
		pthread_mutex_lock(&serial->lock);
	}
	first = serial->len == 0;
	serial->buffer[serial->len++] = byte;
	pthread_mutex_unlock(&serial->lock);
	/* The counter cannot overflow: the loop reads it to zero. */
	if (first && write(serial->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* In loopback the outputs OUT2, OUT1, DTR, RTS come back as DCD, RI, DSR,
 * CTS; Linux probes the part by that. */
static uint8_t modem_status(uint8_t mcr)
{
	unsigned msr = 0;

	if (!(mcr & MCR_LOOP))
		return MSR_LINE;
	msr |= mcr & 0x08u ? 0x80u : 0;
	msr |= mcr & 0x04u ? 0x40u : 0;
	msr |= mcr & 0x01u ? 0x20u : 0;
	msr |= mcr & 0x02u ? 0x10u : 0;
	return (uint8_t)msr;
}

/* No interrupt is ever raised, but a driver that polls looks here for what
 * there is to do. Whoever wants to know that there is room is told: always. */
static uint8_t interrupt_status(const struct serial *s)
{
	unsigned iir = s->ier & IER_THRI ? IIR_THRI : IIR_NONE;

	return (uint8_t)(iir | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0));
}

static uint8_t read_register(const struct serial *s, uint64_t reg)
{
	bool dlab = (s->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case REG_DATA:
		return dlab ? (uint8_t)s->divisor : 0;
	case REG_IER:
		return dlab ? (uint8_t)(s->divisor >> 8) : s->ier;
	case REG_IIR_FCR:
		return interrupt_status(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return LSR_IDLE;
	case REG_MSR:
		return modem_status(s->mcr);
	default:
		return s->scratch;
	}
}

static void write_register(struct serial *s, uint64_t reg, uint8_t value)
{
	bool dlab = (s->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case REG_DATA: /* only with DLAB */
		s->divisor = (uint16_t)((s->divisor & 0xff00u) | value);
		break;
	case REG_IER:
		if (dlab)
			s->divisor = (uint16_t)((s->divisor & 0xffu) |
						(unsigned)value << 8);
		else
			s->ier = value & 0x0fu;
		break;
	case REG_IIR_FCR:
		s->fcr = value;
		break;
	case REG_LCR:
		s->lcr = value;
		break;
	case REG_MCR:
		s->mcr = value & 0x1fu;
		break;
	case REG_SCRATCH:
		s->scratch = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

static uint64_t serial_read(struct iodev *io, uint64_t off, unsigned len)
{
	struct serial *serial = container_of(io, struct serial, io);
	uint8_t value;

	if (len != 1)
		return UINT64_MAX;
	pthread_mutex_lock(&serial->lock);
	value = read_register(serial, off);
	pthread_mutex_unlock(&serial->lock);
	return value;
}

static void serial_write(struct iodev *io, uint64_t off, unsigned len,
			 uint64_t value)
{
	struct serial *serial = container_of(io, struct serial, io);
	bool data;

	if (len != 1)
		return;
	pthread_mutex_lock(&serial->lock);
	data = off == REG_DATA && !(serial->lcr & LCR_DLAB);
	if (!data)
		write_register(serial, off, (uint8_t)value);
	/* What is looped back goes nowhere. */
	if (serial->mcr & MCR_LOOP)
		data = false;
	pthread_mutex_unlock(&serial->lock);
	if (data)
		transmit(serial, (uint8_t)value);
}

static const struct iodev_ops serial_io_ops = {
	.read = serial_read,
	.write = serial_write,
};

int serial_init(struct serial *serial, struct evloop *loop,
		void (*output)(void *arg, const void *data, size_t len),
		void *arg, struct err *err)
{
	int ret;

	memset(serial, 0, sizeof(*serial));
	serial->io.ops = &serial_io_ops;
	serial->loop = loop;
	serial->output = output;
	serial->arg = arg;
	serial->divisor = 1;
	serial->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (serial->wake_fd < 0)
		return err_sys(err, "serial: eventfd");
	ret = evsource_add(loop, &serial->wake, serial->wake_fd, EPOLLIN,
			   woken);
	if (ret < 0) {
		close(serial->wake_fd);
		serial->wake_fd = -1;
		return err_ret(err, ret, "serial: epoll");
	}
	pthread_mutex_init(&serial->lock, NULL);
	return 0;
}

void serial_release(struct serial *serial)
{
	if (!serial->io.ops || serial->wake_fd < 0)
		return;
	evsource_del(&serial->wake);
	close(serial->wake_fd);
	serial->wake_fd = -1;
	drain(serial);
	pthread_mutex_destroy(&serial->lock);
}

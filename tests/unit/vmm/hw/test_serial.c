/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/hw/serial.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define FLOOD (3 * SERIAL_BUFFER + 17)

struct sink {
	size_t len;
	uint8_t bytes[FLOOD];
	struct evloop *loop;
	size_t stop_at;
};

static struct serial serial;
static struct sink sink;

static void output(void *arg, const void *data, size_t len)
{
	struct sink *s = arg;

	assert_true(len <= sizeof(s->bytes) - s->len);
	memcpy(s->bytes + s->len, data, len);
	s->len += len;
	if (s->stop_at && s->len >= s->stop_at)
		evloop_stop(s->loop);
}

static uint8_t in(unsigned reg)
{
	return (uint8_t)serial.io.ops->read(&serial.io, reg, 1);
}

static void out(unsigned reg, uint8_t value)
{
	serial.io.ops->write(&serial.io, reg, 1, value);
}

static int setup(void **state)
{
	struct evloop *loop = evloop_new();
	struct err err;

	memset(&sink, 0, sizeof(sink));
	sink.loop = loop;
	*state = loop;
	return serial_init(&serial, loop, output, &sink, &err);
}

static int teardown(void **state)
{
	serial_release(&serial);
	evloop_free(*state);
	return 0;
}

static void transmits_on_the_loop(void **state)
{
	out(0, 'o');
	out(0, 'k');
	assert_int_equal(sink.len, 0);
	assert_int_equal(in(5), 0x60);
	assert_int_equal(evloop_once(*state, 0), 0);
	assert_int_equal(sink.len, 2);
	assert_memory_equal(sink.bytes, "ok", 2);
}

static void gives_the_rest_at_release(void **state)
{
	out(0, 'x');
	serial_release(&serial);
	assert_int_equal(sink.len, 1);
}

/* What Linux' 8250 driver asks to know the part. */
static void looks_like_a_16550a(void **state)
{
	out(7, 0xa5);
	assert_int_equal(in(7), 0xa5);
	out(1, 0xff);
	assert_int_equal(in(1), 0x0f);
	out(1, 0);
	assert_int_equal(in(2), 0x01);
	out(2, 0x01);
	assert_int_equal(in(2), 0xc1);
	out(4, 0x10 | 0x0a); /* loop, OUT2 and RTS: DCD and CTS */
	assert_int_equal(in(6) & 0xf0, 0x90);
	out(4, 0);
	assert_int_equal(in(6), 0xb0);
}

/* As Linux does from a timer, for a port without an interrupt. */
static void a_poll_finds_room(void **state)
{
	(void)state;
	out(2, 0x01);
	out(1, 0x02);
	assert_int_equal(in(2), 0xc2);
	out(0, 'x');
	assert_int_equal(in(2), 0xc2);
	out(1, 0x00);
	assert_int_equal(in(2), 0xc1);
}

static void divisor_is_behind_dlab(void **state)
{
	out(3, 0x80);
	out(0, 0x34);
	out(1, 0x12);
	assert_int_equal(in(0), 0x34);
	assert_int_equal(in(1), 0x12);
	out(3, 0x03);
	assert_int_equal(in(0), 0);
	assert_int_equal(evloop_once(*state, 0), 0);
	assert_int_equal(sink.len, 0);
}

static void loopback_says_nothing(void **state)
{
	out(4, 0x10);
	out(0, 'x');
	assert_int_equal(evloop_once(*state, 0), 0);
	assert_int_equal(sink.len, 0);
}

static void wide_accesses_do_nothing(void **state)
{
	serial.io.ops->write(&serial.io, 0, 4, 0x41414141);
	serial.io.ops->write(&serial.io, 6, 2, 0xffff);
	assert_int_equal(serial.io.ops->read(&serial.io, 0, 8), UINT64_MAX);
	assert_int_equal(evloop_once(*state, 0), 0);
	assert_int_equal(sink.len, 0);
}

static void *flood(void *arg)
{
	size_t i;

	for (i = 0; i < FLOOD; i++)
		out(0, (uint8_t)i);
	return NULL;
}

static void full_buffer_waits(void **state)
{
	pthread_t thread;
	size_t i;

	sink.stop_at = FLOOD;
	assert_int_equal(pthread_create(&thread, NULL, flood, NULL), 0);
	assert_int_equal(evloop_run(*state), 0);
	pthread_join(thread, NULL);
	assert_int_equal(sink.len, FLOOD);
	for (i = 0; i < FLOOD; i++)
		assert_int_equal(sink.bytes[i], (uint8_t)i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(transmits_on_the_loop, setup,
						teardown),
		cmocka_unit_test_setup_teardown(gives_the_rest_at_release,
						setup, teardown),
		cmocka_unit_test_setup_teardown(looks_like_a_16550a, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_poll_finds_room, setup,
						teardown),
		cmocka_unit_test_setup_teardown(divisor_is_behind_dlab, setup,
						teardown),
		cmocka_unit_test_setup_teardown(loopback_says_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(wide_accesses_do_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(full_buffer_waits, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

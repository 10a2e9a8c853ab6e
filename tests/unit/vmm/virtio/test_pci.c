/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/pci.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/card.h"

static void announces_itself(void **state)
{
	unsigned common = find_cap(9, 1), notify = find_cap(9, 2);
	unsigned isr = find_cap(9, 3), device = find_cap(9, 4);
	unsigned msix = find_cap(0x11, -1);

	assert_int_equal(config(0, 4), 0x10441af4);
	assert_int_equal(config(common + 8, 4), 0);
	assert_in_range(config(common + 12, 4), 0x3c, 0x1000);
	assert_int_equal(config(isr + 8, 4), 0x1000);
	assert_int_equal(config(device + 8, 4), 0x2000);
	assert_int_equal(config(device + 12, 4), 6);
	assert_int_equal(config(notify + 8, 4), 0x3000);
	assert_int_equal(config(notify + 12, 4), 8);
	assert_int_equal(config(notify + 16, 4), 4);
	assert_true(find_cap(9, 5));
	assert_int_equal(config(msix + 2, 2), 2); /* three vectors */
	assert_int_equal(config(msix + 4, 4), 0x4000);
	assert_int_equal(config(msix + 8, 4), 0x5000);
	assert_int_equal(host.ngsis, 3);
	assert_int_equal(host.doorbells, 2);
	assert_int_equal(host.doorbell_gpas[1], NOTIFY + 4);
}

static void common_registers(void **state)
{
	assert_int_equal(get(COMMON + 0x04, 4), FEATURE);
	set(COMMON, 4, 1);
	assert_int_equal(get(COMMON + 0x04, 4), 1);
	set(COMMON, 4, 2);
	assert_int_equal(get(COMMON + 0x04, 4), 0);
	assert_int_equal(get(COMMON + 0x12, 2), 2);
	assert_int_equal(get(COMMON + 0x10, 2), 0xffff);
	select_queue(1);
	assert_int_equal(get(COMMON + 0x18, 2), 128);
	assert_int_equal(get(COMMON + 0x1e, 2), 1);
	assert_int_equal(get(COMMON + 0x1a, 2), 0xffff);
	/* A queue that is not there. */
	select_queue(2);
	assert_int_equal(get(COMMON + 0x18, 2), 0);
	set(COMMON + 0x18, 2, 16);
	set(COMMON + 0x1c, 2, 1);
	set(COMMON + 0x20, 8, 0x1000);
	assert_int_equal(get(COMMON + 0x1c, 2), 0);
	assert_int_equal(get(COMMON + 0x20, 8), 0);
	select_queue(0xffff);
	assert_int_equal(get(COMMON + 0x20, 4), 0);
}

static void widths_are_exact(void **state)
{
	static const unsigned offs[] = {0x00, 0x10, 0x14, 0x18, 0x20, 0x38};
	static const unsigned lens[] = {1, 2, 4, 8};
	static const unsigned right[] = {4, 2, 1, 2, 0, 2};
	unsigned i, k;

	for (i = 0; i < ARRAY_SIZE(offs); i++)
		for (k = 0; k < ARRAY_SIZE(lens); k++)
			if (right[i] && lens[k] != right[i])
				assert_int_equal(get(COMMON + offs[i], lens[k]),
						 0);
	select_queue(0);
	set(COMMON + 0x20, 2, 0xffff);
	set(COMMON + 0x22, 4, 0xffffffff);
	assert_int_equal(get(COMMON + 0x20, 8), 0);
	set(COMMON + 0x17, 1, 1); /* half of the queue select */
	assert_int_equal(get(COMMON + 0x16, 2), 0);
	/* Behind the structure. */
	set(COMMON + 0x40, 4, 1);
	assert_int_equal(get(COMMON + 0x40, 4), 0);
	assert_int_equal(get(FAKE_WINDOW + 0x7ff8, 8), 0);
}

static void queue_sizes(void **state)
{
	static const unsigned bad[] = {0, 3, 129, 256, 0x8000};
	unsigned i;

	select_queue(0);
	set(COMMON + 0x18, 2, 64);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		set(COMMON + 0x18, 2, bad[i]);
		assert_int_equal(get(COMMON + 0x18, 2), 64);
	}
	set(COMMON + 0x1c, 2, 2);
	assert_int_equal(get(COMMON + 0x1c, 2), 0);
	set(COMMON + 0x1c, 2, 1);
	set(COMMON + 0x1c, 2, 0);
	assert_int_equal(get(COMMON + 0x1c, 2), 1);
}

static void vectors_are_bounded(void **state)
{
	select_queue(0);
	set(COMMON + 0x1a, 2, 2);
	assert_int_equal(get(COMMON + 0x1a, 2), 2);
	set(COMMON + 0x1a, 2, 3);
	assert_int_equal(get(COMMON + 0x1a, 2), 0xffff);
	set(COMMON + 0x10, 2, 1000);
	assert_int_equal(get(COMMON + 0x10, 2), 0xffff);
}

static void frozen_after_driver_ok(void **state)
{
	bring_up();
	assert_int_equal(get(COMMON + 0x14, 1), 15);
	assert_int_equal(card.activations, 1);
	select_queue(0);
	set(COMMON + 0x18, 2, 32);
	set(COMMON + 0x1a, 2, 0);
	set(COMMON + 0x20, 8, 0x9000);
	set(COMMON + 0x28, 8, 0x9000);
	set(COMMON + 0x30, 8, 0x9000);
	assert_int_equal(get(COMMON + 0x18, 2), 16);
	assert_int_equal(get(COMMON + 0x1a, 2), 1);
	assert_int_equal(get(COMMON + 0x20, 8), 0x1000);
	assert_int_equal(get(COMMON + 0x28, 8), 0x2000);
	assert_int_equal(get(COMMON + 0x30, 8), 0x3000);
	/* Features froze at FEATURES_OK. */
	set(COMMON + 0x08, 4, 0);
	set(COMMON + 0x0c, 4, FEATURE);
	assert_int_equal(get(COMMON + 0x0c, 4), 0);
}

static void reset_opens_again(void **state)
{
	bring_up();
	set(COMMON + 0x14, 1, 0);
	assert_int_equal(card.resets, 1);
	assert_int_equal(get(COMMON + 0x14, 1), 0);
	assert_int_equal(get(COMMON + 0x10, 2), 0xffff);
	select_queue(0);
	assert_int_equal(get(COMMON + 0x18, 2), 128);
	assert_int_equal(get(COMMON + 0x1a, 2), 0xffff);
	assert_int_equal(get(COMMON + 0x1c, 2), 0);
	assert_int_equal(get(COMMON + 0x20, 8), 0);
	bring_up();
	assert_int_equal(card.activations, 2);
}

static void bad_ring_needs_reset(void **state)
{
	negotiate();
	set_ring(0);
	set(COMMON + 0x20, 8, 0x100000); /* no RAM there */
	set(COMMON + 0x14, 1, 15);
	assert_int_equal(card.activations, 0);
	assert_int_equal(get(COMMON + 0x14, 1) & 64, 64);
	set(COMMON + 0x14, 1, 0);
	assert_int_equal(get(COMMON + 0x14, 1), 0);
}

static void kicks(void **state)
{
	set(NOTIFY, 2, 0);
	assert_int_equal(evloop_once(loop, 0), 0);
	assert_int_equal(card.kicks[0], 0); /* not started */
	bring_up();
	set(NOTIFY, 2, 0);
	set(NOTIFY + 4, 4, 1);
	set(NOTIFY + 8, 4, 2); /* no such queue */
	set(NOTIFY + 0xffc, 4, 0);
	assert_int_equal(evloop_once(loop, 0), 0);
	assert_int_equal(card.kicks[0], 1);
	assert_int_equal(card.kicks[1], 1);
}

/* Of one queue, on a thread of the device's: the loop does not hear them. */
static void taken_kicks(void **state)
{
	uint64_t count;
	int fd;

	bring_up();
	fd = card.dev.transport->kick_take(&card.dev, 1);
	assert_true(fd >= 0);
	set(NOTIFY, 2, 0);
	set(NOTIFY + 4, 4, 1);
	assert_int_equal(evloop_once(loop, 0), 0);
	assert_int_equal(card.kicks[0], 1);
	assert_int_equal(card.kicks[1], 0);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	card.dev.transport->kick_back(&card.dev, 1);
	set(NOTIFY + 4, 4, 1);
	assert_int_equal(evloop_once(loop, 0), 0);
	assert_int_equal(card.kicks[1], 1);
}

static void ring(unsigned q)
{
	uint16_t number = (uint16_t)q;

	if (ports.count)
		iobus_write(&ports, PORTS + 4 * q, &number, sizeof(number));
	else
		set(NOTIFY + 4 * q, 2, q);
}

static void *kick_by_vcpu(void *arg)
{
	assert_int_equal(virtio_device_vcpu_started(&card.dev, 3), 0);
	ring(0);
	ring(1);
	return NULL;
}

static void vcpu_kicks(void)
{
	pthread_t id;

	assert_int_equal(pthread_create(&id, NULL, kick_by_vcpu, NULL), 0);
	assert_int_equal(pthread_join(id, NULL), 0);
	assert_int_equal(evloop_once(loop, 0), 0);
}

/* Of a queue that vCPUs serve: on their threads, unless it says no. */
static void direct_kicks(void **state)
{
	bring_up();
	/* Of the other queue, where the driver rings. */
	assert_int_equal(host.doorbells, 1);
	assert_int_equal(host.doorbell_ports[0], ports.count);
	assert_int_equal(host.doorbell_gpas[0], ports.count ? PORTS : NOTIFY);
	vcpu_kicks();
	assert_int_equal(card.vcpu, 3);
	assert_int_equal(card.kicks_now, 1);
	assert_int_equal(card.kicks[0], 1);
	assert_int_equal(card.kicks[1], 1);
	card.serves_now = true;
	vcpu_kicks();
	assert_int_equal(card.kicks_now, 2);
	assert_int_equal(card.kicks[0], 2);
	assert_int_equal(card.kicks[1], 1);
	/* Not a vCPU's thread. */
	ring(1);
	assert_int_equal(evloop_once(loop, 0), 0);
	assert_int_equal(card.kicks_now, 2);
	assert_int_equal(card.kicks[1], 2);
}

static void notified_by_ports(void **state)
{
	unsigned notify = find_cap(9, 2);
	uint16_t value = 0;

	assert_int_equal(config(0x20, 4), PORTS | 1);
	assert_int_equal(config(0x24, 4), 0);
	assert_int_equal(config(4, 2) & 3, 3);
	assert_int_equal(config(notify + 4, 1), 4); /* BAR */
	assert_int_equal(config(notify + 8, 4), 0);
	assert_int_equal(config(notify + 12, 4), 8);
	assert_int_equal(config(notify + 16, 4), 4);
	/* How large it is, and that it stays. */
	set(fake_config(1, 0x20), 4, UINT32_MAX);
	set(fake_config(1, 0x24), 4, UINT32_MAX);
	assert_int_equal(config(0x20, 4), 0xffffffc1);
	assert_int_equal(config(0x24, 4), 0);
	set(fake_config(1, 0x20), 4, 0x2000);
	assert_int_equal(config(0x20, 4), PORTS | 1);
	bring_up();
	iobus_read(&ports, PORTS, &value, 2);
	assert_int_equal(value, 0);
	/* Memory alone is decoded. */
	set(fake_config(1, 4), 2, 2);
	iobus_read(&ports, PORTS, &value, 2);
	assert_int_equal(value, UINT16_MAX);
	ring(0);
	assert_int_equal(evloop_once(loop, 0), 0);
	assert_int_equal(card.kicks[0], 0);
	/* A queue that is not there. */
	set(fake_config(1, 4), 2, 3);
	ring(2);
	ring(15);
	assert_int_equal(evloop_once(loop, 0), 0);
	assert_int_equal(card.kicks[0] + card.kicks[1], 0);
	ring(0);
	assert_int_equal(evloop_once(loop, 0), 0);
	assert_int_equal(card.kicks[0], 1);
}

static uint64_t fired(unsigned vector)
{
	uint64_t count = 0;

	if (read(host.eventfds[vector], &count, sizeof(count)) < 0)
		assert_int_equal(errno, EAGAIN);
	return count;
}

static void interrupts(void **state)
{
	unsigned msix = find_cap(0x11, -1), i;

	bring_up();
	for (i = 0; i < 3; i++) {
		set(TABLE + i * 16, 8, 0xfee00000);
		set(TABLE + i * 16 + 8, 4, 0x50 + i);
		set(TABLE + i * 16 + 12, 4, 0);
	}
	assert_int_equal(host.commits, 0);
	fake_store(&host, fake_config(1, msix + 2), 2, 0x8000);
	assert_int_equal(host.commits, 1);
	assert_int_equal(host.routes[2].data, 0x52);
	card.dev.transport->signal_queue(&card.dev, 1);
	assert_int_equal(fired(2), 1);
	card.dev.transport->signal_queue(&card.dev, 99);
	card.dev.transport->signal_config(&card.dev);
	assert_int_equal(fired(0), 1);
	assert_int_equal(fired(1), 0);
	assert_int_equal(get(ISR, 1), 3);
	assert_int_equal(get(ISR, 1), 0);
	/* Enabling by a write of the whole double word works as well. */
	fake_store(&host, fake_config(1, msix), 4, 0);
	card.dev.transport->signal_queue(&card.dev, 0);
	assert_int_equal(fired(1), 0);
}

static void device_configuration(void **state)
{
	memcpy(card.config, "\1\2\3\4\5\6", 6);
	assert_int_equal(get(DEVICE, 4), 0x04030201);
	assert_int_equal(get(DEVICE + 5, 1), 6);
	assert_int_equal(get(DEVICE + 4, 4), 0x0605);
	assert_int_equal(get(DEVICE + 0xff8, 8), 0);
	set(DEVICE, 1, 9);
	set(DEVICE + 4, 4, UINT32_MAX); /* half outside: ignored */
	assert_int_equal(card.config[0], 9);
	assert_int_equal(card.config[4], 5);
}

static void window_in_config_space(void **state)
{
	unsigned cap = find_cap(9, 5);

	/* num_queues, through the window. Reads come out from now on. */
	fake_store(&host, fake_config(1, cap + 8), 4, 0x12);
	assert_non_null(host.space);
	fake_store(&host, fake_config(1, cap + 12), 4, 2);
	assert_null(host.space);
	assert_int_equal(config(cap + 16, 2), 2);
	fake_store(&host, fake_config(1, cap + 8), 4, 0x14);
	fake_store(&host, fake_config(1, cap + 12), 4, 1);
	fake_store(&host, fake_config(1, cap + 16), 1, 1);
	assert_int_equal(get(COMMON + 0x14, 1), 1);
	/* Another BAR, outside the BAR, another width: no effect. */
	fake_store(&host, fake_config(1, cap + 4), 1, 1);
	fake_store(&host, fake_config(1, cap + 16), 1, 3);
	fake_store(&host, fake_config(1, cap + 4), 1, 0);
	fake_store(&host, fake_config(1, cap + 8), 4, UINT32_MAX);
	fake_store(&host, fake_config(1, cap + 16), 1, 3);
	fake_store(&host, fake_config(1, cap + 8), 4, 0x14);
	fake_store(&host, fake_config(1, cap + 16), 4, 3);
	assert_int_equal(get(COMMON + 0x14, 1), 1);
}

static void decoding_can_be_off(void **state)
{
	fake_store(&host, fake_config(1, 4), 2, 0);
	assert_int_equal(get(COMMON + 0x12, 2), UINT16_MAX);
	set(COMMON + 0x14, 1, 1);
	fake_store(&host, fake_config(1, 4), 2, 6);
	assert_int_equal(get(COMMON + 0x14, 1), 0);
	assert_int_equal(get(COMMON + 0x12, 2), 2);
}

static void set_up_fails_cleanly(void **state)
{
	struct virtio_pci *other;
	struct card second = {0};
	struct err err;

	virtio_device_init(&second.dev, &card_ops, 0, 1, 16);
	second.dev.loop = loop;
	second.dev.mem = &mem;
	host.fail = -EMFILE;
	other = virtio_pci_new(&second.dev, &host.pci, &err);
	assert_null(other);
	assert_int_equal(err.code, EMFILE);
	/* Without a transport a signal goes nowhere. */
	second.dev.transport->signal_queue(&second.dev, 0);
	second.dev.transport->signal_config(&second.dev);
	virtio_device_release(&second.dev);
	assert_int_equal(fake_load(&host, fake_config(2, 0), 4), UINT32_MAX);
}

/* 3 GiB, shown by a BAR of 4 GiB. */
static void memory_window(void **state)
{
	static uint8_t memory[4096];
	struct mem_window window = {.host = memory, .size = 3ull << 30};
	struct card second = {0};
	struct virtio_pci *other;
	struct err err;
	uint64_t at;

	virtio_device_init(&second.dev, &card_ops, 0, 1, 16);
	second.dev.loop = loop;
	second.dev.mem = &mem;
	second.dev.window = &window;
	/* No addresses, or too few. */
	assert_null(virtio_pci_new(&second.dev, &host.pci, &err));
	assert_int_equal(err.code, ENOSPC);
	pci_host_set_high(&host.pci, 0x140000000, 0x200000000);
	assert_null(virtio_pci_new(&second.dev, &host.pci, &err));
	assert_null(host.memory);

	pci_host_set_high(&host.pci, 0x140000000, 1ull << 40);
	other = virtio_pci_new(&second.dev, &host.pci, &err);
	assert_non_null(other);
	assert_ptr_equal(host.memory, memory);
	assert_int_equal(host.memory_gpa, 0x200000000);
	assert_int_equal(host.memory_size, 3ull << 30);
#define SECOND(off, len) fake_load(&host, fake_config(2, (unsigned)(off)), len)
	assert_int_equal(SECOND(0x18, 4), 0xc);
	assert_int_equal(SECOND(0x1c, 4), 2);
	for (at = SECOND(0x34, 1); at; at = SECOND(at + 1, 1))
		if (SECOND(at, 1) == 9 && SECOND(at + 3, 1) == 8)
			break;
	assert_true(at);
	assert_int_equal(SECOND(at + 2, 1), 24);
	assert_int_equal(SECOND(at + 4, 1), 2); /* BAR */
	assert_int_equal(SECOND(at + 5, 1), 0); /* region */
	assert_int_equal(SECOND(at + 8, 4), 0);
	assert_int_equal(SECOND(at + 12, 4), 3u << 30);
	assert_int_equal(SECOND(at + 16, 4), 0);
	assert_int_equal(SECOND(at + 20, 4), 0);
#undef SECOND
	virtio_pci_free(other);
	virtio_device_release(&second.dev);
	assert_int_equal(find_cap(9, 8), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(announces_itself),
		TEST(common_registers),
		TEST(widths_are_exact),
		TEST(queue_sizes),
		TEST(vectors_are_bounded),
		TEST(frozen_after_driver_ok),
		TEST(reset_opens_again),
		TEST(bad_ring_needs_reset),
		TEST(kicks),
		TEST(taken_kicks),
		cmocka_unit_test_setup_teardown(direct_kicks, setup_direct,
						teardown),
		cmocka_unit_test_setup_teardown(direct_kicks, setup_ports,
						teardown),
		cmocka_unit_test_setup_teardown(notified_by_ports, setup_ports,
						teardown),
		TEST(interrupts),
		TEST(device_configuration),
		TEST(window_in_config_space),
		TEST(decoding_can_be_off),
		TEST(memory_window),
		TEST(set_up_fails_cleanly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

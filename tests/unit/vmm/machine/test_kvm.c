/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/evloop.h"
#include "tests/unit/vmm/boot/kernel_image.h"
#include "vmm/machine/kvm.h"
#include "vmm/virtio/device.h"
#include "vmm/vmm.h"

/*
 * Guests of a few instructions on the real /dev/kvm, where it makes VMs. An
 * interpreted KVM is good enough.
 */

#define BAR 0xc0000000u

static struct {
	struct evloop *loop;
	struct vm *vm;
	unsigned exits;
	enum vm_exit_reason reason;
	char text[256];
	size_t output;
	char first[8];
	unsigned threads;
} run;

/* Code. ----------------------------------------------------------------- */

static struct elf_image image;
static size_t code_len;

static void emit(const void *bytes, size_t len)
{
	assert_true(len <= sizeof(image.code) - code_len);
	memcpy(image.code + code_len, bytes, len);
	code_len += len;
}

static void emit8(uint8_t value)
{
	emit(&value, 1);
}

static void emit32(uint32_t value)
{
	emit(&value, 4);
}

/* mov dx, port; mov al, value; out dx, al */
static void emit_out(uint16_t port, uint8_t value)
{
	emit("\x66\xba", 2);
	emit(&port, 2);
	emit8(0xb0);
	emit8(value);
	emit8(0xee);
}

/* mov byte [address], value */
static void emit_store8(uint32_t address, uint8_t value)
{
	emit("\xc6\x05", 2);
	emit32(address);
	emit8(value);
}

/* mov dword [address], value */
static void emit_store32(uint32_t address, uint32_t value)
{
	emit("\xc7\x05", 2);
	emit32(address);
	emit32(value);
}

/* hlt; jmp to it */
static void emit_halt(void)
{
	emit("\xf4\xeb\xfd", 3);
}

static void emit_jump_to(size_t target)
{
	emit8(0xe9);
	emit32((uint32_t)(target - code_len - 4));
}

/* Callbacks. ------------------------------------------------------------ */

static void exited(void *arg, enum vm_exit_reason reason, const char *text)
{
	run.exits++;
	run.reason = reason;
	snprintf(run.text, sizeof(run.text), "%s", text);
	evloop_stop(run.loop);
}

static void console(void *arg, const void *data, size_t len)
{
	/* They may come one by one. */
	if (run.output < sizeof(run.first))
		memcpy(run.first + run.output, data,
		       MIN(len, sizeof(run.first) - run.output));
	run.output += len;
}

static int thread_started(void *arg, const char *name)
{
	__atomic_add_fetch(&run.threads, 1, __ATOMIC_RELAXED);
	return 0;
}

static bool have_kvm(void)
{
	AUTO_FD int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	AUTO_FD int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);

	return vm >= 0;
}

static int setup(void **state)
{
	memset(&run, 0, sizeof(run));
	elf_image_init(&image);
	code_len = 0;
	run.loop = evloop_new();
	return run.loop ? 0 : -1;
}

static int teardown(void **state)
{
	vm_free(run.vm);
	evloop_free(run.loop);
	return 0;
}

static void make(unsigned vcpus)
{
	struct vm_config config = {
		.machine = "kvm",
		.vcpus = vcpus,
		.memory = 64u << 20,
		.kernel_fd = image_fd(&image, sizeof(image)),
		.initramfs_fd = -1,
		.cmdline = "",
		.serial = true,
		.loop = run.loop,
		.callbacks = {.exited = exited,
			      .console = console,
			      .thread_started = thread_started},
	};
	struct err err = {0};

	if (!have_kvm()) {
		close(config.kernel_fd);
		skip();
	}
	run.vm = vm_new(&config, &err);
	if (!run.vm)
		fail_msg("%s", err.text);
}

static void start(void)
{
	struct err err = {0};

	if (vm_start(run.vm, &err) < 0)
		fail_msg("%s", err.text);
}

static void until_exit(void)
{
	assert_int_equal(evloop_run(run.loop), 0);
	assert_int_equal(run.exits, 1);
}

/* Tests. ---------------------------------------------------------------- */

static void powers_off(void **state)
{
	emit_out(0x3f8, 'h');
	emit_out(0x3f8, 'i');
	emit_out(0x600, 0x34);
	emit_halt();
	make(2);
	start();
	until_exit();
	assert_int_equal(run.reason, VM_EXIT_SHUTDOWN);
	vm_free(run.vm);
	run.vm = NULL;
	assert_int_equal(run.output, 2);
	assert_memory_equal(run.first, "hi", 2);
	assert_int_equal(run.threads, 2);
}

static void resets(void **state)
{
	emit_out(0x600, 1);
	emit_halt();
	make(1);
	start();
	until_exit();
	assert_int_equal(run.reason, VM_EXIT_RESET);
}

static void triple_fault_is_reset(void **state)
{
	emit("\x0f\x0b", 2); /* ud2, and no IDT */
	make(1);
	start();
	until_exit();
	assert_int_equal(run.reason, VM_EXIT_RESET);
	assert_non_null(strstr(run.text, "triple fault"));
}

static void reads_of_nothing_are_ones(void **state)
{
	/* mov eax, [0xd0000000]; cmp eax, -1; jne halt */
	emit("\xa1\x00\x00\x00\xd0\x83\xf8\xff\x75\x07", 10);
	emit_out(0x600, 0x34);
	emit_halt();
	make(1);
	start();
	until_exit();
	assert_int_equal(run.reason, VM_EXIT_SHUTDOWN);
}

/* A device that starts, is kicked, and interrupts. ----------------------- */

static struct {
	struct virtio_device dev;
	unsigned activations, kicks;
} card;

static int card_activate(struct virtio_device *dev)
{
	card.activations++;
	return 0;
}

static void card_kick(struct virtio_device *dev, unsigned q)
{
	if (++card.kicks == 2)
		dev->transport->signal_queue(dev, q);
}

static void card_reset(struct virtio_device *dev)
{
}

static void card_destroy(struct virtio_device *dev)
{
	virtio_device_release(dev);
}

static const struct virtio_device_ops card_ops = {
	.name = "card",
	.id = VIRTIO_ID_RNG,
	.activate = card_activate,
	.kick = card_kick,
	.reset = card_reset,
	.destroy = card_destroy,
};

static void add_card(void)
{
	struct err err = {0};

	memset(&card, 0, sizeof(card));
	virtio_device_init(&card.dev, &card_ops, 0, 1, 16);
	assert_int_equal(vm_add_device(run.vm, &card.dev, &err), 0);
}

#define VECTOR 0x30u
#define IDT_AT 0x2000u /* in the image's code */
#define HANDLER_AT 0x3000u
#define IDTR_AT 0x3800u

/* An interrupt gate for VECTOR, whose handler powers off. */
static void put_handler(void)
{
	uint32_t handler = IMAGE_LOAD + HANDLER_AT;
	uint32_t idt = IMAGE_LOAD + IDT_AT;
	uint16_t limit = 0x7ff;
	uint32_t gate[2] = {
		(uint32_t)BOOT_CS << 16 | (handler & 0xffff),
		(handler & 0xffff0000) | 0x8e00,
	};
	size_t main_len = code_len;

	memcpy(image.code + IDT_AT + VECTOR * 8, gate, sizeof(gate));
	memcpy(image.code + IDTR_AT, &limit, 2);
	memcpy(image.code + IDTR_AT + 2, &idt, 4);
	code_len = HANDLER_AT;
	emit_out(0x600, 0x34);
	emit_halt();
	code_len = main_len;
}

/*
 * Through the bus to the loop (status), by ioeventfd (kick), by irqfd and the
 * route of MSI-X (interrupt): the handler powers off.
 */
static void kick_and_interrupt(void **state)
{
	put_handler();
	emit("\x0f\x01\x1d", 3); /* lidt */
	emit32(IMAGE_LOAD + IDTR_AT);
	emit_store32(0xfee000f0, 0x1ff); /* the local APIC is on */
	emit_store8(BAR + 0x14, 1);
	emit_store8(BAR + 0x14, 3);
	emit_store32(BAR + 0x08, 1);
	emit_store32(BAR + 0x0c, 1);
	emit_store8(BAR + 0x14, 11);
	/* Queue 0: vector 1. */
	emit("\x66\xc7\x05", 3);
	emit32(BAR + 0x1a);
	emit("\x01\x00", 2);
	emit_store32(BAR + 0x20, 0x200000);
	emit_store32(BAR + 0x28, 0x201000);
	emit_store32(BAR + 0x30, 0x202000);
	emit("\x66\xc7\x05", 3);
	emit32(BAR + 0x1c);
	emit("\x01\x00", 2);
	emit_store32(BAR + 0x4010, 0xfee00000);
	emit_store32(BAR + 0x4014, 0);
	emit_store32(BAR + 0x4018, VECTOR);
	emit_store32(BAR + 0x401c, 0);
	/* MSI-X enable, in the capability at 0x40 of device 1. */
	emit("\x66\xc7\x05", 3);
	emit32(0xe8000000 + (1u << 15) + 0x42);
	emit("\x00\x80", 2);
	emit_store8(BAR + 0x14, 15);
	emit_store32(BAR + 0x3000, 0); /* the doorbell */
	emit_store8(BAR + 0x14, 15);   /* the loop has seen it */
	emit_store32(BAR + 0x3000, 0);
	emit8(0xfb); /* sti */
	emit_halt();
	make(1);
	add_card();
	start();
	until_exit();
	assert_int_equal(run.reason, VM_EXIT_SHUTDOWN);
	assert_int_equal(card.activations, 1);
	assert_int_equal(card.kicks, 2);
}

#define CONFIG (0xe8000000u + (1u << 15))

/* A guest that halts here never powers off. */
static void emit_halt_unless_equal(void)
{
	emit("\x74\x03", 2); /* je over it */
	emit_halt();
}

/*
 * Configuration space: read as memory at first; when the window into the BAR
 * is opened, reads come out and have their effect.
 */
static void configuration_space(void **state)
{
	emit8(0xa1); /* mov eax, [device and vendor] */
	emit32(CONFIG);
	emit8(0x3d); /* cmp eax, ... */
	emit32(0x10441af4);
	emit_halt_unless_equal();
	emit_store32(CONFIG + 0x10, UINT32_MAX);
	emit8(0xa1); /* mov eax, [BAR 0] */
	emit32(CONFIG + 0x10);
	emit8(0x3d);
	emit32(0xffff8004);
	emit_halt_unless_equal();
	/* The window's capability is at 0x80; num_queues is at 0x12. */
	emit_store32(CONFIG + 0x88, 0x12);
	emit_store32(CONFIG + 0x8c, 2);
	emit("\x66\xa1", 2); /* mov ax, [data] */
	emit32(CONFIG + 0x90);
	emit("\x66\x3d\x01\x00", 4); /* cmp ax, 1 */
	emit_halt_unless_equal();
	emit_out(0x600, 0x34);
	emit_halt();
	make(1);
	add_card();
	start();
	until_exit();
	assert_int_equal(run.reason, VM_EXIT_SHUTDOWN);
}

static void until_output(size_t len)
{
	while (run.output < len && run.exits == 0)
		assert_int_equal(evloop_once(run.loop, -1), 0);
	assert_int_equal(run.exits, 0);
}

static void pause_and_resume(void **state)
{
	struct err err = {0};
	size_t len;

	emit_out(0x3f8, 'x');
	emit_jump_to(0);
	make(2);
	assert_int_equal(vm_pause(run.vm, &err), -EINVAL);
	start();
	until_output(1);
	assert_int_equal(vm_pause(run.vm, &err), 0);
	/* What was written before is handed out, and then nothing comes. */
	assert_int_equal(evloop_once(run.loop, 0), 0);
	len = run.output;
	assert_int_equal(evloop_once(run.loop, 50), 0);
	assert_int_equal(run.output, len);
	assert_int_equal(vm_resume(run.vm, &err), 0);
	until_output(len + 1);
	vm_stop(run.vm);
	until_exit();
	assert_int_equal(run.reason, VM_EXIT_STOPPED);
	assert_int_equal(vm_pause(run.vm, &err), -ESRCH);
}

/* vCPUs that wait for the loop all the time must not make it wait. */
static void calls_in_flight(void **state)
{
	struct err err = {0};
	unsigned i;

	emit_store8(BAR + 0x14, 0);
	emit_store8(BAR + 0x14, 1);
	emit_out(0x3f8, 'x');
	emit_jump_to(0);
	make(1);
	add_card();
	start();
	for (i = 0; i < 20; i++) {
		until_output(run.output + 1);
		assert_int_equal(vm_pause(run.vm, &err), 0);
		assert_int_equal(vm_resume(run.vm, &err), 0);
	}
	/* Freed while it runs. */
	vm_free(run.vm);
	run.vm = NULL;
	assert_int_equal(run.exits, 0);
}

static void exit_is_not_reported_after_free(void **state)
{
	emit_out(0x600, 0x34);
	emit_halt();
	make(1);
	start();
	vm_stop(run.vm);
	vm_free(run.vm);
	run.vm = NULL;
	assert_int_equal(evloop_once(run.loop, 0), 0);
	assert_int_equal(run.exits, 0);
}

static void free_before_start(void **state)
{
	make(4);
	add_card();
}

static void bad_configurations(void **state)
{
	static const struct {
		unsigned vcpus;
		uint64_t memory;
		const char *machine;
	} bad[] = {
		{0, 64u << 20, "kvm"},	{65, 64u << 20, "kvm"},
		{1, 62u << 20, "kvm"},	{1, (64u << 20) + 4096, "kvm"},
		{1, UINT64_MAX, "kvm"}, {1, 1ull << 60, "kvm"},
		{1, 64u << 20, "qemu"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vm_config config = {
			.machine = bad[i].machine,
			.vcpus = bad[i].vcpus,
			.memory = bad[i].memory,
			.kernel_fd = image_fd(&image, sizeof(image)),
			.initramfs_fd = -1,
			.loop = run.loop,
		};
		struct err err = {0};

		assert_null(vm_new(&config, &err));
		assert_int_equal(err.code, EINVAL);
	}
}

static void reads_cpuinfo(void **state)
{
	assert_true(kvm_cpuinfo_has_virt(
		"processor\t: 0\nflags\t\t: fpu vmx sse\nbugs\t: x\n"));
	assert_true(kvm_cpuinfo_has_virt("a\nflags\t\t: fpu svm\n"));
	assert_false(kvm_cpuinfo_has_virt(
		"a\nflags\t\t: fpu svm_lock vmx2\nvmx flags\t: vnmi\n"));
	assert_false(kvm_cpuinfo_has_virt(""));
}

static void command_line(void **state)
{
	struct vm vm = {.cmdline = (char[]){"quiet panic=5"}};
	AUTO_FREE char *without = kvm_cmdline(&vm);
	AUTO_FREE char *with = NULL;

	assert_non_null(without);
	assert_null(strstr(without, "console="));
	assert_non_null(strstr(without, " 8250.nr_uarts=0 "));
	assert_non_null(strstr(without, "panic=-1 reboot=acpi "));
	/* The user's parameters come last and win. */
	assert_string_equal(without + strlen(without) - 13, "quiet panic=5");
	vm.config.serial = true;
	card.dev.ops = &card_ops;
	vm.devices[vm.ndevices++] = &card.dev;
	with = kvm_cmdline(&vm);
	assert_non_null(with);
	assert_non_null(strstr(with, " console=ttyS0 "));
	assert_null(strstr(with, "hvc0"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(powers_off),
		TEST(resets),
		TEST(triple_fault_is_reset),
		TEST(reads_of_nothing_are_ones),
		TEST(kick_and_interrupt),
		TEST(configuration_space),
		TEST(pause_and_resume),
		TEST(calls_in_flight),
		TEST(exit_is_not_reported_after_free),
		TEST(free_before_start),
		TEST(bad_configurations),
		TEST(reads_cpuinfo),
		TEST(command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

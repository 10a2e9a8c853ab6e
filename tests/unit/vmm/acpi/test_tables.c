/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/acpi/tables.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/acpi/aml.h"

#define BASE 0xe0000u

static uint8_t buf[0x4000];

static uint64_t get(const uint8_t *at, unsigned len)
{
	uint64_t value = 0;

	while (len-- > 0)
		value = value << 8 | at[len];
	return value;
}

static uint8_t sum(const uint8_t *at, size_t len)
{
	uint8_t total = 0;

	while (len-- > 0)
		total = (uint8_t)(total + *at++);
	return total;
}

/* The table at a guest address, its checksum and bounds checked. */
static const uint8_t *table(uint64_t address, const char *signature)
{
	const uint8_t *at;
	size_t len;

	assert_in_range(address, BASE, BASE + sizeof(buf) - 36);
	at = buf + (address - BASE);
	len = get(at + 4, 4);
	assert_in_range(len, 36, sizeof(buf) - (address - BASE));
	assert_memory_equal(at, signature, 4);
	assert_int_equal(sum(at, len), 0);
	return at;
}

/* Entry n of the XSDT. */
static uint64_t entry(unsigned n)
{
	const uint8_t *xsdt = table(get(buf + 24, 8), "XSDT");

	assert_in_range(n, 0, (get(xsdt + 4, 4) - 36) / 8 - 1);
	return get(xsdt + 36 + 8 * n, 8);
}

static void build(unsigned vcpus, bool serial)
{
	const struct acpi_config config = {
		.vcpus = vcpus,
		.serial = serial,
		.base = BASE,
	};

	memset(buf, 0, sizeof(buf));
	assert_int_equal(acpi_build(&config, buf, sizeof(buf)), 0);
}

static bool contains(const uint8_t *at, const void *what, size_t len)
{
	return memmem(at, get(at + 4, 4), what, len) != NULL;
}

static void root_pointer(void **state)
{
	build(1, true);
	assert_memory_equal(buf, "RSD PTR ", 8);
	assert_int_equal(sum(buf, 20), 0);
	assert_int_equal(sum(buf, 36), 0);
	assert_int_equal(buf[15], 2);
	assert_int_equal(get(buf + 20, 4), 36);
}

static void fixed_description(void **state)
{
	const uint8_t *fadt;

	build(1, true);
	fadt = table(entry(0), "FACP");
	assert_int_equal(get(fadt + 4, 4), 276);
	assert_int_equal(fadt[8], 6);
	assert_true(get(fadt + 112, 4) & 1u << 20); /* hardware-reduced */
	assert_true(get(fadt + 112, 4) & 1u << 10); /* reset register */
	assert_int_equal(get(fadt + 116 + 4, 8), 0x600);
	assert_int_equal(fadt[128], 1);
	assert_int_equal(get(fadt + 244 + 4, 8), 0x600);
	assert_int_equal(get(fadt + 256 + 4, 8), 0x601);
	assert_int_equal(get(fadt + 40, 4), get(fadt + 140, 8));
	table(get(fadt + 140, 8), "DSDT");
}

static void processors(void **state)
{
	const uint8_t *madt, *at, *end;
	unsigned n = 0;

	build(300, false);
	madt = table(entry(1), "APIC");
	end = madt + get(madt + 4, 4);
	for (at = madt + 44; at < end; at += at[1], n++) {
		if (n < 255) {
			assert_int_equal(at[0], 0);
			assert_int_equal(at[1], 8);
			assert_int_equal(at[3], n);
			assert_int_equal(get(at + 4, 4), 1);
		} else {
			assert_int_equal(at[0], 9);
			assert_int_equal(at[1], 16);
			assert_int_equal(get(at + 4, 4), n);
			assert_int_equal(get(at + 8, 4), 1);
		}
	}
	assert_ptr_equal(at, end);
	assert_int_equal(n, 300);
}

static void configuration_space(void **state)
{
	const uint8_t *mcfg;

	build(1, false);
	mcfg = table(entry(2), "MCFG");
	assert_int_equal(get(mcfg + 4, 4), 60);
	assert_int_equal(get(mcfg + 44, 8), 0xe8000000);
	assert_int_equal(mcfg[54], 0);
	assert_int_equal(mcfg[55], 0);
}

static void namespace(void **state)
{
	static const uint8_t pnp0a08[] = {0x41, 0xd0, 0x0a, 0x08};
	static const uint8_t pnp0501[] = {0x41, 0xd0, 0x05, 0x01};
	static const uint8_t s5[] = {0x08, '_', 'S', '5', '_',	0x12,
				     0x86, 0,	0,   1,	  0x0a, 5};
	const uint8_t *dsdt;

	build(1, true);
	dsdt = table(get(table(entry(0), "FACP") + 140, 8), "DSDT");
	assert_true(contains(dsdt, pnp0a08, 4));
	assert_true(contains(dsdt, pnp0501, 4));
	assert_true(contains(dsdt, s5, sizeof(s5)));
	build(1, false);
	dsdt = table(get(table(entry(0), "FACP") + 140, 8), "DSDT");
	assert_false(contains(dsdt, pnp0501, 4));
}

/* The bridge's addresses above 4 GiB, where there are any. */
static void high_window(void **state)
{
	static const uint8_t window[] = {
		0x8a, 0x2b, 0x00, 0x00, 0x0c, 0x07, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x01, 0x00,
		0x00, 0x00, 0xff, 0xff, 0xff, 0x7f, 0x01, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x40, 0x00, 0x00, 0x00, 0x00,
	};
	struct acpi_config config = {
		.vcpus = 1,
		.base = BASE,
		.high_base = 0x140000000,
		.high_size = 0x40000000,
	};
	const uint8_t *dsdt;

	memset(buf, 0, sizeof(buf));
	assert_int_equal(acpi_build(&config, buf, sizeof(buf)), 0);
	dsdt = table(get(table(entry(0), "FACP") + 140, 8), "DSDT");
	assert_true(contains(dsdt, window, sizeof(window)));
	build(1, false);
	dsdt = table(get(table(entry(0), "FACP") + 140, 8), "DSDT");
	assert_false(contains(dsdt, window, 6));
}

static void no_room_is_an_error(void **state)
{
	const struct acpi_config config = {.vcpus = 4, .base = BASE};
	size_t full, cap;

	memset(buf, 0, sizeof(buf));
	assert_int_equal(acpi_build(&config, buf, sizeof(buf)), 0);
	full = (size_t)(get(buf + 24, 8) - BASE) + 36 + 3 * 8;
	for (cap = 0; cap < full; cap++) {
		memset(buf, 0, sizeof(buf));
		assert_int_equal(acpi_build(&config, buf, cap), -ENOSPC);
		assert_int_equal(buf[cap], 0);
	}
	memset(buf, 0, sizeof(buf));
	assert_int_equal(acpi_build(&config, buf, full), 0);
}

static void aml_integers(void **state)
{
	static const uint8_t want[] = {0x00, 0x01, 0x0a, 0x02, 0x0b, 0x00, 0x01,
				       0x0c, 0x00, 0x00, 0x01, 0x00, 0x0e, 0,
				       0,    0,	   0,	 1,    0,    0,	   0};
	uint8_t out[64];
	struct aml aml;

	aml_init(&aml, out, sizeof(out));
	aml_integer(&aml, 0);
	aml_integer(&aml, 1);
	aml_integer(&aml, 2);
	aml_integer(&aml, 0x100);
	aml_integer(&aml, 0x10000);
	aml_integer(&aml, 0x100000000);
	assert_false(aml.failed);
	assert_int_equal(aml.len, sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
}

/* The buffer's own size and the package length around it. */
static void aml_resource_template(void **state)
{
	static const uint8_t want[] = {0x11, 0x80 | 0x0f, 0x01, 0x00, 0x0b,
				       0x16, 0x00,	  0x47, 0x01, 0xf8,
				       0x03, 0xf8,	  0x03, 0x01, 0x08};
	uint8_t out[64];
	struct aml aml;

	aml_init(&aml, out, sizeof(out));
	aml_resources_begin(&aml);
	aml_resource_io(&aml, 0x3f8, 8);
	aml_resource_memory32(&aml, 0x1000, 0x2000);
	aml_resources_end(&aml);
	assert_false(aml.failed);
	/* 8 and 12 bytes of descriptors, 2 of the end tag. */
	assert_int_equal(aml.len, 1 + 3 + 3 + 22);
	assert_int_equal(out[1] & 0x0f, (aml.len - 1) & 0x0f);
	assert_int_equal(out[2], (aml.len - 1) >> 4);
	assert_memory_equal(out + 4, want + 4, sizeof(want) - 4);
	assert_int_equal(out[aml.len - 2], 0x79);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_pointer),
		cmocka_unit_test(fixed_description),
		cmocka_unit_test(processors),
		cmocka_unit_test(configuration_space),
		cmocka_unit_test(namespace),
		cmocka_unit_test(high_window),
		cmocka_unit_test(no_room_is_an_error),
		cmocka_unit_test(aml_integers),
		cmocka_unit_test(aml_resource_template),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

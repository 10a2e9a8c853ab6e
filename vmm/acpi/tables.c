/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/acpi/tables.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "vmm/acpi/aml.h"
#include "vmm/boot/layout.h"
#include "vmm/hw/power.h"
#include "vmm/hw/serial.h"

/* ACPI 6.4: RSDP 5.2.5.3, headers 5.2.6, FADT 5.2.9, MADT 5.2.12. */

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	le32 rsdt;
	le32 length;
	le64 xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} PACKED;

struct sdt {
	char signature[4];
	le32 length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	le32 oem_revision;
	char creator_id[4];
	le32 creator_revision;
} PACKED;

struct gas {
	uint8_t space; /* 1: system I/O */
	uint8_t bits;
	uint8_t offset;
	uint8_t access; /* 1: byte */
	le64 address;
} PACKED;

struct fadt {
	struct sdt header;
	le32 facs;
	le32 dsdt;
	uint8_t unused1[65]; /* 44: registers of full hardware */
	le16 boot_arch;	     /* 109 */
	uint8_t reserved1;
	le32 flags; /* 112 */
	struct gas reset;
	uint8_t reset_value; /* 128 */
	le16 arm_boot_arch;
	uint8_t minor;
	le64 x_facs;
	le64 x_dsdt;	     /* 140 */
	uint8_t unused2[96]; /* 148 */
	struct gas sleep_control;
	struct gas sleep_status; /* 256 */
	char hypervisor[8];	 /* 268 */
} PACKED;
_Static_assert(sizeof(struct fadt) == 276, "FADT revision 6");

#define FADT_WBINVD (1u << 0)
#define FADT_PWR_BUTTON (1u << 4) /* no fixed power button */
#define FADT_SLP_BUTTON (1u << 5)
#define FADT_RESET_REG (1u << 10)
#define FADT_HW_REDUCED (1u << 20)
#define BOOT_ARCH_NO_VGA (1u << 2)
#define BOOT_ARCH_NO_ASPM (1u << 4)
#define BOOT_ARCH_NO_CMOS (1u << 5)

struct madt {
	struct sdt header;
	le32 apic;
	le32 flags;
} PACKED;

struct madt_lapic {
	uint8_t type; /* 0 */
	uint8_t length;
	uint8_t uid;
	uint8_t apic_id;
	le32 flags; /* 1: enabled */
} PACKED;

struct madt_x2apic {
	uint8_t type; /* 9 */
	uint8_t length;
	uint8_t reserved[2];
	le32 apic_id;
	le32 flags;
	le32 uid;
} PACKED;

struct mcfg {
	struct sdt header;
	uint8_t reserved1[8];
	le64 base;
	le16 segment;
	uint8_t first_bus;
	uint8_t last_bus;
	uint8_t reserved2[4];
} PACKED;

struct build {
	const struct acpi_config *config;
	uint8_t *buf;
	size_t cap;
	size_t len;
	unsigned ntables;
	uint32_t tables[4]; /* addresses for the XSDT */
};

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *bytes++);
	return (uint8_t)(0u - sum);
}

/* Room for a table, or NULL. Tables are 16-aligned. */
static void *reserve(struct build *b, size_t len)
{
	size_t at = (b->len + 15) & ~(size_t)15;

	if (at > b->cap || len > b->cap - at)
		return NULL;
	b->len = at + len;
	return b->buf + at;
}

static uint32_t address(const struct build *b, const void *table)
{
	return b->config->base + (uint32_t)((const uint8_t *)table - b->buf);
}

static void seal(struct sdt *header, const char *signature, uint8_t revision,
		 size_t length)
{
	memcpy(header->signature, signature, 4);
	header->length = le32_make((uint32_t)length);
	header->revision = revision;
	memcpy(header->oem_id, "NACRE ", 6);
	memcpy(header->oem_table_id, "NACREVMM", 8);
	header->oem_revision = le32_make(1);
	memcpy(header->creator_id, "NACR", 4);
	header->creator_revision = le32_make(1);
	header->checksum = 0;
	header->checksum = checksum(header, length);
}

static void aml_pci(struct aml *aml, const struct acpi_config *config)
{
	aml_device_begin(aml, "PCI0");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0A08");
	aml_name(aml, "_CID");
	aml_eisa_id(aml, "PNP0A03");
	aml_name(aml, "_SEG");
	aml_integer(aml, 0);
	aml_name(aml, "_BBN");
	aml_integer(aml, 0);
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	aml_resources_begin(aml);
	aml_resource_bus(aml, 0, 0);
	aml_resource_window32(aml, LAYOUT_PCI_WINDOW, LAYOUT_PCI_WINDOW_SIZE);
	aml_resource_ports(aml, LAYOUT_PCI_PORTS, LAYOUT_PCI_PORTS_SIZE);
	if (config->high_size)
		aml_resource_window64(aml, config->high_base,
				      config->high_size);
	aml_resources_end(aml);
	aml_end(aml);
}

/* Linux believes the MCFG only where a motherboard device claims the range. */
static void aml_motherboard(struct aml *aml)
{
	aml_device_begin(aml, "MBRD");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0C02");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	aml_resources_begin(aml);
	aml_resource_memory32(aml, LAYOUT_ECAM, LAYOUT_ECAM_SIZE);
	aml_resource_io(aml, POWER_BASE, POWER_PORTS);
	aml_resources_end(aml);
	aml_end(aml);
}

/* No interrupt: Linux then polls the port by a timer. */
static void aml_serial(struct aml *aml)
{
	aml_device_begin(aml, "COM1");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0501");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	aml_resources_begin(aml);
	aml_resource_io(aml, SERIAL_BASE, SERIAL_PORTS);
	aml_resources_end(aml);
	aml_end(aml);
}

static struct sdt *build_dsdt(struct build *b)
{
	struct sdt *dsdt = reserve(b, sizeof(*dsdt));
	struct aml aml;

	if (!dsdt)
		return NULL;
	aml_init(&aml, dsdt + 1, b->cap - b->len);
	aml_scope_begin(&aml, "\\_SB_");
	aml_pci(&aml, b->config);
	aml_motherboard(&aml);
	if (b->config->serial)
		aml_serial(&aml);
	aml_end(&aml);
	aml_name(&aml, "_S5_");
	aml_package_begin(&aml, 1);
	aml_integer(&aml, POWER_S5);
	aml_end(&aml);
	if (aml.failed)
		return NULL;
	b->len += aml.len;
	/* Revision 2: integers have 64 bits. */
	seal(dsdt, "DSDT", 2, sizeof(*dsdt) + aml.len);
	return dsdt;
}

static struct gas port(uint16_t address)
{
	return (struct gas){
		.space = 1,
		.bits = 8,
		.access = 1,
		.address = le64_make(address),
	};
}

static int build_fadt(struct build *b, uint32_t dsdt)
{
	struct fadt *fadt = reserve(b, sizeof(*fadt));

	if (!fadt)
		return -ENOSPC;
	fadt->dsdt = le32_make(dsdt);
	fadt->x_dsdt = le64_make(dsdt);
	fadt->boot_arch = le16_make(BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_ASPM |
				    BOOT_ARCH_NO_CMOS);
	fadt->flags =
		le32_make(FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON |
			  FADT_RESET_REG | FADT_HW_REDUCED);
	fadt->reset = port(POWER_CONTROL);
	fadt->reset_value = POWER_RESET;
	fadt->minor = 4;
	fadt->sleep_control = port(POWER_CONTROL);
	fadt->sleep_status = port(POWER_STATUS);
	memcpy(fadt->hypervisor, "NACREVMM", 8);
	seal(&fadt->header, "FACP", 6, sizeof(*fadt));
	b->tables[b->ntables++] = address(b, fadt);
	return 0;
}

/* APIC ids below 255 are told by LAPIC entries (5.2.12.12). */
static size_t madt_cpu(uint8_t *at, unsigned cpu)
{
	if (cpu < 255) {
		struct madt_lapic entry = {
			.length = sizeof(entry),
			.uid = (uint8_t)cpu,
			.apic_id = (uint8_t)cpu,
			.flags = le32_make(1),
		};

		memcpy(at, &entry, sizeof(entry));
		return sizeof(entry);
	} else {
		struct madt_x2apic entry = {
			.type = 9,
			.length = sizeof(entry),
			.apic_id = le32_make(cpu),
			.flags = le32_make(1),
			.uid = le32_make(cpu),
		};

		memcpy(at, &entry, sizeof(entry));
		return sizeof(entry);
	}
}

static int build_madt(struct build *b)
{
	unsigned cpus = b->config->vcpus;
	size_t len = sizeof(struct madt);
	struct madt *madt;
	uint8_t *at;
	unsigned i;

	len += MIN(cpus, 255u) * sizeof(struct madt_lapic);
	if (cpus > 255)
		len += (cpus - 255) * sizeof(struct madt_x2apic);
	madt = reserve(b, len);
	if (!madt)
		return -ENOSPC;
	madt->apic = le32_make(LAYOUT_APIC);
	at = (uint8_t *)(madt + 1);
	for (i = 0; i < cpus; i++)
		at += madt_cpu(at, i);
	seal(&madt->header, "APIC", 5, len);
	b->tables[b->ntables++] = address(b, madt);
	return 0;
}

static int build_mcfg(struct build *b)
{
	struct mcfg *mcfg = reserve(b, sizeof(*mcfg));

	if (!mcfg)
		return -ENOSPC;
	mcfg->base = le64_make(LAYOUT_ECAM);
	seal(&mcfg->header, "MCFG", 1, sizeof(*mcfg));
	b->tables[b->ntables++] = address(b, mcfg);
	return 0;
}

static int build_xsdt(struct build *b, struct rsdp *rsdp)
{
	size_t len = sizeof(struct sdt) + b->ntables * sizeof(le64);
	struct sdt *xsdt = reserve(b, len);
	uint8_t *at;
	unsigned i;

	if (!xsdt)
		return -ENOSPC;
	at = (uint8_t *)(xsdt + 1);
	for (i = 0; i < b->ntables; i++) {
		le64 entry = le64_make(b->tables[i]);

		memcpy(at + i * sizeof(entry), &entry, sizeof(entry));
	}
	seal(xsdt, "XSDT", 1, len);

	memcpy(rsdp->signature, "RSD PTR ", 8);
	memcpy(rsdp->oem_id, "NACRE ", 6);
	rsdp->revision = 2;
	rsdp->length = le32_make(sizeof(*rsdp));
	rsdp->xsdt = le64_make(address(b, xsdt));
	rsdp->checksum = checksum(rsdp, 20); /* the part of ACPI 1.0 */
	rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
	return 0;
}

int acpi_build(const struct acpi_config *config, void *buf, size_t cap)
{
	struct build b = {.config = config, .buf = buf, .cap = cap};
	struct rsdp *rsdp = reserve(&b, sizeof(*rsdp));
	struct sdt *dsdt;

	if (!rsdp)
		return -ENOSPC;
	dsdt = build_dsdt(&b);
	if (!dsdt || build_fadt(&b, address(&b, dsdt)) < 0 ||
	    build_madt(&b) < 0 || build_mcfg(&b) < 0)
		return -ENOSPC;
	return build_xsdt(&b, rsdp);
}

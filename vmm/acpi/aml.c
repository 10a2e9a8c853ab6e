/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/acpi/aml.h"

#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_EXT = 0x5b,
	OP_EXT_DEVICE = 0x82,
};

/* All lengths are written in the form of this many bytes: up to 2^20. */
#define PKG_LENGTH_BYTES 3u

void aml_init(struct aml *aml, void *buf, size_t cap)
{
	*aml = (struct aml){.buf = buf, .cap = cap};
}

static void put(struct aml *aml, const void *bytes, size_t len)
{
	if (aml->failed || len > aml->cap - aml->len) {
		aml->failed = true;
		return;
	}
	memcpy(aml->buf + aml->len, bytes, len);
	aml->len += len;
}

static void put8(struct aml *aml, uint8_t value)
{
	put(aml, &value, 1);
}

static void put16(struct aml *aml, uint16_t value)
{
	le16 wire = le16_make(value);

	put(aml, &wire, sizeof(wire));
}

static void put32(struct aml *aml, uint32_t value)
{
	le32 wire = le32_make(value);

	put(aml, &wire, sizeof(wire));
}

static void put64(struct aml *aml, uint64_t value)
{
	le64 wire = le64_make(value);

	put(aml, &wire, sizeof(wire));
}

static void put_name(struct aml *aml, const char *name)
{
	if (*name == '\\') {
		put8(aml, (uint8_t)'\\');
		name++;
	}
	BUG_ON(strlen(name) != 4);
	put(aml, name, 4);
}

static void open_length(struct aml *aml)
{
	static const uint8_t room[PKG_LENGTH_BYTES];

	if (aml->depth == AML_DEPTH_MAX) {
		aml->failed = true;
		return;
	}
	aml->open[aml->depth++] = aml->len;
	put(aml, room, sizeof(room));
}

void aml_end(struct aml *aml)
{
	size_t at, len;

	if (aml->failed)
		return;
	BUG_ON(aml->depth == 0);
	at = aml->open[--aml->depth];
	len = aml->len - at; /* counts itself (20.2.4) */
	if (len >= 1u << 20) {
		aml->failed = true;
		return;
	}
	aml->buf[at] = (uint8_t)((PKG_LENGTH_BYTES - 1) << 6 | (len & 0x0f));
	aml->buf[at + 1] = (uint8_t)(len >> 4);
	aml->buf[at + 2] = (uint8_t)(len >> 12);
}

void aml_scope_begin(struct aml *aml, const char *path)
{
	put8(aml, OP_SCOPE);
	open_length(aml);
	put_name(aml, path);
}

void aml_device_begin(struct aml *aml, const char *name)
{
	put8(aml, OP_EXT);
	put8(aml, OP_EXT_DEVICE);
	open_length(aml);
	put_name(aml, name);
}

void aml_name(struct aml *aml, const char *name)
{
	put8(aml, OP_NAME);
	put_name(aml, name);
}

void aml_integer(struct aml *aml, uint64_t value)
{
	if (value <= 1) {
		put8(aml, value ? OP_ONE : OP_ZERO);
	} else if (value <= UINT8_MAX) {
		put8(aml, OP_BYTE);
		put8(aml, (uint8_t)value);
	} else if (value <= UINT16_MAX) {
		put8(aml, OP_WORD);
		put16(aml, (uint16_t)value);
	} else if (value <= UINT32_MAX) {
		put8(aml, OP_DWORD);
		put32(aml, (uint32_t)value);
	} else {
		put8(aml, OP_QWORD);
		put64(aml, value);
	}
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits and four hex digits, most significant first
 * (19.3.4). */
void aml_eisa_id(struct aml *aml, const char *id)
{
	uint32_t packed = 0;
	be32 wire;
	unsigned i;

	BUG_ON(strlen(id) != 7);
	for (i = 0; i < 3; i++)
		packed = packed << 5 | ((uint32_t)(id[i] - '@') & 0x1f);
	for (i = 3; i < 7; i++)
		packed = packed << 4 | hex_digit(id[i]);
	wire = be32_make(packed);
	put8(aml, OP_DWORD);
	put(aml, &wire, sizeof(wire));
}

void aml_package_begin(struct aml *aml, uint8_t elements)
{
	put8(aml, OP_PACKAGE);
	open_length(aml);
	put8(aml, elements);
}

/* A buffer whose size is a word constant, filled in at the end. */
void aml_resources_begin(struct aml *aml)
{
	put8(aml, OP_BUFFER);
	open_length(aml);
	put8(aml, OP_WORD);
	put16(aml, 0);
}

void aml_resources_end(struct aml *aml)
{
	size_t data, len;

	put8(aml, 0x79); /* end tag; checksum 0: not checked (6.4.2.9) */
	put8(aml, 0);
	if (aml->failed)
		return;
	data = aml->open[aml->depth - 1] + PKG_LENGTH_BYTES + 3;
	len = aml->len - data;
	aml->buf[data - 2] = (uint8_t)len;
	aml->buf[data - 1] = (uint8_t)(len >> 8);
	aml_end(aml);
}

/* Word address space descriptor (6.4.3.5.3): bus numbers. */
void aml_resource_bus(struct aml *aml, uint16_t first, uint16_t last)
{
	put8(aml, 0x88);
	put16(aml, 13);
	put8(aml, 2);	 /* bus number range */
	put8(aml, 0x0c); /* minimum and maximum fixed, produced */
	put8(aml, 0);
	put16(aml, 0); /* granularity */
	put16(aml, first);
	put16(aml, last);
	put16(aml, 0); /* translation */
	put16(aml, (uint16_t)(last - first + 1));
}

/* Dword address space descriptor (6.4.3.5.2): a bridge's memory window. */
void aml_resource_window32(struct aml *aml, uint32_t base, uint32_t size)
{
	put8(aml, 0x87);
	put16(aml, 23);
	put8(aml, 0);	 /* memory range */
	put8(aml, 0x0c); /* minimum and maximum fixed, produced */
	put8(aml, 0x01); /* read-write, not cacheable */
	put32(aml, 0);
	put32(aml, base);
	put32(aml, base + size - 1);
	put32(aml, 0);
	put32(aml, size);
}

/* Word address space descriptor (6.4.3.5.3): one for ports. */
void aml_resource_ports(struct aml *aml, uint16_t base, uint16_t size)
{
	put8(aml, 0x88);
	put16(aml, 13);
	put8(aml, 1);	 /* port range */
	put8(aml, 0x0c); /* minimum and maximum fixed, produced */
	put8(aml, 0x03); /* all of the range */
	put16(aml, 0);
	put16(aml, base);
	put16(aml, (uint16_t)(base + size - 1));
	put16(aml, 0);
	put16(aml, size);
}

/* Qword address space descriptor (6.4.3.5.1): one for memory. */
void aml_resource_window64(struct aml *aml, uint64_t base, uint64_t size)
{
	put8(aml, 0x8a);
	put16(aml, 43);
	put8(aml, 0);	 /* memory range */
	put8(aml, 0x0c); /* minimum and maximum fixed, produced */
	put8(aml, 0x07); /* read-write, cacheable and prefetchable */
	put64(aml, 0);
	put64(aml, base);
	put64(aml, base + size - 1);
	put64(aml, 0);
	put64(aml, size);
}

/* 32-bit fixed memory range (6.4.3.4). */
void aml_resource_memory32(struct aml *aml, uint32_t base, uint32_t size)
{
	put8(aml, 0x86);
	put16(aml, 9);
	put8(aml, 1); /* writable */
	put32(aml, base);
	put32(aml, size);
}

/* I/O port descriptor (6.4.2.5). */
void aml_resource_io(struct aml *aml, uint16_t base, uint8_t ports)
{
	put8(aml, 0x47);
	put8(aml, 1); /* decodes 16 bits */
	put16(aml, base);
	put16(aml, base);
	put8(aml, 1);
	put8(aml, ports);
}

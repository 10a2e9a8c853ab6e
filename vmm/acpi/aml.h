/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_ACPI_AML_H
#define VMM_ACPI_AML_H

/*
 * Writes AML byte code (ACPI 6.4, chapter 20), as much of it as a small DSDT
 * wants. Objects nest by aml_*_begin and aml_end. Running out of room or of
 * levels sticks in `failed`; check it once at the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AML_DEPTH_MAX 8u

struct aml {
	uint8_t *buf;
	size_t cap;
	size_t len;
	bool failed;
	unsigned depth;
	size_t open[AML_DEPTH_MAX]; /* where each PkgLength stands */
};

void aml_init(struct aml *aml, void *buf, size_t cap);

/* path: one name segment of four characters, with "\\" in front or not. */
void aml_scope_begin(struct aml *aml, const char *path);
void aml_device_begin(struct aml *aml, const char *name);
/* Closes the innermost scope, device, package or template. */
void aml_end(struct aml *aml);

/* Name(name, <the object that is written next>). */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint64_t value);
/* id: "PNP0A08". */
void aml_eisa_id(struct aml *aml, const char *id);
void aml_package_begin(struct aml *aml, uint8_t elements);

/* A resource template: begin, descriptors, end. */
void aml_resources_begin(struct aml *aml);
void aml_resources_end(struct aml *aml);
void aml_resource_bus(struct aml *aml, uint16_t first, uint16_t last);
void aml_resource_window32(struct aml *aml, uint32_t base, uint32_t size);
void aml_resource_ports(struct aml *aml, uint16_t base, uint16_t size);
void aml_resource_window64(struct aml *aml, uint64_t base, uint64_t size);
void aml_resource_memory32(struct aml *aml, uint32_t base, uint32_t size);
void aml_resource_io(struct aml *aml, uint16_t base, uint8_t ports);

#endif

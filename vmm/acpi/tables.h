/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_ACPI_TABLES_H
#define VMM_ACPI_TABLES_H

/*
 * The ACPI tables of the x86-64 machine: hardware-reduced, no interrupt
 * controller but the local APICs, one PCI segment with ECAM.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct acpi_config {
	unsigned vcpus;
	bool serial;
	uint32_t base; /* guest address of the first byte: the RSDP */
	/* Where BARs lie above 4 GiB; size 0: nowhere. */
	uint64_t high_base;
	uint64_t high_size;
};

/* Writes the tables to buf (zeroed). 0, or -ENOSPC. */
int acpi_build(const struct acpi_config *config, void *buf,
	       size_t cap) MUST_CHECK;

#endif

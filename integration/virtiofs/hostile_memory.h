/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_MEMORY_H
#define INTEGRATION_VIRTIOFS_HOSTILE_MEMORY_H

/*
 * Memory of this guest that lies in one piece, whose address devices are told:
 * huge pages, which nobody moves (kernel parameter hugepages=16), and
 * /proc/self/pagemap, which root may read.
 */

#include <stddef.h>
#include <stdint.h>

/* Zeroes. size: at most 16 MiB. address: the guest-physical one. */
uint8_t *memory_map(size_t size, uint64_t *address);

#endif

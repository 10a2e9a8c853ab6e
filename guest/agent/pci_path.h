/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_PCI_PATH_H
#define GUEST_AGENT_PCI_PATH_H

/*
 * A device by its way through the bridges, as hosts that plug it know it:
 * "02/03.1" is function 1 of slot 3 behind the bridge in slot 2 of the root
 * bus. Slots and functions are hexadecimal.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define PCI_HOPS_MAX 32

struct pci_path {
	unsigned n;
	struct {
		uint8_t slot, function;
	} hops[PCI_HOPS_MAX];
};

bool pci_path_parse(const char *text, struct pci_path *out);
/* The name of its block device, below the sysfs that `root` is an O_PATH
 * descriptor of. 0, -ENOENT (not there, or no block device yet), -errno. */
int pci_path_block(int root, const struct pci_path *path, char *name,
		   size_t size) MUST_CHECK;
/* The same of its network interface. */
int pci_path_net(int root, const struct pci_path *path, char *name,
		 size_t size) MUST_CHECK;

#endif

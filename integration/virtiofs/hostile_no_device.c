/* SPDX-License-Identifier: Apache-2.0 */

/* The groups of hostile_registers.c and hostile_flips.c, where there is no
 * device with registers, and no other thread of the guest: they are skipped. */

#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_groups.h"

void group_registers(void)
{
	hostile_skip("no registers: in a real guest alone");
}

void group_memory(void)
{
	hostile_skip("no addresses of other devices: in a real guest alone");
}

void group_flips(void)
{
	hostile_skip("no threads of the guest: in a real guest alone");
}

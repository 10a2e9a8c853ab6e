/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_HW_POWER_H
#define VMM_HW_POWER_H

/*
 * How a guest ends itself: the reset and sleep registers that the FADT names
 * (ACPI 6.4, 4.8.3.6 and 4.8.3.7), and the reset line of the keyboard
 * controller, for kernels that do not read ACPI.
 */

#include "vmm/core/iobus.h"

#define POWER_BASE 0x600u
#define POWER_PORTS 2u
#define POWER_CONTROL 0x600u /* reset and sleep control */
#define POWER_STATUS 0x601u  /* sleep status */
#define POWER_RESET 0x01u
#define POWER_S5 5u /* SLP_TYP of \_S5 */
#define I8042_BASE 0x64u

enum power_request {
	POWER_REQUEST_OFF,
	POWER_REQUEST_RESET,
};

struct power {
	struct iodev acpi;
	struct iodev i8042;
	/* On the vCPU's thread. */
	void (*requested)(struct power *power, enum power_request request);
};

void power_init(struct power *power,
		void (*requested)(struct power *, enum power_request));

#endif

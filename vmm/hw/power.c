/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/hw/power.h"

/* Sleep control register: SLP_EN is bit 5, SLP_TYP bits 2 to 4. */
#define SLEEP_S5 (1u << 5 | POWER_S5 << 2)
#define I8042_PULSE_RESET 0xfeu

/* Sleep status: WAK_STS never set. i8042: never busy, nothing to read. */
static uint64_t power_read(struct iodev *io, uint64_t off, unsigned len)
{
	return 0;
}

static void acpi_write(struct iodev *io, uint64_t off, unsigned len,
		       uint64_t value)
{
	struct power *power = container_of(io, struct power, acpi);

	if (off != 0 || len != 1)
		return;
	if (value == POWER_RESET)
		power->requested(power, POWER_REQUEST_RESET);
	else if (value == SLEEP_S5)
		power->requested(power, POWER_REQUEST_OFF);
}

static void i8042_write(struct iodev *io, uint64_t off, unsigned len,
			uint64_t value)
{
	struct power *power = container_of(io, struct power, i8042);

	if (len == 1 && value == I8042_PULSE_RESET)
		power->requested(power, POWER_REQUEST_RESET);
}

static const struct iodev_ops acpi_io_ops = {
	.read = power_read,
	.write = acpi_write,
};

static const struct iodev_ops i8042_io_ops = {
	.read = power_read,
	.write = i8042_write,
};

void power_init(struct power *power,
		void (*requested)(struct power *, enum power_request))
{
	power->acpi.ops = &acpi_io_ops;
	power->i8042.ops = &i8042_io_ops;
	power->requested = requested;
}

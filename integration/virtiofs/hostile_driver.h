/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_DRIVER_H
#define INTEGRATION_VIRTIOFS_HOSTILE_DRIVER_H

/* hostile_link.h, of a real device in a real guest: beside it, what only that
 * has. */

#include <stdbool.h>
#include <stdint.h>

#include "integration/virtiofs/hostile_link.h"

/* Takes the device. end: where the guest's memory ends. */
void driver_start(uint64_t end);
/* Up to FEATURES_OK, and no queue. */
void driver_negotiate(void);
/* Of a queue: as link_again() has it, but not enabled. */
void driver_queue(unsigned queue);
/* DRIVER_OK; whether the device is well after it. */
bool driver_ok(void);

#endif

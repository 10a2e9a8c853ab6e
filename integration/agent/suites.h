/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_AGENT_SUITES_H
#define INTEGRATION_AGENT_SUITES_H

void test_spec_suite(const char *rootfs);
/* Ends the agent. */
void test_guest_suite(const char *rootfs);

#endif

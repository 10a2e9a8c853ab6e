/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_AGENT_SUITES_H
#define INTEGRATION_AGENT_SUITES_H

#include "agent-proto/agent.pb-c.h"

void test_spec_suite(const char *rootfs);
void test_mounts_suite(const char *rootfs);
void test_scheduling_suite(const char *rootfs);
void test_seccomp_suite(const char *rootfs);
void test_resources_suite(const char *rootfs);
/* A container whose /dev/xvda has the number of the guest's node. device: what
 * tells which that is; the rest of it is filled in. */
void check_block_device(const char *root, Agent__Device *device,
			const char *node, const char *what);
void test_idmap_suite(const char *rootfs);
/* With disks: /dev/vda (ext4, has /file), /dev/vdb and /dev/vdc (swap). */
void test_disks_suite(const char *rootfs);
void test_ports_suite(const char *rootfs);
void test_iptables_suite(void);
void test_stdio_suite(const char *rootfs);
void test_frames_suite(void);
void test_deadlines_suite(const char *rootfs);
void test_calls_suite(const char *rootfs);
void test_names_suite(const char *rootfs);
void test_memory_suite(const char *rootfs);
void test_stats_suite(const char *rootfs);
/* Before and after a CreateSandbox with guest_hook_path /run/hooks. */
void hooks_prepare(void);
void test_guest_hooks(const char *rootfs);
/* Sets a policy, with which only what the guest suite's end needs is left. */
void test_policy_suite(const char *rootfs);
/* Ends the agent. */
void test_guest_suite(const char *rootfs);

#endif

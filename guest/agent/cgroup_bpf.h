/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_CGROUP_BPF_H
#define GUEST_AGENT_CGROUP_BPF_H

/*
 * Device rules as a BPF program of a control group. As with version 1's list
 * the last rule that names a device decides, for reading, writing and mknod
 * apart; what no rule names is refused. The rules every container has (null,
 * zero, its terminals, ...) come after the given ones.
 */

#include <linux/bpf.h>
#include <stddef.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

#define CGROUP_BPF_RULES_MAX 256

/* The program; the caller frees *out. 0 or -errno with err. */
int cgroup_bpf_build(Oci__LinuxDeviceCgroup *const *rules, size_t n,
		     struct bpf_insn **out, size_t *len,
		     struct err *err) MUST_CHECK;
/* Puts it in force on the group; *prog is the one before (-1: none), then the
 * new one. */
int cgroup_bpf_set(int cgroup, int *prog, Oci__LinuxDeviceCgroup *const *rules,
		   size_t n, struct err *err) MUST_CHECK;

#endif

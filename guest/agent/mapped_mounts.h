/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_MAPPED_MOUNTS_H
#define GUEST_AGENT_MAPPED_MOUNTS_H

/*
 * Id-mapped mounts of a container's spec (mount_setattr(2)). A mount is mapped
 * before it is attached, by who has rights over the user namespace of its file
 * system, which a container with its own has not.
 */

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/* In the guest's namespaces. (*fds)[i] is mounts[i], detached, or -1 where
 * nothing is to be mapped; *fds is NULL if none is. For a process that ends
 * when it fails: nothing is closed. */
int mapped_mounts_open(const Oci__Spec *spec, int **fds,
		       struct err *err) MUST_CHECK;

#endif

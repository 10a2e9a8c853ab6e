/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_FS_GROUP_H
#define GUEST_AGENT_FS_GROUP_H

/* The group of a pod's volumes: who is in it may write there, and what is made
 * there is of that group. */

#include <sys/types.h>

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/* Of all that is in a file system below path (group: NULL is fine). Its policy
 * 1 leaves one alone whose root is as it would become. */
int fs_group_apply(const char *path, const Agent__FSGroup *group,
		   struct err *err) MUST_CHECK;
/* Of a directory that is new. */
int fs_group_of_directory(const char *path, gid_t gid,
			  struct err *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/landlock.h"

#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* All that ABI 2 knows: without REFER (ABI 1), each rename and link between
 * directories would be refused. */
#define ABI_MIN 2
#define ALL_ACCESS ((LANDLOCK_ACCESS_FS_REFER << 1) - 1)

int landlock_confine(int dir_fd, struct err *err)
{
	const struct landlock_ruleset_attr attr = {
		.handled_access_fs = ALL_ACCESS,
	};
	const struct landlock_path_beneath_attr beneath = {
		.allowed_access = ALL_ACCESS,
		.parent_fd = dir_fd,
	};
	AUTO_FD int ruleset = -1;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0,
		    LANDLOCK_CREATE_RULESET_VERSION) < ABI_MIN)
		return 0;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr),
			       0);
	if (ruleset < 0 ||
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		    &beneath, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_sys(err, "Landlock");
	return 0;
}

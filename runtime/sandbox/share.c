/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/share.h"

#include <fcntl.h>
#include <sys/mount.h>

#include "base/cleanup.h"

int share_bind(int from, const char *target, bool recursive, bool read_only,
	       struct err *err)
{
	unsigned deep = recursive ? AT_RECURSIVE : 0;
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID |
			    (read_only ? MOUNT_ATTR_RDONLY : 0),
	};
	AUTO_FD int tree = open_tree(from, "",
				     AT_EMPTY_PATH | OPEN_TREE_CLONE |
					     OPEN_TREE_CLOEXEC | deep);

	if (tree < 0)
		return err_sys(err, "open_tree");
	if (mount_setattr(tree, "", AT_EMPTY_PATH | deep, &attr, sizeof(attr)) <
	    0)
		return err_sys(err, "mount_setattr");
	if (move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "mount on %s", target);
	return 0;
}

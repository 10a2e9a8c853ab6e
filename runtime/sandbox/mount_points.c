/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/rootfs_path.h"
#include "runtime/sandbox/sandbox.h"

/* Whether path lies in what an earlier mount puts there. */
static bool covered(const Oci__Spec *spec, size_t index, const char *path)
{
	for (size_t i = 0; i < index; i++) {
		const char *above = spec->mounts[i]->destination;
		size_t len = strlen(above);

		while (len > 0 && above[len - 1] == '/')
			len--;
		if (len > 0 && !strncmp(path, above, len) && path[len] == '/')
			return true;
	}
	return false;
}

static int make_one(const struct container *c, int root, size_t index,
		    struct err *err)
{
	const Oci__Mount *m = c->spec->mounts[index];
	mode_t mode = S_IFDIR;
	AUTO_FD int source = -1, fd = -1;

	/* The guest says what is wrong with others. */
	if (m->destination[0] != '/' || covered(c->spec, index, m->destination))
		return 0;
	if (mount_is_bind(m)) {
		source = mount_open_source(c, index, &mode, err);
		if (source < 0)
			return source;
	}
	fd = rootfs_make(root, m->destination, S_ISDIR(mode));
	/* Then those that are missing are missed in the guest. */
	if (fd == -EROFS)
		return 0;
	return fd < 0 ? err_ret(err, fd, "mounts[%zu] (%s): mount point", index,
				m->destination)
		      : 0;
}

int mount_points_make(const struct container *c, int root, struct err *err)
{
	for (size_t i = 0; i < c->spec->n_mounts; i++) {
		int ret = make_one(c, root, i, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/fs_group.h"

#include <ftw.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY_MODE (S_ISGID | 0770)
#define FILE_MODE 0660

static gid_t walk_group; /* nftw hands nothing on */

static int set_group(const char *path, const struct stat *st, int type,
		     struct FTW *ftw)
{
	mode_t mode = st->st_mode & 07777;

	if (lchown(path, (uid_t)-1, walk_group) < 0)
		return -1;
	if (type == FTW_SL)
		return 0;
	return chmod(path, mode | (type == FTW_D ? DIRECTORY_MODE : FILE_MODE));
}

int fs_group_apply(const char *path, const Agent__FSGroup *group,
		   struct err *err)
{
	struct stat st;

	if (!group)
		return 0;
	if (stat(path, &st) < 0)
		return err_sys(err, "fs_group: stat");
	if (group->group_change_policy == 1 && st.st_gid == group->group_id &&
	    (st.st_mode & DIRECTORY_MODE) == DIRECTORY_MODE)
		return 0;
	walk_group = group->group_id;
	if (nftw(path, set_group, 16, FTW_PHYS | FTW_MOUNT) != 0)
		return err_sys(err, "fs_group");
	return 0;
}

int fs_group_of_directory(const char *path, gid_t gid, struct err *err)
{
	struct stat st;

	/* The group first: changing it would clear the bit. */
	if (chown(path, (uid_t)-1, gid) < 0 || stat(path, &st) < 0 ||
	    chmod(path, (st.st_mode & 07777) | S_ISGID | 0070) < 0)
		return err_sys(err, "fsgid");
	return 0;
}

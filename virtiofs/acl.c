/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/acl.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/xattr.h>
#include <string.h>

typedef uint32_t translation(const struct fs_idmap *map, uint32_t id);

bool fs_acl_is(const char *name)
{
	return strcmp(name, XATTR_NAME_POSIX_ACL_ACCESS) == 0 ||
	       strcmp(name, XATTR_NAME_POSIX_ACL_DEFAULT) == 0;
}

/* False: one that may not be used. */
static bool entry_translate(const struct fs_idmap *uids,
			    const struct fs_idmap *gids, translation *to,
			    struct posix_acl_xattr_entry *entry)
{
	unsigned tag = le16toh(entry->e_tag);
	uint32_t from = le32toh(entry->e_id);
	uint32_t id;

	/* Those of the owner, the mask and others name nobody. */
	if (tag != ACL_USER && tag != ACL_GROUP)
		return true;
	id = to(tag == ACL_USER ? uids : gids, from);
	entry->e_id = htole32(id);
	return id != FS_ID_FORBIDDEN || id == from;
}

static bool translate(const struct fs_idmap *uids, const struct fs_idmap *gids,
		      translation *to, char *value, size_t size)
{
	struct posix_acl_xattr_entry entry;
	bool allowed = true;

	for (size_t i = sizeof(struct posix_acl_xattr_header);
	     i + sizeof(entry) <= size; i += sizeof(entry)) {
		memcpy(&entry, value + i, sizeof(entry));
		allowed = entry_translate(uids, gids, to, &entry) && allowed;
		memcpy(value + i, &entry, sizeof(entry));
	}
	return allowed;
}

int fs_acl_to_host(const struct fs_idmap *uids, const struct fs_idmap *gids,
		   void *value, size_t size)
{
	return translate(uids, gids, fs_id_to_host, value, size) ? 0 : -EPERM;
}

void fs_acl_to_guest(const struct fs_idmap *uids, const struct fs_idmap *gids,
		     void *value, size_t size)
{
	(void)translate(uids, gids, fs_id_to_guest, value, size);
}

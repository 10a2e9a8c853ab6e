/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_XATTRMAP_H
#define VIRTIOFS_XATTRMAP_H

/*
 * Extended attributes under other names on the host than in the guest: rules,
 * of which the first that matches decides. A client's rule is for names that
 * the guest uses and looks at `key`; a server's is for names in a list and
 * looks at `prepend`. Both are tested as prefixes.
 */

#include <stdbool.h>

#include "base/compiler.h"

#define FS_XATTR_RULES 32u
#define FS_XATTR_PART 128u
#define FS_XATTR_NAME 256u /* with NUL */

enum fs_xattr_action {
	FS_XATTR_OK,	      /* as it is */
	FS_XATTR_PREFIX,      /* prepend goes before it, or off it */
	FS_XATTR_BAD,	      /* EPERM, or not in the list */
	FS_XATTR_UNSUPPORTED, /* EOPNOTSUPP, or not in the list */
};

struct fs_xattr_rule {
	enum fs_xattr_action action;
	bool client;
	bool server;
	char key[FS_XATTR_PART];
	char prepend[FS_XATTR_PART];
};

struct fs_xattrmap {
	unsigned n;
	struct fs_xattr_rule rules[FS_XATTR_RULES];
};

/*
 * Rules ":ACTION:SCOPE:KEY:PREPEND:" one after the other, with blanks between
 * if need be; what stands first in each is what separates. Scopes are client,
 * server and all. Or ":map:KEY:PREPEND:" as the last one, which stands for
 * several. -EINVAL: these are none; -E2BIG: too many.
 */
int fs_xattrmap_parse(struct fs_xattrmap *map, const char *text) MUST_CHECK;

/* The host's name of what the guest calls so: name or, longer, in buf.
 * NULL: *error says why not. map may be NULL. */
const char *fs_xattr_to_host(const struct fs_xattrmap *map, const char *name,
			     char buf[FS_XATTR_NAME], int *error);
/* The guest's name, which is the end of the host's; NULL: it is hidden. */
const char *fs_xattr_to_guest(const struct fs_xattrmap *map, const char *name);

#endif

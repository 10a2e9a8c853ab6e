/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/user_names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define GIDS_MAX 65536 /* NGROUPS_MAX of the kernel */

static bool number(const char *text, size_t len, uint32_t *out)
{
	uint64_t value = 0;

	if (len == 0 || len > 10)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	*out = (uint32_t)value;
	return value < UINT32_MAX; /* -1 is no id */
}

/* Field `index` of the line that begins with "name:". */
static bool field(const char *file, const char *name, unsigned index,
		  uint32_t *out)
{
	size_t len = strlen(name);

	if (strpbrk(name, ":\n"))
		return false;
	for (const char *line = file; *line;) {
		const char *end = strchrnul(line, '\n');
		const char *p = line;

		if ((size_t)(end - line) > len && line[len] == ':' &&
		    memcmp(line, name, len) == 0) {
			for (unsigned i = 0; i < index && p; i++) {
				p = memchr(p, ':', (size_t)(end - p));
				p = p ? p + 1 : NULL;
			}
			if (p) {
				const char *stop =
					memchr(p, ':', (size_t)(end - p));

				return number(p,
					      (size_t)((stop ? stop : end) - p),
					      out);
			}
		}
		line = *end ? end + 1 : end;
	}
	return false;
}

static int group_id(const char *text, const char *group, uint32_t *out,
		    struct err *err)
{
	if (number(text, strlen(text), out) || field(group, text, 2, out))
		return 0;
	return err_set(err, EINVAL,
		       "unable to find group %.64s: no matching entries in "
		       "group file",
		       text);
}

static int further_groups(const Agent__StringUser *names, const char *group,
			  Oci__User *user, struct err *err)
{
	uint32_t *gids;

	if (names->n_additional_gids == 0)
		return 0;
	if (names->n_additional_gids > GIDS_MAX)
		return err_set(err, EINVAL, "string_user: too many groups");
	gids = calloc(names->n_additional_gids, sizeof(*gids));
	if (!gids)
		return err_set(err, ENOMEM, "string_user: out of memory");
	for (size_t i = 0; i < names->n_additional_gids; i++) {
		int ret = group_id(names->additional_gids[i], group, &gids[i],
				   err);

		if (ret < 0) {
			free(gids);
			return ret;
		}
	}
	user->additional_gids = gids;
	user->n_additional_gids = names->n_additional_gids;
	return 0;
}

int user_names_resolve(const Agent__StringUser *names, const char *passwd,
		       const char *group, Oci__User *user, struct err *err)
{
	int ret = 0;

	if (names->uid[0] &&
	    !number(names->uid, strlen(names->uid), &user->uid)) {
		uint32_t gid = user->gid;

		if (!field(passwd, names->uid, 2, &user->uid) ||
		    !field(passwd, names->uid, 3, &gid))
			return err_set(err, EINVAL,
				       "unable to find user %.64s: no "
				       "matching entries in passwd file",
				       names->uid);
		user->gid = gid;
	}
	if (names->gid[0])
		ret = group_id(names->gid, group, &user->gid, err);
	return ret < 0 ? ret : further_groups(names, group, user, err);
}

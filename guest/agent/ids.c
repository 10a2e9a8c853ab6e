/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/ids.h"

#include <limits.h>
#include <string.h>

bool id_valid(const char *id)
{
	static const char ok[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "abcdefghijklmnopqrstuvwxyz"
				 "0123456789_.-";
	size_t len = strlen(id);

	if (len == 0 || len > ID_MAX || strspn(id, ok) != len)
		return false;
	return strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
}

bool path_valid(const char *path)
{
	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return false;
	for (const char *p = path; *p;) {
		size_t len;

		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (len == 2 && p[0] == '.' && p[1] == '.')
			return false;
		p += len;
	}
	return true;
}

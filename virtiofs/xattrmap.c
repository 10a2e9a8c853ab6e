/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/xattrmap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The text up to the next separator, which is passed. */
static int part_take(const char **at, char separator, char *out, size_t room)
{
	const char *end = strchr(*at, separator);
	size_t len = end ? (size_t)(end - *at) : 0;

	if (!end || len >= room)
		return -EINVAL;
	memcpy(out, *at, len);
	out[len] = '\0';
	*at = end + 1;
	return 0;
}

static int rule_add(struct fs_xattrmap *map, const struct fs_xattr_rule *rule)
{
	if (map->n == FS_XATTR_RULES)
		return -E2BIG;
	map->rules[map->n++] = *rule;
	return 0;
}

static int add(struct fs_xattrmap *map, enum fs_xattr_action action,
	       const char *scope, const char *key, const char *prepend)
{
	struct fs_xattr_rule rule = {.action = action};
	bool all = strcmp(scope, "all") == 0;

	rule.client = all || strcmp(scope, "client") == 0;
	rule.server = all || strcmp(scope, "server") == 0;
	if (!rule.client && !rule.server)
		return -EINVAL;
	snprintf(rule.key, sizeof(rule.key), "%s", key);
	snprintf(rule.prepend, sizeof(rule.prepend), "%s", prepend);
	return rule_add(map, &rule);
}

/*
 * KEY under PREPEND, and no other way to either: what the host has as KEY is
 * hidden, what the guest would call PREPEND refused. Of all there is, if KEY is
 * empty.
 */
static int add_map(struct fs_xattrmap *map, const char *key,
		   const char *prepend)
{
	int ret = add(map, FS_XATTR_PREFIX, "all", key, prepend);

	if (!*key)
		return ret ? ret : add(map, FS_XATTR_BAD, "all", "", "");
	if (!ret)
		ret = add(map, FS_XATTR_BAD, "server", "", key);
	if (!ret)
		ret = add(map, FS_XATTR_BAD, "client", prepend, "");
	return ret ? ret : add(map, FS_XATTR_OK, "all", "", "");
}

static int action_of(const char *name)
{
	static const char *const names[] = {
		[FS_XATTR_OK] = "ok",
		[FS_XATTR_PREFIX] = "prefix",
		[FS_XATTR_BAD] = "bad",
		[FS_XATTR_UNSUPPORTED] = "unsupported",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], name) == 0)
			return (int)i;
	}
	return -EINVAL;
}

/* *last: it was a map. */
static int rule_take(struct fs_xattrmap *map, const char **at, bool *last)
{
	char separator = *(*at)++;
	char key[FS_XATTR_PART];
	char prepend[FS_XATTR_PART];
	char action[16];
	char scope[16];

	if (part_take(at, separator, action, sizeof(action)))
		return -EINVAL;
	*last = strcmp(action, "map") == 0;
	if ((!*last && part_take(at, separator, scope, sizeof(scope))) ||
	    part_take(at, separator, key, sizeof(key)) ||
	    part_take(at, separator, prepend, sizeof(prepend)))
		return -EINVAL;
	if (*last)
		return add_map(map, key, prepend);
	if (action_of(action) < 0)
		return -EINVAL;
	return add(map, (enum fs_xattr_action)action_of(action), scope, key,
		   prepend);
}

int fs_xattrmap_parse(struct fs_xattrmap *map, const char *text)
{
	bool last = false;
	int ret;

	map->n = 0;
	for (;;) {
		text += strspn(text, " \t\n");
		if (!*text)
			return map->n ? 0 : -EINVAL;
		if (last)
			return -EINVAL;
		ret = rule_take(map, &text, &last);
		if (ret)
			return ret;
	}
}

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

const char *fs_xattr_to_host(const struct fs_xattrmap *map, const char *name,
			     char buf[FS_XATTR_NAME], int *error)
{
	if (!map)
		return name;
	*error = -EPERM;
	for (unsigned i = 0; i < map->n; i++) {
		const struct fs_xattr_rule *rule = &map->rules[i];

		if (!rule->client || !has_prefix(name, rule->key))
			continue;
		if (rule->action == FS_XATTR_OK)
			return name;
		if (rule->action == FS_XATTR_UNSUPPORTED)
			*error = -EOPNOTSUPP;
		if (rule->action != FS_XATTR_PREFIX)
			return NULL;
		*error = -ERANGE;
		if (strlen(rule->prepend) + strlen(name) >= FS_XATTR_NAME)
			return NULL;
		strcpy(buf, rule->prepend);
		return strcat(buf, name);
	}
	return NULL;
}

const char *fs_xattr_to_guest(const struct fs_xattrmap *map, const char *name)
{
	if (!map)
		return name;
	for (unsigned i = 0; i < map->n; i++) {
		const struct fs_xattr_rule *rule = &map->rules[i];

		if (!rule->server || !has_prefix(name, rule->prepend))
			continue;
		if (rule->action == FS_XATTR_OK)
			return name;
		if (rule->action != FS_XATTR_PREFIX)
			return NULL;
		/* Nothing would be a name that is none. */
		name += strlen(rule->prepend);
		return *name ? name : NULL;
	}
	return NULL;
}

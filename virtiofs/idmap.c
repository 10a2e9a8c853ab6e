/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/idmap.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool overlap(const struct fs_id_range *a, const struct fs_id_range *b)
{
	return a->from < (uint64_t)b->from + b->count &&
	       b->from < (uint64_t)a->from + a->count;
}

static int table_add(struct fs_id_table *table, struct fs_id_range range)
{
	bool forbids = range.squash && range.to == FS_ID_FORBIDDEN;

	/* 2^32 - 1 is no id, so a range may not reach it. */
	if (range.count == 0 || range.count > UINT32_MAX - range.from)
		return -EINVAL;
	if (!forbids &&
	    (range.to == FS_ID_FORBIDDEN ||
	     (!range.squash && range.count > UINT32_MAX - range.to)))
		return -EINVAL;
	for (unsigned i = 0; i < table->n; i++) {
		if (overlap(&table->ranges[i], &range))
			return -EEXIST;
	}
	if (table->n == FS_IDMAP_RANGES)
		return -E2BIG;
	table->ranges[table->n++] = range;
	return 0;
}

/* The numbers of ":1:2:3", as many as there are; -EINVAL: not only numbers. */
static int numbers_read(const char *text, uint32_t *out, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned long long v;
		char *end;

		if (*text++ != ':' || *text < '0' || *text > '9')
			return -EINVAL;
		errno = 0;
		v = strtoull(text, &end, 10);
		if (errno || v > UINT32_MAX)
			return -EINVAL;
		out[i] = (uint32_t)v;
		text = end;
	}
	return *text ? -EINVAL : 0;
}

static const struct {
	const char *name;
	unsigned numbers;
	bool to_host;
	bool to_guest;
	bool squash;
} kinds[] = {
	{"guest", 3, true, false, false},
	{"host", 3, false, true, false},
	{"squash-guest", 3, true, false, true},
	{"squash-host", 3, false, true, true},
	{"forbid-guest", 2, true, false, true},
	{"map", 3, true, true, false},
};

static int rule_add(struct fs_idmap *map, size_t kind, const uint32_t *v)
{
	struct fs_id_range there = {v[0], v[1], v[2], kinds[kind].squash};
	struct fs_id_range back = {v[1], v[0], v[2], false};
	int ret = 0;

	if (kinds[kind].numbers == 3 && v[1] == FS_ID_FORBIDDEN)
		return -EINVAL;
	if (kinds[kind].numbers == 2)
		there = (struct fs_id_range){v[0], FS_ID_FORBIDDEN, v[1], true};
	if (kinds[kind].to_host)
		ret = table_add(&map->to_host, there);
	else
		ret = table_add(&map->to_guest, there);
	if (!ret && kinds[kind].to_host && kinds[kind].to_guest)
		ret = table_add(&map->to_guest, back);
	return ret;
}

int fs_idmap_add(struct fs_idmap *map, const char *rule)
{
	size_t len = strcspn(rule, ":");
	uint32_t v[3] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strlen(kinds[i].name) != len ||
		    strncmp(rule, kinds[i].name, len) != 0)
			continue;
		if (numbers_read(rule + len, v, kinds[i].numbers) < 0)
			return -EINVAL;
		return rule_add(map, i, v);
	}
	return -EINVAL;
}

static uint32_t translate(const struct fs_id_table *table, uint32_t id)
{
	for (unsigned i = 0; i < table->n; i++) {
		const struct fs_id_range *r = &table->ranges[i];

		if (id >= r->from && id - r->from < r->count)
			return r->squash ? r->to : r->to + (id - r->from);
	}
	return id;
}

uint32_t fs_id_to_host(const struct fs_idmap *map, uint32_t id)
{
	return map ? translate(&map->to_host, id) : id;
}

uint32_t fs_id_to_guest(const struct fs_idmap *map, uint32_t id)
{
	return map ? translate(&map->to_guest, id) : id;
}

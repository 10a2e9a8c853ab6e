/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever the parser accepts must come back the same from its own text; the
 * first byte picks the flags.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct json *node)
{
	static const char *const names[] = {"args", "env", "cwd", NULL};
	struct err err = {0};
	const char *s;
	int64_t i;
	uint64_t u;

	json_fail(node, &err, "at");
	BUG_ON(!strstr(err.text, "at"));
	if (json_as_string(node, &s, &err) == 0)
		BUG_ON(!utf8_valid(s, strlen(s)));
	if (json_as_int(node, -100, 100, &i, &err) == 0)
		BUG_ON(i < -100 || i > 100);
	if (json_as_u64(node, &u, &err) == 0)
		BUG_ON(json_type(node) != JSON_NUMBER);
	for (size_t k = 0; k < json_count(node); k++) {
		const char *key = json_key(node, k);

		if (key) {
			BUG_ON(json_get(node, key) != json_at(node, k));
			json_nearest(names, key);
		}
		walk(json_at(node, k));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = NULL, *again = NULL;
	struct err err = {0};
	struct json *root, *copy;

	if (size == 0)
		return 0;
	root = json_parse((const char *)data + 1, size - 1, "fuzz",
			  data[0] & JSON_COMMENTS, &err);
	if (!root) {
		BUG_ON(err.code == 0 || !*err.text);
		return 0;
	}
	walk(root);
	text = json_text(root);
	BUG_ON(!text);
	copy = json_parse(text, strlen(text), "copy", 0, &err);
	if (!copy)
		BUG("%s in %s", err.text, text);
	again = json_text(copy);
	BUG_ON(!again || strcmp(text, again) != 0);
	json_free(copy);
	json_free(root);
	return 0;
}

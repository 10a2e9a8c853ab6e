/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest says that a container uses, as it is printed: a line of JSON. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_tree.h>

#include "runtime/cli/stats_json.h"
#include "tests/fuzz/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ttrpc_method methods[] = {
	{"", "Stats", &agent__stats_container_response__descriptor, NULL},
	{NULL, NULL, NULL, NULL},
};

static void check(const char *text)
{
	const char *end = strchr(text, '\n');
	yajl_val tree = yajl_tree_parse(text, NULL, 0);

	if (!tree || !end || end[1])
		__builtin_trap();
	yajl_tree_free(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ProtobufCMessage *msg = message_any(methods, data, size);
	char *text = NULL;
	size_t len = 0;
	FILE *before = stdout;
	struct err err;
	int ret;

	if (!msg)
		return 0;
	stdout = open_memstream(&text, &len);
	ret = stats_print("id", (const void *)msg, &err);
	(void)fclose(stdout);
	stdout = before;
	/* Or there is something that cannot be said in JSON. */
	if (!ret)
		check(text);
	free(text);
	protobuf_c_message_free_unpacked(msg, NULL);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "runtime/oci/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* config.json to protobuf, and once more through the wire format. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err;
	struct json *root =
		json_parse((const char *)data, size, "config.json", 0, &err);
	Oci__Spec *spec;
	const char *id;
	enum oci_role role;

	if (!root)
		return 0;
	spec = oci_spec_from_json(root, &err);
	json_free(root);
	if (!spec)
		return 0;
	if (oci_role(spec, &role, &id, &err) == 0 && id &&
	    oci_check_id(id, &err) < 0)
		__builtin_trap();
	size_t len = oci__spec__get_packed_size(spec);
	uint8_t *wire = malloc(len + 1);

	oci__spec__pack(spec, wire);
	Oci__Spec *again = oci__spec__unpack(NULL, len, wire);

	if (!again)
		__builtin_trap();
	oci__spec__free_unpacked(again, NULL);
	oci__spec__free_unpacked(spec, NULL);
	free(wire);
	return 0;
}

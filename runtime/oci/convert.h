/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_OCI_CONVERT_H
#define RUNTIME_OCI_CONVERT_H

/*
 * JSON objects to protobuf messages, by the message's own descriptor. A
 * member's name in JSON is camelCase, the field's is snake_case
 * ("throttleReadBpsDevice", throttle_read_bps_device); the few that differ
 * stand in a table. Members without a field are skipped; objects with free
 * keys (annotations, sysctl) become repeated key-value pairs.
 */

#include <protobuf-c/protobuf-c.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/json.h"

/* NULL: err, with line and path of the offending member. */
ProtobufCMessage *json_to_message(const struct json *obj,
				  const ProtobufCMessageDescriptor *type,
				  struct err *err);

/* throttleReadIOPSDevice -> throttle_read_iops_device. -ENAMETOOLONG. */
int snake_case(const char *camel, char *out, size_t size) MUST_CHECK;

#endif

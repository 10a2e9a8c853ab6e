/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PROTO_PB_H
#define AGENT_PROTO_PB_H

#include <stdint.h>

/* protobuf-c's string fields are char *, also in messages that are only
 * packed, never written to or freed. */
static inline char *pb_str(const char *text)
{
	return (char *)(uintptr_t)text;
}

#endif

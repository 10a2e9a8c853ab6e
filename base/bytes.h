/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

/*
 * Integers of fixed byte order. Wire structs use these types, so that
 * arithmetic on a value that was not converted does not compile.
 */

#include <endian.h>
#include <stdint.h>

typedef struct {
	uint16_t raw;
} le16;
typedef struct {
	uint32_t raw;
} le32;
typedef struct {
	uint64_t raw;
} le64;
typedef struct {
	uint16_t raw;
} be16;
typedef struct {
	uint32_t raw;
} be32;

static inline uint16_t le16_get(le16 v)
{
	return le16toh(v.raw);
}

static inline uint32_t le32_get(le32 v)
{
	return le32toh(v.raw);
}

static inline uint64_t le64_get(le64 v)
{
	return le64toh(v.raw);
}

static inline uint16_t be16_get(be16 v)
{
	return be16toh(v.raw);
}

static inline uint32_t be32_get(be32 v)
{
	return be32toh(v.raw);
}

static inline le16 le16_make(uint16_t v)
{
	return (le16){htole16(v)};
}

static inline le32 le32_make(uint32_t v)
{
	return (le32){htole32(v)};
}

static inline le64 le64_make(uint64_t v)
{
	return (le64){htole64(v)};
}

static inline be16 be16_make(uint16_t v)
{
	return (be16){htobe16(v)};
}

static inline be32 be32_make(uint32_t v)
{
	return (be32){htobe32(v)};
}

#endif

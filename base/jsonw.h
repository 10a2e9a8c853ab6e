/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSONW_H
#define BASE_JSONW_H

/*
 * Writing JSON (yajl_gen below). Errors stick: check once, at jsonw_finish.
 * Strings that are not UTF-8 are written with the bytes replaced.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct jsonw;

struct jsonw *jsonw_new(bool pretty); /* NULL: out of memory */
void jsonw_free(struct jsonw *w);

void jsonw_object(struct jsonw *w); /* { */
void jsonw_end_object(struct jsonw *w);
void jsonw_array(struct jsonw *w); /* [ */
void jsonw_end_array(struct jsonw *w);
void jsonw_key(struct jsonw *w, const char *key);
void jsonw_str(struct jsonw *w, const char *value); /* NULL: null */
void jsonw_int(struct jsonw *w, int64_t value);
void jsonw_u64(struct jsonw *w, uint64_t value);
void jsonw_bool(struct jsonw *w, bool value);
void jsonw_hundredths(struct jsonw *w, double value); /* what is none: null */
/* key and value in one call */
void jsonw_kstr(struct jsonw *w, const char *key, const char *value);
void jsonw_kint(struct jsonw *w, const char *key, int64_t value);
void jsonw_ku64(struct jsonw *w, const char *key, uint64_t value);
void jsonw_kbool(struct jsonw *w, const char *key, bool value);

/* The text with a final newline, NUL-terminated; caller frees. NULL: error.
 * Frees the writer in every case. */
char *jsonw_finish(struct jsonw *w, size_t *len);

#endif

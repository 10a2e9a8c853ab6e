/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_NODE_H
#define BASE_JSON_NODE_H

/* The nodes of a tree, as json.c reads and json_parse.c builds them. */

#include "base/json.h"

struct json {
	enum json_type type;
	unsigned line;
	struct json *up;  /* the container; NULL: this is the root */
	size_t index;	  /* in the container */
	char *key;	  /* in an object, otherwise NULL */
	const char *name; /* of the file; the root owns it */
	bool truth;	  /* JSON_BOOL */
	char *text;	  /* JSON_STRING, JSON_NUMBER */
	struct json **items;
	size_t count, capacity;
};

#endif

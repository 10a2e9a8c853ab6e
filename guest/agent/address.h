/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_ADDRESS_H
#define GUEST_AGENT_ADDRESS_H

/* Addresses as text. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ip_address {
	int family; /* AF_INET, AF_INET6 */
	unsigned prefix;
	size_t len; /* of bytes */
	uint8_t bytes[16];
};

/* "192.0.2.1", "2001:db8::/32"; no prefix: all bits. */
bool ip_parse(const char *text, struct ip_address *out);
/* The address alone. */
void ip_format(int family, const void *bytes, char *out, size_t size);
/* "02:00:00:00:00:01" */
bool mac_parse(const char *text, uint8_t out[6]);
void mac_format(const uint8_t mac[6], char out[18]);

#endif

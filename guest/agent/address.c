/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ip_parse(const char *text, struct ip_address *out)
{
	char addr[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	unsigned long prefix;
	char *end;

	if (len >= sizeof(addr))
		return false;
	memcpy(addr, text, len);
	addr[len] = '\0';
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, addr, out->bytes) == 1) {
		out->family = AF_INET;
		out->len = 4;
	} else if (inet_pton(AF_INET6, addr, out->bytes) == 1) {
		out->family = AF_INET6;
		out->len = 16;
	} else {
		return false;
	}
	out->prefix = (unsigned)out->len * 8;
	if (text[len] == '\0')
		return true;
	if (!isdigit((unsigned char)text[len + 1]))
		return false;
	prefix = strtoul(text + len + 1, &end, 10);
	if (*end || prefix > out->prefix)
		return false;
	out->prefix = (unsigned)prefix;
	return true;
}

void ip_format(int family, const void *bytes, char *out, size_t size)
{
	if (!inet_ntop(family, bytes, out, (socklen_t)size) && size)
		out[0] = '\0';
}

bool mac_parse(const char *text, uint8_t out[6])
{
	if (strlen(text) != 17)
		return false;
	for (unsigned i = 0; i < 6; i++) {
		const char *p = text + i * 3;
		char byte[3] = {p[0], p[1], '\0'};

		if (!isxdigit((unsigned char)p[0]) ||
		    !isxdigit((unsigned char)p[1]) || (i < 5 && p[2] != ':'))
			return false;
		out[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
	return true;
}

void mac_format(const uint8_t mac[6], char out[18])
{
	(void)snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		       mac[2], mac[3], mac[4], mac[5]);
}

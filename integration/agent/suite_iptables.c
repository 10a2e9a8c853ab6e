/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's packet filter, with rules as service meshes ask for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

static const char filter[] = "*filter\n:INPUT ACCEPT [0:0]\n"
			     ":FORWARD DROP [0:0]\n"
			     ":OUTPUT ACCEPT [0:0]\nCOMMIT\n";

/* Istio's. The addresses are those of itself and of the loopback. */
#define MESH(self, loopback)                                                 \
	"*nat\n:ISTIO_INBOUND - [0:0]\n:ISTIO_IN_REDIRECT - [0:0]\n"         \
	":ISTIO_OUTPUT - [0:0]\n:ISTIO_REDIRECT - [0:0]\n"                   \
	"-A PREROUTING -p tcp -j ISTIO_INBOUND\n"                            \
	"-A OUTPUT -p tcp -j ISTIO_OUTPUT\n"                                 \
	"-A ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN\n"           \
	"-A ISTIO_INBOUND -p tcp -m multiport --dports 22,15090 -j RETURN\n" \
	"-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT\n"                     \
	"-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006\n"         \
	"-A ISTIO_OUTPUT -s " self " -o lo -j RETURN\n"                      \
	"-A ISTIO_OUTPUT ! -d " loopback " -o lo -m owner --uid-owner 1337 " \
	"-j ISTIO_IN_REDIRECT\n"                                             \
	"-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN\n"      \
	"-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN\n"              \
	"-A ISTIO_OUTPUT -d " loopback " -j RETURN\n"                        \
	"-A ISTIO_OUTPUT -m comment --comment \"what is left\" "             \
	"-j ISTIO_REDIRECT\n"                                                \
	"-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001\nCOMMIT\n"    \
	"*mangle\n-A PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED " \
	"-j ACCEPT\n"                                                        \
	"-A PREROUTING -p tcp -m mark --mark 0x539 -j ACCEPT\nCOMMIT\n"

static const char mesh4[] = MESH("127.0.0.6/32", "127.0.0.1/32");
static const char mesh6[] = MESH("::6/128", "::1/128");
static const char clear[] = "*nat\nCOMMIT\n*mangle\nCOMMIT\n";

/* The rules there are; *code: whether they could be had. */
static const char *get_rules(bool ipv6, enum ttrpc_code *code)
{
	static char text[64 << 10];
	Agent__GetIpTablesRequest get = AGENT__GET_IP_TABLES_REQUEST__INIT;
	Agent__IpTablesResponse *reply = NULL;
	size_t len;

	get.is_ipv6 = ipv6;
	text[0] = '\0';
	*code = call("GetIPTables", &get.base,
		     &agent__ip_tables_response__descriptor,
		     (ProtobufCMessage **)&reply);
	if (*code != TTRPC_OK)
		return text;
	len = MIN(reply->data.len, sizeof(text) - 1);
	if (len)
		memcpy(text, reply->data.data, len);
	text[len] = '\0';
	agent__ip_tables_response__free_unpacked(reply, NULL);
	return text;
}

static enum ttrpc_code set_rules(bool ipv6, const char *rules)
{
	Agent__SetIpTablesRequest set = AGENT__SET_IP_TABLES_REQUEST__INIT;
	enum ttrpc_code code;

	set.is_ipv6 = ipv6;
	set.data.data = (uint8_t *)strdup(rules);
	set.data.len = strlen(rules);
	code = call("SetIPTables", &set.base,
		    &agent__ip_tables_response__descriptor, NULL);
	free(set.data.data);
	return code;
}

static void test_without(void)
{
	enum ttrpc_code code;

	(void)get_rules(false, &code);
	check(code == TTRPC_UNIMPLEMENTED &&
		      strstr(call_text, "no iptables-save"),
	      "GetIPTables: without the program");
	check(set_rules(true, filter) == TTRPC_UNIMPLEMENTED &&
		      strstr(call_text, "no ip6tables-restore"),
	      "SetIPTables: without the program");
}

/* Each line of the rules that adds one is there again, to the letter. */
static bool has_rules(const char *text, const char *rules)
{
	char *copy = strdup(rules), *save = NULL;
	bool all = true;

	for (const char *line = strtok_r(copy, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (line[0] != '-' || strstr(text, line))
			continue;
		printf("# not there: %s\n", line);
		all = false;
	}
	free(copy);
	return all;
}

static void test_mesh(bool ipv6)
{
	const char *rules = ipv6 ? mesh6 : mesh4;
	const char *name = ipv6 ? "IPv6" : "IPv4";
	enum ttrpc_code code = set_rules(ipv6, rules);

	if (system(ipv6 ? "grep -qx owner /proc/net/ip6_tables_matches"
			: "grep -qx owner /proc/net/ip_tables_matches") != 0) {
		/* The extension, or the table. A machine that ought to have
		 * them does not excuse the skip. */
		check(code == TTRPC_INTERNAL && (strstr(call_text, "owner") ||
						 strstr(call_text, "nat")),
		      "SetIPTables: what the kernel has not is told, %s", name);
		skip("SetIPTables: a mesh's rules, %s: %s", name, call_text);
		return;
	}
	check(code == TTRPC_OK && has_rules(get_rules(ipv6, &code), rules),
	      "SetIPTables: a mesh's rules, %s", name);
	check(set_rules(ipv6, clear) == TTRPC_OK &&
		      !strstr(get_rules(ipv6, &code), "ISTIO"),
	      "SetIPTables: none again, %s", name);
}

static void test_filter(void)
{
	enum ttrpc_code code = set_rules(false, filter);

	if (code != TTRPC_OK && strstr(call_text, "unable to initialize")) {
		skip("SetIPTables: the kernel has no packet filter");
		return;
	}
	check(code == TTRPC_OK &&
		      strstr(get_rules(false, &code), ":FORWARD DROP"),
	      "SetIPTables");
	check(set_rules(false, "nonsense\n") == TTRPC_INTERNAL &&
		      strstr(call_text, "exit status"),
	      "SetIPTables: nonsense");
	if (!getenv("AGENT_IS_INIT"))
		return;
	test_mesh(false);
	test_mesh(true);
}

void test_iptables_suite(void)
{
	enum ttrpc_code code;

	if (access("/usr/sbin/iptables-save", X_OK) < 0 &&
	    access("/sbin/iptables-save", X_OK) < 0) {
		test_without();
		skip("SetIPTables: no programs here");
		return;
	}
	if (getenv("AGENT_IS_INIT")) {
		(void)rename("/usr/sbin", "/usr/away");
		test_without();
		(void)rename("/usr/away", "/usr/sbin");
	}
	(void)get_rules(false, &code);
	check(code == TTRPC_OK || code == TTRPC_INTERNAL, "GetIPTables");
	if (code != TTRPC_OK) { /* the kernel has no packet filter */
		skip("SetIPTables: %s", call_text);
		return;
	}
	test_filter();
}

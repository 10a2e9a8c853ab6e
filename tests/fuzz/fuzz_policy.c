/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a policy; and a PCI path, which comes by the same wire. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest/agent/pci_path.h"
#include "guest/agent/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ttrpc_method methods[] = {
	{.service = "grpc.AgentService", .name = "A"},
	{.service = "grpc.Health", .name = "B"},
	{.service = "grpc.AgentService", .name = "C"},
	{0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy first = {0}, next, before;
	struct pci_path path;
	struct err err = {0};
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	(void)pci_path_parse(text, &path);
	if (policy_parse("{\"allow\":[\"A\"],\"limits\":{\"execs\":7}}",
			 methods, &first, &err) < 0)
		abort();
	before = first;
	/* Whatever comes, it allows no more. */
	if (policy_parse(text, methods, &next, &err) == 0 &&
	    policy_replace(&first, &next, &err) == 0 &&
	    ((first.allowed & ~before.allowed) || first.execs > before.execs ||
	     !first.set || policy_allows(&first, methods, &methods[2])))
		abort();
	free(text);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agentrun SOCKET BUNDLE ID: runs a bundle's container by the agent that
 * listens there, as the supervisor would (runtime/sandbox/guest_spec.c), but
 * for the machine in between. Its stdout is this program's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "integration/agent/client.h"
#include "runtime/oci/spec.h"

static void absolute(char **path, const char *bundle)
{
	char *whole;

	if (**path == '/')
		return;
	if (asprintf(&whole, "%s/%s", bundle, *path) < 0)
		abort();
	*path = whole;
}

static bool is_bind(const Oci__Mount *m)
{
	for (size_t i = 0; i < m->n_options; i++) {
		if (strcmp(m->options[i], "bind") == 0 ||
		    strcmp(m->options[i], "rbind") == 0)
			return true;
	}
	return strcmp(m->type, "bind") == 0;
}

/* The hooks of the host's side are the supervisor's to run. */
static void edit(Oci__Spec *spec, const char *bundle)
{
	absolute(&spec->root->path, bundle);
	for (size_t i = 0; i < spec->n_mounts; i++) {
		if (is_bind(spec->mounts[i]))
			absolute(&spec->mounts[i]->source, bundle);
	}
	if (spec->hooks) {
		spec->hooks->n_prestart = spec->hooks->n_create_runtime = 0;
		spec->hooks->n_poststart = spec->hooks->n_poststop = 0;
	}
}

static int fail(const char *what, const char *text)
{
	(void)fprintf(stderr, "agentrun: %s: %s\n", what, text);
	return 1;
}

int main(int argc, char **argv)
{
	Agent__CreateContainerRequest req =
		AGENT__CREATE_CONTAINER_REQUEST__INIT;
	struct err err = {0};
	int status = -1;
	Oci__Spec *spec;

	if (argc != 4)
		return fail("usage", "agentrun SOCKET BUNDLE ID");
	spec = oci_spec_load(argv[2], &err);
	if (!spec)
		return fail(argv[2], err.text);
	edit(spec, argv[2]);
	client_connect(argv[1]);
	req.container_id = argv[3];
	req.oci = spec;
	if (call("CreateContainer", &req.base, &agent__empty__descriptor,
		 NULL) != TTRPC_OK)
		return fail("create", call_text);
	if (start(argv[3]) != TTRPC_OK) {
		(void)fail("start", call_text);
	} else {
		(void)fputs(read_all(argv[3], "", false), stdout);
		if (wait_process(argv[3], "", &status) != TTRPC_OK)
			(void)fail("wait", call_text);
	}
	if (remove_container(argv[3]) != TTRPC_OK)
		return fail("remove", call_text);
	return status < 0 ? 1 : status;
}

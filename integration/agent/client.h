/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_AGENT_CLIENT_H
#define INTEGRATION_AGENT_CLIENT_H

/*
 * A client of the agent for tests: one call a time, and specs of a container
 * whose root is a directory. Failed checks are counted and told; calls end
 * the program when the connection does.
 */

#include <stdbool.h>
#include <stdint.h>

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/ttrpc.h"

#define SPEC_LIST_MAX 24

/* A spec with room for what tests change; .spec is the message. */
struct test_spec {
	Oci__Spec spec;
	Oci__Process process;
	Oci__User user;
	Oci__Box console;
	Oci__Root root;
	Oci__Linux lin;
	Oci__LinuxCapabilities caps;
	Oci__LinuxResources resources;
	Oci__Mount mounts[SPEC_LIST_MAX];
	Oci__Mount *mount_list[SPEC_LIST_MAX];
	Oci__LinuxNamespace namespaces[8];
	Oci__LinuxNamespace *namespace_list[8];
	char *args[SPEC_LIST_MAX];
	char *env[SPEC_LIST_MAX];
	char *options[SPEC_LIST_MAX][8];
};

extern unsigned passed, failed, skipped;

/* Prints "ok - name" or "not ok - name". */
bool check(bool ok, const char *fmt, ...) PRINTF(2, 3);
/* What cannot be tested here: "what: why". */
void skip(const char *fmt, ...) PRINTF(1, 2);

/* A Unix socket; "hybrid:PATH": a Unix socket that takes CONNECT PORT; or
 * "vsock": the host's ports of the same numbers as the agent's, where somebody
 * passes calls on, and one that takes our output. */
void client_connect(const char *address);
/* A further connection, which the caller closes. */
int client_open(void);
/* The log (".log") or the console (".console"), which the caller closes. */
int client_open_beside(const char *suffix);
/* A standard stream's, which the caller closes; *port: by which a request
 * names it. */
int client_open_stream(uint32_t *port);
/* The code; text has the message of a refusal, *reply (may be NULL) is freed
 * by the caller. */
enum ttrpc_code call_on(int fd, const char *method, const ProtobufCMessage *req,
			const ProtobufCMessageDescriptor *type,
			ProtobufCMessage **reply);
enum ttrpc_code call(const char *method, const ProtobufCMessage *req,
		     const ProtobufCMessageDescriptor *type,
		     ProtobufCMessage **reply);
extern char call_text[512];
/* What the agent says of itself by GetMetrics; 0: nothing. */
unsigned long metric(const char *name);

/* args end with END. */
#define END ((char *)NULL)
void spec_init(struct test_spec *s, const char *rootfs, const char *first, ...);
void spec_namespace(struct test_spec *s, const char *type);
/* options: words separated by commas, or "". */
void spec_mount(struct test_spec *s, const char *type, const char *source,
		const char *target, const char *options);

enum ttrpc_code create(const char *id, struct test_spec *s);
enum ttrpc_code create_with(const char *id, struct test_spec *s,
			    Agent__Storage **storages, size_t n_storages,
			    Agent__Device **devices, size_t n_devices);
enum ttrpc_code start(const char *id);
enum ttrpc_code remove_container(const char *id);
enum ttrpc_code kill_process(const char *id, const char *exec, uint32_t sig);
/* args in s->process; the rest of the spec is not used. */
enum ttrpc_code exec_process(const char *id, const char *exec,
			     struct test_spec *s);
enum ttrpc_code wait_process(const char *id, const char *exec, int *status);
/* All output until its end; static storage. */
const char *read_all(const char *id, const char *exec, bool err);
enum ttrpc_code write_stdin(const char *id, const char *exec, const char *data,
			    uint32_t *len);
enum ttrpc_code close_stdin(const char *id, const char *exec);

/* Create, start, read all of stdout, wait, remove. *status -1: failed. */
const char *run(const char *id, struct test_spec *s, int *status);

#endif
